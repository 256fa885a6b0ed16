//! `campanile sends ...`: a list, one send with its attempts, or everything as it happens.

use campanile_proto::v1 as wire;

use crate::campaign_commands::suppression_name;
use crate::cli::{SendsCommand, SendsFilter, StateName};
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, Tone};

pub async fn run(mut api: Api, command: SendsCommand, output: Output) -> Result<(), Fail> {
    match command {
        SendsCommand::List(filter) => {
            let request = wire::ListSendsRequest {
                page_size: filter.limit,
                filter: Some(read(filter)),
                ..Default::default()
            };
            let answer = api.sends.list_sends(request).await?.into_inner();
            list(&answer.sends, output)
        }
        SendsCommand::Show { id } => {
            let answer = api.sends.get_send(wire::GetSendRequest { id }).await?.into_inner();
            show(&answer, output)
        }
        SendsCommand::Watch(filter) => watch(api, filter, output).await,
    }
}

fn read(filter: SendsFilter) -> wire::SendFilter {
    let states = filter.state.iter().map(|state| match state {
        StateName::Pending => wire::SendState::Pending as i32,
        StateName::Delivered => wire::SendState::Delivered as i32,
        StateName::Failed => wire::SendState::Failed as i32,
        StateName::Suppressed => wire::SendState::Suppressed as i32,
    });
    wire::SendFilter { states: states.collect(), campaign_id: filter.campaign, user_id: filter.user }
}

fn list(sends: &[wire::Send], output: Output) -> Result<(), Fail> {
    if output.is_json() {
        return sends.iter().try_for_each(|send| output.message(send));
    }
    let rows: Vec<Vec<String>> = sends
        .iter()
        .map(|send| {
            let at = send.settled_at.or(send.due_at).map(|at| at.to_string()).unwrap_or_default();
            vec![at, send.campaign_id.clone(), send.user_id.clone(), state(send), why(send), send.id.clone()]
        })
        .collect();
    output.table(&["TIME", "CAMPAIGN", "USER", "STATE", "WHY", "SEND"], &rows);
    if let Some(send) = sends.first() {
        output.note(&format!("next: campanile sends show {}", send.id));
    }
    Ok(())
}

fn state(send: &wire::Send) -> String {
    match send.state() {
        wire::SendState::Pending => "retrying".to_owned(),
        state => state.as_str_name().trim_start_matches("SEND_STATE_").to_lowercase(),
    }
}

fn why(send: &wire::Send) -> String {
    let reason = match send.suppression() {
        wire::SuppressionReason::Unspecified => String::new(),
        reason => suppression_name(reason),
    };
    match (reason.is_empty(), send.detail.is_empty()) {
        (false, false) => format!("{reason}: {}", send.detail),
        (false, true) => reason,
        (true, _) => send.detail.clone(),
    }
}

fn show(answer: &wire::GetSendResponse, output: Output) -> Result<(), Fail> {
    if output.is_json() {
        return output.message(answer);
    }
    let send = answer.send.clone().unwrap_or_default();
    let at = |at: Option<prost_types::Timestamp>| at.map(|at| at.to_string()).unwrap_or_default();
    output.line(&format!("{} {} {}", output.paint(Tone::Strong, &send.id), state(&send), why(&send)));
    output.line(&format!("campaign {} (revision {}), user {}", send.campaign_id, send.revision, send.user_id));
    output.line(&format!("due {}, settled {}", at(send.due_at), at(send.settled_at)));
    let rows: Vec<Vec<String>> = answer
        .attempts
        .iter()
        .map(|a| vec![a.number.to_string(), at(a.began_at), at(a.ended_at), a.status.to_string(), a.detail.clone(), a.response.clone()])
        .collect();
    if !rows.is_empty() {
        output.table(&["ATTEMPT", "BEGAN", "ENDED", "STATUS", "WHAT HAPPENED", "ANSWER"], &rows);
    }
    if let Some(request) = &answer.request {
        output.line(&format!("\n{} {}", request.method, request.url));
        request.headers.iter().for_each(|header| output.line(&format!("{}: {}", header.name, header.value)));
        output.line(&format!("\n{}", request.body));
    }
    Ok(())
}

async fn watch(mut api: Api, filter: SendsFilter, output: Output) -> Result<(), Fail> {
    let request = wire::WatchSendsRequest { filter: Some(read(filter)) };
    let mut news = api.sends.watch_sends(request).await?.into_inner();
    output.note("watching sends, Ctrl-C ends");
    loop {
        let told = tokio::select! {
            told = news.message() => told?,
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        let Some(told) = told else { return Ok(()) };
        if output.is_json() {
            output.message(&told)?;
            continue;
        }
        if told.missed > 0 {
            output.note(&format!("{} were missed", told.missed));
        }
        let send = told.send.unwrap_or_default();
        let tone = match send.state() {
            wire::SendState::Delivered => Tone::Good,
            wire::SendState::Failed => Tone::Bad,
            _ => Tone::Faint,
        };
        let word = output.paint(tone, &format!("{:<10}", state(&send)));
        output.line(&format!("{word} {} {} {} {}", send.campaign_id, send.user_id, send.id, why(&send)));
    }
}
