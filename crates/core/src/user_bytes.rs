//! Pure. A profile in bytes: one packed string, versioned.
//!
//! Format 2: the version byte; the length of the behaviour, as a varint, and the behaviour (`behaviour_bytes`); then id, attributes,
//! time zone and creation time (ms) as a MessagePack list. Format 3, of users who are inside watched segments, has between the two how many
//! marks there are, as a varint, and each in 4 bytes. Format 1 had behaviour without days in that list, and is still read.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::behaviour::{Behaviour, Values};
use crate::behaviour_bytes;
use crate::campaign_history::Histories;
use crate::limits;
use crate::user::Profile;

const FORMAT_INSIDE: u8 = 3;
const FORMAT: u8 = 2;
const FORMAT_WITHOUT_DAYS: u8 = 1;

#[derive(Serialize)]
struct Packed<'a>(&'a str, &'a Map<String, Value>, Option<&'a str>, i64);

#[derive(Deserialize)]
struct Unpacked(String, #[serde(deserialize_with = "attributes")] Map<String, Value>, Option<String>, i64);

/// A map as long from the start as it will be: growing it is half of what decoding a profile costs.
fn attributes<'de, D: Deserializer<'de>>(from: D) -> Result<Map<String, Value>, D::Error> {
    struct Attributes;
    impl<'de> Visitor<'de> for Attributes {
        type Value = Map<String, Value>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a map of attributes")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Self::Value, A::Error> {
            let said = pairs.size_hint().unwrap_or(0);
            let mut map = Map::with_capacity(said.min(limits::USER_ATTRIBUTES_MAX));
            while let Some((name, value)) = pairs.next_entry()? {
                map.insert(name, value);
            }
            Ok(map)
        }
    }
    from.deserialize_map(Attributes)
}

pub(crate) fn write(profile: &Profile) -> Vec<u8> {
    let behaviour = behaviour_bytes::write(&profile.behaviour);
    let mut bytes = Vec::with_capacity(behaviour.len() + 256);
    bytes.push(if profile.inside.is_empty() { FORMAT } else { FORMAT_INSIDE });
    behaviour_bytes::put(&mut bytes, behaviour.len() as u64);
    bytes.extend_from_slice(&behaviour);
    if !profile.inside.is_empty() {
        behaviour_bytes::put(&mut bytes, profile.inside.len() as u64);
        profile.inside.iter().for_each(|mark| bytes.extend_from_slice(&mark.to_be_bytes()));
    }
    let packed = Packed(
        &profile.id,
        &profile.attributes,
        profile.time_zone.as_deref(),
        profile.created_at.as_millisecond(),
    );
    // Writing to memory fails only for maps of unknown length, which our types do not have.
    let _ = rmp_serde::encode::write(&mut bytes, &packed);
    bytes
}

pub(crate) fn read(bytes: &[u8]) -> Result<Profile, String> {
    match bytes.split_first() {
        Some((&FORMAT, rest)) => read_packed(rest, false),
        Some((&FORMAT_INSIDE, rest)) => read_packed(rest, true),
        Some((&FORMAT_WITHOUT_DAYS, rest)) => read_without_days(rest),
        Some((other, _)) => {
            Err(format!("format {other} is not known to this version, expected {FORMAT_INSIDE} or less"))
        }
        None => Err("no bytes".to_owned()),
    }
}

fn read_packed(mut bytes: &[u8], has_marks: bool) -> Result<Profile, String> {
    let behaviour = behaviour_bytes::take(&mut bytes)
        .and_then(|length| usize::try_from(length).ok())
        .and_then(|length| behaviour_bytes::take_bytes(&mut bytes, length))
        .and_then(behaviour_bytes::read)
        .ok_or("its behaviour cannot be read")?;
    let inside = match has_marks {
        true => marks(&mut bytes).ok_or("its marks cannot be read")?,
        false => Vec::new(),
    };
    let Unpacked(id, attributes, time_zone, created_ms) =
        rmp_serde::from_slice(bytes).map_err(|e| e.to_string())?;
    let created_at = Timestamp::from_millisecond(created_ms).map_err(|e| e.to_string())?;
    Ok(Profile { id, attributes, time_zone, created_at, behaviour, histories: Histories::default(), inside })
}

fn marks(bytes: &mut &[u8]) -> Option<Vec<u32>> {
    let length = usize::try_from(behaviour_bytes::take(bytes)?).ok()?;
    let marks = behaviour_bytes::take_bytes(bytes, length.checked_mul(4)?)?;
    let (marks, _) = marks.as_chunks::<4>();
    Some(marks.iter().map(|mark| u32::from_be_bytes(*mark)).collect())
}

#[derive(Deserialize)]
struct Format1(String, Map<String, Value>, Option<String>, i64, BTreeMap<String, Behaviour1>);

/// Count, first (ms), last (ms), sum of values.
#[derive(Deserialize)]
struct Behaviour1(u64, i64, i64, f64);

fn read_without_days(bytes: &[u8]) -> Result<Profile, String> {
    let instant = |ms| Timestamp::from_millisecond(ms).map_err(|e| e.to_string());
    let Format1(id, attributes, time_zone, created_ms, old) =
        rmp_serde::from_slice(bytes).map_err(|e| e.to_string())?;
    let mut behaviour = BTreeMap::new();
    for (name, Behaviour1(count, first_ms, last_ms, sum)) in old {
        // How many of the events had a value, and which, was not kept.
        let values = Values { sum, ..Values::default() };
        let (first_at, last_at) = (instant(first_ms)?, instant(last_ms)?);
        behaviour.insert(name, Behaviour { count, first_at, last_at, values, days: Vec::new() });
    }
    let histories = Histories::default();
    Ok(Profile {
        id,
        attributes,
        time_zone,
        created_at: instant(created_ms)?,
        behaviour,
        histories,
        inside: Vec::new(),
    })
}
