//! Stored bytes stay what they are: what is written today is what the golden files hold, and what they hold is read.
//!
//! A format changes only together with its golden file, and then the old file stays, to be read for ever.

use campanile_core::access::AccessToken;
use campanile_core::attempt::{Answer, Attempt, Outcome, Phase};
use campanile_core::behaviour::{Behaviour, Values};
use campanile_core::campaign_history::{Arm, CampaignHistory, LastSend};
use campanile_core::campaign_record::{CampaignRecord, OpenOccurrence, Schedule, State, Transition};
use campanile_core::caps::{CapAnswer, CapAsk, CapKey, CapRows, CapRule, Since};
use campanile_core::control_word::{ControlWord, EVENTS_FIRST, Flow, HISTORY};
use campanile_core::delivery_record::{DeliveryRecord, OpenEntry, Status};
use campanile_core::draft::{Audience, Delivery, Draft, Kind, QuietHours, Trigger, TriggerOn, Triggered};
use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Lease, SendId, Skip};
use campanile_core::event::{EntryData, Event, LogItem};
use campanile_core::inside::{Inside, Previous, PreviousOutcome};
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::{CampaignNo, DestinationNo, Layout, Shard, UserNo};
use campanile_core::reason::{Failure, Refusal, Suppression};
use campanile_core::recent_event::{self, Decided, Met, RecentEvent};
use campanile_core::sealing::StoredSecret;
use campanile_core::secret::Secret;
use campanile_core::segment::SegmentRecord;
use campanile_core::send_outcome::SendOutcome;
use campanile_core::settings::{CapPeriod, DeliveryCap, MinimumGap, Settings, SettingsRecord};
use campanile_core::slug::Slug;
use campanile_core::user::Profile;
use campanile_core::user_list::{ListRecord, UserIds};
use campanile_core::webhook_draft::{Row, Webhook};
use jiff::Timestamp;
use serde_json::{Map, Value, json};

/// Compares with `tests/golden/NAME`; of a missing file it says what to write into it.
fn check(name: &str, written: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(name);
    match std::fs::read_to_string(&path) {
        Ok(golden) => assert_eq!(written, golden.trim_end(), "{name}: stored bytes changed"),
        Err(_) => panic!("{} is missing; if the format is new, write it with:\n{written}", path.display()),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn at(text: &str) -> Timestamp {
    text.parse().expect("an instant")
}

fn send() -> DueSend {
    DueSend {
        pinned: true,
        has_data: true,
        has_request: false,
        skip: Skip { audience: true, caps: false, quiet_hours: true },
        kind: EntryKind::Event,
        user: UserNo(0x01_0203_0405),
        key: 0x1122_3344_5566_7788,
        action: 7,
        due_at: at("2026-11-24T08:00:00.123Z"),
        revision: 0x0a_0b0c,
        attempts: 2,
        redeliveries: 1,
        first_claim_after_ms: 4_321,
    }
}

fn lane() -> Lane {
    Lane { campaign: CampaignNo(0xdead_beef), destination: DestinationNo(0x0102_0304), class: Class::Retry }
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("{other} is no object"),
    }
}

fn event() -> Event {
    Event {
        name: "purchase".to_owned(),
        value: Some(12.5),
        properties: map(
            json!({"z": 9_007_199_254_740_993_i64, "a": ["x", null, true, -1.5], "quote": "\"\u{1f600}\n"}),
        ),
        occurred_at: at("2026-11-24T07:59:59Z"),
        id: "e-1".to_owned(),
        happening: None,
        collected: Vec::new(),
    }
}

fn profile() -> Profile {
    let mut profile = Profile::new("mary", at("2026-01-02T03:04:05.678Z"));
    profile.attributes = map(
        json!({"plan": "pro", "age": 41, "score": 0.5, "vip": true, "tags": ["a"], "addr": {"city": "Köln"}}),
    );
    profile.time_zone = Some("Europe/Berlin".to_owned());
    let accepted_at = at("2026-03-01T00:00:00Z");
    for (name, value, occurred_at) in [
        ("purchase", Some(12.5), "2025-02-01T00:00:00Z"),
        ("purchase", None, "2026-02-27T09:00:00Z"),
        ("purchase", Some(129.95), "2026-03-01T00:00:00Z"),
        ("purchase", Some(0.1 + 0.2), "2026-03-01T00:00:00Z"),
        ("session", None, "2026-02-28T23:59:59.999Z"),
    ] {
        let event = Event { name: name.to_owned(), value, occurred_at: at(occurred_at), ..event() };
        profile.count(&event, accepted_at);
    }
    profile
}

#[test]
fn what_caps_count_of_a_user_is_23_bytes_a_send_and_scope() {
    let send = CapKey { campaign: CampaignNo(0xdead_beef), key: 0x1122_3344_5566_7788, action: 7 };
    let rule = |scope| CapRule { scope, since: Since::At(at("2026-11-24T00:00:00Z")), at_most: 9 };
    let ask = CapAsk { user: UserNo(1), send, rules: vec![rule(0), rule(0xa1b2_c3d4), rule(0)] };
    let mut rows = CapRows::default();
    assert_eq!(rows.reserve(&ask, at("2026-11-24T08:00:00.123Z")), CapAnswer::Reserved);
    assert_eq!(rows.encode().len(), 46);
    check("caps.hex", &hex(&rows.encode()));
    assert_eq!(CapRows::decode(&rows.encode()), rows);
}

#[test]
fn settings_are_one_document() {
    let tags = vec!["promo".to_owned()];
    let second = std::time::Duration::from_secs(1);
    let settings = Settings {
        caps: vec![
            DeliveryCap { at_most: 3, within: Some(86_400 * second), per: None, tags: tags.clone() },
            DeliveryCap { at_most: 1, within: None, per: Some(CapPeriod::Week), tags: Vec::new() },
        ],
        min_gap: Some(MinimumGap { gap: 7_200 * second, tags }),
        quiet_hours: Some(QuietHours { from: "21:00".to_owned(), to: "08:00".to_owned(), drop: true }),
        never_send: "opted-out".to_owned(),
        notify_url: "https://ops.example/in".to_owned(),
        notify_signing_secret: "ops".to_owned(),
    };
    let record =
        SettingsRecord { revision: 7, updated_at: at("2026-11-24T08:00:00Z"), notify_since: None, settings };
    let written = serde_json::to_string(&record).expect("JSON");
    check("settings.json", &written);
    assert_eq!(serde_json::from_str::<SettingsRecord>(&written).expect("settings"), record);
}

#[test]
fn a_due_send_is_31_bytes_in_a_lane_46_in_the_wheel_48_in_a_lease() {
    let due = DueEntry { at: at("2026-11-24T09:00:00Z"), lane: lane(), send: send() };
    let lease = Lease { fence: 0x0102_0304_0506_0708, lane: lane(), send: send() };
    assert_eq!((send().encode().len(), due.encode().len(), lease.encode().len()), (31, 46, 48));
    check("due_send.hex", &hex(&send().encode()));
    check("due_entry.hex", &hex(&due.encode()));
    check("lease.hex", &hex(&lease.encode()));
    assert_eq!(DueSend::decode(&send().encode()), Ok(send()));
    assert_eq!(DueEntry::decode(&due.encode()), Ok(due));
    assert_eq!(Lease::decode(&lease.encode()), Ok(lease));
}

#[test]
fn a_send_id_is_42_characters_without_a_dot_and_says_where_the_send_is() {
    let layout = Layout { birth: [1, 2, 3], hash_key: [9; 16], shards: 16 };
    let id = SendId::of(&layout, Shard(0x0405), CampaignNo(6), "mary", &send());
    let text = id.to_string();
    assert!(text.len() == 42 && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()), "{text}");
    check("send_id.txt", &text);
    assert_eq!(SendId::parse(&text), Some(id));
    check(
        "shards.txt",
        &format!("{:?}", ["mary", "Mary", "", "renovate[bot]"].map(|id| layout.shard_of(id).0)),
    );
}

#[test]
fn a_control_word_is_12_bytes() {
    let word = ControlWord {
        flow: Flow::Held,
        apply_revision: 0x01_0203,
        lease_secs: 45,
        weight: 9,
        epoch: 0x01_0203_0405,
        bits: EVENTS_FIRST | HISTORY,
    };
    check("control_word.hex", &hex(&word.encode()));
    assert_eq!(ControlWord::decode(&word.encode()), Ok(word));
}

#[test]
fn log_rows_stand_one_behind_the_other() {
    let row = |ended, text: &str| LogRow {
        ended,
        campaign: CampaignNo(7),
        user: UserNo(8),
        user_hash: [1, 2, 3],
        key: 9,
        action: 1,
        due_at: at("2026-11-24T08:00:00Z"),
        at: at("2026-11-24T08:00:00.250Z"),
        revision: 3,
        attempts: 2,
        status: 503,
        took_ms: 250,
        text: text.to_owned(),
    };
    let rows = [
        row(Ended::Delivered, ""),
        row(Ended::Failed(Failure::Exhausted), "answered 503"),
        row(Ended::Suppressed(Suppression::TemplateMissingValue), "user.first_name is missing"),
        row(Ended::Retrying, "ü"),
    ];
    let bytes: Vec<u8> = rows.iter().flat_map(LogRow::encode).collect();
    check("log_rows.hex", &hex(&bytes));
    let mut rest = bytes.as_slice();
    for row in &rows {
        let (read, after) = LogRow::decode(rest).expect("a row");
        assert_eq!(&read, row);
        rest = after;
    }
    assert!(rest.is_empty());
}

#[test]
fn a_profile_written_before_behaviour_had_days_is_still_read() {
    let written = include_str!("../golden/profile_1.hex");
    let pairs = written.trim_end().as_bytes().chunks(2);
    let bytes: Vec<u8> = pairs
        .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex"))
        .collect();
    let read = Profile::unpack(&bytes).expect("format 1");
    let Profile { id, attributes, time_zone, created_at, behaviour, .. } = profile();
    assert_eq!(
        (&read.id, &read.attributes, &read.time_zone, read.created_at),
        (&id, &attributes, &time_zone, created_at)
    );
    assert_eq!(behaviour.len(), 2);
    let expected = Behaviour {
        count: 3,
        first_at: at("2026-02-01T00:00:00Z"),
        last_at: at("2026-03-01T00:00:00Z"),
        values: Values { sum: 7.25, ..Values::default() },
        days: Vec::new(),
    };
    assert_eq!(read.behaviour, [("purchase".to_owned(), expected)].into());
    assert_eq!(Profile::unpack(&read.pack()), Ok(read));
}

#[test]
fn profiles_events_and_entry_values_read_back_as_they_were() {
    check("profile_2.hex", &hex(&profile().pack()));
    assert_eq!(Profile::unpack(&profile().pack()), Ok(profile()));
    let inside = Profile { inside: vec![7, 0xfffe_fdfc], ..profile() };
    check("profile_3.hex", &hex(&inside.pack()));
    assert_eq!(Profile::unpack(&inside.pack()), Ok(inside));
    let item = LogItem::Event(event());
    check("log_item.hex", &hex(&item.pack()));
    assert_eq!(LogItem::unpack(&item.pack()), Ok(item));
    for (name, kept) in [
        ("entry_event.hex", EntryData::Event(event())),
        ("entry_values.hex", EntryData::Values(map(json!({"cents": 500, "why": "sorry"})))),
    ] {
        check(name, &hex(&kept.pack()));
        assert_eq!(EntryData::unpack(&kept.pack()), Ok(kept));
    }
    assert!(Profile::unpack(&[4, 0x90]).is_err_and(|text| text.contains("format 4")));
}

#[test]
fn secrets_and_access_tokens_are_json_documents() {
    let (name, hosts) = ("KEY".to_owned(), vec!["a.example".to_owned()]);
    let sealed =
        StoredSecret::Sealed { name: name.clone(), sealed: "v1.k.AA==".to_owned(), hosts: hosts.clone() };
    let plain = StoredSecret::Plain(Secret { name, values: vec!["v".to_owned()], hosts });
    let scopes = ["read".to_owned(), "ingest".to_owned()];
    let made = at("2026-11-24T08:00:00Z");
    let until = Some(at("2027-11-24T08:00:00Z"));
    let (token, _) = AccessToken::make("ci", &scopes, until, "100/s", made, [7; 32]).expect("a token");
    let written = serde_json::to_string_pretty(&(&sealed, &plain, &token)).expect("JSON");
    check("access.json", &written);
    let (_, _, read) =
        serde_json::from_str::<(StoredSecret, StoredSecret, AccessToken)>(&written).expect("all three");
    assert_eq!(read, token);
}

#[test]
fn a_campaign_record_is_one_json_document() {
    let triggered = Triggered {
        when: vec![Trigger {
            on: TriggerOn::Event("purchase".to_owned()),
            condition: "properties.total > 5".to_owned(),
        }],
        ..Default::default()
    };
    let record = CampaignRecord {
        no: CampaignNo(7),
        id: "first".to_owned(),
        state: State::Active,
        revision: 2,
        apply_revision: 0,
        epoch: 5,
        version: 9,
        created_at: at("2026-11-24T08:00:00Z"),
        updated_at: at("2026-11-24T08:00:01Z"),
        schedule: Schedule {
            next_at: Some(at("2026-11-25T08:00:00Z")),
            fired: 1,
            open: vec![OpenOccurrence { at: at("2026-11-24T08:00:00Z"), revision: 2 }],
            ..Default::default()
        },
        dropped_until: None,
        history: false,
        emitted: false,
        heard: false,
        cancelled: Default::default(),
        deleted_at: None,
        steps: false,
        action_names: Vec::new(),
        runs: Vec::new(),
        notices: Vec::new(),
        looks: Default::default(),
        transitions: vec![Transition {
            at: at("2026-11-24T08:00:01Z"),
            by: "control api".to_owned(),
            to: State::Active,
            note: "activated".to_owned(),
        }],
        last_request: None,
        draft: Draft {
            id: "first".to_owned(),
            audience: Audience { condition: "user.email is set".to_owned(), ..Default::default() },
            delivery: Delivery { kind: Some(Kind::Triggered(triggered)), ..Default::default() },
            webhook: Some(Webhook {
                url: "https://example.com/hook".to_owned(),
                data: vec![Row { name: "email".to_owned(), value: json!("{{ user.email }}") }],
                ..Default::default()
            }),
            ..Default::default()
        },
    };
    let written = serde_json::to_string_pretty(&record).expect("JSON");
    check("campaign_record.json", &written);
    assert_eq!(serde_json::from_str::<CampaignRecord>(&written).expect("a record"), record);
}

#[test]
fn an_attempt_s_outcome_keeps_its_place_in_the_list() {
    let outcomes = [
        Outcome::Answered(Answer { status: 503, retry_after: Some("7".to_owned()), ..Default::default() }),
        Outcome::Dns(String::new()),
        Outcome::TimedOut(Phase::Body),
        Outcome::Forbidden("10.0.0.1".to_owned()),
    ];
    let attempts = outcomes.map(|outcome| Attempt {
        number: 1,
        began_at: at("2026-11-24T08:00:00Z"),
        ended_at: at("2026-11-24T08:00:01Z"),
        outcome,
    });
    check("attempts.json", &serde_json::to_string(&attempts).expect("JSON"));
}

#[test]
fn a_delivery_record_keeps_its_bytes() {
    let at = |ms: i64| jiff::Timestamp::from_millisecond(1_795_510_800_000 + ms).unwrap();
    let entry = |key: u64, status, same| OpenEntry {
        collected: key as u8,
        collected_kib: 0x0203,
        key,
        narrow: 0x1112_1314_1516_1718,
        due_at: at(3),
        looked_at: at(2),
        since: at(1),
        entered_at: at(0),
        status,
        same,
        inside: None,
    };
    let previous =
        Previous { outcome: PreviousOutcome::Failed, status: 503, sent_at: Some(at(4)), ended_at: at(5) };
    let inside = Inside {
        action: 2,
        waits: true,
        is_reached: true,
        has_data: true,
        has_failed: false,
        skip: Skip { audience: true, caps: false, quiet_hours: true },
        posted_at: Some(at(6)),
        previous: Some(previous),
    };
    let record = DeliveryRecord {
        reached: 258,
        last_reached_at: Some(at(-1)),
        open: vec![
            entry(0x0102_0304_0506_0708, Status::Pending, vec![(0x2122_2324, 0x3132_3334_3536_3738)]),
            entry(9, Status::Cancelled, vec![]),
            entry(10, Status::Superseded, vec![]),
            OpenEntry { inside: Some(inside), ..entry(11, Status::Exited, vec![]) },
        ],
    };
    check("delivery_record_3.hex", &hex(&record.encode()));
    assert_eq!(DeliveryRecord::decode(&record.encode()), Ok(record));
    // Written before entries counted what they collect, and before some were inside.
    for (format, old) in [
        (1, include_str!("../golden/delivery_record_1.hex")),
        (2, include_str!("../golden/delivery_record_2.hex")),
    ] {
        let old: Vec<u8> = old
            .trim_end()
            .as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).expect("text"), 16).expect("hex"))
            .collect();
        let told = format!("format {format}, expected 3");
        assert!(DeliveryRecord::decode(&old).is_err_and(|foreign| foreign.0.contains(&told)), "{told}");
    }
}

#[test]
fn the_outcome_of_a_send_stands_in_front_of_its_row() {
    let row = LogRow {
        ended: Ended::Failed(Failure::Exhausted),
        campaign: CampaignNo(7),
        user: UserNo(8),
        user_hash: [1, 2, 3],
        key: 9,
        action: 1,
        due_at: at("2026-11-24T08:00:00Z"),
        at: at("2026-11-24T08:00:00.250Z"),
        revision: 3,
        attempts: 6,
        status: 503,
        took_ms: 250,
        text: "answered 503".to_owned(),
    };
    let outcome =
        SendOutcome { row, variant: Slug::new("bold"), hops: 2, is_first_post: true, is_open: true };
    let item = LogItem::Outcome(outcome);
    check("send_outcome.hex", &hex(&item.pack()));
    assert_eq!(LogItem::unpack(&item.pack()), Ok(item));
}

#[test]
fn a_campaign_history_keeps_its_bytes() {
    let at = |ms: i64| jiff::Timestamp::from_millisecond(1_795_510_800_000 + ms).unwrap();
    let last = |arm| LastSend { at: at(3), key: 0x0102_0304_0506_0708, action: 9, arm, is_converted: true };
    let sent = CampaignHistory {
        delivered_at: Some(at(1)),
        failed_at: Some(at(2)),
        last: Some(last(Arm::Sent(Slug::new("bold")))),
        posted_key: 0x1112_1314_1516_1718,
        is_posted: true,
    };
    let held_back = CampaignHistory { last: Some(last(Arm::HeldBack)), ..CampaignHistory::default() };
    let all = [sent, held_back, CampaignHistory::default()];
    let written: Vec<String> = all.iter().map(|history| hex(&history.encode())).collect();
    check("campaign_history.hex", &written.join("\n"));
    for history in all {
        assert_eq!(CampaignHistory::decode(&history.encode()), Ok(history));
    }
}

#[test]
fn recent_events_keep_their_bytes() {
    let item = LogItem::Event(event());
    let due_at = at("2026-11-24T09:00:00Z");
    let met = [
        Met { campaign: CampaignNo(7), decided: Decided::Entered { key: 0x1122_3344_5566_7788, due_at } },
        Met { campaign: CampaignNo(8), decided: Decided::Refused(Refusal::ConditionFalse, "no".to_owned()) },
    ];
    let user = UserNo(0x01_0203_0405);
    let written = recent_event::encode(41, at("2026-11-24T08:00:01Z"), user, (&item.pack(), &item), &met);
    check("recent_event.hex", &hex(&written));
    let read = RecentEvent::decode(&written).expect("a recent event");
    assert_eq!((read.number, read.user, read.met.as_slice()), (41, user, met.as_slice()));
    assert_eq!((LogItem::Event(read.event), read.is_imported), (item, false));
}

#[test]
fn segments_and_lists_are_kept_as_they_were() {
    let record = SegmentRecord {
        name: "buyers".to_owned(),
        title: "Who buys".to_owned(),
        condition: "count(\"purchase\") >= 2".to_owned(),
        revision: 3,
        created_at: at("2026-11-24T08:00:00Z"),
        updated_at: at("2026-11-25T08:00:00.5Z"),
    };
    let written = serde_json::to_string_pretty(&record).expect("JSON");
    check("segment.json", &written);
    assert_eq!(serde_json::from_str::<SegmentRecord>(&written).expect("it is read"), record);
    let ids = UserIds::new(["mary", "ä\"", "bob"].map(str::to_owned).to_vec()).expect("a list");
    let record = ids.record("vip", 2, at("2026-11-24T08:00:00Z"));
    let written = serde_json::to_string_pretty(&record).expect("JSON");
    check("user_list.json", &written);
    assert_eq!(serde_json::from_str::<ListRecord>(&written).expect("it is read"), record);
    check("user_list_ids.json", &String::from_utf8(ids.pack()).expect("text"));
    assert_eq!(UserIds::unpack(&ids.pack()), Ok(ids));
}
