//! Pure. The behaviour of a user in bytes: everything it did in a few bytes a day, exactly.
//!
//! Numbers are LEB128 varints, signed ones zigzag. For each event name: its length and bytes; count; first instant (ms); last less
//! first; values; the number of days; then the days, newest first, each with its distance to the one after it (the newest to the
//! day of the last instant), count and values. Values: their count times 2, plus 1 if sum, min and max follow each for itself;
//! else one value follows where the count is 1, and none where it is 0.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::behaviour::{Behaviour, Day, Values, day_number};

pub(crate) fn write(behaviour: &BTreeMap<String, Behaviour>) -> Vec<u8> {
    let mut out = Vec::with_capacity(behaviour.len() * 32);
    for (name, b) in behaviour {
        put(&mut out, name.len() as u64);
        out.extend_from_slice(name.as_bytes());
        put(&mut out, b.count);
        put(&mut out, zigzag(b.first_at.as_millisecond()));
        put_signed(&mut out, b.last_at.as_millisecond() - b.first_at.as_millisecond());
        put_values(&mut out, b.values);
        put(&mut out, b.days.len() as u64);
        let mut after = day_number(b.last_at);
        for day in b.days.iter().rev() {
            put_signed(&mut out, i64::from(after) - i64::from(day.number));
            put(&mut out, day.count);
            put_values(&mut out, day.values);
            after = day.number;
        }
    }
    out
}

/// None: these are not bytes of this form.
pub(crate) fn read(mut bytes: &[u8]) -> Option<BTreeMap<String, Behaviour>> {
    let mut behaviour = BTreeMap::new();
    let bytes = &mut bytes;
    while !bytes.is_empty() {
        let length = usize::try_from(take(bytes)?).ok()?;
        let name = std::str::from_utf8(take_bytes(bytes, length)?).ok()?.to_owned();
        let count = take(bytes)?;
        let first_ms = unzigzag(take(bytes)?);
        let last_ms = first_ms.checked_add(unzigzag(take(bytes)?))?;
        let (first_at, last_at) =
            (Timestamp::from_millisecond(first_ms).ok()?, Timestamp::from_millisecond(last_ms).ok()?);
        let values = take_values(bytes)?;
        let mut days = Vec::new();
        let mut after = i64::from(day_number(last_at));
        for _ in 0..take(bytes)? {
            after = after.checked_sub(unzigzag(take(bytes)?))?;
            let number = i32::try_from(after).ok()?;
            days.push(Day { number, count: take(bytes)?, values: take_values(bytes)? });
        }
        days.reverse();
        behaviour.insert(name, Behaviour { count, first_at, last_at, values, days });
    }
    Some(behaviour)
}

fn put_values(out: &mut Vec<u8>, values: Values) {
    let same = |a: f64, b: f64| a.to_bits() == b.to_bits();
    let one = values.count == 1 && same(values.sum, values.min) && same(values.sum, values.max);
    let none = values == Values::default();
    put(out, values.count << 1 | u64::from(!one && !none));
    if !none {
        put_number(out, values.sum);
    }
    if !one && !none {
        put_number(out, values.min);
        put_number(out, values.max);
    }
}

fn take_values(bytes: &mut &[u8]) -> Option<Values> {
    let head = take(bytes)?;
    let count = head >> 1;
    if head & 1 == 1 {
        let (sum, min, max) = (take_number(bytes)?, take_number(bytes)?, take_number(bytes)?);
        return Some(Values { count, sum, min, max });
    }
    match count {
        0 => Some(Values::default()),
        1 => take_number(bytes).map(|value| Values { count, sum: value, min: value, max: value }),
        _ => None,
    }
}

/// The last two bits say how a number is written.
const WHOLE: u64 = 0;
const HUNDREDTHS: u64 = 1;
const AS_IT_IS: u64 = 2;

/// Amounts of money are short, every other number is kept as it is.
fn put_number(out: &mut Vec<u8>, number: f64) {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let same = |other: f64| other.to_bits() == number.to_bits();
    let hundredths = (number * 100.0).round();
    if number.abs() < EXACT && same(number as i64 as f64) {
        put(out, zigzag(number as i64) << 2 | WHOLE);
    } else if hundredths.abs() < EXACT && same(hundredths / 100.0) {
        put(out, zigzag(hundredths as i64) << 2 | HUNDREDTHS);
    } else {
        put(out, AS_IT_IS);
        out.extend_from_slice(&number.to_be_bytes());
    }
}

fn take_number(bytes: &mut &[u8]) -> Option<f64> {
    let head = take(bytes)?;
    let whole = unzigzag(head >> 2) as f64;
    match head & 3 {
        WHOLE => Some(whole),
        HUNDREDTHS => Some(whole / 100.0),
        AS_IT_IS => Some(f64::from_be_bytes(take_bytes(bytes, 8)?.try_into().ok()?)),
        _ => None,
    }
}

fn zigzag(number: i64) -> u64 {
    (number << 1 ^ number >> 63) as u64
}

fn unzigzag(number: u64) -> i64 {
    (number >> 1) as i64 ^ -((number & 1) as i64)
}

fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, zigzag(number));
}

pub(crate) fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

pub(crate) fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

pub(crate) fn take_bytes<'b>(bytes: &mut &'b [u8], length: usize) -> Option<&'b [u8]> {
    let (taken, rest) = bytes.split_at_checked(length)?;
    *bytes = rest;
    Some(taken)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-1_000_000i64..1_000_000).prop_map(|n| n as f64),
            (-1_000_000i64..1_000_000).prop_map(|n| n as f64 / 100.0),
            prop::num::f64::NORMAL | prop::num::f64::ZERO,
        ]
    }

    proptest! {
        #[test]
        fn a_number_comes_back_bit_for_bit(number in number()) {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            prop_assert_eq!(take_number(&mut bytes.as_slice()).map(f64::to_bits), Some(number.to_bits()));
        }

        #[test]
        fn foreign_bytes_are_refused_or_read_and_never_panic(bytes: Vec<u8>) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn an_amount_of_money_takes_two_or_three_bytes() {
        for (number, length) in [(12.0, 1), (600.0, 2), (9.99, 2), (129.95, 3), (0.1 + 0.2, 9)] {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            assert_eq!(bytes.len(), length, "{number}");
        }
    }
}
