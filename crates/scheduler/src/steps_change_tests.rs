//! Campaigns of several messages that change, finish, stop or are cancelled while somebody is inside.

use campanile_core::action_numbers;
use campanile_core::campaign_record::State;
use campanile_core::draft::{Action, Delay, Draft, Kind};
use campanile_core::ports::Settle;
use campanile_core::reason::{EntryEnd, Suppression};

use crate::sample::{draft, triggered};
use crate::steps_tests::{Answers, COMPLETED, Play, action, after, block_on, campaign, mins, none};

async fn edited(play: &mut Play, actions: Vec<Action>) {
    let mut record = play.world.campaign("c").await;
    let mut draft = Draft { webhook: None, actions, ..record.draft.clone() };
    action_numbers::number(&mut record, &mut draft).expect("in order");
    record.note_history();
    record.draft = draft;
    record.revision += 1;
    record.epoch += 1;
    play.world.save(record).await;
    play.work().await;
}

#[test]
fn an_action_added_to_a_live_campaign_is_owed_to_those_who_have_not_passed_its_place() {
    block_on(async {
        let mut play = Play::new(campaign(vec![action("a"), after("b", 10)]), none()).await;
        play.track("begin").await;
        play.work().await;
        edited(&mut play, vec![action("a"), after("x", 2), after("b", 10), after("c", 5)]).await;
        play.minutes(30).await;
        // The send that was due already stands; x stands before it.
        assert_eq!(play.sent, ["0 a", "10 b", "15 c"]);
        play.track("begin").await;
        play.minutes(30).await;
        assert_eq!(play.sent[3..], ["31 a", "33 x", "43 b", "48 c"]);
        assert_eq!(play.ends().await, [(EntryEnd::Completed, 2)]);
    });
}

#[test]
fn a_campaign_of_one_message_may_become_one_of_several() {
    block_on(async {
        let mut triggered = triggered(&["begin"]);
        triggered.delay = Some(Delay { after: Some(mins(5)), ..Delay::default() });
        let single = draft(Kind::Triggered(triggered));
        let mut play = Play::new(single, none()).await;
        play.track("begin").await;
        play.world.settle_down(&mut play.scheduler).await;
        edited(&mut play, vec![action("webhook"), after("b", 10)]).await;
        play.minutes(30).await;
        assert_eq!(play.sent, ["5 webhook", "15 b"]);
        assert_eq!(play.ends().await, COMPLETED);
    });
}

#[test]
fn those_inside_get_the_rest_when_a_campaign_finishes_and_nothing_when_it_stops() {
    block_on(async {
        for (state, sent, end) in [
            (State::Finishing, &["0 a", "10 b"][..], EntryEnd::Completed),
            (State::Ended, &["0 a"][..], EntryEnd::CampaignEnded),
        ] {
            let mut play = Play::new(campaign(vec![action("a"), after("b", 10)]), none()).await;
            play.track("begin").await;
            play.work().await;
            play.world.move_to("c", state).await;
            if state == State::Ended {
                play.answers = Answers::from([("b", Settle::Suppressed(Suppression::CampaignEnded))]);
            }
            play.minutes(20).await;
            assert_eq!(play.sent, sent);
            assert_eq!(play.ends().await, [(end, 1)]);
            assert_eq!(play.world.campaign("c").await.state, State::Ended, "it ends by itself");
        }
    });
}

#[test]
fn cancelling_ends_an_entry_also_where_its_send_was_just_being_posted() {
    block_on(async {
        for (cancels, sent) in [(false, &["0 a", "10 b"][..]), (true, &["0 a"][..])] {
            let mut play = Play::new(campaign(vec![action("a"), after("b", 10)]), none()).await;
            play.track("begin").await;
            play.world.settle_down(&mut play.scheduler).await;
            let mut under_way = play.claim().await;
            if cancels {
                let mut record = play.world.campaign("c").await;
                record.cancelled.through = record.revision;
                record.note_history();
                record.revision += 1;
                record.epoch += 1;
                play.world.save(record).await;
            }
            play.settle(under_way.remove(0)).await;
            play.minutes(20).await;
            assert_eq!(play.sent, sent);
            let end = if cancels { EntryEnd::PreviousFailed } else { EntryEnd::Completed };
            assert_eq!(play.ends().await, [(end, 1)]);
        }
    });
}
