//! Previews: the request a user would get, rendered by the same functions that render it for real, with secrets masked; nothing is
//! stored and nothing is sent.

use campanile_core::webhook::Request;
use campanile_core::webhook_headers::{AttemptHead, headers};
use campanile_proto::v1 as wire;
use jiff::Timestamp;
use tonic::Status;

use crate::deployment::Deployment;
use crate::imagined::{Asked, Subject};
use crate::imagined_trial::ImaginedTrial;
use crate::trial::NO_SEND;
use crate::write_stats::{refusal, suppression};

pub async fn preview(
    deployment: &Deployment,
    request: wire::PreviewSendRequest,
) -> Result<wire::PreviewSendResponse, Status> {
    let now = deployment.now();
    let wire::PreviewSendRequest { subject, user_id, profile, event, values, action } = request;
    let asked = Asked { user_id, profile, event, values };
    let imagined = ImaginedTrial::of(deployment, subject.map(Subject::from), asked, &action, now).await?;
    let (trial, candidate) = (imagined.trial(), imagined.candidate());
    let mut answer = wire::PreviewSendResponse::default();
    if let Some((reason, detail)) = trial.refused(&candidate) {
        answer.refusal = refusal(reason) as i32;
        answer.detail = detail;
    }
    match trial.render(&candidate, NO_SEND) {
        Ok((_, masked)) => {
            let head = first_attempt(NO_SEND, &imagined.record.id, now);
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

/// The head of an attempt that is shown or tried.
pub fn first_attempt<'a>(send_id: &'a str, campaign_id: &'a str, at: Timestamp) -> AttemptHead<'a> {
    AttemptHead { send_id, campaign_id, number: 1, at, version: env!("CARGO_PKG_VERSION") }
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
