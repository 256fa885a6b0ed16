//! Previews: the request a user would get, rendered by the same functions that render it for real, with secrets masked; nothing is
//! stored and nothing is sent.

use campanile_core::campaign::Campaign;
use campanile_core::campaign_delivery::When;
use campanile_core::facts::Facts;
use campanile_core::fault::Faults;
use campanile_core::reason::Refusal;
use campanile_core::secret::Secrets;
use campanile_core::user::Profile;
use campanile_core::webhook::{RenderContext, Request};
use campanile_core::webhook_headers::{AttemptHead, headers};
use campanile_proto::v1 as wire;
use tonic::Status;

use crate::deployment::Deployment;
use crate::read_campaign::read_campaign;
use crate::read_items::{check_user_id, read_event, read_user, read_values};
use crate::status;
use crate::write_stats::{refusal, suppression};

/// Stands where a real send has its id.
const NO_SEND: &str = "preview";

pub async fn preview(
    deployment: &Deployment,
    request: wire::PreviewSendRequest,
) -> Result<wire::PreviewSendResponse, Status> {
    let now = deployment.now();
    let mut faults = Faults::default();
    check_user_id(&request.user_id, "user_id", &mut faults);
    let values = read_values(&request.values, "values", &mut faults);
    let event = request.event.map(|event| wire::Event { user_id: request.user_id.clone(), ..event });
    let event = event.as_ref().map(|event| read_event(event, now, || NO_SEND.to_owned())).transpose();
    let event = event.unwrap_or_else(|wrong| {
        wrong.0.into_iter().for_each(|fault| faults.add(format!("event.{}", fault.field), fault.text));
        None
    });
    let change = request.profile.map(|profile| wire::UserUpdate { id: request.user_id.clone(), ..profile });
    let change = change.as_ref().map(read_user).transpose().unwrap_or_else(|wrong| {
        wrong.0.into_iter().for_each(|fault| faults.add(format!("profile.{}", fault.field), fault.text));
        None
    });
    if !faults.is_empty() {
        return Err(status::invalid(&faults));
    }
    let campaign = match request.subject {
        Some(wire::preview_send_request::Subject::CampaignId(id)) => {
            let record = deployment.campaign(&id).await?;
            deployment.compile(record.draft, record.created_at).await
        }
        Some(wire::preview_send_request::Subject::Campaign(campaign)) => {
            let draft = read_campaign(&campaign).map_err(|faults| status::invalid(&faults))?;
            deployment.compile(draft, now).await
        }
        None => return Err(status::invalid_field("campaign_id", "is missing: name a campaign, or give one")),
    };
    let campaign = campaign.map_err(status::store)?.map_err(|faults| status::invalid(&faults))?;
    let stored = deployment.user(&request.user_id).await?;
    let mut profile = stored.map_or_else(|| Profile::new(&request.user_id, now), |user| user.profile);
    if let Some(change) = change {
        profile.apply(&change).map_err(|text| status::invalid_field("profile.attributes", text))?;
    }
    if let Some(event) = &event {
        profile.count(event, now);
    }
    let secrets = Secrets::from_iter(deployment.store.secrets().await.map_err(status::store)?);
    let facts = Facts {
        profile: &profile,
        event: event.as_ref(),
        values: (!values.is_empty()).then_some(&values),
        as_of: now,
        now,
        fallback_zone: &campaign.zones.fallback,
    };
    Ok(write(deployment, &campaign, facts, &secrets))
}

fn write(
    deployment: &Deployment,
    campaign: &Campaign,
    facts: Facts<'_>,
    secrets: &Secrets,
) -> wire::PreviewSendResponse {
    let mut answer = wire::PreviewSendResponse::default();
    if let Some((reason, detail)) = refused(campaign, &facts) {
        answer.refusal = refusal(reason) as i32;
        answer.detail = detail;
    }
    let Some(action) = campaign.actions.first() else { return answer };
    let Some(version) = action.version_of(&facts.profile.id) else { return answer };
    let context = RenderContext {
        facts,
        due_at: facts.now,
        send_id: NO_SEND,
        campaign_id: &campaign.draft.id,
        campaign_title: &campaign.draft.title,
        action_name: &action.name,
        variant: &version.name,
        secrets,
        policy: &deployment.policy,
    };
    // Rendered for real first: what would suppress a send must be told, though it is the masked one that is shown.
    let webhook = &version.webhook;
    match webhook.render(&context).and_then(|_| webhook.render_masked(&context)) {
        Ok(request) => {
            let head = AttemptHead {
                send_id: NO_SEND,
                campaign_id: &campaign.draft.id,
                number: 1,
                at: facts.now,
                version: env!("CARGO_PKG_VERSION"),
            };
            answer.curl = curl(&request, &head);
            answer.request = Some(shown(&request, &head));
        }
        Err(why) => {
            answer.suppression = suppression(why.reason) as i32;
            // Entering comes first, so its reason is the one that is told.
            if answer.refusal == 0 {
                answer.detail = why.detail;
            }
        }
    }
    answer
}

/// Why the user would not enter, by the conditions of the campaign.
fn refused(campaign: &Campaign, facts: &Facts<'_>) -> Option<(Refusal, String)> {
    if let (When::Triggered(triggered), Some(event)) = (&campaign.when, facts.event)
        && !triggered.fits(event, facts)
    {
        return Some((Refusal::ConditionFalse, triggered.saw(event, facts)));
    }
    if campaign.takes(facts) {
        return None;
    }
    Some((Refusal::NotInAudience, campaign.audience.explain(facts).first_false().unwrap_or_default()))
}

fn shown(request: &Request, head: &AttemptHead<'_>) -> wire::RenderedRequest {
    let headers = headers(request, head, &[]).into_iter().map(|(name, value)| wire::Header { name, value });
    wire::RenderedRequest {
        method: request.method.name().to_owned(),
        url: request.url.clone(),
        headers: headers.collect(),
        body: String::from_utf8_lossy(&request.body).into_owned(),
    }
}

fn curl(request: &Request, head: &AttemptHead<'_>) -> String {
    let mut line = format!("curl -X {} {}", request.method.name(), quoted(&request.url));
    for (name, value) in headers(request, head, &[]) {
        line.push_str(&format!(" -H {}", quoted(&format!("{name}: {value}"))));
    }
    if !request.body.is_empty() {
        line.push_str(&format!(" --data-raw {}", quoted(&String::from_utf8_lossy(&request.body))));
    }
    line
}

/// A word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
