//! The due wheel of the Redis store in virtual time: the same Lua files, with a clock that the test sets.

use campanile_core::due_send::{Class, DueEntry, DueSend, EntryKind, Lane, Skip};
use campanile_core::number::{CampaignNo, DestinationNo, UserNo, instant, millis};
use campanile_tests::redis_server::RedisServer;
use proptest::prelude::RngExt;
use proptest::test_runner::{RngAlgorithm, TestRng};
use redis::{Commands, Connection, Script};

const P: &str = "{s0}:";
const BASE: &str = include_str!("../../crates/redis/src/lua/base.lua");
const PLACE: &str = include_str!("../../crates/redis/src/lua/place.lua");
const RELEASE: &str = include_str!("../../crates/redis/src/lua/release.lua");

/// The script with its clock taken from `test:now`, in milliseconds.
fn on_test_time(own: &str) -> Script {
    let (shebang, rest) = own.split_once('\n').unwrap();
    let base = BASE.replace("redis.call('TIME')", "{ redis.call('GET', P .. 'now') / 1000, 0 }");
    assert_ne!(base, BASE, "the scripts' clock is where this test looks for it");
    // Thousandths are lost in neither direction.
    let base = base.replace("clock[1] * 1000", "math.floor(clock[1] * 1000 + 0.5)");
    Script::new(&format!("{shebang}\n{base}{PLACE}{rest}"))
}

struct Wheel {
    raw: Connection,
    place: Script,
    release: Script,
    lane: Lane,
}

impl Wheel {
    fn new(server: &RedisServer) -> Wheel {
        Wheel {
            raw: server.connection(),
            place: on_test_time("#!lua\nfor i = 1, #ARGV do place(ARGV[i]) end flush() return {}"),
            release: on_test_time(RELEASE),
            lane: Lane { campaign: CampaignNo(1), destination: DestinationNo(1), class: Class::First },
        }
    }

    fn set_now(&mut self, ms: u64) {
        let _: () = self.raw.set(format!("{P}now"), ms).unwrap();
    }

    fn add(&mut self, ats: &[u64]) {
        for (part, ats) in ats.chunks(500).enumerate() {
            let mut invocation = self.place.prepare_invoke();
            invocation.key(P);
            for (n, at) in ats.iter().enumerate() {
                invocation.arg(self.entry((part * 500 + n) as u64, *at).encode().as_slice());
            }
            let _: () = invocation.invoke(&mut self.raw).unwrap();
        }
    }

    fn entry(&self, user: u64, at: u64) -> DueEntry {
        let send = DueSend {
            pinned: false,
            has_data: false,
            has_request: false,
            skip: Skip::default(),
            kind: EntryKind::Request,
            user: UserNo(user),
            key: 0,
            action: 0,
            due_at: instant(at),
            revision: 1,
            attempts: 0,
            redeliveries: 0,
            first_claim_after_ms: 0,
        };
        DueEntry { at: instant(at), lane: self.lane, send }
    }

    /// Sends that reached the lane, and when to come again.
    fn release(&mut self, limit: usize) -> (usize, Option<u64>) {
        let (_now, moved, next): (u64, usize, i64) =
            self.release.key(P).arg(limit).invoke(&mut self.raw).unwrap();
        (moved, u64::try_from(next).ok())
    }

    fn take_lane(&mut self) -> Vec<DueSend> {
        let key = [P.as_bytes(), b"q:", &self.lane.encode()].concat();
        let cores: Vec<Vec<u8>> = self.raw.lrange(&key, 0, -1).unwrap();
        let _: () = self.raw.del(&key).unwrap();
        cores.iter().map(|core| DueSend::decode(core).unwrap()).collect()
    }
}

fn check_everything_arrives_in_time(span_ms: u64, sends: usize, seed: u8) {
    let server = RedisServer::start();
    let mut wheel = Wheel::new(&server);
    let mut rng = TestRng::from_seed(RngAlgorithm::XorShift, &[seed; 16]);
    let begin: u64 = 1_700_000_000_000 + rng.random_range(0..10_000_000_000);
    wheel.set_now(begin);
    let ats: Vec<u64> = (0..sends).map(|_| begin + rng.random_range(0..span_ms)).collect();
    wheel.add(&ats);
    let buckets: Vec<String> = wheel.raw.keys(format!("{P}w:*")).unwrap();
    assert!(buckets.len() <= 400, "{} buckets", buckets.len());
    let (mut now, mut arrived, mut calls) = (begin, vec![false; sends], 0);
    loop {
        let (moved, next) = wheel.release(64);
        let lane = wheel.take_lane();
        assert!(lane.len() >= moved);
        for send in lane {
            assert!(millis(send.due_at) <= now, "early");
            let place = send.user.0 as usize;
            assert!(!std::mem::replace(&mut arrived[place], true), "twice");
        }
        let late = ats.iter().zip(&arrived).filter(|(at, arrived)| !**arrived && **at <= now).count();
        let Some(next) = next else { break };
        assert!(next <= now || late == 0, "{late} sends wait past their instant");
        calls += 1;
        assert!(calls < 40 * sends + 1_000, "release never ends");
        if next > now {
            now = next;
            wheel.set_now(now);
        }
    }
    assert!(arrived.into_iter().all(|arrived| arrived));
    let left: Vec<String> = wheel.raw.keys(format!("{P}w:*")).unwrap();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn sends_within_two_minutes_arrive_at_their_instant() {
    check_everything_arrives_in_time(130_000, 2_000, 1);
}

#[test]
fn sends_within_three_hours_arrive_at_their_instant() {
    check_everything_arrives_in_time(3 * 3_600_000, 2_000, 2);
}

#[test]
fn sends_within_weeks_arrive_at_their_instant() {
    check_everything_arrives_in_time(30 * 24 * 3_600_000, 1_000, 3);
}

#[test]
fn a_scheduler_that_was_away_for_a_week_catches_up() {
    let server = RedisServer::start();
    let mut wheel = Wheel::new(&server);
    let begin: u64 = 1_700_000_000_000;
    let back_at = begin + 7 * 24 * 3_600_000;
    wheel.set_now(begin);
    let ats: Vec<u64> = (0..4_000).map(|n| begin + n * 200_000).collect();
    wheel.add(&ats);
    wheel.set_now(back_at);
    let mut arrived = 0;
    for _ in 0..10_000 {
        let (_, next) = wheel.release(512);
        arrived += wheel.take_lane().len();
        if next.is_none_or(|next| next > back_at) {
            break;
        }
    }
    assert_eq!(arrived, ats.iter().filter(|at| **at <= back_at).count());
    assert!(arrived < ats.len());
}
