//! What pure code does on one core, without store or network.

use std::hint::black_box;
use std::time::Instant;

use campanile_core::expression::{Expression, Scope};
use campanile_core::facts::Facts;
use campanile_core::segments::Segments;
use campanile_core::user::Profile;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;

use crate::cases::Bench;
use crate::payload::{AUDIENCE, traits, user_id};
use crate::row::{Row, Target, median};

static UTC: TimeZone = TimeZone::UTC;

const PROFILES: u64 = 1_000;
const MATCHES: u64 = 3_000_000;

/// The audience of the other cases, against decoded profiles; and with the decoding, as a fan-out does it.
pub(crate) fn expression(bench: &Bench) -> Result<Vec<Row>, String> {
    let audience = Expression::parse(AUDIENCE, Scope::Audience).map_err(|faults| format!("{faults:?}"))?;
    let profiles: Vec<Profile> = (0..PROFILES).map(profile).collect::<Result<_, _>>()?;
    let packed: Vec<Vec<u8>> = profiles.iter().map(Profile::pack).collect();
    let matches = bench.size(MATCHES);
    let half = |matched: u64| {
        if matched == matches / 2 { Ok(()) } else { Err(format!("{matched} of {matches} matched, not half")) }
    };
    let (mut bare, mut decoding) = (Vec::new(), Vec::new());
    for _ in 0..bench.rounds() {
        let (rate, matched) = per_sec(matches, |n| {
            let profile = profiles.get((n % PROFILES) as usize)?;
            Some(audience.matches(&facts(black_box(profile))))
        });
        half(matched)?;
        bare.push(rate);
        let (rate, matched) = per_sec(matches, |n| {
            let profile = Profile::unpack(black_box(packed.get((n % PROFILES) as usize)?)).ok()?;
            Some(audience.matches(&facts(&profile)))
        });
        half(matched)?;
        decoding.push(rate);
    }
    let row = |what, figure, target| Row::new("expression", what, "users/s", median(figure), target);
    Ok(vec![
        row("three criteria, decoded profiles", bare, Target::AtLeast(1e6)),
        row("the same, with decoding each profile", decoding, Target::None),
    ])
}

fn profile(n: u64) -> Result<Profile, String> {
    let mut profile = Profile::new(user_id(n), Timestamp::UNIX_EPOCH);
    let traits = traits(n, n.is_multiple_of(2));
    let attributes: Value = serde_json::from_str(&traits).map_err(|e| e.to_string())?;
    profile.attributes = attributes.as_object().cloned().unwrap_or_default();
    Ok(profile)
}

fn facts(profile: &Profile) -> Facts<'_> {
    Facts {
        previous: None,
        profile,
        event: None,
        values: None,
        as_of: Timestamp::UNIX_EPOCH,
        now: Timestamp::UNIX_EPOCH,
        segments: Segments::none(),
        fallback_zone: &UTC,
    }
}

/// How many a second, and how many held.
fn per_sec(matches: u64, mut ask: impl FnMut(u64) -> Option<bool>) -> (f64, u64) {
    let began = Instant::now();
    let matched = (0..matches).filter(|n| ask(*n) == Some(true)).count() as u64;
    (matches as f64 / began.elapsed().as_secs_f64(), matched)
}
