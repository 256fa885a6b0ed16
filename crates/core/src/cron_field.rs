//! Pure. One field of a cron expression: `*`, numbers, names, ranges, steps and lists, as Unix reads them.
//!
//! Knows nothing of dates; `cron_dialect` puts the fields together.

use crate::fault::quoted;

/// One field as read: which numbers it names, as the cron crate wants them when printed.
pub(crate) struct Field<'t> {
    kind: &'static FieldKind,
    pub(crate) text: &'t str,
    /// Begins with `*`, which is all that Vixie's rule and the rule for clock changes look at.
    pub(crate) starred: bool,
    /// Bit n is set when n is named.
    numbers: u64,
}

pub(crate) struct FieldKind {
    name: &'static str,
    low: u32,
    high: u32,
    /// What may stand in the field, for errors.
    allowed: &'static str,
    /// Names in order, from `low`.
    names: &'static [&'static str],
    /// Added for the cron crate, which counts days of the week from 1.
    shift: u32,
}

const fn plain(name: &'static str, low: u32, high: u32, allowed: &'static str) -> FieldKind {
    FieldKind { name, low, high, allowed, names: &[], shift: 0 }
}

pub(crate) static SECOND: FieldKind = plain("second", 0, 59, "0-59");
pub(crate) static MINUTE: FieldKind = plain("minute", 0, 59, "0-59");
pub(crate) static HOUR: FieldKind = plain("hour", 0, 23, "0-23");
pub(crate) static DAY: FieldKind = plain("day-of-month", 1, 31, "1-31");
pub(crate) static MONTH: FieldKind = FieldKind {
    names: &[
        "january",
        "february",
        "march",
        "april",
        "may",
        "june",
        "july",
        "august",
        "september",
        "october",
        "november",
        "december",
    ],
    ..plain("month", 1, 12, "1-12 or jan-dec")
};
pub(crate) static WEEKDAY: FieldKind = FieldKind {
    names: &["sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"],
    shift: 1,
    ..plain("day-of-week", 0, 7, "0-7 (0 and 7 are sunday) or sun-sat")
};

pub(crate) fn read_field<'t>(kind: &'static FieldKind, text: &'t str) -> Result<Field<'t>, String> {
    let mut numbers = 0;
    for part in text.split(',') {
        numbers |= read_part(kind, part).map_err(|what| format!("{}: {what}", kind.name))?;
    }
    if std::ptr::eq(kind, &WEEKDAY) && numbers & (1 << 7) != 0 {
        numbers = (numbers & !(1 << 7)) | 1; // 7 is Sunday, as 0 is
    }
    Ok(Field { kind, text, starred: text.starts_with('*'), numbers })
}

/// `*`, `n`, `n-m`, each with `/step`; `n/step` runs to the end of the field.
fn read_part(kind: &FieldKind, part: &str) -> Result<u64, String> {
    let (span, step) = match part.split_once('/') {
        None => (part, None),
        Some((span, step)) => (span, Some(read_step(kind, step)?)),
    };
    let (low, high) = if span == "*" {
        (kind.low, kind.high)
    } else if let Some((low, high)) = span.split_once('-') {
        read_span(kind, low, high)?
    } else {
        let low = read_number(kind, span)?;
        (low, if step.is_some() { kind.high } else { low })
    };
    Ok((low..=high).step_by(step.unwrap_or(1)).fold(0, |numbers, n| numbers | 1 << n))
}

fn read_span(kind: &FieldKind, low: &str, high: &str) -> Result<(u32, u32), String> {
    let (first, mut last) = (read_number(kind, low)?, read_number(kind, high)?);
    if std::ptr::eq(kind, &WEEKDAY) && last == 0 && first > 0 {
        last = 7; // fri-sun
    }
    if last < first {
        let (low, high) = (quoted(low), quoted(high));
        return Err(format!("the range from {low} to {high} runs backwards, write two ranges with a comma"));
    }
    Ok((first, last))
}

fn read_step(kind: &FieldKind, step: &str) -> Result<usize, String> {
    match digits(step) {
        Some(n) if (1..=kind.high).contains(&n) => Ok(n as usize),
        _ => Err(format!("{} is not a step, use 1-{} after the slash", quoted(step), kind.high)),
    }
}

fn read_number(kind: &FieldKind, text: &str) -> Result<u32, String> {
    if let Some(n) = digits(text) {
        if (kind.low..=kind.high).contains(&n) {
            return Ok(n);
        }
    } else if let Some(at) = kind.names.iter().position(|name| is_name(name, text)) {
        return Ok(kind.low + at as u32);
    }
    let hint = match text {
        "" => "a value is missing".to_owned(),
        "?" => "`?` is not part of this dialect, write *".to_owned(),
        _ if text.contains(['#', 'L', 'l', 'W', 'w']) && digits(&text[..text.len().min(1)]).is_some() => {
            format!(
                "{} is not part of this dialect, a calendar rule says \"last\" or \"2nd tue\"",
                quoted(text)
            )
        }
        _ => format!("{} is not allowed", quoted(text)),
    };
    Err(format!("{hint}; use {}, *, ranges a-b, steps /n and lists with commas", kind.allowed))
}

/// The whole name, or its first three letters.
fn is_name(name: &str, text: &str) -> bool {
    name.eq_ignore_ascii_case(text) || name.get(..3).is_some_and(|short| short.eq_ignore_ascii_case(text))
}

/// A number of digits alone; one too large for the type is out of every range anyway.
fn digits(text: &str) -> Option<u32> {
    let only_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    only_digits.then(|| text.parse().unwrap_or(u32::MAX))
}

impl std::fmt::Display for Field<'_> {
    /// As the cron crate reads it: `*` or a list of numbers.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let named = |n: &u32| self.numbers & (1 << n) != 0;
        // Day-of-week 7 was folded into 0.
        let high = if self.kind.shift == 1 { 6 } else { self.kind.high };
        if (self.kind.low..=high).all(|n| named(&n)) {
            return f.write_str("*");
        }
        let list: Vec<String> =
            (self.kind.low..=high).filter(named).map(|n| (n + self.kind.shift).to_string()).collect();
        f.write_str(&list.join(","))
    }
}
