//! Pure. The people whom the deployment sends nothing, as the gate of `admit` asks the segment about them.
//!
//! Only the user is looked at, as of now: what opened the entry, and how long ago it was due, opens nobody up again. While the segment, or
//! anything it asks, is missing, the send waits.

use campanile_core::facts::Facts;
use campanile_core::reason::Suppression;

use crate::admit::{Decision, Given};

fn facts<'a>(given: &Given<'a>) -> Option<Facts<'a>> {
    Some(Facts {
        profile: given.profile?,
        event: None,
        values: None,
        previous: None,
        as_of: given.now,
        now: given.now,
        segments: given.segments,
        fallback_zone: &given.campaign.zones.fallback,
    })
}

/// Nothing overrides it: neither a manual entry nor a resend.
pub(crate) fn stops(given: &Given<'_>) -> Option<Decision> {
    let name = given.limits.never_send_of(&given.campaign.draft)?;
    let facts = facts(given)?;
    if let Some(missing) = given.segments.missing_in(name) {
        return Some(given.wait(format!("never_send of the settings cannot be asked: {missing}")));
    }
    if !given.segments.contains(name, &facts)? {
        return None;
    }
    let why = given.segments.explain(name, &facts).map(|explained| explained.saw()).unwrap_or_default();
    let text = format!("the user is in segment {name}, whom nothing is sent: {why}");
    Some(Decision::Suppress(Suppression::OptedOut, text))
}

pub(crate) fn saw(given: &Given<'_>) -> String {
    let name = given.limits.never_send_of(&given.campaign.draft);
    name.map_or_else(String::new, |name| format!("the user is not in segment {name}, whom nothing is sent"))
}

#[cfg(test)]
mod tests {
    use campanile_core::campaign::{Campaign, Rules};
    use campanile_core::deployment_limits::DeploymentLimits;
    use campanile_core::due_send::{Class, DueSend, Skip};
    use campanile_core::event::EntryData;
    use campanile_core::fault::Faults;
    use campanile_core::network::Policy;
    use campanile_core::secret::Secrets;
    use campanile_core::segment::{Segment, SegmentRecord};
    use campanile_core::segments::Segments;
    use campanile_core::settings::Settings;
    use campanile_core::user::Profile;
    use serde_json::json;

    use super::*;
    use crate::admit::{UNREADABLE_WAIT, admit, steps};
    use crate::sample::{at, control, draft, due_send, mary, now, profile, record};

    fn segment(name: &str, condition: &str) -> Segment {
        let record = SegmentRecord {
            name: name.to_owned(),
            title: String::new(),
            condition: condition.to_owned(),
            revision: 1,
            created_at: now(),
            updated_at: now(),
        };
        Segment::read(record, &mut Faults::default()).unwrap()
    }

    struct World {
        tags: Vec<String>,
        segments: Vec<Segment>,
        entry: Option<EntryData>,
        class: Class,
        skip: Skip,
        profile: Profile,
        now: jiff::Timestamp,
    }

    /// Whether the send is stopped here, and why.
    fn check(change: impl FnOnce(&mut World)) -> Option<Decision> {
        let mut world = World {
            tags: Vec::new(),
            segments: vec![segment("never", r#"user.plan == "pro""#)],
            entry: None,
            class: Class::First,
            skip: Skip::default(),
            profile: mary(),
            now: now(),
        };
        change(&mut world);
        let mut draft = draft("https://h.example/hook");
        draft.tags = world.tags;
        let record = record(draft);
        let (policy, any, secrets) = (Policy::unchecked(), Secrets::unchecked(), Secrets::default());
        let rules = Rules { policy: &policy, secrets: &any, segments: &Segments::unchecked(), now: now() };
        let campaign = Campaign::compile(record.draft.clone(), &rules).unwrap();
        let settings = Settings { never_send: "never".to_owned(), ..Settings::default() };
        let send = DueSend { skip: world.skip, ..due_send(1) };
        let given = Given {
            send: &send,
            send_id: "id",
            class: world.class,
            control: &control(&record),
            record: &record,
            campaign: &campaign,
            profile: Some(&world.profile),
            entry: Ok(world.entry.as_ref()),
            kept: None,
            opened: None,
            others: None,
            previous: None,
            secrets: &secrets,
            segments: &Segments::new(world.segments, Vec::new()),
            policy: &Policy::default(),
            limits: &DeploymentLimits::read(&settings).unwrap(),
            counted: None,
            closed: None,
            now: world.now,
        };
        let stopped = stops(&given);
        let told = steps(&given).into_iter().find(|step| step.gate == "opted out");
        match &stopped {
            Some(stopped) => {
                assert_eq!(&admit(&given), stopped, "it is the first that does");
                assert_eq!(told.and_then(|step| step.stopped).as_ref(), Some(stopped));
            }
            None => assert!(told.is_none_or(|step| step.stopped.is_none())),
        }
        stopped
    }

    #[track_caller]
    fn check_out(change: impl FnOnce(&mut World)) {
        let stopped = check(change);
        assert!(matches!(stopped, Some(Decision::Suppress(Suppression::OptedOut, _))), "{stopped:?}");
    }

    #[test]
    fn who_opted_out_is_sent_nothing_and_nothing_overrides_it() {
        check_out(|_| {});
        check_out(|w| w.class = Class::Resent);
        check_out(|w| w.skip = Skip { audience: true, caps: true, quiet_hours: true });
        check_out(|w| {
            let values = json!({"plan": "free"});
            w.entry = Some(EntryData::Values(values.as_object().unwrap().clone()));
        });
        assert_eq!(check(|w| w.segments = vec![segment("never", "user.vip")]), None);
        assert_eq!(check(|w| w.tags = vec!["internal".to_owned()]), None);
    }

    #[test]
    fn it_is_judged_as_of_now_and_not_of_when_the_send_was_due() {
        let opted = |w: &mut World| {
            w.profile = profile(1, json!({"plan": "pro", "opted_at": "2026-11-24T08:30:00Z"}));
            w.segments = vec![segment("never", "user.opted_at <= ago(\"0s\")")];
        };
        assert_eq!(check(opted), None);
        check_out(|w| {
            opted(w);
            w.now = at("2026-11-24T09:00:00Z");
        });
    }

    #[test]
    fn while_the_segment_or_what_it_asks_is_missing_sends_wait() {
        for segments in [
            Vec::new(),
            vec![segment("never", "in_segment(\"gone\")")],
            vec![segment("never", "not in_segment(\"inner\")"), segment("inner", "in_list(\"gone\")")],
        ] {
            let stopped = check(|w| w.segments = segments);
            assert!(
                matches!(&stopped, Some(Decision::Hold(until, _)) if *until == now() + UNREADABLE_WAIT),
                "{stopped:?}"
            );
        }
    }
}
