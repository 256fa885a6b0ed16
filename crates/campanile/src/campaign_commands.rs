//! `campanile campaign ...`: list, show, steer, enter, count.

use campanile_proto::short_form::short_form;
use campanile_proto::v1 as wire;

use crate::apply::{self, state_name};
use crate::cli::{CampaignCommand, EndArgs, EnterArgs, SkipGate};
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, confirm};

/// Campaigns of one page.
const PAGE: i32 = 200;
/// Users of one request.
const ENTER_MAX: usize = 10_000;

pub async fn run(mut api: Api, command: CampaignCommand, output: Output) -> Result<(), Fail> {
    match command {
        CampaignCommand::Apply(args) => apply::apply(api, &args, output).await,
        CampaignCommand::Validate { files } => apply::validate(api, &files, output).await,
        CampaignCommand::List { tag } => list(api, tag, output).await,
        CampaignCommand::Show { id } => show(api, id, output).await,
        CampaignCommand::Activate { id } => {
            let request = wire::ActivateCampaignRequest { id, ..Default::default() };
            let answer = api.campaigns.activate_campaign(request).await?.into_inner();
            for warning in &answer.warnings {
                output.note(&format!("warning: {}: {}", warning.field, warning.description));
            }
            moved(answer.campaign, "", output)
        }
        CampaignCommand::Pause { id } => {
            let request = wire::PauseCampaignRequest { id, ..Default::default() };
            let answer = api.campaigns.pause_campaign(request).await?.into_inner();
            moved(answer.campaign, &format!(", {} sends are waiting", answer.held), output)
        }
        CampaignCommand::Resume { id, drop_held } => {
            let mode = if drop_held { wire::ResumeMode::DropHeld } else { wire::ResumeMode::SendHeld };
            let request = wire::ResumeCampaignRequest { id, mode: mode as i32, ..Default::default() };
            let answer = api.campaigns.resume_campaign(request).await?.into_inner();
            let fate = if drop_held { "dropped" } else { "sent" };
            moved(answer.campaign, &format!(", {} waiting sends are {fate}", answer.held), output)
        }
        CampaignCommand::End(args) => end(api, args, output).await,
        CampaignCommand::Enter(args) => enter(api, args, output).await,
        CampaignCommand::Stats { id } => stats(api, id, output).await,
    }
}

fn moved(campaign: Option<wire::Campaign>, more: &str, output: Output) -> Result<(), Fail> {
    let campaign = campaign.unwrap_or_default();
    if output.is_json() {
        return output.message(&campaign);
    }
    output.line(&format!("{} is {}{more}", campaign.id, state_name(campaign.state())));
    Ok(())
}

async fn list(mut api: Api, tags: Vec<String>, output: Output) -> Result<(), Fail> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request =
            wire::ListCampaignsRequest { tags: tags.clone(), page_size: PAGE, page_token, ..Default::default() };
        let page = api.campaigns.list_campaigns(request).await?.into_inner();
        for campaign in page.campaigns {
            if output.is_json() {
                output.message(&campaign)?;
            } else {
                let state = state_name(campaign.state()).trim_start_matches("a ").to_owned();
                rows.push(vec![campaign.id.clone(), state, delivery(&campaign).to_owned(), campaign.title]);
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if !output.is_json() {
        output.table(&["CAMPAIGN", "STATE", "DELIVERY", "TITLE"], &rows);
    }
    Ok(())
}

fn delivery(campaign: &wire::Campaign) -> &'static str {
    use wire::delivery::Kind;
    match campaign.delivery.as_ref().and_then(|delivery| delivery.kind.as_ref()) {
        Some(Kind::OneTime(_)) => "one time",
        Some(Kind::Recurring(_)) => "recurring",
        Some(Kind::Triggered(_)) => "triggered",
        Some(Kind::Manual(_)) => "manual",
        None => "",
    }
}

async fn show(mut api: Api, id: String, output: Output) -> Result<(), Fail> {
    let answer = api.campaigns.get_campaign(wire::GetCampaignRequest { id }).await?.into_inner();
    let campaign = answer.campaign.unwrap_or_default();
    if output.is_json() {
        return output.message(&campaign);
    }
    let text = short_form(&campaign).map_err(|e| Fail::refused(e.to_string()))?;
    output.note(&format!("# {} is {}, at revision {}", campaign.id, state_name(campaign.state()), campaign.revision));
    output.line(text.trim_end());
    Ok(())
}

async fn end(mut api: Api, args: EndArgs, output: Output) -> Result<(), Fail> {
    let mode = if args.stop_now { wire::EndMode::StopNow } else { wire::EndMode::FinishEntered };
    let mut request =
        wire::EndCampaignRequest { id: args.id.clone(), mode: mode as i32, validate_only: true, ..Default::default() };
    let before = api.campaigns.end_campaign(request.clone()).await?.into_inner();
    if !args.yes {
        let what = if args.stop_now {
            format!("{} unsent sends will not be sent.", before.stopped)
        } else {
            format!("{} sends will still be sent.", before.finishing)
        };
        confirm(&format!("{} ends for good; {what} End it?", args.id), "add --yes to end it")?;
    }
    request.validate_only = false;
    let answer = api.campaigns.end_campaign(request).await?.into_inner();
    moved(answer.campaign, "", output)
}

async fn enter(mut api: Api, args: EnterArgs, output: Output) -> Result<(), Fail> {
    let mut users: Vec<wire::UserToEnter> = args
        .users
        .iter()
        .map(|id| wire::UserToEnter { user_id: id.clone(), values: args.values.clone() })
        .collect();
    if let Some(path) = &args.from_file {
        let text = std::fs::read_to_string(path).map_err(|e| Fail::input(format!("{}: {e}", path.display())))?;
        users.extend(read_users(&text, &args.values).map_err(|e| Fail::input(format!("{}: {e}", path.display())))?);
    }
    if users.is_empty() {
        return Err(Fail::input("name at least one user, or give --from-file"));
    }
    let skip = args.skip.iter().map(|gate| match gate {
        SkipGate::Audience => wire::EnterSkip::Audience as i32,
        SkipGate::Caps => wire::EnterSkip::Caps as i32,
        SkipGate::QuietHours => wire::EnterSkip::QuietHours as i32,
    });
    let skip: Vec<i32> = skip.collect();
    let (mut rows, mut refused) = (Vec::new(), 0);
    for (part, users) in (0..).zip(users.chunks(ENTER_MAX)) {
        let request_id = match (args.request_id.as_str(), part) {
            ("", _) | (_, 0) => args.request_id.clone(),
            (id, part) => format!("{id}/{part}"),
        };
        let request = wire::EnterUsersRequest {
            campaign_id: args.id.clone(),
            users: users.to_vec(),
            skip: skip.clone(),
            create_missing: args.create_missing,
            request_id,
        };
        let answer = api.campaigns.enter_users(request).await?.into_inner();
        refused += answer.refused;
        for user in answer.users {
            if output.is_json() {
                output.message(&user)?;
            } else {
                let what = match user.send_ids.first() {
                    Some(id) => vec!["entered".to_owned(), id.clone()],
                    None => vec![refusal_name(user.refusal()), user.detail],
                };
                rows.push([vec![user.user_id], what].concat());
            }
        }
    }
    if !output.is_json() {
        output.table(&["USER", "ANSWER", "SEND OR REASON"], &rows);
    }
    if refused > 0 { Err(Fail::refused(format!("{refused} users did not enter"))) } else { Ok(()) }
}

fn read_users(text: &str, values: &str) -> Result<Vec<wire::UserToEnter>, String> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines
        .map(|(i, line)| {
            let at = |e: String| format!("line {}: {e}", i + 1);
            let value: serde_json::Value = serde_json::from_str(line).map_err(|e| at(e.to_string()))?;
            let user_id = value.get("user_id").and_then(|id| id.as_str());
            let user_id = user_id.ok_or_else(|| at("expected an object with a user_id".to_owned()))?.to_owned();
            let own = value.get("values").map(ToString::to_string);
            Ok(wire::UserToEnter { user_id, values: own.unwrap_or_else(|| values.to_owned()) })
        })
        .collect()
}

async fn stats(mut api: Api, id: String, output: Output) -> Result<(), Fail> {
    let answer = api.campaigns.get_campaign_stats(wire::GetCampaignStatsRequest { id }).await?.into_inner();
    let stats = answer.stats.unwrap_or_default();
    if output.is_json() {
        return output.message(&stats);
    }
    let mut rows = vec![("triggered", stats.triggered)];
    let refused: Vec<(String, i64)> =
        stats.refused.iter().map(|row| (format!("  refused: {}", refusal_name(row.reason())), row.count)).collect();
    rows.extend(refused.iter().map(|(name, n)| (name.as_str(), *n)));
    rows.extend([
        ("entered", stats.entered),
        ("finished", stats.finished),
        ("sends planned", stats.planned),
        ("  pending", stats.pending),
        ("  delivered", stats.delivered),
        ("  failed", stats.failed),
    ]);
    let suppressed: Vec<(String, i64)> = stats
        .suppressed
        .iter()
        .map(|row| (format!("  suppressed: {}", suppression_name(row.reason())), row.count))
        .collect();
    rows.extend(suppressed.iter().map(|(name, n)| (name.as_str(), *n)));
    rows.extend([("attempts", stats.attempts), ("  led to a retry", stats.retries)]);
    let rows: Vec<Vec<String>> = rows.into_iter().map(|(name, n)| vec![name.to_owned(), n.to_string()]).collect();
    output.table(&["COUNT", "N"], &rows);
    output.note(&format!("next: campanile sends list --campaign {}", stats.campaign_id));
    Ok(())
}

pub fn refusal_name(reason: wire::RefusalReason) -> String {
    reason.as_str_name().trim_start_matches("REFUSAL_REASON_").to_lowercase()
}

pub fn suppression_name(reason: wire::SuppressionReason) -> String {
    reason.as_str_name().trim_start_matches("SUPPRESSION_REASON_").to_lowercase()
}
