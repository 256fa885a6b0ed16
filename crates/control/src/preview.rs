//! Previews: the request a user would get, rendered by the same functions that render it for real, with secrets masked; nothing is
//! stored and nothing is sent.

use campanile_core::secret::Secrets;
use campanile_core::webhook::Request;
use campanile_core::webhook_headers::{AttemptHead, headers};
use campanile_proto::v1 as wire;
use campanile_proto::v1::preview_send_request as asks;
use tonic::Status;

use crate::deployment::Deployment;
use crate::imagined::{self, Asked, Subject};
use crate::status;
use crate::trial::{Candidate, NO_SEND, Trial, as_if_active, entry_of};
use crate::write_stats::{refusal, suppression};

pub async fn preview(
    deployment: &Deployment,
    request: wire::PreviewSendRequest,
) -> Result<wire::PreviewSendResponse, Status> {
    let now = deployment.now();
    let wire::PreviewSendRequest { subject, user_id, profile, event, values } = request;
    let subject = subject.map(|subject| match subject {
        asks::Subject::CampaignId(id) => Subject::Stored(id),
        asks::Subject::Campaign(campaign) => Subject::Written(Box::new(campaign)),
    });
    let imagined = imagined::imagine(deployment, Asked { user_id, profile, event, values }, now).await?;
    let (record, campaign) = imagined::subject(deployment, subject, now).await?;
    let record = as_if_active(&record);
    let secrets = Secrets::from_iter(deployment.store.secrets().await.map_err(status::store)?);
    let trial = Trial::new((&record, &campaign), &secrets, &deployment.policy);
    let entry = entry_of(&campaign, &imagined);
    let candidate = Candidate { profile: imagined.profile.as_ref(), entry: entry.as_ref(), at: now };
    let mut answer = wire::PreviewSendResponse::default();
    if let Some((reason, detail)) = trial.refused(&candidate) {
        answer.refusal = refusal(reason) as i32;
        answer.detail = detail;
    }
    match trial.render(&candidate, NO_SEND) {
        Ok((_, masked)) => {
            let head = AttemptHead {
                send_id: NO_SEND,
                campaign_id: &record.id,
                number: 1,
                at: now,
                version: env!("CARGO_PKG_VERSION"),
            };
            answer.curl = curl(&masked, &head);
            answer.request = Some(shown(&masked, &head));
        }
        Err(why) => {
            answer.suppression = suppression(why.reason) as i32;
            // Entering comes first, so its reason is the one that is told.
            if answer.refusal == 0 {
                answer.detail = why.detail;
            }
        }
    }
    Ok(answer)
}

/// A masked request with all its headers.
pub fn shown(request: &Request, head: &AttemptHead<'_>) -> wire::RenderedRequest {
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
