//! Test sends: one webhook, really posted by the sender's own wire (guard, deadline and all), and what came back. Counts nowhere, is in no
//! log, and changes nothing.

use std::time::Duration;

use campanile_core::limits;
use campanile_core::webhook::{Request, Unsendable};
use campanile_proto::v1 as wire;
use campanile_sender::hide::hide_in;
use campanile_sender::outgoing::outgoing;
use campanile_sender::probe::{Probed, Timing};
use tonic::Status;

use crate::deployment::Deployment;
use crate::imagined::{Asked, Subject};
use crate::imagined_trial::ImaginedTrial;
use crate::preview::{first_attempt, shown};
use crate::write_send::outcome;
use crate::write_stats::{refusal, suppression};

pub async fn send_test(
    deployment: &Deployment,
    request: wire::SendTestRequest,
) -> Result<wire::SendTestResponse, Status> {
    let now = deployment.now();
    let wire::SendTestRequest { subject, user_id, profile, event, values, action } = request;
    let asked = Asked { user_id, profile, event, values };
    let imagined = ImaginedTrial::of(deployment, subject.map(Subject::from), asked, &action, now).await?;
    let (trial, candidate) = (imagined.trial(), imagined.candidate());
    let mut answer = wire::SendTestResponse::default();
    if let Some((reason, why)) = trial.refused(&candidate) {
        answer.refusal = refusal(reason) as i32;
        answer.why = why;
    }
    // Never the id of a send that exists.
    let send_id = format!("test-{}", deployment.make_id());
    let head = first_attempt(&send_id, &imagined.record.id, now);
    let Some(version) = imagined.version() else { return Ok(answer) };
    let made = trial.render(&candidate, &send_id).and_then(|(request, masked)| {
        let keys = version.webhook.signing_keys(&imagined.secrets)?;
        let outgoing = match &deployment.divert {
            None => outgoing(&request, &head, &keys)?,
            Some(divert) => divert.outgoing(masked.clone(), &head, &keys)?,
        };
        Ok((outgoing, request, masked))
    });
    let (outgoing, request, masked) = match made {
        Ok(made) => made,
        Err(why) => return Ok(not_posted(answer, why)),
    };
    let wire = deployment.wire().await?;
    let mut probed = wire.probe(outgoing, limits::EXCHANGE_TIMEOUT).await;
    let names = version.webhook.secrets();
    hide_in(&mut probed.body, &request, names, &imagined.secrets);
    probed.headers.iter_mut().for_each(|(_, value)| hide_in(value, &request, names, &imagined.secrets));
    answer.request = Some(shown(&masked, &head));
    Ok(written(answer, probed, &request))
}

fn not_posted(answer: wire::SendTestResponse, why: Unsendable) -> wire::SendTestResponse {
    wire::SendTestResponse { suppression: suppression(why.reason) as i32, why: why.detail, ..answer }
}

fn written(answer: wire::SendTestResponse, probed: Probed, request: &Request) -> wire::SendTestResponse {
    let status = probed.outcome.status();
    wire::SendTestResponse {
        outcome: outcome(&probed.outcome) as i32,
        detail: probed.outcome.text(),
        status: u32::from(status),
        hint: hint(status, request, &probed.headers),
        headers: probed.headers.into_iter().map(|(name, value)| wire::Header { name, value }).collect(),
        body: probed.body,
        timing: Some(timing(probed.timing)),
        ..answer
    }
}

fn timing(timing: Timing) -> wire::ExchangeTiming {
    wire::ExchangeTiming {
        total: Some(duration(timing.total)),
        dns: timing.dns.map(duration),
        connect: timing.connect.map(duration),
        tls: timing.tls.map(duration),
        first_byte: timing.first_byte.map(duration),
    }
}

fn duration(duration: Duration) -> prost_types::Duration {
    let nanos = i32::try_from(duration.subsec_nanos()).unwrap_or_default();
    prost_types::Duration { seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX), nanos }
}

/// What probably helps against this answer.
fn hint(status: u16, request: &Request, headers: &[(String, String)]) -> String {
    let sent = request.content_type.as_deref().unwrap_or("no content type");
    match status {
        400 | 415 | 422 if sent.starts_with("application/json") => format!(
            "{status} often means another content type: {sent} was sent; if the far end expects form fields, \
             write content_type: form"
        ),
        400 | 415 | 422 => format!(
            "{status} often means another content type: {sent} was sent; if the far end expects JSON, write \
             content_type: json"
        ),
        401 | 403 => {
            "the far end wants credentials: put them into https://user:password@host/, or into headers, \
                      from a secret"
                .to_owned()
        }
        404 => "the far end does not know this path: look at the end of webhook.url".to_owned(),
        405 => {
            format!("the far end does not take {} here: write another webhook.method", request.method.name())
        }
        300..=399 => {
            let location =
                headers.iter().find(|(name, _)| name == "location").map(|(_, value)| value.as_str());
            let leads = location.map_or_else(String::new, |location| format!(": it leads to {location}"));
            format!("redirects are never followed{leads}; write the URL it ends at into webhook.url")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use campanile_core::webhook_draft::Method;

    use super::*;

    fn check(status: u16, content_type: &str, expected: &str) {
        let request = Request {
            method: Method::Put,
            url: "https://h.example/".to_owned(),
            headers: vec![],
            content_type: Some(content_type.to_owned()),
            authorization: None,
            body: vec![],
        };
        let headers = [("location".to_owned(), "https://h.example/new".to_owned())];
        let hint = hint(status, &request, &headers);
        assert!(hint.contains(expected) && hint.is_empty() == expected.is_empty(), "{status}: {hint}");
    }

    #[test]
    fn an_answer_that_is_often_misread_gets_a_hint() {
        for status in [400, 415, 422] {
            check(status, "application/json", "content_type: form");
            check(status, "application/x-www-form-urlencoded", "content_type: json");
        }
        check(401, "application/json", "credentials");
        check(405, "application/json", "PUT");
        check(308, "application/json", "https://h.example/new");
        check(200, "application/json", "");
        check(503, "application/json", "");
    }
}
