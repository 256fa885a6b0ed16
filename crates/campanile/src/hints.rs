//! Pure. What to type instead, after the slips of a first hour.

use campanile_proto::file_keys::nearest;
use campanile_proto::v1 as wire;

/// After an answer that often means that the body was not what the far end takes; `sent` is the content type it got.
pub fn content_type(status: u32, sent: &str) -> Option<String> {
    let other = match sent.split(';').next().unwrap_or_default().trim() {
        "application/json" => "content_type: form",
        "application/x-www-form-urlencoded" => "content_type: json",
        "" => "a body: data, json or raw",
        _ => "data with content_type: json or form",
    };
    let sent = if sent.is_empty() { "nothing" } else { sent };
    let what = match status {
        415 => format!("the far end does not take {sent}"),
        400 | 422 => format!("the far end did not understand the {sent} it got"),
        _ => return None,
    };
    Some(format!("{what}: look at the request above; if it wants another form, write {other} in the webhook"))
}

/// What is said of an event that sets off none of these campaigns; none where it sets off one.
pub fn unheard_event(name: &str, live: &[wire::Campaign]) -> Option<String> {
    let triggered = live.iter().filter_map(|campaign| match &campaign.delivery.as_ref()?.kind {
        Some(wire::delivery::Kind::Triggered(triggered)) => Some(triggered),
        _ => None,
    });
    let named: Vec<&str> = triggered.flat_map(|triggered| &triggered.when).filter_map(event).collect();
    if named.contains(&name) {
        return None;
    }
    let near = nearest(name, named.iter().copied());
    Some(match (near, named.is_empty()) {
        (Some(near), _) => format!("no live campaign waits for {name}: did you mean {near}?"),
        (None, true) => format!("no live campaign waits for {name}, nor for any other event"),
        (None, false) => format!("no live campaign waits for {name}: it is counted, and sets off nothing"),
    })
}

/// The event that sets it off, if it is one.
pub fn event(trigger: &wire::Trigger) -> Option<&str> {
    match &trigger.kind {
        Some(wire::trigger::Kind::Event(name) | wire::trigger::Kind::FirstEvent(name)) => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_may_mean_another_content_type_is_hinted_at() {
        let check = |status: u32, sent: &str, expected: &[&str]| {
            let said = content_type(status, sent).unwrap_or_default();
            assert_eq!(said.is_empty(), expected.is_empty(), "{status}: {said}");
            expected.iter().for_each(|part| assert!(said.contains(part), "{status}: {said}"));
        };
        check(415, "application/json", &["does not take application/json", "content_type: form"]);
        check(400, "application/x-www-form-urlencoded", &["did not understand", "content_type: json"]);
        check(422, "application/json", &["content_type: form"]);
        check(400, "", &["nothing", "data, json or raw"]);
        check(415, "text/xml; charset=utf-8", &["text/xml", "json or form"]);
        [200, 401, 404, 500, 0].iter().for_each(|status| check(*status, "application/json", &[]));
    }

    #[test]
    fn an_event_that_no_campaign_waits_for_is_told_with_the_nearest() {
        let live = |delivery: &str| {
            let text = format!("id: a\ndelivery: {delivery}\n");
            vec![campanile_proto::campaign_file::read(text.as_bytes()).unwrap().remove(0).campaign]
        };
        let campaigns = live("{triggered: [purchase, {first_event: signup}]}");
        assert_eq!(unheard_event("purchase", &campaigns), None);
        assert_eq!(unheard_event("signup", &campaigns), None);
        let check = |name: &str, campaigns: &[wire::Campaign], part: &str| {
            let said = unheard_event(name, campaigns).unwrap_or_default();
            assert!(said.contains(part), "{said}");
        };
        check("purchse", &campaigns, "did you mean purchase?");
        check("zzz", &campaigns, "sets off nothing");
        check("purchase", &live("{manual: {}}"), "nor for any other event");
        check("purchase", &[], "nor for any other event");
    }
}
