//! Pure. Record to wire: a campaign as its author wrote it, with its state. The way back of `read_campaign`.

use std::time::Duration;

use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::draft;
use campanile_core::webhook_draft::{ContentType, Method, Missing, Webhook};
use campanile_proto::v1 as wire;
use jiff::Timestamp;
use serde_json::Value;

pub fn write_campaign(record: &CampaignRecord) -> wire::Campaign {
    wire::Campaign {
        state: state(record.state) as i32,
        revision: record.revision,
        created_at: Some(timestamp(record.created_at)),
        updated_at: Some(timestamp(record.updated_at)),
        ..write_draft(&record.draft)
    }
}

/// A campaign that is inside its last sends counts as ended: nobody enters any more.
pub fn state(state: State) -> wire::CampaignState {
    match state {
        State::Draft => wire::CampaignState::Draft,
        State::Scheduled => wire::CampaignState::Scheduled,
        State::Active => wire::CampaignState::Active,
        State::Paused => wire::CampaignState::Paused,
        State::Finishing | State::Ended => wire::CampaignState::Ended,
    }
}

pub fn timestamp(at: Timestamp) -> prost_types::Timestamp {
    prost_types::Timestamp { seconds: at.as_second(), nanos: at.subsec_nanosecond() }
}

pub fn write_audience(from: &draft::Audience) -> wire::Audience {
    wire::Audience {
        r#where: from.condition.clone(),
        include_segments: from.include_segments.clone(),
        exclude_segments: from.exclude_segments.clone(),
        sticky: from.sticky,
        holdback_percent: from.holdback_percent,
    }
}

pub fn write_draft(from: &draft::Draft) -> wire::Campaign {
    let audience = write_audience(&from.audience);
    let limits = limits(&from.limits);
    wire::Campaign {
        id: from.id.clone(),
        title: from.title.clone(),
        tags: from.tags.clone(),
        audience: (audience != wire::Audience::default()).then_some(audience),
        delivery: Some(delivery(&from.delivery)),
        webhook: from.webhook.as_ref().map(webhook),
        actions: from.actions.iter().map(action).collect(),
        exit_on: from.exit_on.iter().map(event_match).collect(),
        limits: (limits != wire::Limits::default()).then_some(limits),
        conversion: from.conversion.as_ref().map(|c| wire::Conversion {
            event: c.event.clone(),
            r#where: c.condition.clone(),
            within: c.within.map(duration),
        }),
        requires_values: from.requires_values.clone(),
        ..Default::default()
    }
}

fn delivery(from: &draft::Delivery) -> wire::Delivery {
    use wire::delivery::Kind;
    let kind = from.kind.as_ref().map(|kind| match kind {
        draft::Kind::OneTime(o) => {
            Kind::OneTime(wire::OneTime { at: o.at.clone(), late: late(o.late) as i32 })
        }
        draft::Kind::Recurring(r) => Kind::Recurring(recurring(r)),
        draft::Kind::Triggered(t) => Kind::Triggered(triggered(t)),
        draft::Kind::Manual => Kind::Manual(wire::Manual {}),
    });
    wire::Delivery { kind, zone: from.zone.clone(), fallback_zone: from.fallback_zone.clone() }
}

fn late(from: draft::Late) -> wire::Late {
    match from {
        draft::Late::Unspecified => wire::Late::Unspecified,
        draft::Late::Skip => wire::Late::Skip,
        draft::Late::SendNow => wire::Late::SendNow,
        draft::Late::NextDay => wire::Late::NextDay,
    }
}

fn recurring(from: &draft::Recurring) -> wire::Recurring {
    use wire::recurring::Rule;
    let rule = match &from.every {
        Some(every) => Some(Rule::Every(self::every(every))),
        None if from.cron.is_empty() => None,
        None => Some(Rule::Cron(from.cron.clone())),
    };
    wire::Recurring {
        rule,
        start: from.start.clone(),
        end: from.end.clone(),
        max_occurrences: u32::try_from(from.max_occurrences).unwrap_or(u32::MAX),
        catch_up: from.catch_up.map(duration),
        late: late(from.late) as i32,
        skip_dates: from.skip_dates.clone(),
        on_skip_date: match from.on_skip_date {
            draft::OnSkipDate::Skip => wire::OnSkipDate::Unspecified,
            draft::OnSkipDate::NextAllowedDay => wire::OnSkipDate::NextAllowedDay,
        } as i32,
    }
}

fn every(from: &draft::Every) -> wire::Every {
    use wire::every::Step;
    let step = match (from.days, from.weeks, from.months) {
        (0, 0, 0) => None,
        (0, 0, n) => Some(Step::Months(n)),
        (0, n, _) => Some(Step::Weeks(n)),
        (n, _, _) => Some(Step::Days(n)),
    };
    wire::Every {
        step,
        weekdays: from.weekdays.iter().map(|day| weekday(day)).collect(),
        month_days: from.month_days.clone(),
        at: from.at.clone(),
        short_month: match from.short_month {
            draft::ShortMonth::LastDay => wire::ShortMonth::Unspecified,
            draft::ShortMonth::Skip => wire::ShortMonth::Skip,
        } as i32,
    }
}

fn weekday(name: &str) -> i32 {
    let name = format!("WEEKDAY_{}", name.to_ascii_uppercase());
    wire::Weekday::from_str_name(&name).unwrap_or_default() as i32
}

fn triggered(from: &draft::Triggered) -> wire::Triggered {
    wire::Triggered {
        when: from.when.iter().map(trigger).collect(),
        delay: from.delay.as_ref().map(delay),
        cancel_on: from.cancel_on.iter().map(event_match).collect(),
        if_pending: match from.if_pending {
            draft::IfPending::Unspecified => wire::IfPending::Unspecified,
            draft::IfPending::Each => wire::IfPending::Each,
            draft::IfPending::Ignore => wire::IfPending::Ignore,
            draft::IfPending::Restart => wire::IfPending::Restart,
            draft::IfPending::Collect => wire::IfPending::Collect,
        } as i32,
        key: from.key.clone(),
        entry_limits: from
            .entry_limits
            .as_ref()
            .map(|l| wire::EntryLimits { ever: l.ever, once_per: l.once_per.map(duration) }),
        start: from.start.clone(),
        end: from.end.clone(),
        on_window_end: match from.on_window_end {
            draft::OnWindowEnd::Unspecified => wire::OnWindowEnd::Unspecified,
            draft::OnWindowEnd::Stop => wire::OnWindowEnd::Stop,
            draft::OnWindowEnd::Finish => wire::OnWindowEnd::Finish,
        } as i32,
    }
}

fn trigger(from: &draft::Trigger) -> wire::Trigger {
    use wire::trigger::Kind;
    let kind = match from.on.clone() {
        draft::TriggerOn::Nothing => None,
        draft::TriggerOn::Event(name) => Some(Kind::Event(name)),
        draft::TriggerOn::FirstEvent(name) => Some(Kind::FirstEvent(name)),
        draft::TriggerOn::AttributeChanged(name) => Some(Kind::AttributeChanged(name)),
        draft::TriggerOn::UserCreated => Some(Kind::UserCreated(wire::UserCreated {})),
        draft::TriggerOn::SegmentEntered(name) => Some(Kind::SegmentEntered(name)),
        draft::TriggerOn::SegmentLeft(name) => Some(Kind::SegmentLeft(name)),
        draft::TriggerOn::CampaignSent(name) => Some(Kind::CampaignSent(name)),
        draft::TriggerOn::CampaignDelivered(name) => Some(Kind::CampaignDelivered(name)),
        draft::TriggerOn::CampaignFailed(name) => Some(Kind::CampaignFailed(name)),
        draft::TriggerOn::CampaignConverted(name) => Some(Kind::CampaignConverted(name)),
    };
    wire::Trigger { kind, r#where: from.condition.clone() }
}

fn event_match(from: &draft::EventMatch) -> wire::EventMatch {
    wire::EventMatch { event: from.event.clone(), r#where: from.condition.clone(), same: from.same.clone() }
}

fn delay(from: &draft::Delay) -> wire::Delay {
    use wire::delay::Amount;
    let amount = match from {
        draft::Delay { after: Some(after), .. } => Some(Amount::After(duration(*after))),
        draft::Delay { before: Some(before), .. } => Some(Amount::Before(duration(*before))),
        draft::Delay { days, .. } if *days > 0 => Some(Amount::Days(*days)),
        draft::Delay { weekday, .. } if !weekday.is_empty() => Some(Amount::Weekday(self::weekday(weekday))),
        _ => None,
    };
    wire::Delay { amount, at: from.at.clone(), anchor: from.anchor.clone() }
}

fn action(from: &draft::Action) -> wire::Action {
    wire::Action {
        name: from.name.clone(),
        delay: from.delay.as_ref().map(delay),
        from: match from.from {
            draft::DelayFrom::Unspecified => wire::DelayFrom::Unspecified,
            draft::DelayFrom::Entry => wire::DelayFrom::Entry,
            draft::DelayFrom::PreviousSent => wire::DelayFrom::PreviousSent,
            draft::DelayFrom::PreviousDelivered => wire::DelayFrom::PreviousDelivered,
        } as i32,
        r#where: from.condition.clone(),
        wait_for: from.wait_for.as_ref().map(event_match),
        wait_at_most: from.wait_at_most.map(duration),
        continue_on_failure: from.continue_on_failure,
        variants: from
            .variants
            .iter()
            .map(|v| wire::Variant {
                name: v.name.clone(),
                weight: v.weight,
                r#type: v.webhook.as_ref().map(|w| wire::variant::Type::Webhook(webhook(w))),
            })
            .collect(),
        r#type: from.webhook.as_ref().map(|w| wire::action::Type::Webhook(webhook(w))),
    }
}

fn webhook(from: &Webhook) -> wire::Webhook {
    let method = match from.method {
        Method::Post => wire::HttpMethod::Unspecified,
        Method::Put => wire::HttpMethod::Put,
        Method::Patch => wire::HttpMethod::Patch,
        Method::Delete => wire::HttpMethod::Delete,
        Method::Get => wire::HttpMethod::Get,
    };
    let raw = (!from.raw.is_empty()).then(|| wire::RawBody {
        text: from.raw.clone(),
        content_type: from.content_type.header().to_owned(),
    });
    let content_type = match (&from.content_type, &raw) {
        (ContentType::Form, None) => wire::ContentType::Form,
        _ => wire::ContentType::Unspecified,
    };
    let missing = match from.missing {
        Missing::Suppress => wire::Missing::Unspecified,
        Missing::Empty => wire::Missing::Empty,
    };
    wire::Webhook {
        url: from.url.clone(),
        method: method as i32,
        headers: from
            .headers
            .iter()
            .map(|row| wire::Header { name: row.name.clone(), value: text(&row.value) })
            .collect(),
        content_type: content_type as i32,
        data: from.data.iter().map(|row| data_row(&row.name, &row.value)).collect(),
        json: from.json.clone(),
        raw,
        missing: missing as i32,
        allowed_hosts: from.allowed_hosts.clone(),
        signing_secret: from.signing_secret.clone(),
        success_when: from.success_when.clone(),
        json_schema: from.json_schema.clone(),
        ..Default::default()
    }
}

fn data_row(name: &str, value: &Value) -> wire::DataRow {
    use wire::data_row::Content;
    let content = match value {
        Value::String(text) => Content::Value(text.clone()),
        other => Content::Json(other.to_string()),
    };
    wire::DataRow { name: name.to_owned(), content: Some(content) }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

fn limits(from: &draft::Limits) -> wire::Limits {
    let preset = match from.retry.preset.as_str() {
        "short" => wire::RetryPreset::Short,
        "long" => wire::RetryPreset::Long,
        _ => wire::RetryPreset::Unspecified,
    };
    let retry = wire::Retry {
        preset: preset as i32,
        waits: from.retry.waits.iter().copied().map(duration).collect(),
    };
    wire::Limits {
        throttle: from.throttle.clone(),
        expiry: from.expiry.map(duration),
        quiet_hours: from.quiet_hours.as_ref().map(write_quiet_hours),
        ignore_caps: from.ignore_caps,
        ignore_quiet_hours: from.ignore_quiet_hours,
        retry: (retry != wire::Retry::default()).then_some(retry),
        weight: from.weight,
        auto_pause: from.auto_pause,
    }
}

pub(crate) fn write_quiet_hours(from: &draft::QuietHours) -> wire::QuietHours {
    let then = if from.drop { wire::InQuietHours::Drop } else { wire::InQuietHours::Unspecified };
    wire::QuietHours { from: from.from.clone(), to: from.to.clone(), then: then as i32 }
}

pub fn duration(from: Duration) -> prost_types::Duration {
    prost_types::Duration {
        seconds: i64::try_from(from.as_secs()).unwrap_or(i64::MAX),
        nanos: from.subsec_nanos() as i32,
    }
}
