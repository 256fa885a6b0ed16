//! Pure. The deployment's settings: the wire's and ours, both ways.

use campanile_core::fault::Faults;
use campanile_core::settings::{CapPeriod, DeliveryCap, MinimumGap, Settings, SettingsRecord};
use campanile_proto::v1 as wire;

use crate::read_campaign::{duration as read_duration, known, quiet_hours};
use crate::write_campaign::{duration, timestamp, write_quiet_hours};

/// As it was written; whether it makes sense is `DeploymentLimits`' to say.
pub fn read_settings(from: &wire::Settings) -> Result<Settings, Faults> {
    let mut faults = Faults::default();
    let caps =
        (0..).zip(&from.caps).map(|(i, cap)| read_cap(cap, &format!("caps[{i}]"), &mut faults)).collect();
    let min_gap = from.min_gap.as_ref().map(|gap| MinimumGap {
        gap: read_duration(gap.gap.as_ref(), "min_gap.gap", &mut faults).unwrap_or_default(),
        tags: gap.tags.clone(),
    });
    let quiet_hours = from.quiet_hours.as_ref().map(|hours| quiet_hours(hours, "quiet_hours", &mut faults));
    faults.or(Settings {
        caps,
        min_gap,
        quiet_hours,
        never_send: from.never_send.clone(),
        notify_url: from.notify_url.clone(),
        notify_signing_secret: from.notify_signing_secret.clone(),
    })
}

fn read_cap(from: &wire::DeliveryCap, path: &str, faults: &mut Faults) -> DeliveryCap {
    let per = match known(from.per, wire::CapPeriod::try_from, &format!("{path}.per"), faults) {
        wire::CapPeriod::Unspecified => None,
        wire::CapPeriod::Day => Some(CapPeriod::Day),
        wire::CapPeriod::Week => Some(CapPeriod::Week),
    };
    let within = read_duration(from.within.as_ref(), &format!("{path}.within"), faults);
    DeliveryCap { at_most: from.at_most, within, per, tags: from.tags.clone() }
}

pub fn write_settings(record: &SettingsRecord) -> wire::Settings {
    let from = &record.settings;
    wire::Settings {
        caps: from.caps.iter().map(write_cap).collect(),
        min_gap: from
            .min_gap
            .as_ref()
            .map(|gap| wire::MinimumGap { gap: Some(duration(gap.gap)), tags: gap.tags.clone() }),
        quiet_hours: from.quiet_hours.as_ref().map(write_quiet_hours),
        never_send: from.never_send.clone(),
        notify_url: from.notify_url.clone(),
        notify_signing_secret: from.notify_signing_secret.clone(),
        revision: record.revision,
        updated_at: (record.revision > 0).then(|| timestamp(record.updated_at)),
    }
}

fn write_cap(from: &DeliveryCap) -> wire::DeliveryCap {
    let per = match from.per {
        None => wire::CapPeriod::Unspecified,
        Some(CapPeriod::Day) => wire::CapPeriod::Day,
        Some(CapPeriod::Week) => wire::CapPeriod::Week,
    };
    wire::DeliveryCap {
        at_most: from.at_most,
        within: from.within.map(duration),
        per: per as i32,
        tags: from.tags.clone(),
    }
}
