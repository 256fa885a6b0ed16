//! Pure. What is allowed and probably not meant, seen only when a campaign is about to start: with the clock, and with the number of its users.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::delay::Delay;
use campanile_core::fault::Fault;
use campanile_core::limits;
use campanile_core::triggered::Triggered;
use campanile_core::user::Profile;
use jiff::{SignedDuration, Timestamp};

use crate::backlog::{Arrival, Backlog};

/// An occurrence sooner after the one before it than this is often.
const OFTEN: SignedDuration = SignedDuration::from_mins(1);

/// What the definition says, to somebody who starts it at `now`.
pub fn of_definition(campaign: &Campaign, now: Timestamp) -> Vec<Fault> {
    let When::Triggered(triggered) = &campaign.when else { return Vec::new() };
    let mut warnings = Vec::new();
    warnings.extend(ends_before_its_delay(triggered, now));
    let asked = campaign.audience.names().events;
    for event in triggered.names() {
        if asked.contains(event) {
            let text = format!(
                "asks about {event}, the event that sets it off: when the audience is asked, that event is counted already"
            );
            warnings.push(warning("audience.where", text));
        }
    }
    warnings
}

fn ends_before_its_delay(triggered: &Triggered, now: Timestamp) -> Option<Fault> {
    let window = triggered.window;
    let least = match &triggered.delay {
        Delay::After(after) => *after,
        // From the last moment of a day to the first of another.
        Delay::Days(days, _) => SignedDuration::from_hours(24 * (i64::from(*days) - 1).max(0)),
        Delay::Weekday(..) | Delay::Anchored(..) => return None,
    };
    let first_at = window.start.map_or(now, |start| start.max(now));
    let due_at = first_at.checked_add(least).unwrap_or(Timestamp::MAX);
    window.cuts(due_at).then(|| {
        let text = "is longer than the campaign: every send would be due after its end, so none would be sent; write on_window_end: finish, or a later end";
        warning("delivery.triggered.delay", text.to_owned())
    })
}

/// The users of a campaign that is about to start, counted.
#[derive(Clone, Copy, Debug)]
pub struct Crowd {
    pub audience: i64,
    pub held_back: i64,
    /// When its first occurrence is.
    pub at: Timestamp,
}

/// What the number of users says, and how many of their sends would expire before the throttle lets them through.
pub fn of_crowd(campaign: &Campaign, crowd: &Crowd) -> (Vec<Fault>, i64) {
    let mut warnings = Vec::new();
    if crowd.audience == 0 {
        warnings.push(warning("audience.where", "nobody is in the audience now".to_owned()));
    }
    if let When::Recurring(recurring) = &campaign.when
        && crowd.audience > limits::AUDIENCE_UNCONFIRMED_MAX
    {
        let next = recurring.recurrence.next(crowd.at, 0);
        let gap = next.map(|next| next.duration_since(crowd.at));
        if let Some(gap) = gap.filter(|gap| *gap < OFTEN) {
            let text = format!("sends to {} users every {gap:#}: is that meant?", crowd.audience);
            warnings.push(warning("delivery.recurring", text));
        }
    }
    let (slow, would_expire) = slow_throttle(campaign, crowd);
    warnings.extend(slow);
    (warnings, would_expire)
}

/// On users' own clocks the sends come apart, which a plan reckons with and this does not.
fn slow_throttle(campaign: &Campaign, crowd: &Crowd) -> (Option<Fault>, i64) {
    let Some(throttle) = campaign.throttle.filter(|_| !campaign.zones.are_own) else { return (None, 0) };
    let anybody = Profile::new("", crowd.at);
    let arrival = Arrival { at: crowd.at, expires_at: campaign.expires_at(crowd.at, &anybody), place: 0 };
    let sends = crowd.audience - crowd.held_back;
    let drained = Backlog::new(throttle).drain(&arrival, sends);
    if drained.expired == 0 {
        return (None, 0);
    }
    let takes = SignedDuration::from_secs(throttle.time_for(sends.unsigned_abs()).as_secs());
    let text = format!(
        "{sends} sends take {takes:#} at this rate, and {} of them would expire before their turn: allow more, or give limits.expiry",
        drained.expired
    );
    (Some(warning("limits.throttle", text)), drained.expired)
}

fn warning(field: &str, text: String) -> Fault {
    Fault { field: field.to_owned(), text }
}

#[cfg(test)]
mod tests {
    use campanile_proto::campaign_file;

    use super::*;
    use crate::read_campaign::read_campaign;

    const NOW: &str = "2026-11-24T08:00:00Z";

    fn campaign(text: &str) -> Campaign {
        let text = format!("id: a\nwebhook: {{url: \"https://example.com/\"}}\n{text}");
        let read = campaign_file::read(text.as_bytes()).unwrap().remove(0);
        let draft = read_campaign(&read.campaign).unwrap();
        Campaign::compile_saved(draft, NOW.parse().unwrap()).unwrap()
    }

    #[track_caller]
    fn check(text: &str, audience: i64, expected: &[&str], would_expire: i64) {
        let (campaign, now): (_, Timestamp) = (campaign(text), NOW.parse().unwrap());
        let mut found = of_definition(&campaign, now);
        let (more, expire) = of_crowd(&campaign, &Crowd { audience, held_back: 0, at: now });
        found.extend(more);
        let found: Vec<String> = found.into_iter().map(|w| format!("{}: {}", w.field, w.text)).collect();
        let fits = found.len() == expected.len() && found.iter().zip(expected).all(|(f, e)| f.contains(e));
        assert!(fits && expire == would_expire, "{text} warned {found:?}, {expire} would expire");
    }

    #[test]
    fn what_is_probably_not_meant_is_said_before_the_start() {
        let triggered = |of: &str| format!("delivery: {{triggered: {{when: bought, {of}}}}}");
        check(&triggered("delay: 2h"), 5, &[], 0);
        check(&triggered("delay: 2h, end: \"2026-11-24T09:00\""), 5, &["is longer than the campaign"], 0);
        check(&triggered("delay: 1h, end: \"2026-11-24T09:00\""), 5, &[], 0);
        check(&triggered("delay: 2h, end: \"2026-11-24T09:00\", on_window_end: finish"), 5, &[], 0);
        check(&triggered("delay: {days: 3}, end: \"2026-11-25\""), 5, &["is longer than the campaign"], 0);
        let audience = "audience: count(\"bought\") == 0\ndelivery: {triggered: bought}";
        check(audience, 5, &["audience.where: asks about bought"], 0);
        check("audience: count(\"seen\") == 0\ndelivery: {triggered: bought}", 5, &[], 0);
        check("audience: everyone\ndelivery: {one_time: now}", 0, &["nobody is in the audience"], 0);
        let often = "audience: everyone\ndelivery: {recurring: \"*/20 * * * * *\"}";
        check(often, 1_000, &[], 0);
        check(often, 1_001, &["sends to 1001 users every 20s"], 0);
        check("audience: everyone\ndelivery: {recurring: \"* * * * *\"}", 5_000, &[], 0);
    }

    #[test]
    fn a_throttle_too_slow_for_its_audience_is_said_with_the_count_that_would_expire() {
        let one_time =
            |limits: &str| format!("audience: everyone\ndelivery: {{one_time: now}}\nlimits: {limits}");
        check(&one_time("{throttle: 1/h, expiry: 24h}"), 25, &[], 0);
        check(&one_time("{throttle: 1/h, expiry: 24h}"), 240, &["240 sends take 240h"], 215);
        // Of a recurring one until its next occurrence.
        let daily = "audience: everyone\ndelivery: {recurring: \"0 8 * * *\"}\nlimits: {throttle: 1/min}";
        check(daily, 1_441, &[], 0);
        check(daily, 1_500, &["59 of them would expire"], 59);
    }
}
