//! `campanile campaign apply` and `validate`: campaigns become as their files say. All are read, checked and asked about before
//! the first is stored.

use std::path::PathBuf;

use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;
use tonic::Code;

use crate::campaign_files::{self, Written};
use crate::cli::ApplyArgs;
use crate::connect::Api;
use crate::difference::{Line, difference};
use crate::fail::Fail;
use crate::hints;
use crate::output::{Output, Tone, confirm};
use crate::rehearse::rehearse;
use crate::words;

pub async fn validate(mut api: Api, files: &[PathBuf], output: Output) -> Result<(), Fail> {
    let written = campaign_files::read(files)?;
    if output.is_json() {
        return validate_json(&mut api, &written, output).await;
    }
    check(&mut api, &written, output).await?;
    for one in &written {
        output.line(&format!("{}: {} is fine", one.file_name, one.id()));
    }
    if let Some(path) = files.first() {
        output.next(&format!("campanile campaign apply -f {}", shell_word(&path.display().to_string())));
    }
    Ok(())
}

/// The server's own answers, a line for each campaign; the faults beside them with their places.
async fn validate_json(api: &mut Api, written: &[Written], output: Output) -> Result<(), Fail> {
    let mut faults = Vec::new();
    for one in written {
        let answer = ask(api, one).await?;
        output.message(&answer)?;
        faults.extend(answer.violations.iter().map(|v| one.place(&v.field, &v.description)));
    }
    if faults.is_empty() { Ok(()) } else { Err(Fail::placed(faults)) }
}

async fn ask(api: &mut Api, written: &Written) -> Result<wire::ValidateCampaignResponse, Fail> {
    let request = wire::ValidateCampaignRequest { campaign: Some(written.campaign().clone()) };
    let answer = api.campaigns.validate_campaign(request).await;
    Ok(answer.map_err(|status| written.refused(status))?.into_inner())
}

pub async fn apply(mut api: Api, args: &ApplyArgs, output: Output) -> Result<(), Fail> {
    let written = campaign_files::read(&args.files)?;
    let told = check(&mut api, &written, output).await?;
    let mut plan = Vec::new();
    for one in &written {
        plan.push(Planned { written: one, step: plan_one(&mut api, one).await? });
    }
    refuse_ended(&plan)?;
    let live = show(&mut api, &plan, args.apply_to_pending, output).await?;
    if live > 0 && !args.consent.yes {
        let question = format!("{} will change. Apply?", words::counted(live, "live campaign"));
        confirm(&question, "add --yes to apply it all the same")?;
    }
    let mut stored = None;
    for planned in &plan {
        let campaign = carry_out(&mut api, planned, args, &told, output).await?;
        if output.is_json() {
            output.message(&campaign)?;
        }
        stored = Some(campaign);
    }
    if let Some(campaign) = stored {
        output.next(&next_command(&campaign));
    }
    Ok(())
}

struct Planned<'a> {
    written: &'a Written,
    step: Step,
}

enum Step {
    Create,
    Change { there: Box<wire::Campaign>, lines: Vec<Line> },
    Leave { there: Box<wire::Campaign> },
}

/// Asks the server about every campaign; every fault with its place in its file, and every warning. Answers the warnings.
async fn check(api: &mut Api, written: &[Written], output: Output) -> Result<Vec<wire::Finding>, Fail> {
    let (mut faults, mut told) = (Vec::new(), Vec::new());
    for one in written {
        let answer = ask(api, one).await?;
        faults.extend(answer.violations.iter().map(|v| one.place(&v.field, &v.description)));
        for warning in &answer.warnings {
            output.warning(&one.place(&warning.field, &warning.description));
        }
        told.extend(answer.warnings);
    }
    if faults.is_empty() { Ok(told) } else { Err(Fail::placed(faults)) }
}

async fn plan_one(api: &mut Api, written: &Written) -> Result<Step, Fail> {
    let request = wire::GetCampaignRequest { id: written.id().to_owned(), ..Default::default() };
    let there = match api.campaigns.get_campaign(request).await {
        Ok(answer) => answer.into_inner().campaign.unwrap_or_default(),
        Err(status) if status.code() == Code::NotFound => return Ok(Step::Create),
        Err(status) => return Err(written.refused(status)),
    };
    let lines = difference(&there, written.campaign())?;
    let there = Box::new(there);
    Ok(if lines.is_empty() { Step::Leave { there } } else { Step::Change { there, lines } })
}

/// An ended campaign stays as it was; this is found before anything else is stored.
fn refuse_ended(plan: &[Planned<'_>]) -> Result<(), Fail> {
    let ended = plan.iter().filter_map(|planned| match &planned.step {
        Step::Change { there, .. } if there.state() == wire::CampaignState::Ended => Some(planned.written),
        _ => None,
    });
    let lines: Vec<String> = ended
        .map(|one| one.place("id", &format!("{:?} has ended and stays as it was: give a new id", one.id())))
        .collect();
    if lines.is_empty() { Ok(()) } else { Err(Fail { code: 1, lines, is_placed: true }) }
}

/// Shows what would change, and whom it concerns. Answers how many live campaigns would.
async fn show(
    api: &mut Api,
    plan: &[Planned<'_>],
    apply_to_pending: bool,
    output: Output,
) -> Result<i64, Fail> {
    let mut live = 0;
    for planned in plan {
        let Step::Change { there, lines } = &planned.step else { continue };
        let state = words::campaign_state(there.state());
        output.note(&format!("{} ({state}, revision {}) would change:", there.id, there.revision));
        for line in lines {
            match line {
                Line::Kept(text) => output.note(&format!("    {text}")),
                Line::Gone(text) => output.changed(Tone::Bad, &format!("  - {text}")),
                Line::New(text) => output.changed(Tone::Good, &format!("  + {text}")),
                Line::Gap => output.note("    ..."),
            }
        }
        if words::is_live(there.state()) {
            live += 1;
            let request = wire::UpdateCampaignRequest {
                validate_only: true,
                ..change_request(planned.written, there.revision, apply_to_pending)
            };
            let answer = api.campaigns.update_campaign(request).await;
            let answer = answer.map_err(|status| planned.written.refused(status))?.into_inner();
            let sends = |n| words::counted(n, "planned send");
            output.note(&format!("  {} of it keep the revision they have", sends(answer.pending_kept)));
            if apply_to_pending {
                let revision = answer.campaign.unwrap_or_default().revision;
                output.note(&format!("  {} take revision {revision}", sends(answer.pending_changed)));
            }
        }
    }
    Ok(live)
}

async fn carry_out(
    api: &mut Api,
    planned: &Planned<'_>,
    args: &ApplyArgs,
    told: &[wire::Finding],
    output: Output,
) -> Result<wire::Campaign, Fail> {
    let written = planned.written;
    let (campaign, what) = match &planned.step {
        Step::Leave { there } => ((**there).clone(), "is as written".to_owned()),
        Step::Create => (create(api, written).await?, "is created".to_owned()),
        Step::Change { there, .. } => {
            let changed = change(api, written, there.revision, args.apply_to_pending).await?;
            let what = format!("is changed, now at revision {}", changed.revision);
            (changed, what)
        }
    };
    let is_draft = campaign.state() == wire::CampaignState::Draft;
    if !(args.activate && is_draft) {
        let state = words::campaign_state(campaign.state());
        report(output, &format!("{} {what} ({state})", campaign.id));
        return Ok(campaign);
    }
    rehearse(api, &campaign.id, args.consent, told, output).await.inspect_err(|_| {
        report(output, &format!("{} {what}, but not started", campaign.id));
    })?;
    let request = wire::ActivateCampaignRequest {
        id: campaign.id.clone(),
        expected_revision: campaign.revision,
        ..Default::default()
    };
    let started = api.campaigns.activate_campaign(request).await.map_err(|status| {
        report(output, &format!("{} {what}, but not started", campaign.id));
        written.refused(status)
    })?;
    let started = started.into_inner().campaign.unwrap_or_default();
    report(output, &format!("{} {what} and {}", started.id, words::campaign_state(started.state())));
    Ok(started)
}

fn report(output: Output, text: &str) {
    if !output.is_json() {
        output.line(text);
    }
}

async fn create(api: &mut Api, written: &Written) -> Result<wire::Campaign, Fail> {
    let request =
        wire::CreateCampaignRequest { campaign: Some(written.campaign().clone()), ..Default::default() };
    let answer = api.campaigns.create_campaign(request).await.map_err(|status| written.refused(status))?;
    Ok(answer.into_inner().campaign.unwrap_or_default())
}

fn change_request(written: &Written, revision: u32, apply_to_pending: bool) -> wire::UpdateCampaignRequest {
    wire::UpdateCampaignRequest {
        campaign: Some(written.campaign().clone()),
        expected_revision: revision,
        apply_to_pending,
        ..Default::default()
    }
}

async fn change(
    api: &mut Api,
    written: &Written,
    revision: u32,
    apply_to_pending: bool,
) -> Result<wire::Campaign, Fail> {
    let request = change_request(written, revision, apply_to_pending);
    let answer = api.campaigns.update_campaign(request).await.map_err(|status| written.refused(status))?;
    let answer = answer.into_inner();
    Ok(answer.campaign.unwrap_or_default())
}

/// What is most useful to type after a campaign was stored or started.
pub fn next_command(campaign: &wire::Campaign) -> String {
    use wire::delivery::Kind;
    let id = &campaign.id;
    if campaign.state() == wire::CampaignState::Draft {
        return format!("campanile campaign activate {id}");
    }
    if !matches!(campaign.state(), wire::CampaignState::Active | wire::CampaignState::Scheduled) {
        return format!("campanile campaign stats {id}");
    }
    match campaign.delivery.as_ref().and_then(|delivery| delivery.kind.as_ref()) {
        Some(Kind::Manual(_)) => format!("campanile campaign enter {id} USER"),
        Some(Kind::Triggered(triggered)) => match triggered.when.iter().find_map(hints::event) {
            Some(name) => format!("campanile track USER {}", shell_word(name)),
            None => format!("campanile sends watch --campaign {id}"),
        },
        _ => format!("campanile sends watch --campaign {id}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_command_fits_the_campaign() {
        let check = |delivery: &str, state: wire::CampaignState, expected: &str| {
            let text = format!("id: a\ndelivery: {delivery}\n");
            let read = campanile_proto::campaign_file::read(text.as_bytes()).unwrap().remove(0);
            let campaign = wire::Campaign { state: state as i32, ..read.campaign };
            assert_eq!(next_command(&campaign), expected, "{delivery}");
        };
        use wire::CampaignState::{Active, Draft, Ended, Scheduled};
        check("{manual: {}}", Draft, "campanile campaign activate a");
        check("{manual: {}}", Active, "campanile campaign enter a USER");
        check("{triggered: bought}", Active, "campanile track USER bought");
        check("{triggered: app opened}", Active, "campanile track USER 'app opened'");
        check("{one_time: 2026-12-01T09:00}", Scheduled, "campanile sends watch --campaign a");
        check("{triggered: bought}", Ended, "campanile campaign stats a");
    }
}
