//! Every gate stops what it should, in the order of the contract.

use campanile_core::campaign::{Campaign, Rules};
use campanile_core::campaign_record::{CampaignRecord, State};
use campanile_core::caps::CapAnswer;
use campanile_core::delivery_record::OpenEntry;
use campanile_core::deployment_limits::DeploymentLimits;
use campanile_core::draft::{Delivery, Kind, OneTime, QuietHours, Trigger, TriggerOn, Triggered};
use campanile_core::due_send::{Class, DueSend, EntryKind, Skip};
use campanile_core::event::EntryData;
use campanile_core::kept::Kept;
use campanile_core::network::Policy;
use campanile_core::reason::{Refusal, Suppression};
use campanile_core::secret::Secrets;
use campanile_core::segments::Segments;
use campanile_core::settings::{DeliveryCap, MinimumGap, Settings};
use campanile_core::user::Profile;
use campanile_core::webhook::Request;
use campanile_core::webhook_draft::Row;
use serde_json::json;
use std::time::Duration;

use crate::admit::{Decision, Given, UNREADABLE_WAIT, admit, steps};
use crate::blind::admit_blind;
use crate::closed::Closed;
use crate::sample::{at, control, draft, due_send, mary, now, profile, record};

const URL: &str = "https://h.example/hook";

/// Everything a decision looks at, to be changed in one place.
pub(crate) struct World {
    pub(crate) record: CampaignRecord,
    pub(crate) send: DueSend,
    pub(crate) class: Class,
    pub(crate) profile: Option<Profile>,
    pub(crate) entry: Result<Option<EntryData>, String>,
    pub(crate) kept: Option<Kept>,
    pub(crate) opened: Option<OpenEntry>,
    /// All entries of the delivery record, if there is one.
    pub(crate) others: Option<Vec<OpenEntry>>,
    pub(crate) policy: Policy,
    pub(crate) limits: DeploymentLimits,
    pub(crate) counted: Option<CapAnswer>,
    pub(crate) segments: Segments,
    pub(crate) closed: Option<Closed>,
    pub(crate) now: jiff::Timestamp,
}

fn world() -> World {
    World {
        record: record(draft(URL)),
        send: due_send(1),
        class: Class::First,
        profile: Some(mary()),
        entry: Ok(None),
        kept: None,
        opened: None,
        others: None,
        policy: Policy::default(),
        limits: DeploymentLimits::default(),
        counted: None,
        segments: Segments::default(),
        closed: None,
        now: now(),
    }
}

fn decided<T>(world: &World, ask: impl FnOnce(&Given<'_>) -> T) -> T {
    let (policy, any, secrets) = (Policy::unchecked(), Secrets::unchecked(), Secrets::default());
    let rules = Rules { policy: &policy, secrets: &any, segments: &Segments::unchecked(), now: now() };
    let campaign = Campaign::compile(world.record.draft.clone(), &rules).unwrap();
    ask(&Given {
        send: &world.send,
        send_id: "id",
        class: world.class,
        control: &control(&world.record),
        record: &world.record,
        campaign: &campaign,
        profile: world.profile.as_ref(),
        entry: world.entry.as_ref().map(Option::as_ref).map_err(String::as_str),
        kept: world.kept.as_ref(),
        opened: world.opened.as_ref(),
        others: world.others.as_deref(),
        previous: world.opened.as_ref().and_then(|opened| opened.inside.as_ref()?.previous.as_ref()),
        secrets: &secrets,
        segments: &world.segments,
        policy: &world.policy,
        limits: &world.limits,
        counted: world.counted,
        closed: world.closed.as_ref(),
        now: world.now,
    })
}

pub(crate) fn decide(change: impl FnOnce(&mut World)) -> (Decision, Vec<&'static str>) {
    let mut world = world();
    change(&mut world);
    let decision = decided(&world, admit);
    let steps = decided(&world, steps);
    let shown = steps.last().and_then(|step| step.stopped.clone());
    let stopped = Some(decision.clone()).filter(|decision| !matches!(decision, Decision::Send(_)));
    assert_eq!(shown, stopped, "the steps end as the decision does");
    assert!(steps.iter().rev().skip(1).all(|step| step.stopped.is_none()));
    (decision, steps.into_iter().map(|step| step.gate).collect())
}

#[track_caller]
pub(crate) fn check_sent(change: impl FnOnce(&mut World)) -> Request {
    match decide(change).0 {
        Decision::Send(request) => request,
        other => panic!("{other:?}"),
    }
}

#[track_caller]
pub(crate) fn check_suppressed(reason: Suppression, text: &str, change: impl FnOnce(&mut World)) {
    match decide(change).0 {
        Decision::Suppress(given, why) => {
            assert_eq!(given, reason, "{why}");
            assert!(why.contains(text), "{why} lacks {text}");
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_send_that_passes_every_gate_is_rendered() {
    let request = check_sent(|_| {});
    assert_eq!((request.url.as_str(), request.body.as_slice()), (URL, br#"{"name":"Mary"}"#.as_slice()));
    let (_, gates) = decide(|_| {});
    assert_eq!(
        gates,
        ["campaign", "user", "audience", "expiry", "request"],
        "what does not concern it is not told"
    );
}

#[test]
fn each_gate_names_its_reason() {
    check_suppressed(Suppression::CampaignEnded, "ended", |w| w.record.state = State::Ended);
    check_suppressed(Suppression::Cancelled, "dropped", |w| w.record.dropped_until = Some(now()));
    check_suppressed(Suppression::UserDeleted, "", |w| w.profile = None);
    check_suppressed(Suppression::AudienceLeft, r#"user.plan == "pro""#, |w| {
        w.profile = Some(profile(1, json!({"name": "Mary", "plan": "free"})));
    });
    check_suppressed(Suppression::Expired, "2026-11-27T08:00:00Z", |w| {
        w.now = at("2026-11-27T08:00:00.001Z");
    });
    check_suppressed(Suppression::TemplateMissingValue, "user.name", |w| {
        w.profile = Some(profile(1, json!({"plan": "pro"})));
    });
    check_suppressed(Suppression::TargetForbidden, "10.0.0.1", |w| {
        w.record.draft = draft("https://10.0.0.1/hook");
    });
    check_suppressed(Suppression::Cancelled, "action", |w| w.send.action = 1);
}

#[test]
fn the_first_gate_that_stops_a_send_is_the_one_that_is_named() {
    let everything_wrong = |w: &mut World| {
        w.record.state = State::Ended;
        w.record.dropped_until = Some(now());
        w.profile = None;
        w.now = at("2027-01-01T00:00:00Z");
    };
    assert_eq!(decide(everything_wrong).1, ["campaign"]);
    let expired_and_left = |w: &mut World| {
        w.profile = Some(profile(1, json!({})));
        w.now = at("2027-01-01T00:00:00Z");
    };
    assert_eq!(decide(expired_and_left).1, ["campaign", "user", "audience"]);
}

#[test]
fn what_was_dropped_ends_at_the_instant_of_the_drop() {
    check_sent(|w| {
        w.record.dropped_until = Some(now());
        w.send.due_at = at("2026-11-24T08:00:00.001Z");
    });
}

#[test]
fn a_manual_entry_may_skip_the_audience_and_nothing_else() {
    let skip = Skip { audience: true, ..Skip::default() };
    check_sent(|w| {
        w.send.skip = skip;
        w.profile = Some(profile(1, json!({"name": "Mary", "plan": "free"})));
    });
    check_suppressed(Suppression::CampaignEnded, "", |w| {
        w.send.skip = skip;
        w.record.state = State::Ended;
    });
}

#[test]
fn a_resent_send_passes_but_for_its_user_and_the_network_guard() {
    check_sent(|w| {
        w.class = Class::Resent;
        w.record.state = State::Ended;
        w.record.dropped_until = Some(now());
        w.profile = Some(profile(1, json!({"name": "Mary"})));
        w.now = at("2027-01-01T00:00:00Z");
    });
    check_suppressed(Suppression::UserDeleted, "", |w| {
        w.class = Class::Resent;
        w.profile = None;
    });
    check_suppressed(Suppression::TargetForbidden, "", |w| {
        w.class = Class::Resent;
        w.record.draft = draft("http://h.example/");
    });
}

#[test]
fn what_cannot_be_read_waits_until_it_expires() {
    let held = |change: &dyn Fn(&mut World)| match decide(change).0 {
        Decision::Hold(until, why) => {
            assert_eq!(until, now() + UNREADABLE_WAIT);
            why
        }
        other => panic!("{other:?}"),
    };
    assert_eq!(held(&|w| w.entry = Err("entry data: format 9".to_owned())), "entry data: format 9");
    let secret = |w: &mut World| {
        let row = Row { name: "x-key".to_owned(), value: json!("{{ secret.KEY }}") };
        w.record.draft.webhook.as_mut().unwrap().headers.push(row);
    };
    assert_eq!(held(&secret), "secret KEY does not exist");
    check_suppressed(Suppression::Expired, "", |w| {
        w.entry = Err("entry data: format 9".to_owned());
        w.now = now() + Duration::from_secs(72 * 3600 + 1);
    });
}

#[test]
fn values_of_an_entry_are_rendered() {
    let request = check_sent(|w| {
        w.record.draft.webhook.as_mut().unwrap().data =
            vec![Row { name: "cents".to_owned(), value: json!("{{ values.cents }}") }];
        w.entry = Ok(Some(EntryData::Values(json!({"cents": 5}).as_object().unwrap().clone())));
    });
    assert_eq!(request.body, br#"{"cents":5}"#);
}

#[test]
fn a_user_who_is_held_back_is_never_sent_but_by_a_resend() {
    let held = |w: &mut World| w.record.draft.audience.holdback_percent = 100.0;
    check_suppressed(Suppression::Holdback, "the 100 % held back", held);
    check_suppressed(Suppression::Holdback, "held back", |w| {
        held(w);
        w.send.skip = Skip { audience: true, caps: true, quiet_hours: true };
    });
    check_suppressed(Suppression::AudienceLeft, "user.plan", |w| {
        held(w);
        w.profile = Some(profile(1, json!({"plan": "free"})));
    });
    check_sent(|w| {
        held(w);
        w.class = Class::Resent;
    });
}

#[test]
fn the_deployments_quiet_hours_hold_whoever_has_none_of_their_own() {
    let limits = |drop: bool| {
        let quiet_hours = Some(QuietHours { from: "07:00".to_owned(), to: "09:00".to_owned(), drop });
        DeploymentLimits::read(&Settings { quiet_hours, ..Settings::default() }).unwrap()
    };
    let held = decide(|w| w.limits = limits(false)).0;
    assert!(matches!(&held, Decision::Hold(until, _) if *until == at("2026-11-24T09:00:00Z")), "{held:?}");
    check_suppressed(Suppression::QuietHoursDrop, "09:00", |w| w.limits = limits(true));
    check_sent(|w| {
        w.limits = limits(true);
        w.record.draft.limits.ignore_quiet_hours = true;
    });
    check_sent(|w| {
        w.limits = limits(true);
        let own = QuietHours { from: "21:00".to_owned(), to: "06:00".to_owned(), drop: true };
        w.record.draft.limits.quiet_hours = Some(own);
    });
    check_sent(|w| {
        w.limits = limits(true);
        w.send.skip = Skip { quiet_hours: true, ..Skip::default() };
    });
}

#[test]
fn a_cap_that_was_reached_suppresses_and_never_delays() {
    let limits = || {
        let within = |at_most, hours: u64| DeliveryCap {
            at_most,
            within: Some(Duration::from_secs(hours * 3_600)),
            ..DeliveryCap::default()
        };
        let promo = DeliveryCap { tags: vec!["promo".to_owned()], ..within(1, 1) };
        let min_gap = Some(MinimumGap { gap: Duration::from_secs(60), tags: Vec::new() });
        let settings = Settings { caps: vec![promo, within(3, 24)], min_gap, ..Settings::default() };
        DeploymentLimits::read(&settings).unwrap()
    };
    let counted = |w: &mut World, answer: CapAnswer| (w.limits, w.counted) = (limits(), Some(answer));
    // By its place among those that count the campaign, which has no tag.
    let text = "the deployment allows at most 3 webhooks within 1d, and that was reached";
    check_suppressed(Suppression::Capped, text, |w| counted(w, CapAnswer::Over(0)));
    check_suppressed(Suppression::MinGap, "at least 1m between", |w| counted(w, CapAnswer::Over(1)));
    check_suppressed(Suppression::Capped, "tagged promo", |w| {
        w.record.draft.tags = vec!["promo".to_owned()];
        counted(w, CapAnswer::Over(0));
    });
    let (_, gates) = decide(|w| counted(w, CapAnswer::Reserved));
    assert_eq!(gates[gates.len() - 2..], ["caps", "request"]);
    let asks = |change: &dyn Fn(&mut World)| {
        let mut world = World { limits: limits(), ..world() };
        change(&mut world);
        decided(&world, |given| given.cap_ask().map(|ask| ask.rules.len()))
    };
    assert_eq!(asks(&|_| {}), Some(2));
    assert_eq!(asks(&|w| w.send.redeliveries = 1), Some(2), "its sender may have died before it asked");
    assert_eq!(asks(&|w| w.send.attempts = 1), None, "a retry was counted");
    assert_eq!(asks(&|w| w.send.skip.caps = true), None);
    assert_eq!(asks(&|w| w.class = Class::Resent), None);
    assert_eq!(asks(&|w| w.record.draft.limits.ignore_caps = true), None);
    assert_eq!(asks(&|w| w.record.draft.tags = vec!["internal".to_owned()]), None);
    assert_eq!(asks(&|w| w.limits = DeploymentLimits::default()), None);
}

#[test]
fn in_quiet_hours_of_the_users_zone_a_send_is_held_or_dropped() {
    // It is 08:00 in UTC and 09:00 in Berlin.
    let quiet = |w: &mut World, from: &str, to: &str, drop: bool| {
        let hours = QuietHours { from: from.to_owned(), to: to.to_owned(), drop };
        w.record.draft.limits.quiet_hours = Some(hours);
        if let Some(profile) = &mut w.profile {
            profile.time_zone = Some("Europe/Berlin".to_owned());
        }
    };
    let held = decide(|w| quiet(w, "21:00", "09:30", false)).0;
    let expected = (at("2026-11-24T08:30:00Z"), "it is 21:00:00 to 09:30:00 for the user".to_owned());
    assert_eq!(held, Decision::Hold(expected.0, expected.1));
    check_suppressed(Suppression::QuietHoursDrop, "09:30", |w| quiet(w, "21:00", "09:30", true));
    check_sent(|w| quiet(w, "21:00", "09:00", true));
    check_sent(|w| {
        quiet(w, "21:00", "09:30", true);
        w.send.skip = Skip { quiet_hours: true, ..Skip::default() };
    });
    check_sent(|w| {
        quiet(w, "21:00", "09:30", true);
        w.class = Class::Resent;
    });
    check_suppressed(Suppression::Expired, "good until", |w| {
        quiet(w, "21:00", "23:59", false);
        w.now += Duration::from_secs(30 * 24 * 3_600);
    });
}

#[test]
fn a_sticky_audience_is_decided_at_entry_only() {
    check_sent(|w| {
        w.record.draft.audience.sticky = true;
        w.profile = Some(profile(1, json!({"plan": "free", "name": "Mary"})));
    });
}

#[test]
fn a_retry_posts_the_bytes_of_the_first_attempt() {
    let mut world = world();
    let stored = decided(&world, |given| {
        let Decision::Send(request) = admit(given) else { panic!("it is sent") };
        given.version().unwrap().webhook.keep(&request, &given.context().unwrap())
    });
    world.kept = Some(Kept { request: stored, attempts: vec![] });
    world.profile = Some(profile(1, json!({"plan": "pro", "name": "Maria"})));
    let Decision::Send(request) = decided(&world, admit) else { panic!("it is sent") };
    assert_eq!(request.body, br#"{"name":"Mary"}"#);
}

#[test]
fn without_the_definition_only_what_is_certain_is_decided() {
    let running = control(&record(draft(URL)));
    let ended = control(&CampaignRecord { state: State::Ended, ..record(draft(URL)) });
    let reason = |decision| match decision {
        Some(Decision::Suppress(reason, _)) => Some(reason),
        None => None,
        other => panic!("{other:?}"),
    };
    assert_eq!(reason(admit_blind(&running, Class::First, true)), None);
    assert_eq!(reason(admit_blind(&running, Class::First, false)), Some(Suppression::UserDeleted));
    assert_eq!(reason(admit_blind(&ended, Class::Retry, true)), Some(Suppression::CampaignEnded));
    assert_eq!(reason(admit_blind(&ended, Class::Resent, true)), None);
}

/// Nine o'clock on the user's own clock, planned for Berlin.
fn at_nine(change: impl FnOnce(&mut World)) -> Decision {
    let mut world = world();
    world.record.draft.delivery = Delivery {
        kind: Some(Kind::OneTime(OneTime { at: "2026-11-24T09:00".to_owned(), ..OneTime::default() })),
        zone: "user".to_owned(),
        ..Delivery::default()
    };
    world.send.kind = EntryKind::Occurrence;
    world.send.key = 1_795_510_800_000;
    world.profile.as_mut().unwrap().time_zone = Some("Europe/Berlin".to_owned());
    change(&mut world);
    decided(&world, admit)
}

fn moves_to(zone: &str) -> impl FnOnce(&mut World) {
    move |world| world.profile.as_mut().unwrap().time_zone = Some(zone.to_owned())
}

#[test]
fn on_users_own_clocks_a_send_follows_its_user_and_is_never_sent_for_a_time_long_past() {
    assert!(matches!(at_nine(|_| {}), Decision::Send(_)));
    assert_eq!(at_nine(moves_to("America/New_York")), Decision::Later(at("2026-11-24T14:00:00Z")));
    let late = at_nine(moves_to("Asia/Tokyo"));
    assert!(matches!(late, Decision::Suppress(Suppression::Late, _)), "{late:?}");
    // What was attempted keeps its time.
    assert!(matches!(
        at_nine(|w| {
            moves_to("America/New_York")(w);
            w.send.attempts = 1;
        }),
        Decision::Send(_)
    ));
}

#[test]
fn on_users_own_clocks_the_audience_is_decided_once_at_the_due_instant() {
    let leaves = |w: &mut World| w.profile.as_mut().unwrap().attributes["plan"] = json!("free");
    let refused = at_nine(leaves);
    assert!(matches!(refused, Decision::Refuse(Refusal::NotInAudience, _)), "{refused:?}");
    let retried = at_nine(|w| {
        leaves(w);
        w.send.attempts = 1;
    });
    assert!(matches!(retried, Decision::Send(_)), "{retried:?}");
    let redelivered = at_nine(|w| {
        leaves(w);
        w.send.redeliveries = 1;
    });
    assert!(matches!(redelivered, Decision::Suppress(Suppression::AudienceLeft, _)), "{redelivered:?}");
}

#[test]
fn a_send_due_after_its_campaigns_window_is_not_sent() {
    let windowed = |end: &str| {
        let end = end.to_owned();
        move |w: &mut World| {
            let when = Trigger { on: TriggerOn::Event("e".to_owned()), condition: String::new() };
            let triggered = Triggered { when: vec![when], end, ..Triggered::default() };
            w.record.draft.delivery.kind = Some(Kind::Triggered(triggered));
        }
    };
    check_sent(windowed("2026-11-24T08:00:00Z"));
    check_suppressed(Suppression::CampaignEnded, "end", windowed("2026-11-24T07:59:59Z"));
}

#[test]
fn a_destination_that_is_left_alone_parks_the_lane_of_a_resent_send_too() {
    let until = now() + Duration::from_secs(60);
    let closed = |w: &mut World| w.closed = Some(Closed { until, text: "left alone".to_owned() });
    let parked = Decision::Park(until, "left alone".to_owned());
    assert_eq!(
        decide(closed),
        (parked.clone(), vec!["campaign", "user", "audience", "expiry", "destination"])
    );
    let resent = |w: &mut World| {
        closed(w);
        w.class = Class::Resent;
    };
    assert_eq!(decide(resent).0, parked);
}
