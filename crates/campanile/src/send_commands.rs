//! `campanile sends ...`: a list, one send with its attempts, or everything as it happens.

use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;

use crate::cancel;
use crate::cli_ledger::{SendsCommand, SendsFilter, StateName};
use crate::connect::Api;
use crate::fail::Fail;
use crate::hints;
use crate::output::{Output, Tone};
use crate::resend;
use crate::table::{plain, plain_lines};
use crate::watch::{follow, note_missed};
use crate::words;

pub async fn run(mut api: Api, command: SendsCommand, output: Output) -> Result<(), Fail> {
    match command {
        SendsCommand::List { filter, limit } => {
            let request =
                wire::ListSendsRequest { filter: Some(read(filter)), page_size: limit, ..Default::default() };
            let answer = api.sends.list_sends(request).await?.into_inner();
            list(&answer.sends, output)
        }
        SendsCommand::Show { id } => {
            let answer = api.sends.get_send(wire::GetSendRequest { id }).await?.into_inner();
            show(&answer, output)
        }
        SendsCommand::Resend(args) => resend::run(api, args, output).await,
        SendsCommand::Cancel(args) => cancel::run(api, args, output).await,
        SendsCommand::Watch { filter } => watch(api, filter, output).await,
    }
}

fn read(filter: SendsFilter) -> wire::SendFilter {
    let states = filter.state.iter().map(|state| match state {
        StateName::Pending => wire::SendState::Pending as i32,
        StateName::Delivered => wire::SendState::Delivered as i32,
        StateName::Failed => wire::SendState::Failed as i32,
        StateName::Suppressed => wire::SendState::Suppressed as i32,
        StateName::Skipped => wire::SendState::Skipped as i32,
    });
    wire::SendFilter { states: states.collect(), campaign_id: filter.campaign, user_id: filter.user }
}

fn list(sends: &[wire::Send], output: Output) -> Result<(), Fail> {
    if output.is_json() {
        return sends.iter().try_for_each(|send| output.message(send));
    }
    let rows: Vec<Vec<String>> = sends.iter().map(row).collect();
    output.table(&["TIME", "CAMPAIGN", "USER", "STATE", "TRIES", "WHY", "SEND"], &rows);
    match sends.first() {
        Some(send) => output.next(&format!("campanile sends show {}", send.id)),
        None => output.next("campanile sends watch"),
    }
    Ok(())
}

fn row(send: &wire::Send) -> Vec<String> {
    vec![
        words::instant(send.settled_at.as_ref().or(send.due_at.as_ref())),
        send.campaign_id.clone(),
        send.user_id.clone(),
        words::send_state(send.state()),
        send.attempt_count.to_string(),
        why(send),
        send.id.clone(),
    ]
}

/// The reason with what is known about it; else the last answer.
fn why(send: &wire::Send) -> String {
    let reason = match send.suppression() {
        wire::SuppressionReason::Unspecified if send.last_status > 0 => send.last_status.to_string(),
        wire::SuppressionReason::Unspecified => String::new(),
        reason => words::suppression(reason),
    };
    match (reason.as_str(), send.detail.as_str()) {
        ("", detail) => detail.to_owned(),
        (reason, "") => reason.to_owned(),
        (reason, detail) if detail.contains(reason) => detail.to_owned(),
        (reason, detail) => format!("{reason}: {detail}"),
    }
}

fn show(answer: &wire::GetSendResponse, output: Output) -> Result<(), Fail> {
    if output.is_json() {
        return output.message(answer);
    }
    let send = answer.send.clone().unwrap_or_default();
    let state = output.paint(tone(send.state()), &words::send_state(send.state()));
    output.line(&format!("{} {state} {}", output.paint(Tone::Strong, &send.id), plain(&why(&send))));
    let action = if send.action.is_empty() { String::new() } else { format!(", action {}", send.action) };
    output.line(&plain(&format!(
        "campaign {} at revision {}{action}, user {}",
        send.campaign_id, send.revision, send.user_id
    )));
    output.line(&moments(&send));
    if !answer.attempts.is_empty() {
        output.line("");
        let rows: Vec<Vec<String>> = answer.attempts.iter().map(attempt_row).collect();
        output.table(&["ATTEMPT", "BEGAN", "TOOK", "STATUS", "WHAT HAPPENED", "THEN", "ANSWER"], &rows);
    }
    if let Some(request) = &answer.request {
        output.line("");
        output.line(&plain(&format!("{} {}", request.method, request.url)));
        for header in &request.headers {
            output.line(&plain(&format!("{}: {}", header.name, header.value)));
        }
        output.line(&format!("\n{}", plain_lines(&request.body)));
        let sent = request.headers.iter().find(|header| header.name.eq_ignore_ascii_case("content-type"));
        let sent = sent.map_or("", |header| header.value.as_str());
        if let Some(hint) = hints::content_type(send.last_status, sent) {
            output.warning(&hint);
        }
    }
    output.next(&match send.state() {
        wire::SendState::Failed => format!("campanile sends resend {}", send.id),
        _ => format!("campanile sends list --user {}", shell_word(&send.user_id)),
    });
    Ok(())
}

fn moments(send: &wire::Send) -> String {
    let moments = [("due", &send.due_at), ("settled", &send.settled_at)];
    let told = moments.iter().filter(|(_, at)| at.is_some());
    told.map(|(what, at)| format!("{what} {}", words::instant(at.as_ref()))).collect::<Vec<_>>().join(", ")
}

fn attempt_row(attempt: &wire::Attempt) -> Vec<String> {
    let what = match (words::outcome(attempt.outcome()), attempt.detail.as_str()) {
        (outcome, "") => outcome,
        (_, detail) => detail.to_owned(),
    };
    let status = if attempt.status == 0 { String::new() } else { attempt.status.to_string() };
    vec![
        attempt.number.to_string(),
        words::instant(attempt.began_at.as_ref()),
        took(attempt),
        status,
        what,
        words::verdict(attempt.verdict()),
        attempt.response.clone(),
    ]
}

/// How long a request took, in milliseconds.
fn took(attempt: &wire::Attempt) -> String {
    let millis =
        |at: &prost_types::Timestamp| at.seconds.saturating_mul(1_000) + i64::from(at.nanos / 1_000_000);
    match (&attempt.began_at, &attempt.ended_at) {
        (Some(began), Some(ended)) => format!("{} ms", millis(ended).saturating_sub(millis(began))),
        _ => String::new(),
    }
}

fn tone(state: wire::SendState) -> Tone {
    match state {
        wire::SendState::Delivered => Tone::Good,
        wire::SendState::Failed => Tone::Bad,
        _ => Tone::Faint,
    }
}

/// Tells of sends until Ctrl-C.
async fn watch(mut api: Api, filter: SendsFilter, output: Output) -> Result<(), Fail> {
    let request = wire::WatchSendsRequest { filter: Some(read(filter)) };
    let show = |told: wire::WatchSendsResponse| {
        if output.is_json() {
            return output.message(&told);
        }
        note_missed(told.missed, output);
        output.line(&watch_line(&told.send.unwrap_or_default(), told.attempt.as_ref(), output));
        Ok(())
    };
    follow(api.sends.watch_sends(request), "sends", output, show).await
}

fn watch_line(send: &wire::Send, attempt: Option<&wire::Attempt>, output: Output) -> String {
    let at = words::instant(attempt.and_then(|a| a.ended_at.as_ref()).or(send.settled_at.as_ref()));
    let state = output.paint(tone(send.state()), &format!("{:<10}", words::send_state(send.state())));
    let tries =
        if send.attempt_count > 1 { format!(" (attempt {})", send.attempt_count) } else { String::new() };
    let line = format!("{} {} {} {}{tries}", send.campaign_id, send.user_id, send.id, why(send));
    format!("{at} {state} {}", plain(line.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn send(suppression: wire::SuppressionReason, last_status: u32, detail: &str) -> wire::Send {
        wire::Send {
            suppression: suppression as i32,
            last_status,
            detail: detail.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn why_says_the_reason_and_what_is_known_about_it() {
        use wire::SuppressionReason::{Expired, TemplateMissingValue, Unspecified};
        for (send, expected) in [
            (send(TemplateMissingValue, 0, "user.email"), "template_missing_value: user.email"),
            (send(Expired, 0, ""), "expired"),
            (send(Unspecified, 503, "answered 503"), "answered 503"),
            (send(Unspecified, 404, "no such page"), "404: no such page"),
            (send(Unspecified, 200, ""), "200"),
            (send(Unspecified, 0, "refused"), "refused"),
        ] {
            assert_eq!(why(&send), expected);
        }
    }

    #[test]
    fn a_watched_send_is_one_line_whatever_the_far_end_answered() {
        let mut send = send(wire::SuppressionReason::Unspecified, 500, "an\nanswer\u{1b}[2J");
        send.campaign_id = "first".to_owned();
        send.attempt_count = 2;
        let line = watch_line(&send, None, Output::new(false, true));
        assert!(line.contains("first") && line.contains("(attempt 2)"), "{line}");
        assert!(!line.contains(['\n', '\u{1b}']), "{line:?}");
    }

    #[test]
    fn an_attempt_took_what_lies_between_its_ends() {
        let at = |seconds, nanos| Some(prost_types::Timestamp { seconds, nanos });
        let attempt = wire::Attempt {
            began_at: at(9, 900_000_000),
            ended_at: at(10, 50_000_000),
            ..Default::default()
        };
        assert_eq!(took(&attempt), "150 ms");
        assert_eq!(took(&wire::Attempt::default()), "");
    }
}
