//! `campanile campaign ...`: list, show, start, hold, end, count.

use campanile_proto::short_form::short_form;
use campanile_proto::v1 as wire;

use crate::apply::{self, next_command};
use crate::campaign_stats;
use crate::cli::{CampaignCommand, ConsentArgs, EndArgs};
use crate::connect::Api;
use crate::copies;
use crate::enter;
use crate::fail::Fail;
use crate::output::{Output, confirm};
use crate::plan;
use crate::preview;
use crate::rehearse::rehearse;
use crate::test_send;
use crate::words;

/// Campaigns of one page.
const PAGE: i32 = 200;

pub async fn run(api: Api, command: CampaignCommand, output: Output) -> Result<(), Fail> {
    match command {
        CampaignCommand::Apply(args) => apply::apply(api, &args, output).await,
        CampaignCommand::Validate { files } => apply::validate(api, &files, output).await,
        CampaignCommand::List { tag } => list(api, tag, output).await,
        CampaignCommand::Show { id } => show(api, id, output).await,
        CampaignCommand::Activate { id, consent } => activate(api, id, consent, output).await,
        CampaignCommand::Pause { id } => pause(api, id, output).await,
        CampaignCommand::Resume { id, drop_held } => resume(api, id, drop_held, output).await,
        CampaignCommand::End(args) => end(api, args, output).await,
        CampaignCommand::Delete(args) => copies::delete(api, args, output).await,
        CampaignCommand::Duplicate(args) => copies::duplicate(api, args, output).await,
        CampaignCommand::Enter(args) => enter::run(api, args, output).await,
        CampaignCommand::Preview(args) => preview::run(api, args, output).await,
        CampaignCommand::Estimate(args) => plan::estimate(api, args, output).await,
        CampaignCommand::TestSend(args) => test_send::run(api, args, output).await,
        // They may need no server.
        CampaignCommand::New(_) | CampaignCommand::Next(_) | CampaignCommand::Test(_) => Ok(()),
        CampaignCommand::Stats { id } => stats(api, id, output).await,
        CampaignCommand::Refusals { id, limit } => refusals(api, id, limit, output).await,
    }
}

async fn list(mut api: Api, tags: Vec<String>, output: Output) -> Result<(), Fail> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::ListCampaignsRequest {
            tags: tags.clone(),
            page_size: PAGE,
            page_token,
            ..Default::default()
        };
        let page = api.campaigns.list_campaigns(request).await?.into_inner();
        for campaign in page.campaigns {
            if output.is_json() {
                output.message(&campaign)?;
                continue;
            }
            rows.push(vec![
                campaign.id.clone(),
                words::campaign_state(campaign.state()).to_owned(),
                words::delivery(&campaign).to_owned(),
                campaign.revision.to_string(),
                words::instant(campaign.updated_at.as_ref()),
                campaign.title,
            ]);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if output.is_json() {
        return Ok(());
    }
    output.table(&["CAMPAIGN", "STATE", "DELIVERY", "REVISION", "UPDATED", "TITLE"], &rows);
    match rows.first().and_then(|row| row.first()) {
        Some(id) => output.next(&format!("campanile campaign stats {id}")),
        None => output.next("campanile campaign apply -f FILE"),
    }
    Ok(())
}

/// Prints a file: applying it changes nothing.
async fn show(mut api: Api, id: String, output: Output) -> Result<(), Fail> {
    let request = wire::GetCampaignRequest { id, ..Default::default() };
    let answer = api.campaigns.get_campaign(request).await?.into_inner();
    let campaign = answer.campaign.unwrap_or_default();
    if output.is_json() {
        return output.message(&campaign);
    }
    let text = short_form(&campaign).map_err(|e| Fail::refused(e.to_string()))?;
    output.line(text.trim_end());
    let (state, updated) =
        (words::campaign_state(campaign.state()), words::instant(campaign.updated_at.as_ref()));
    output.note(&format!("{} is {state}, at revision {} since {updated}", campaign.id, campaign.revision));
    Ok(())
}

async fn activate(mut api: Api, id: String, consent: ConsentArgs, output: Output) -> Result<(), Fail> {
    rehearse(&mut api, &id, consent, &[], output).await?;
    let request = wire::ActivateCampaignRequest { id, ..Default::default() };
    let answer = api.campaigns.activate_campaign(request).await?.into_inner();
    let campaign = answer.campaign.unwrap_or_default();
    moved(&campaign, "", &next_command(&campaign), output)
}

async fn pause(mut api: Api, id: String, output: Output) -> Result<(), Fail> {
    let request = wire::PauseCampaignRequest { id, ..Default::default() };
    let answer = api.campaigns.pause_campaign(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    let campaign = answer.campaign.unwrap_or_default();
    let held = format!(", {} held", words::counted(answer.held, "send"));
    moved(&campaign, &held, &format!("campanile campaign resume {}", campaign.id), output)
}

async fn resume(mut api: Api, id: String, drop_held: bool, output: Output) -> Result<(), Fail> {
    let mode = if drop_held { wire::ResumeMode::DropHeld } else { wire::ResumeMode::SendHeld };
    let request = wire::ResumeCampaignRequest { id, mode: mode as i32, ..Default::default() };
    let answer = api.campaigns.resume_campaign(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    let campaign = answer.campaign.unwrap_or_default();
    let fate = if drop_held { "dropped" } else { "going out" };
    let held = format!(", {} {fate}", words::counted(answer.held, "held send"));
    moved(&campaign, &held, &format!("campanile campaign stats {}", campaign.id), output)
}

/// Shows first what it would stop, then asks.
async fn end(mut api: Api, args: EndArgs, output: Output) -> Result<(), Fail> {
    let mode = if args.stop_now { wire::EndMode::StopNow } else { wire::EndMode::FinishEntered };
    let mut request = wire::EndCampaignRequest {
        id: args.id.clone(),
        mode: mode as i32,
        validate_only: true,
        ..Default::default()
    };
    let before = api.campaigns.end_campaign(request.clone()).await?.into_inner();
    let was = before.campaign.as_ref().map_or(wire::CampaignState::Unspecified, wire::Campaign::state);
    if !args.yes && was != wire::CampaignState::Ended {
        let fate = match mode {
            wire::EndMode::StopNow => {
                format!("{} will not be sent", words::counted(before.stopped, "planned send"))
            }
            _ => format!("{} will still be sent", words::counted(before.finishing, "planned send")),
        };
        let state = words::campaign_state(was);
        let question = format!("{} is {state} and ends for good; {fate}. End it?", args.id);
        confirm(&question, "add --yes to end it")?;
    }
    request.validate_only = false;
    let answer = api.campaigns.end_campaign(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    let fate = match mode {
        wire::EndMode::StopNow => format!(", {} stopped", words::counted(answer.stopped, "send")),
        _ => format!(", {} still going out", words::counted(answer.finishing, "send")),
    };
    let next = format!("campanile campaign stats {}", args.id);
    moved(&answer.campaign.unwrap_or_default(), &fate, &next, output)
}

/// Says where a campaign stands now, and what to type next.
fn moved(campaign: &wire::Campaign, more: &str, next: &str, output: Output) -> Result<(), Fail> {
    if output.is_json() {
        return output.message(campaign);
    }
    output.line(&format!("{} is {}{more}", campaign.id, words::campaign_state(campaign.state())));
    output.next(next);
    Ok(())
}

async fn stats(mut api: Api, id: String, output: Output) -> Result<(), Fail> {
    let answer = api.campaigns.get_campaign_stats(wire::GetCampaignStatsRequest { id }).await?.into_inner();
    let stats = answer.stats.unwrap_or_default();
    if output.is_json() {
        return output.message(&stats);
    }
    output.table(&["WHAT", "HOW MANY"], &campaign_stats::rows(&stats));
    output.next(&format!("campanile sends list --campaign {}", stats.campaign_id));
    Ok(())
}

async fn refusals(mut api: Api, id: String, limit: i32, output: Output) -> Result<(), Fail> {
    let request = wire::ListRefusalsRequest { campaign_id: id.clone(), page_size: limit };
    let answer = api.campaigns.list_refusals(request).await?.into_inner();
    let mut rows = Vec::new();
    for refusal in answer.refusals {
        if output.is_json() {
            output.message(&refusal)?;
            continue;
        }
        rows.push(vec![
            words::instant(refusal.at.as_ref()),
            refusal.user_id.clone(),
            words::refusal(refusal.reason()),
            refusal.detail,
        ]);
    }
    if output.is_json() {
        return Ok(());
    }
    output.table(&["WHEN", "USER", "REASON", "DETAIL"], &rows);
    output.next(&format!("campanile campaign stats {id}"));
    Ok(())
}
