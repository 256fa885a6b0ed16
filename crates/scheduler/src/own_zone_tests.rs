//! Deliveries on users' own clocks, in virtual time, against an oracle that only reads clocks.

use std::collections::{BTreeMap, BTreeSet};

use campanile_core::campaign_record::State;
use campanile_core::counter::Counter;
use campanile_core::draft::{Draft, Every, Kind, Late, OneTime, Recurring};
use campanile_core::limits;
use campanile_core::number::instant;
use campanile_core::ports::{Campaigns, Queue, Settle, Settlement, Users};
use campanile_core::reason::Suppression;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use crate::run::Scheduler;
use crate::sample::{at, draft};
use crate::world::{SHARD, World, with_id};

/// What was due for whom: user number and wall clock to the instant.
type Due = BTreeMap<(u64, DateTime), Timestamp>;

fn own(kind: Kind) -> Draft {
    let mut draft = draft(kind);
    draft.delivery.zone = "user".to_owned();
    draft
}

fn one_time(at: &str, late: Late) -> Draft {
    own(Kind::OneTime(OneTime { at: at.to_owned(), late }))
}

/// Users 1, 2, .. in these zones; an empty name is no zone.
async fn people(world: &World, zones: &[&str]) {
    world.users(1..=zones.len() as u64, |_| json!({})).await;
    for (i, zone) in zones.iter().enumerate() {
        move_to(world, i as u64 + 1, zone).await;
    }
}

async fn move_to(world: &World, user: u64, zone: &str) {
    let mut users = world.store.inner.open_users(SHARD, &[format!("u{user}")], None).await.expect("users");
    let mut user = users.pop().flatten().expect("the user");
    user.profile.time_zone = Some(zone.to_owned()).filter(|zone| !zone.is_empty());
    assert_eq!(world.store.inner.save_users(SHARD, &[user]).await, Ok(vec![true]));
}

/// Claims what may go; each send must be due by now.
async fn claim_due(world: &World, due: &mut Due) {
    loop {
        let claimed = world.store.inner.claim(SHARD, limits::CLAIM_MAX).await.expect("a claim");
        if claimed.jobs.is_empty() {
            return;
        }
        let mut settlements = Vec::new();
        for job in claimed.jobs {
            let send = &job.lease.send;
            assert!(send.due_at <= world.now(), "sent early");
            let wall = TimeZone::UTC.to_datetime(instant(send.key));
            assert_eq!(
                due.insert((send.user.0, wall), send.due_at),
                None,
                "one occurrence reached a user twice"
            );
            let settle = Settle::Delivered;
            settlements.push(Settlement {
                lease: job.lease,
                settle,
                attempted: true,
                variant: None,
                hops: 0,
                row: None,
            });
        }
        for settlements in settlements.chunks(limits::SETTLE_MAX) {
            world.store.inner.settle(SHARD, settlements).await.expect("settled");
        }
    }
}

/// From one thing to do to the next, at most an hour away, as a loop would.
async fn run_until(world: &World, scheduler: &mut Scheduler, end: Timestamp, due: &mut Due) {
    while world.now() < end {
        let did = world.settle_down(scheduler).await;
        claim_due(world, due).await;
        let hour = world.now() + SignedDuration::from_mins(60);
        let next = did.next_at.filter(|at| *at > world.now() + SignedDuration::from_secs(30));
        world.clock.set(next.unwrap_or(hour).min(hour).min(end));
    }
    world.settle_down(scheduler).await;
    claim_due(world, due).await;
}

/// The first quarter of an hour that shows `wall` or something later: right for every zone, as all change their clocks at quarters.
fn oracle(zone: &TimeZone, wall: DateTime) -> Timestamp {
    let mut at = TimeZone::UTC.to_timestamp(wall).unwrap() - SignedDuration::from_hours(15);
    while zone.to_datetime(at) < wall {
        at += SignedDuration::from_mins(15);
    }
    at
}

/// What a zone's clock shows in that year, twice a day.
fn offsets(zone: &TimeZone) -> Vec<i32> {
    let half_days = (0..730).map(|n| at("2026-03-01T00:10:00Z") + SignedDuration::from_hours(12 * n));
    half_days.map(|at| zone.to_offset(at).seconds()).collect()
}

#[tokio::test]
async fn a_year_on_every_clock_on_earth_is_what_the_clocks_say() {
    let world = World::new();
    let zones: Vec<String> = jiff::tz::db().available().map(|zone| zone.to_string()).collect();
    assert!(zones.len() > 400, "{} zones", zones.len());
    // One of each: many zones differ only in their past.
    let mut clocks = BTreeSet::new();
    let is_new = |zone: &&str| clocks.insert(offsets(&TimeZone::get(zone).unwrap()));
    let names: Vec<&str> = zones.iter().map(String::as_str).filter(is_new).collect();
    assert!(names.len() > 60, "{} clocks", names.len());
    people(&world, &names).await;
    // Clocks change on Sundays, mostly; half past two and midnight are where they do.
    let every = Every {
        weeks: 1,
        weekdays: vec!["sun".to_owned()],
        at: vec!["00:00".to_owned(), "02:30".to_owned()],
        ..Every::default()
    };
    let draft = own(Kind::Recurring(Recurring { every: Some(every), ..Recurring::default() }));
    world.clock.set(at("2026-03-02T12:00:00Z"));
    let no = world.activate(draft).await.no;
    let mut found = Due::new();
    let end = at("2027-03-03T12:00:00Z");
    run_until(&world, &mut world.scheduler(), end, &mut found).await;
    let mut expected = Due::new();
    let sundays = std::iter::successors(Some("2026-03-08".parse::<Date>().unwrap()), |day| {
        Some(day.checked_add(jiff::ToSpan::days(7)).unwrap())
    });
    for day in sundays.take_while(|day| *day < "2027-03-03".parse::<Date>().unwrap()) {
        assert_eq!(day.weekday(), Weekday::Sunday);
        for (i, name) in names.iter().enumerate() {
            let zone = TimeZone::get(name).unwrap();
            for wall in [day.at(0, 0, 0, 0), day.at(2, 30, 0, 0)] {
                expected.insert((i as u64 + 1, wall), oracle(&zone, wall));
            }
        }
    }
    assert_eq!(found.len(), expected.len());
    for (key @ (user, wall), at) in &expected {
        assert_eq!(found.get(key), Some(at), "{wall} in {}", names[*user as usize - 1]);
    }
    let late = Counter::Suppressed(0, Suppression::Late);
    assert_eq!(world.count(no, late).await, 0);
    assert_eq!(world.count(no, Counter::Delivered(0)).await, found.len() as i64);
}

#[tokio::test]
async fn who_is_late_is_skipped_sent_now_or_sent_the_next_day_and_who_has_no_zone_is_told() {
    let world = World::new();
    people(&world, &["Asia/Tokyo", "UTC", "America/New_York", ""]).await;
    for (id, late) in [("skip", Late::Skip), ("now", Late::SendNow), ("next", Late::NextDay)] {
        let mut draft = with_id(id, one_time("2026-03-01T13:00", late));
        draft.delivery.fallback_zone = "none".to_owned();
        world.activate(draft).await;
    }
    let mut scheduler = world.scheduler();
    let mut found = BTreeMap::<String, BTreeSet<(u64, Timestamp)>>::new();
    let end = at("2026-03-03T12:00:00Z");
    while world.now() < end {
        let did = world.settle_down(&mut scheduler).await;
        for job in world.store.inner.claim(SHARD, 100).await.unwrap().jobs {
            let no = [job.lease.lane.campaign];
            let id = world.store.inner.campaigns(&no).await.unwrap().remove(0).id;
            found.entry(id).or_default().insert((job.lease.send.user.0, job.lease.send.due_at));
            let settlement = Settlement {
                lease: job.lease,
                settle: Settle::Delivered,
                attempted: true,
                variant: None,
                hops: 0,
                row: None,
            };
            world.store.inner.settle(SHARD, &[settlement]).await.unwrap();
        }
        let hour = world.now() + SignedDuration::from_mins(30);
        world.clock.set(did.next_at.filter(|at| *at > world.now()).unwrap_or(hour).min(hour));
    }
    // It is noon in UTC: 13:00 in Tokyo was eight hours ago.
    let ahead = [(2, at("2026-03-01T13:00:00Z")), (3, at("2026-03-01T18:00:00Z"))];
    let with = |tokyo: Option<&str>| tokyo.map(|tokyo| (1, at(tokyo))).into_iter().chain(ahead).collect();
    assert_eq!(found["skip"], with(None));
    assert_eq!(found["now"], with(Some(crate::world::START)));
    assert_eq!(found["next"], with(Some("2026-03-02T04:00:00Z")));
    for (id, late) in [("skip", 1), ("now", 0), ("next", 0)] {
        let record = world.campaign(id).await;
        assert_eq!(record.state, State::Ended, "{id} ends by itself");
        assert_eq!(world.count(record.no, Counter::Suppressed(0, Suppression::Late)).await, late);
        assert_eq!(world.count(record.no, Counter::Suppressed(0, Suppression::NoTimeZone)).await, 1);
        assert_eq!(world.count(record.no, Counter::Entered).await, 4);
    }
}

#[tokio::test]
async fn who_comes_before_the_last_place_on_earth_is_reached_too() {
    let world = World::new();
    people(&world, &["UTC"]).await;
    let no = world.activate(one_time("2026-03-02T09:00", Late::Skip)).await.no;
    let mut scheduler = world.scheduler();
    let mut found = Due::new();
    run_until(&world, &mut scheduler, at("2026-03-02T10:30:00Z"), &mut found).await;
    world.users(2..=3, |_| json!({})).await;
    // Nine o'clock is past in Tokyo and UTC, and lies ahead in New York.
    move_to(&world, 2, "Asia/Tokyo").await;
    move_to(&world, 3, "America/New_York").await;
    run_until(&world, &mut scheduler, at("2026-03-03T00:00:00Z"), &mut found).await;
    let users: Vec<u64> = found.keys().map(|(user, _)| *user).collect();
    assert_eq!(users, [1, 3]);
    assert_eq!(found[&(3, "2026-03-02T09:00".parse().unwrap())], at("2026-03-02T14:00:00Z"));
    assert_eq!(
        world.count(no, Counter::Suppressed(0, Suppression::Late)).await,
        0,
        "was not there when it was due"
    );
    assert_eq!(world.campaign("c").await.state, State::Ended);
}

#[tokio::test]
async fn after_an_outage_what_is_over_everywhere_is_missed_and_what_is_under_way_goes_on() {
    let world = World::new();
    people(&world, &["Asia/Tokyo", "America/New_York"]).await;
    let every = Every { days: 1, at: vec!["09:00".to_owned()], ..Every::default() };
    let no = world
        .activate(own(Kind::Recurring(Recurring { every: Some(every), ..Recurring::default() })))
        .await
        .no;
    let mut scheduler = world.scheduler();
    let mut found = Due::new();
    // 2026-03-01T09:00 is under way at the activation, at noon in UTC.
    run_until(&world, &mut scheduler, at("2026-03-01T13:00:00Z"), &mut found).await;
    world.clock.set(at("2026-03-05T12:00:00Z"));
    run_until(&world, &mut scheduler, at("2026-03-06T12:00:00Z"), &mut found).await;
    let record = world.campaign("c").await;
    assert_eq!(record.schedule.missed, 3, "of the 2nd, the 3rd and the 4th");
    let wall = |day: i8| jiff::civil::date(2026, 3, day).at(9, 0, 0, 0);
    assert_eq!(found.get(&(2, wall(5))), Some(&at("2026-03-05T14:00:00Z")));
    assert_eq!(found.get(&(1, wall(6))), Some(&at("2026-03-06T00:00:00Z")));
    assert!(!found.contains_key(&(1, wall(5))), "it was past for twelve hours in Tokyo");
    assert_eq!(world.count(no, Counter::Suppressed(0, Suppression::Late)).await, 2);
}
