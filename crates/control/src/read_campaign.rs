//! Pure. Wire to draft: the one place that reads a campaign off the wire. Only shapes are looked at; what they mean is checked by
//! `Campaign::compile`. The way back is `write_campaign`.

use std::time::Duration;

use campanile_core::draft;
use campanile_core::fault::Faults;
use campanile_core::webhook_draft::{ContentType, Method, Missing, Row, Webhook};
use campanile_proto::v1 as wire;
use serde_json::Value;

/// A draft, or every field whose shape is wrong.
pub fn read_campaign(from: &wire::Campaign) -> Result<draft::Draft, Faults> {
    let mut faults = Faults::default();
    let draft = draft::Draft {
        id: from.id.clone(),
        title: from.title.clone(),
        tags: from.tags.clone(),
        audience: from.audience.as_ref().map(audience).unwrap_or_default(),
        delivery: from.delivery.as_ref().map(|d| delivery(d, &mut faults)).unwrap_or_default(),
        webhook: from.webhook.as_ref().map(|w| webhook(w, "webhook", &mut faults)),
        actions: (0..)
            .zip(&from.actions)
            .map(|(i, a)| action(a, &format!("actions[{i}]"), &mut faults))
            .collect(),
        exit_on: from.exit_on.iter().map(event_match).collect(),
        limits: from.limits.as_ref().map(|l| limits(l, &mut faults)).unwrap_or_default(),
        conversion: from.conversion.as_ref().map(|c| draft::Conversion {
            event: c.event.clone(),
            condition: c.r#where.clone(),
            within: duration(c.within.as_ref(), "conversion.within", &mut faults),
        }),
        requires_values: from.requires_values.clone(),
    };
    faults.or(draft)
}

pub(crate) fn audience(from: &wire::Audience) -> draft::Audience {
    draft::Audience {
        condition: from.r#where.clone(),
        include_segments: from.include_segments.clone(),
        exclude_segments: from.exclude_segments.clone(),
        sticky: from.sticky,
        holdback_percent: from.holdback_percent,
    }
}

fn delivery(from: &wire::Delivery, faults: &mut Faults) -> draft::Delivery {
    let kind = from.kind.as_ref().map(|kind| match kind {
        wire::delivery::Kind::OneTime(o) => draft::Kind::OneTime(draft::OneTime {
            at: o.at.clone(),
            late: late(o.late, "delivery.one_time.late", faults),
        }),
        wire::delivery::Kind::Recurring(r) => draft::Kind::Recurring(recurring(r, faults)),
        wire::delivery::Kind::Triggered(t) => draft::Kind::Triggered(triggered(t, faults)),
        wire::delivery::Kind::Manual(_) => draft::Kind::Manual,
    });
    draft::Delivery { kind, zone: from.zone.clone(), fallback_zone: from.fallback_zone.clone() }
}

fn late(value: i32, field: &str, faults: &mut Faults) -> draft::Late {
    match known(value, wire::Late::try_from, field, faults) {
        wire::Late::Unspecified => draft::Late::Unspecified,
        wire::Late::Skip => draft::Late::Skip,
        wire::Late::SendNow => draft::Late::SendNow,
        wire::Late::NextDay => draft::Late::NextDay,
    }
}

fn recurring(from: &wire::Recurring, faults: &mut Faults) -> draft::Recurring {
    let path = |name: &str| format!("delivery.recurring.{name}");
    let (cron, every) = match &from.rule {
        Some(wire::recurring::Rule::Cron(cron)) => (cron.clone(), None),
        Some(wire::recurring::Rule::Every(every)) => (String::new(), Some(self::every(every, faults))),
        None => Default::default(),
    };
    let on_skip_date =
        match known(from.on_skip_date, wire::OnSkipDate::try_from, &path("on_skip_date"), faults) {
            wire::OnSkipDate::NextAllowedDay => draft::OnSkipDate::NextAllowedDay,
            wire::OnSkipDate::Unspecified | wire::OnSkipDate::Skip => draft::OnSkipDate::Skip,
        };
    draft::Recurring {
        cron,
        every,
        start: from.start.clone(),
        end: from.end.clone(),
        max_occurrences: u64::from(from.max_occurrences),
        catch_up: duration(from.catch_up.as_ref(), &path("catch_up"), faults),
        late: late(from.late, &path("late"), faults),
        skip_dates: from.skip_dates.clone(),
        on_skip_date,
    }
}

fn every(from: &wire::Every, faults: &mut Faults) -> draft::Every {
    let path = |name: &str| format!("delivery.recurring.every.{name}");
    let (mut days, mut weeks, mut months) = (0, 0, 0);
    match from.step {
        Some(wire::every::Step::Days(n)) => days = n,
        Some(wire::every::Step::Weeks(n)) => weeks = n,
        Some(wire::every::Step::Months(n)) => months = n,
        None => {}
    }
    let short_month = match known(from.short_month, wire::ShortMonth::try_from, &path("short_month"), faults)
    {
        wire::ShortMonth::Skip => draft::ShortMonth::Skip,
        wire::ShortMonth::Unspecified | wire::ShortMonth::LastDay => draft::ShortMonth::LastDay,
    };
    let weekdays = (0..).zip(&from.weekdays);
    draft::Every {
        days,
        weeks,
        months,
        weekdays: weekdays.map(|(i, day)| weekday(*day, &path(&format!("weekdays[{i}]")), faults)).collect(),
        month_days: from.month_days.clone(),
        at: from.at.clone(),
        short_month,
    }
}

fn weekday(value: i32, field: &str, faults: &mut Faults) -> String {
    match known(value, wire::Weekday::try_from, field, faults) {
        wire::Weekday::Unspecified => String::new(),
        day => day.as_str_name().trim_start_matches("WEEKDAY_").to_ascii_lowercase(),
    }
}

fn triggered(from: &wire::Triggered, faults: &mut Faults) -> draft::Triggered {
    let path = |name: &str| format!("delivery.triggered.{name}");
    let if_pending = match known(from.if_pending, wire::IfPending::try_from, &path("if_pending"), faults) {
        wire::IfPending::Unspecified => draft::IfPending::Unspecified,
        wire::IfPending::Each => draft::IfPending::Each,
        wire::IfPending::Ignore => draft::IfPending::Ignore,
        wire::IfPending::Restart => draft::IfPending::Restart,
        wire::IfPending::Collect => draft::IfPending::Collect,
    };
    let on_window_end =
        match known(from.on_window_end, wire::OnWindowEnd::try_from, &path("on_window_end"), faults) {
            wire::OnWindowEnd::Unspecified => draft::OnWindowEnd::Unspecified,
            wire::OnWindowEnd::Stop => draft::OnWindowEnd::Stop,
            wire::OnWindowEnd::Finish => draft::OnWindowEnd::Finish,
        };
    draft::Triggered {
        when: from.when.iter().map(trigger).collect(),
        delay: from.delay.as_ref().map(|d| delay(d, &path("delay"), faults)),
        cancel_on: from.cancel_on.iter().map(event_match).collect(),
        if_pending,
        key: from.key.clone(),
        entry_limits: from.entry_limits.as_ref().map(|l| draft::EntryLimits {
            ever: l.ever,
            once_per: duration(l.once_per.as_ref(), &path("entry_limits.once_per"), faults),
        }),
        start: from.start.clone(),
        end: from.end.clone(),
        on_window_end,
    }
}

fn trigger(from: &wire::Trigger) -> draft::Trigger {
    use wire::trigger::Kind;
    let on = match from.kind.clone() {
        None => draft::TriggerOn::Nothing,
        Some(Kind::Event(name)) => draft::TriggerOn::Event(name),
        Some(Kind::FirstEvent(name)) => draft::TriggerOn::FirstEvent(name),
        Some(Kind::AttributeChanged(name)) => draft::TriggerOn::AttributeChanged(name),
        Some(Kind::UserCreated(_)) => draft::TriggerOn::UserCreated,
        Some(Kind::SegmentEntered(name)) => draft::TriggerOn::SegmentEntered(name),
        Some(Kind::SegmentLeft(name)) => draft::TriggerOn::SegmentLeft(name),
        Some(Kind::CampaignSent(name)) => draft::TriggerOn::CampaignSent(name),
        Some(Kind::CampaignDelivered(name)) => draft::TriggerOn::CampaignDelivered(name),
        Some(Kind::CampaignFailed(name)) => draft::TriggerOn::CampaignFailed(name),
        Some(Kind::CampaignConverted(name)) => draft::TriggerOn::CampaignConverted(name),
    };
    draft::Trigger { on, condition: from.r#where.clone() }
}

fn event_match(from: &wire::EventMatch) -> draft::EventMatch {
    draft::EventMatch { event: from.event.clone(), condition: from.r#where.clone(), same: from.same.clone() }
}

fn delay(from: &wire::Delay, path: &str, faults: &mut Faults) -> draft::Delay {
    use wire::delay::Amount;
    let mut delay = draft::Delay { at: from.at.clone(), anchor: from.anchor.clone(), ..Default::default() };
    match &from.amount {
        Some(Amount::After(after)) => delay.after = duration(Some(after), &format!("{path}.after"), faults),
        Some(Amount::Days(days)) => delay.days = *days,
        Some(Amount::Weekday(day)) => delay.weekday = weekday(*day, &format!("{path}.weekday"), faults),
        Some(Amount::Before(before)) => {
            delay.before = duration(Some(before), &format!("{path}.before"), faults)
        }
        None => {}
    }
    delay
}

fn action(from: &wire::Action, path: &str, faults: &mut Faults) -> draft::Action {
    let from_what = match known(from.from, wire::DelayFrom::try_from, &format!("{path}.from"), faults) {
        wire::DelayFrom::Unspecified => draft::DelayFrom::Unspecified,
        wire::DelayFrom::Entry => draft::DelayFrom::Entry,
        wire::DelayFrom::PreviousSent => draft::DelayFrom::PreviousSent,
        wire::DelayFrom::PreviousDelivered => draft::DelayFrom::PreviousDelivered,
    };
    let variants = (0..).zip(&from.variants).map(|(i, v): (usize, _)| draft::Variant {
        name: v.name.clone(),
        weight: v.weight,
        webhook: v.r#type.as_ref().map(|wire::variant::Type::Webhook(w)| {
            webhook(w, &format!("{path}.variants[{i}].webhook"), faults)
        }),
    });
    let variants = variants.collect();
    draft::Action {
        number: None,
        name: from.name.clone(),
        delay: from.delay.as_ref().map(|d| delay(d, &format!("{path}.delay"), faults)),
        from: from_what,
        condition: from.r#where.clone(),
        wait_for: from.wait_for.as_ref().map(event_match),
        wait_at_most: duration(from.wait_at_most.as_ref(), &format!("{path}.wait_at_most"), faults),
        continue_on_failure: from.continue_on_failure,
        variants,
        webhook: from
            .r#type
            .as_ref()
            .map(|wire::action::Type::Webhook(w)| webhook(w, &format!("{path}.webhook"), faults)),
    }
}

fn webhook(from: &wire::Webhook, path: &str, faults: &mut Faults) -> Webhook {
    let mut later = |is_used: bool, name: &str, what: &str| {
        if is_used {
            faults.add(format!("{path}.{name}"), format!("{what} not available in this version"));
        }
    };
    later(!from.response_mapping.is_empty(), "response_mapping", "a response mapping is");
    let method = match known(from.method, wire::HttpMethod::try_from, &format!("{path}.method"), faults) {
        wire::HttpMethod::Unspecified | wire::HttpMethod::Post => Method::Post,
        wire::HttpMethod::Put => Method::Put,
        wire::HttpMethod::Patch => Method::Patch,
        wire::HttpMethod::Delete => Method::Delete,
        wire::HttpMethod::Get => Method::Get,
    };
    let missing = match known(from.missing, wire::Missing::try_from, &format!("{path}.missing"), faults) {
        wire::Missing::Unspecified | wire::Missing::Suppress => Missing::Suppress,
        wire::Missing::Empty => Missing::Empty,
    };
    let named =
        known(from.content_type, wire::ContentType::try_from, &format!("{path}.content_type"), faults);
    let content_type = match (&from.raw, named) {
        (Some(raw), wire::ContentType::Unspecified) if raw.content_type.is_empty() => {
            ContentType::Other("text/plain; charset=utf-8".to_owned())
        }
        (Some(raw), wire::ContentType::Unspecified) => ContentType::from(raw.content_type.clone()),
        (Some(_), _) => {
            faults.add(format!("{path}.content_type"), "say the content type of a raw body inside raw");
            ContentType::Json
        }
        (None, wire::ContentType::Form) => ContentType::Form,
        (None, _) => ContentType::Json,
    };
    if from.raw.as_ref().is_some_and(|raw| raw.text.is_empty()) {
        faults.add(format!("{path}.raw.text"), "is missing");
    }
    let headers =
        from.headers.iter().map(|h| Row { name: h.name.clone(), value: Value::String(h.value.clone()) });
    Webhook {
        url: from.url.clone(),
        method,
        headers: headers.collect(),
        content_type,
        data: (0..)
            .zip(&from.data)
            .map(|(i, row)| data_row(row, &format!("{path}.data[{i}]"), faults))
            .collect(),
        json: from.json.clone(),
        raw: from.raw.as_ref().map(|raw| raw.text.clone()).unwrap_or_default(),
        missing,
        allowed_hosts: from.allowed_hosts.clone(),
        signing_secret: from.signing_secret.clone(),
        success_when: from.success_when.clone(),
        json_schema: from.json_schema.clone(),
    }
}

fn data_row(from: &wire::DataRow, path: &str, faults: &mut Faults) -> Row {
    let value = match &from.content {
        None => Value::String(String::new()),
        Some(wire::data_row::Content::Value(text)) => Value::String(text.clone()),
        Some(wire::data_row::Content::Json(text)) => serde_json::from_str(text).unwrap_or_else(|e| {
            faults.add(format!("{path}.json"), format!("is not JSON: {e}"));
            Value::Null
        }),
    };
    Row { name: from.name.clone(), value }
}

fn limits(from: &wire::Limits, faults: &mut Faults) -> draft::Limits {
    let quiet_hours = from.quiet_hours.as_ref().map(|q| quiet_hours(q, "limits.quiet_hours", faults));
    let retry = from.retry.as_ref().map(|r| retry(r, faults)).unwrap_or_default();
    draft::Limits {
        throttle: from.throttle.clone(),
        expiry: duration(from.expiry.as_ref(), "limits.expiry", faults),
        quiet_hours,
        ignore_caps: from.ignore_caps,
        ignore_quiet_hours: from.ignore_quiet_hours,
        retry,
        weight: from.weight,
        auto_pause: from.auto_pause,
    }
}

pub(crate) fn quiet_hours(from: &wire::QuietHours, path: &str, faults: &mut Faults) -> draft::QuietHours {
    let then = known(from.then, wire::InQuietHours::try_from, &format!("{path}.then"), faults);
    let drop = then == wire::InQuietHours::Drop;
    draft::QuietHours { from: from.from.clone(), to: from.to.clone(), drop }
}

fn retry(from: &wire::Retry, faults: &mut Faults) -> draft::Retry {
    let preset = match known(from.preset, wire::RetryPreset::try_from, "limits.retry.preset", faults) {
        wire::RetryPreset::Unspecified => "",
        wire::RetryPreset::Short => "short",
        wire::RetryPreset::Long => "long",
    };
    let waits = (0..).zip(&from.waits);
    let waits = waits
        .map(|(i, w)| duration(Some(w), &format!("limits.retry.waits[{i}]"), faults).unwrap_or_default());
    draft::Retry { preset: preset.to_owned(), waits: waits.collect() }
}

/// An enum's value, or its first one and a fault: proto3 lets unknown numbers through.
pub(crate) fn known<E: Default, X>(
    value: i32,
    read: impl Fn(i32) -> Result<E, X>,
    field: &str,
    faults: &mut Faults,
) -> E {
    read(value).unwrap_or_else(|_| {
        faults.add(field, format!("{value} is not one of its values"));
        E::default()
    })
}

pub(crate) fn duration(
    from: Option<&prost_types::Duration>,
    field: &str,
    faults: &mut Faults,
) -> Option<Duration> {
    let from = from?;
    match Duration::try_from(*from) {
        Ok(duration) => Some(duration),
        Err(_) => {
            faults.add(field, "is not a duration of zero or more");
            None
        }
    }
}
