//! `campanile plan` and `campanile campaign estimate`: what a campaign would do, before it does.

use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;
use tonic::{Status, Streaming};

use crate::campaign_files;
use crate::cli_dry_run::{EstimateArgs, PlanArgs};
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, Tone};
use crate::preview::show_request;
use crate::progress;
use crate::table::plain;
use crate::words;

pub async fn plan(mut api: Api, args: PlanArgs, output: Output) -> Result<(), Fail> {
    use wire::plan_campaign_request::Subject;
    let window = args.window.map(|window| prost_types::Duration {
        seconds: i64::try_from(window.as_secs()).unwrap_or(i64::MAX),
        nanos: 0,
    });
    let mut request = wire::PlanCampaignRequest {
        subject: args.id.clone().map(Subject::CampaignId),
        window,
        entries: args.entries,
        values: args.values,
    };
    let (answers, next) = match (args.file, args.id) {
        (Some(path), _) => {
            let next =
                format!("campanile campaign apply -f {} --activate", shell_word(&path.display().to_string()));
            let written = campaign_files::read_one(path, "plan")?;
            request.subject = Some(Subject::Campaign(written.campaign().clone()));
            let answers = api.campaigns.plan_campaign(request).await;
            (answers.map_err(|status| written.refused(status))?.into_inner(), next)
        }
        (None, id) => {
            let next = format!("campanile campaign activate {}", shell_word(&id.unwrap_or_default()));
            (api.campaigns.plan_campaign(request).await?.into_inner(), next)
        }
    };
    let last = last_of(answers, output, |answer| answer.looked_at).await?;
    let plan = last.plan.unwrap_or_default();
    if output.is_json() {
        return output.message(&plan);
    }
    show(&plan, args.requests, output);
    output.next(&next);
    Ok(())
}

pub async fn estimate(mut api: Api, args: EstimateArgs, output: Output) -> Result<(), Fail> {
    use wire::estimate_audience_request::Subject;
    let ask = |subject| wire::EstimateAudienceRequest { subject: Some(subject) };
    let (answers, next) = match args {
        EstimateArgs { file: Some(path), .. } => {
            let next = format!("campanile plan -f {}", shell_word(&path.display().to_string()));
            let written = campaign_files::read_one(path, "estimate")?;
            let answers =
                api.campaigns.estimate_audience(ask(Subject::Campaign(written.campaign().clone()))).await;
            (answers.map_err(|status| written.refused(status))?.into_inner(), next)
        }
        EstimateArgs { condition: Some(condition), .. } => {
            let audience = wire::Audience { r#where: condition, ..Default::default() };
            let answers = api.campaigns.estimate_audience(ask(Subject::Audience(audience))).await?;
            (answers.into_inner(), "campanile campaign new one-time".to_owned())
        }
        EstimateArgs { id, .. } => {
            let id = id.unwrap_or_default();
            let next = format!("campanile plan {}", shell_word(&id));
            (api.campaigns.estimate_audience(ask(Subject::CampaignId(id))).await?.into_inner(), next)
        }
    };
    let last = last_of(answers, output, |answer| answer.users).await?;
    if output.is_json() {
        return output.message(&last);
    }
    let mut said = format!("{} of {} in the audience", last.audience, words::counted(last.users, "user"));
    if last.held_back > 0 {
        said.push_str(&format!(", {} of them held back", last.held_back));
    }
    output.line(&said);
    output.next(&next);
    Ok(())
}

/// The last answer of a dry run; how far it is is shown until then.
async fn last_of<T>(
    mut answers: Streaming<T>,
    output: Output,
    looked_at: impl Fn(&T) -> i64,
) -> Result<T, Fail> {
    let bar = progress::looking(output);
    let mut last = None;
    while let Some(answer) = answers.message().await? {
        bar.set_message(format!("{} looked at", looked_at(&answer)));
        last = Some(answer);
    }
    bar.finish_and_clear();
    Ok(last.ok_or_else(|| Status::internal("the server gave no answer"))?)
}

fn show(plan: &wire::CampaignPlan, with_requests: bool, output: Output) {
    if plan.missed > 0 {
        output.warning(&format!(
            "{} would be missed: their time is past",
            words::counted(plan.missed, "occurrence")
        ));
    }
    let rows: Vec<Vec<String>> = plan.occurrences.iter().map(row).collect();
    if !rows.is_empty() {
        let heading =
            ["OCCURRENCE", "AUDIENCE", "SENT", "AFTER QUIET HOURS", "SUPPRESSED", "WAITING", "LAST SENT"];
        output.table(&heading, &rows);
    }
    if plan.has_more {
        output.note("there are more occurrences in this time; these are the first");
    }
    let total = plan.total.clone().unwrap_or_default();
    // Who is in no audience is no news.
    let told = total.refused.iter().filter(|row| row.reason() != wire::RefusalReason::NotInAudience);
    for row in told {
        output.line(&format!("refused {}: {}", words::refusal(row.reason()), row.count));
    }
    for row in &total.suppressed {
        output.line(&format!("suppressed {}: {}", words::suppression(row.reason()), row.count));
    }
    for entry in &plan.entries {
        show_entry(entry, with_requests, output);
    }
    output.line(&output.paint(Tone::Strong, &plain(&plan.sentence)));
}

fn row(occurrence: &wire::PlannedOccurrence) -> Vec<String> {
    let counts = occurrence.counts.clone().unwrap_or_default();
    let at = match (occurrence.at.as_ref(), occurrence.is_on_own_clocks) {
        (None, _) => "now, by hand".to_owned(),
        (Some(at), false) => words::instant(Some(at)),
        (Some(at), true) => {
            let wall = words::instant(Some(at));
            format!("{} on each clock", wall.trim_end_matches('Z').trim_end_matches(".000"))
        }
    };
    let suppressed: i64 = counts.suppressed.iter().map(|row| row.count).sum();
    let counted = [counts.entered, counts.sent, counts.after_quiet_hours, suppressed, counts.waiting];
    let mut row = vec![at];
    row.extend(counted.iter().map(i64::to_string));
    row.push(words::instant(occurrence.last_sent_at.as_ref()));
    row
}

fn show_entry(entry: &wire::PlannedEntry, with_requests: bool, output: Output) {
    let due = words::instant(entry.due_at.as_ref());
    let user = plain(&entry.user_id);
    match (&entry.request, entry.suppression()) {
        (Some(request), _) if with_requests => {
            output.line(&format!("\n{due}  {user}"));
            show_request(request, output);
        }
        (Some(request), _) => {
            let body = plain(&request.body);
            output.line(&format!("{due}  {user}  {} {}  {body}", request.method, plain(&request.url)));
        }
        (None, wire::SuppressionReason::Unspecified) => {
            output.line(&format!("{due}  {user}  waits: {}", plain(&entry.detail)));
        }
        (None, reason) => {
            let reason = words::suppression(reason);
            output.line(&format!("{due}  {user}  not sent, {reason}: {}", plain(&entry.detail)));
        }
    }
}
