//! `campanile campaign apply` and `validate`: campaigns become as their files say. All are checked before the first is stored.

use std::path::{Path, PathBuf};

use campanile_proto::campaign_file::{self, FileCampaign};
use campanile_proto::short_form::short_form;
use campanile_proto::v1 as wire;
use similar::{ChangeTag, TextDiff};
use tonic::Code;

use crate::cli::ApplyArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, Tone, confirm};

/// A campaign and the file it stands in.
struct Written {
    path: PathBuf,
    file: FileCampaign,
}

pub async fn validate(mut api: Api, files: &[PathBuf], output: Output) -> Result<(), Fail> {
    let written = read(files)?;
    check(&mut api, &written, output).await?;
    for written in &written {
        output.note(&format!("{}: {} is fine", written.path.display(), written.file.campaign.id));
    }
    Ok(())
}

pub async fn apply(mut api: Api, args: &ApplyArgs, output: Output) -> Result<(), Fail> {
    let written = read(&args.files)?;
    check(&mut api, &written, output).await?;
    let mut last = String::new();
    for written in written {
        let id = written.file.campaign.id.clone();
        let stored = put(&mut api, written.file.campaign, args.yes, output).await?;
        let is_draft = stored.state() == wire::CampaignState::Draft;
        if args.activate && is_draft {
            let request = wire::ActivateCampaignRequest { id: id.clone(), ..Default::default() };
            let answer = api.campaigns.activate_campaign(request).await?.into_inner();
            let campaign = answer.campaign.unwrap_or_default();
            output.note(&format!("{id} is {}", state_name(campaign.state())));
            if output.is_json() {
                output.message(&campaign)?;
            }
        } else if output.is_json() {
            output.message(&stored)?;
        }
        last = match (args.activate || !is_draft, id) {
            (true, id) => format!("campanile campaign stats {id}"),
            (false, id) => format!("campanile campaign activate {id}"),
        };
    }
    output.note(&format!("next: {last}"));
    Ok(())
}

/// Creates or changes one campaign; asks first where a live one would change.
async fn put(api: &mut Api, campaign: wire::Campaign, yes: bool, output: Output) -> Result<wire::Campaign, Fail> {
    let id = campaign.id.clone();
    let found = api.campaigns.get_campaign(wire::GetCampaignRequest { id: id.clone() }).await;
    let there = match found {
        Ok(answer) => answer.into_inner().campaign.unwrap_or_default(),
        Err(status) if status.code() == Code::NotFound => {
            let request = wire::CreateCampaignRequest { campaign: Some(campaign), ..Default::default() };
            let answer = api.campaigns.create_campaign(request).await?.into_inner();
            output.note(&format!("{id} is created"));
            return Ok(answer.campaign.unwrap_or_default());
        }
        Err(status) => return Err(status.into()),
    };
    let (before, after) = (text(&there)?, text(&campaign)?);
    if before == after {
        output.note(&format!("{id} is as written"));
        return Ok(there);
    }
    show_difference(&before, &after, output);
    let is_live = !matches!(there.state(), wire::CampaignState::Draft | wire::CampaignState::Ended);
    if is_live && !yes {
        confirm(&format!("{id} is {}. Change it?", state_name(there.state())), "add --yes to change it all the same")?;
    }
    let request = wire::UpdateCampaignRequest {
        campaign: Some(campaign),
        expected_revision: there.revision,
        ..Default::default()
    };
    let answer = api.campaigns.update_campaign(request).await?.into_inner().campaign.unwrap_or_default();
    output.note(&format!("{id} is changed, now at revision {}", answer.revision));
    Ok(answer)
}

fn show_difference(before: &str, after: &str, output: Output) {
    for change in TextDiff::from_lines(before, after).iter_all_changes() {
        let line = change.value().trim_end();
        match change.tag() {
            ChangeTag::Equal => {}
            ChangeTag::Delete => output.note(&output.paint(Tone::Bad, &format!("- {line}"))),
            ChangeTag::Insert => output.note(&output.paint(Tone::Good, &format!("+ {line}"))),
        }
    }
}

fn text(campaign: &wire::Campaign) -> Result<String, Fail> {
    short_form(campaign).map_err(|e| Fail::refused(e.to_string()))
}

/// Asks the server about every campaign; says every fault with its place in its file, and every warning.
async fn check(api: &mut Api, written: &[Written], output: Output) -> Result<(), Fail> {
    let mut faults = Vec::new();
    for written in written {
        let request = wire::ValidateCampaignRequest { campaign: Some(written.file.campaign.clone()) };
        let answer = api.campaigns.validate_campaign(request).await?.into_inner();
        let line = |finding: &wire::Finding| {
            let place = written.file.place_of(&finding.field);
            let file = written.path.display();
            format!("{file}:{}:{}: {}: {}", place.line, place.column, finding.field, finding.description)
        };
        faults.extend(answer.violations.iter().map(line));
        answer.warnings.iter().for_each(|warning| output.note(&format!("warning: {}", line(warning))));
    }
    if faults.is_empty() { Ok(()) } else { Err(Fail { code: 2, lines: faults }) }
}

/// All campaigns of all files; every fault of every file.
fn read(files: &[PathBuf]) -> Result<Vec<Written>, Fail> {
    let (mut written, mut faults): (Vec<Written>, Vec<String>) = (Vec::new(), Vec::new());
    for path in expand(files)? {
        let bytes = std::fs::read(&path).map_err(|e| Fail::input(format!("{}: {e}", path.display())))?;
        match campaign_file::read(&bytes) {
            Ok(campaigns) => written.extend(campaigns.into_iter().map(|file| Written { path: path.clone(), file })),
            Err(wrong) => faults.extend(wrong.into_iter().map(|f| {
                format!("{}:{}:{}: {}: {}", path.display(), f.line, f.column, f.path, f.text)
            })),
        }
    }
    for (i, one) in written.iter().enumerate() {
        if written[..i].iter().any(|other| other.file.campaign.id == one.file.campaign.id) {
            faults.push(format!("{}: {:?} is written twice", one.path.display(), one.file.campaign.id));
        }
    }
    if !faults.is_empty() {
        return Err(Fail { code: 2, lines: faults });
    }
    if written.is_empty() {
        return Err(Fail::input("there is no campaign in these files"));
    }
    Ok(written)
}

/// Files as they are, folders as their campaign files in order.
fn expand(files: &[PathBuf]) -> Result<Vec<PathBuf>, Fail> {
    let mut all = Vec::new();
    for path in files {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let entries = std::fs::read_dir(path).map_err(|e| Fail::input(format!("{}: {e}", path.display())))?;
        let mut inside: Vec<PathBuf> = entries.filter_map(|e| e.ok().map(|e| e.path())).filter(|p| is_file(p)).collect();
        inside.sort();
        all.extend(inside);
    }
    Ok(all)
}

fn is_file(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml" || extension == "json")
}

pub fn state_name(state: wire::CampaignState) -> &'static str {
    match state {
        wire::CampaignState::Unspecified => "unknown",
        wire::CampaignState::Draft => "a draft",
        wire::CampaignState::Scheduled => "scheduled",
        wire::CampaignState::Active => "active",
        wire::CampaignState::Paused => "paused",
        wire::CampaignState::Ended => "ended",
    }
}
