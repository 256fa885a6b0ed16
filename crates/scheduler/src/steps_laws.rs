//! A law of campaigns of several messages: whatever happens, in whatever order, an entry goes forward and ends, and counters add up.

use std::collections::BTreeSet;

use campanile_core::counter::Counter;
use campanile_core::draft::{Action, IfPending};
use campanile_core::ports::Settle;
use campanile_core::reason::Suppression;
use proptest::prelude::*;

use crate::sample::{at, triggered};
use crate::steps_tests::{Play, action, after, block_on, failed, mins, of, on, when};
use crate::world::START;

fn some_action(place: usize) -> impl Strategy<Value = Action> {
    let name = format!("a{place}");
    let plain = (0u64..6, any::<bool>()).prop_map({
        let name = name.clone();
        move |(delay, continue_on_failure)| Action { continue_on_failure, ..after(&name, delay) }
    });
    if place == 0 {
        return plain.boxed();
    }
    let waits = (1u64..6).prop_map({
        let name = name.clone();
        move |n| Action { wait_for: Some(on("read")), wait_at_most: Some(mins(n)), ..action(&name) }
    });
    let branch = plain.clone().prop_map(|action| when("previous.outcome == \"delivered\"", action));
    prop_oneof![plain, waits, branch].boxed()
}

fn some_campaign() -> impl Strategy<Value = Vec<Action>> {
    (2usize..5).prop_flat_map(|n| (0..n).map(some_action).collect::<Vec<_>>())
}

fn some_answer() -> impl Strategy<Value = Settle> {
    prop_oneof![
        3 => Just(Settle::Delivered),
        1 => Just(failed()),
        1 => Just(Settle::Suppressed(Suppression::BodyInvalid)),
        1 => Just(Settle::Retry { at: at(START), kept: vec![1] }),
        1 => Just(Settle::Skipped),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever happens: counters add up after every step, no action of an entry is posted twice but for its retry, actions of an entry
    /// keep their order, and when nothing happens any more nobody is inside.
    #[test]
    fn whatever_happens_an_entry_goes_forward_and_ends(
        actions in some_campaign(),
        answers in prop::collection::vec(some_answer(), 4),
        restarts: bool,
        events in prop::collection::vec((0u8..4, 0i64..4), 0..25),
    ) {
        block_on(async {
            let mut trigger = triggered(&["begin"]);
            trigger.if_pending = if restarts { IfPending::Restart } else { IfPending::Ignore };
            trigger.cancel_on = vec![on("stop")];
            let mut draft = of(trigger, actions);
            draft.exit_on = vec![on("exit")];
            let answers = ["a0", "a1", "a2", "a3"].into_iter().zip(answers).collect();
            let mut play = Play::new(draft, answers).await;
            for (event, minutes) in events {
                play.track(["begin", "read", "exit", "stop"][usize::from(event)]).await;
                play.minutes(minutes).await;
            }
            play.minutes(40).await;
            assert_eq!(play.world.count(play.no, Counter::Open).await, 0, "all are over");
            assert!(play.claim().await.is_empty());
            let keys: BTreeSet<u64> = play.posts.iter().map(|(key, _)| *key).collect();
            for key in keys {
                let names: Vec<&str> =
                    play.posts.iter().filter(|(of, _)| *of == key).map(|(_, name)| name.as_str()).collect();
                for pair in names.windows(2) {
                    let is_retry = pair[0] == pair[1] && matches!(play.answers[pair[0]], Settle::Retry { .. });
                    prop_assert!(is_retry || pair[0] < pair[1], "{names:?}");
                }
                let retried = |name: &&&str| names.iter().filter(|other| other == name).count() > 2;
                prop_assert!(!names.iter().any(|name| retried(&name)), "{names:?}");
            }
            Ok(())
        })?;
    }
}
