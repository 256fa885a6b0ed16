//! Campaigns of several messages in virtual time, on a store in memory, with a sender that does what its brain would and a far end that answers as told.

use std::collections::BTreeMap;
use std::time::Duration;

use campanile_core::action_numbers;
use campanile_core::counter::Counter;
use campanile_core::delivery_record::{DeliveryRecord, Status};
use campanile_core::draft::{
    Action, Delay, DelayFrom, Draft, EntryLimits, EventMatch, IfPending, Kind, Triggered,
};
use campanile_core::due_send::EntryKind;
use campanile_core::event::LogItem;
use campanile_core::log_row::{Ended, LogRow};
use campanile_core::number::CampaignNo;
use campanile_core::ports::{Campaigns, Events, Job, Ledger, NewEvent, Queue, Settle, Settlement, Store};
use campanile_core::reason::{EntryEnd, Failure, Refusal, Suppression};
use jiff::SignedDuration;
use serde_json::json;

use crate::run::Scheduler;
use crate::sample::{at, draft, event, triggered, webhook};
use crate::world::{SHARD, START, World};

pub(crate) const MINUTE: SignedDuration = SignedDuration::from_mins(1);

pub(crate) fn mins(n: u64) -> Duration {
    Duration::from_secs(60 * n)
}

pub(crate) fn action(name: &str) -> Action {
    let webhook = Some(webhook("https://hooks.example/in", "{{ user_id }}"));
    Action { name: name.to_owned(), webhook, ..Action::default() }
}

pub(crate) fn after(name: &str, n: u64) -> Action {
    Action { delay: Some(Delay { after: Some(mins(n)), ..Delay::default() }), ..action(name) }
}

pub(crate) fn when(condition: &str, action: Action) -> Action {
    Action { condition: condition.to_owned(), ..action }
}

pub(crate) fn on(event: &str) -> EventMatch {
    EventMatch { event: event.to_owned(), ..EventMatch::default() }
}

pub(crate) fn campaign(actions: Vec<Action>) -> Draft {
    of(triggered(&["begin"]), actions)
}

pub(crate) fn of(triggered: Triggered, actions: Vec<Action>) -> Draft {
    Draft { webhook: None, actions, ..draft(Kind::Triggered(triggered)) }
}

/// How the far end, or a gate of the sender, treats the sends of an action; what is not told is delivered.
pub(crate) type Answers = BTreeMap<&'static str, Settle>;

pub(crate) fn failed() -> Settle {
    Settle::Failed { reason: Failure::Final, kept: vec![1] }
}

pub(crate) struct Play {
    pub(crate) world: World,
    pub(crate) scheduler: Scheduler,
    pub(crate) no: CampaignNo,
    pub(crate) answers: Answers,
    events: usize,
    /// `3 hello`: minute and action of each POST.
    pub(crate) sent: Vec<String>,
    /// The same by entry: its key, and the action.
    pub(crate) posts: Vec<(u64, String)>,
}

impl Play {
    pub(crate) async fn new(draft: Draft, answers: Answers) -> Play {
        let world = World::new();
        let no = world.activate(draft).await.no;
        let mut scheduler = world.scheduler();
        world.settle_down(&mut scheduler).await;
        Play { world, scheduler, no, answers, events: 0, sent: Vec::new(), posts: Vec::new() }
    }

    pub(crate) async fn track(&mut self, name: &str) {
        self.events += 1;
        let id = format!("e-{}", self.events);
        let event = event(&id, name, self.world.now(), json!({}));
        let new = NewEvent {
            user_id: "u1".to_owned(),
            id_hash: self.world.store.layout().hash64("event", &[id.as_bytes()]),
            accepted_at: self.world.now(),
            bytes: LogItem::Event(event).pack(),
        };
        self.world.store.inner.accept_events(SHARD, &[new]).await.expect("accepted");
    }

    async fn name_of(&self, action: u8) -> String {
        let record = self.world.store.inner.campaigns(&[self.no]).await.expect("records").remove(0);
        action_numbers::name(&record, action).expect("a known action")
    }

    async fn decide(&mut self, job: &Job) -> (Settle, Option<Ended>) {
        let send = &job.lease.send;
        let record = DeliveryRecord::decode(job.record.as_deref().unwrap_or_default()).expect("a record");
        let entry = record.entry(send.key);
        if send.kind == EntryKind::Chain && !entry.is_some_and(|entry| entry.is_its_send(send)) {
            return (Settle::Dropped, None);
        }
        let suppressed = |reason| (Settle::Suppressed(reason), Some(Ended::Suppressed(reason)));
        match entry {
            Some(entry) if entry.status == Status::Exited => return suppressed(Suppression::Exited),
            Some(entry) if entry.status == Status::Cancelled => {
                return suppressed(Suppression::CancelledByEvent);
            }
            Some(entry) if entry.due_at != send.due_at && send.attempts == 0 => {
                return (Settle::Hold { at: entry.due_at, due_at: Some(entry.due_at) }, None);
            }
            Some(entry) if entry.inside.as_ref().is_some_and(|inside| inside.waits) => {
                return (Settle::Skipped, Some(Ended::Missed));
            }
            _ => assert!(send.due_at <= self.world.now()),
        }
        let name = self.name_of(send.action).await;
        let answer = self.answers.get(name.as_str()).cloned().unwrap_or(Settle::Delivered);
        let (answer, ended) = match answer {
            Settle::Suppressed(reason) => return suppressed(reason),
            Settle::Skipped => return (Settle::Skipped, Some(Ended::Skipped)),
            // Once, then delivered.
            Settle::Retry { .. } if send.attempts > 0 => (Settle::Delivered, Ended::Delivered),
            Settle::Retry { kept, .. } => {
                let later = self.world.now() + MINUTE * 3;
                (Settle::Retry { at: later, kept }, Ended::Retrying)
            }
            Settle::Failed { reason, kept } => (Settle::Failed { reason, kept }, Ended::Failed(reason)),
            _ => (Settle::Delivered, Ended::Delivered),
        };
        let minute = self.world.now().duration_since(at(START)).as_mins();
        self.sent.push(format!("{minute} {name}"));
        self.posts.push((send.key, name));
        (answer, Some(ended))
    }

    pub(crate) async fn claim(&self) -> Vec<Job> {
        self.world.store.inner.claim(SHARD, 64).await.expect("a claim").jobs
    }

    pub(crate) async fn settle(&mut self, job: Job) {
        let (settle, ended) = self.decide(&job).await;
        let send = &job.lease.send;
        let row = ended.map(|ended| LogRow {
            ended,
            campaign: self.no,
            user: send.user,
            user_hash: [0; 3],
            key: send.key,
            action: send.action,
            due_at: send.due_at,
            at: self.world.now(),
            revision: send.revision,
            attempts: 1,
            status: if matches!(ended, Ended::Delivered) { 202 } else { 0 },
            took_ms: 1,
            text: String::new(),
        });
        let attempted = matches!(settle, Settle::Delivered | Settle::Failed { .. } | Settle::Retry { .. });
        let settlement = Settlement { lease: job.lease, settle, attempted, variant: None, hops: 0, row };
        assert_eq!(self.world.store.inner.settle(SHARD, &[settlement]).await, Ok(vec![true]));
    }

    /// All that can be done now.
    pub(crate) async fn work(&mut self) {
        loop {
            self.world.settle_down(&mut self.scheduler).await;
            let jobs = self.claim().await;
            if jobs.is_empty() {
                break;
            }
            for job in jobs {
                self.settle(job).await;
            }
        }
        self.adds_up().await;
    }

    pub(crate) async fn minutes(&mut self, n: i64) {
        for _ in 0..n {
            self.world.clock.advance(MINUTE);
            self.work().await;
        }
    }

    /// planned = pending + delivered + failed + suppressed; entered = open + finished; the ends are the finished.
    async fn adds_up(&self) {
        let stats = self.world.store.inner.stats(self.no).await.expect("stats");
        let sum = |of: fn(&Counter) -> bool| -> i64 {
            stats.iter().filter(|(counter, _)| of(counter)).map(|(_, n)| n).sum()
        };
        let planned = sum(|c| matches!(c, Counter::Planned(_)));
        let ended =
            sum(|c| matches!(c, Counter::Delivered(_) | Counter::Failed(_) | Counter::Suppressed(..)));
        let pending = sum(|c| matches!(c, Counter::Pending(_)));
        assert_eq!(planned, pending + ended, "{stats:?}");
        let (entered, open) = (sum(|c| *c == Counter::Entered), sum(|c| *c == Counter::Open));
        let finished = sum(|c| *c == Counter::Finished);
        assert_eq!(entered, open + finished, "{stats:?}");
        assert_eq!(pending, open, "one send is waiting for each open entry: {stats:?}");
        assert_eq!(finished, sum(|c| matches!(c, Counter::Ended(_))), "{stats:?}");
        assert!(stats.iter().all(|(_, n)| *n >= 0), "{stats:?}");
    }

    pub(crate) async fn ends(&self) -> Vec<(EntryEnd, i64)> {
        let mut ends = Vec::new();
        for end in EntryEnd::ALL {
            let n = self.world.count(self.no, Counter::Ended(*end)).await;
            ends.extend((n != 0).then_some((*end, n)));
        }
        ends
    }
}

/// Plays 60 minutes, events in their minutes, and compares what was posted when, and how entries ended.
#[track_caller]
fn check(draft: Draft, answers: Answers, events: &[(i64, &str)], sent: &[&str], ends: &[(EntryEnd, i64)]) {
    let run = async {
        let mut play = Play::new(draft, answers).await;
        for minute in 0..60 {
            for (_, name) in events.iter().filter(|(at, _)| *at == minute) {
                play.track(name).await;
            }
            play.work().await;
            play.minutes(1).await;
        }
        assert_eq!(play.sent, sent);
        assert_eq!(play.ends().await, ends);
        assert_eq!(play.world.count(play.no, Counter::Open).await, 0, "all are over");
    };
    block_on(run);
}

pub(crate) fn block_on<T>(run: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(run)
}

const BEGIN: &[(i64, &str)] = &[(0, "begin")];
pub(crate) const COMPLETED: &[(EntryEnd, i64)] = &[(EntryEnd::Completed, 1)];

pub(crate) fn none() -> Answers {
    Answers::new()
}

#[test]
fn actions_follow_one_another_by_their_delays() {
    let three = || vec![action("a"), after("b", 5), after("c", 7)];
    check(campaign(three()), none(), BEGIN, &["0 a", "5 b", "12 c"], COMPLETED);
    let mut delayed = three();
    delayed[0] = after("a", 2);
    check(campaign(delayed), none(), BEGIN, &["2 a", "7 b", "14 c"], COMPLETED);
    let at_once = vec![action("a"), action("b"), action("c")];
    check(campaign(at_once), none(), BEGIN, &["0 a", "0 b", "0 c"], COMPLETED);
}

#[test]
fn a_delay_counts_from_the_entry_the_first_post_or_the_delivery_before() {
    let slow = || Answers::from([("a", Settle::Retry { at: at(START), kept: vec![1] })]);
    let from = |from| vec![action("a"), Action { from, ..after("b", 10) }];
    check(campaign(from(DelayFrom::Unspecified)), slow(), BEGIN, &["0 a", "3 a", "10 b"], COMPLETED);
    check(campaign(from(DelayFrom::PreviousDelivered)), slow(), BEGIN, &["0 a", "3 a", "13 b"], COMPLETED);
    let from_entry = vec![after("a", 4), Action { from: DelayFrom::Entry, ..after("b", 10) }];
    check(campaign(from_entry), none(), BEGIN, &["4 a", "10 b"], COMPLETED);
    // A delay that is over by then is over.
    let short = vec![action("a"), after("b", 1)];
    check(campaign(short), slow(), BEGIN, &["0 a", "3 a", "3 b"], COMPLETED);
}

#[test]
fn who_failed_goes_no_further_unless_the_action_says_so() {
    let failing = |settle: Settle| Answers::from([("a", settle)]);
    let two = || vec![action("a"), after("b", 5)];
    let over = &[(EntryEnd::PreviousFailed, 1)];
    check(campaign(two()), failing(failed()), BEGIN, &["0 a"], over);
    check(campaign(two()), failing(Settle::Suppressed(Suppression::BodyInvalid)), BEGIN, &[], over);
    let lenient = || {
        let mut actions = two();
        actions[0].continue_on_failure = true;
        campaign(actions)
    };
    check(lenient(), failing(failed()), BEGIN, &["0 a", "5 b"], COMPLETED);
    check(lenient(), failing(Settle::Suppressed(Suppression::BodyInvalid)), BEGIN, &["5 b"], COMPLETED);
    // Holdback is about the user, not about a message.
    check(lenient(), failing(Settle::Suppressed(Suppression::Holdback)), BEGIN, &[], over);
    // Nothing is owed after the last one.
    check(campaign(two()), Answers::from([("b", failed())]), BEGIN, &["0 a", "5 b"], COMPLETED);
}

#[test]
fn a_condition_on_the_action_before_is_a_branch() {
    let branches = || {
        let mut actions = vec![
            action("a"),
            when("previous.outcome == \"delivered\" and previous.status == 202", after("yes", 5)),
            when("previous.outcome != \"delivered\"", after("no", 2)),
            after("last", 1),
        ];
        actions[0].continue_on_failure = true;
        campaign(actions)
    };
    check(branches(), none(), BEGIN, &["0 a", "5 yes", "6 last"], COMPLETED);
    check(branches(), Answers::from([("a", failed())]), BEGIN, &["0 a", "2 no", "3 last"], COMPLETED);
    // What the sender passes over at the due instant leads on as well, and is no previous action.
    let skipping = || Answers::from([("yes", Settle::Skipped)]);
    check(branches(), skipping(), BEGIN, &["0 a", "5 last"], COMPLETED);
}

#[test]
fn an_action_may_wait_for_an_event_and_only_so_long() {
    let waiting = || {
        let wait = Action { wait_for: Some(on("read")), wait_at_most: Some(mins(20)), ..action("b") };
        campaign(vec![action("a"), wait, after("c", 2)])
    };
    let read = |minute| [(0, "begin"), (minute, "read")];
    check(waiting(), none(), &read(7), &["0 a", "7 b", "9 c"], COMPLETED);
    check(waiting(), none(), &read(19), &["0 a", "19 b", "21 c"], COMPLETED);
    check(waiting(), none(), &read(25), &["0 a"], &[(EntryEnd::StepMissed, 1)]);
    check(waiting(), none(), BEGIN, &["0 a"], &[(EntryEnd::StepMissed, 1)]);
    // Twice is once.
    check(waiting(), none(), &[(0, "begin"), (3, "read"), (3, "read")], &["0 a", "3 b", "5 c"], COMPLETED);
}

#[test]
fn exit_events_end_an_entry_once_its_first_action_was_sent() {
    let leaving = || {
        let mut draft = campaign(vec![after("a", 5), after("b", 10), after("c", 10)]);
        draft.exit_on = vec![on("bought")];
        draft
    };
    let bought = |minute| [(0, "begin"), (minute, "bought")];
    let exited = &[(EntryEnd::Exited, 1)];
    check(leaving(), none(), &bought(3), &["5 a", "15 b", "25 c"], COMPLETED);
    check(leaving(), none(), &bought(8), &["5 a"], exited);
    check(leaving(), none(), &bought(16), &["5 a", "15 b"], exited);
    check(leaving(), none(), &bought(30), &["5 a", "15 b", "25 c"], COMPLETED);
    // A send that waits for its retry is under way: it is not tried again.
    let slow = Answers::from([("b", Settle::Retry { at: at(START), kept: vec![1] })]);
    check(leaving(), slow, &bought(16), &["5 a", "15 b"], exited);
    // The same event may begin anew what it has ended.
    let again = || {
        let mut triggered = triggered(&["open"]);
        triggered.if_pending = IfPending::Restart;
        let mut draft = of(triggered, vec![after("a", 5), after("b", 10)]);
        draft.exit_on = vec![on("open")];
        draft
    };
    let opens = &[(0, "open"), (3, "open"), (10, "open")];
    let ends = &[(EntryEnd::Completed, 1), (EntryEnd::Exited, 1)];
    check(again(), none(), opens, &["8 a", "15 a", "25 b"], ends);
}

#[test]
fn a_user_enters_again_only_after_the_last_action() {
    let two = || vec![after("a", 5), after("b", 10)];
    let again = |minute| [(0, "begin"), (minute, "begin")];
    check(campaign(two()), none(), &again(2), &["5 a", "15 b"], COMPLETED);
    check(campaign(two()), none(), &again(9), &["5 a", "15 b"], COMPLETED);
    let twice = &[(EntryEnd::Completed, 2)];
    check(campaign(two()), none(), &again(16), &["5 a", "15 b", "21 a", "31 b"], twice);
    let mut restarting = triggered(&["begin"]);
    restarting.if_pending = IfPending::Restart;
    check(of(restarting.clone(), two()), none(), &again(2), &["7 a", "17 b"], COMPLETED);
    check(of(restarting, two()), none(), &again(9), &["5 a", "15 b"], COMPLETED);
    let mut once = triggered(&["begin"]);
    once.entry_limits = Some(EntryLimits { ever: 1, once_per: None });
    check(of(once, two()), none(), &again(16), &["5 a", "15 b"], COMPLETED);
}

#[test]
fn cancel_events_rule_until_the_first_action_was_sent() {
    let cancelled = || {
        let mut triggered = triggered(&["begin"]);
        triggered.cancel_on = vec![on("stop")];
        of(triggered, vec![after("a", 5), after("b", 10)])
    };
    let stop = |minute| [(0, "begin"), (minute, "stop")];
    check(cancelled(), none(), &stop(3), &[], &[(EntryEnd::PreviousFailed, 1)]);
    check(cancelled(), none(), &stop(8), &["5 a", "15 b"], COMPLETED);
}

#[test]
fn entries_by_an_occurrence_go_through_their_actions_and_the_campaign_ends_after_the_last() {
    use campanile_core::campaign_record::State;
    block_on(async {
        let at = (at(START) + MINUTE * 2).to_string();
        let actions = vec![action("a"), after("b", 10)];
        let draft = Draft { webhook: None, actions, ..draft(crate::sample::one_time(&at)) };
        let mut play = Play::new(draft, none()).await;
        play.world.users(1..=3, |_| json!({})).await;
        play.minutes(9).await;
        assert_eq!(play.sent, ["2 a"; 3]);
        assert_eq!(play.world.campaign("c").await.state, State::Active, "three are inside");
        play.minutes(60).await;
        assert_eq!(play.sent[3..], ["12 b"; 3]);
        assert_eq!(play.ends().await, [(EntryEnd::Completed, 3)]);
        assert_eq!(play.world.campaign("c").await.state, State::Ended);
    });
}

#[test]
fn a_refused_reentry_is_counted_as_pending() {
    block_on(async {
        let mut play = Play::new(campaign(vec![action("a"), after("b", 10)]), none()).await;
        for _ in 0..3 {
            play.track("begin").await;
            play.minutes(1).await;
        }
        assert_eq!(play.world.count(play.no, Counter::Refused(Refusal::Pending)).await, 2);
        assert_eq!(play.world.count(play.no, Counter::Entered).await, 1);
    });
}
