//! `campanile campaign preview`: what a user would get, before anybody does.

use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;
use campanile_proto::v1::preview_send_request::Subject;
use serde_json::Value;

use crate::campaign_files;
use crate::cli_trial::PreviewArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, Tone};
use crate::table::{plain, plain_lines};
use crate::words;

pub async fn run(mut api: Api, args: PreviewArgs, output: Output) -> Result<(), Fail> {
    let (profile, event) = imagined(&args)?;
    let next = match (&args.id, &args.file) {
        (Some(id), _) => format!("campanile campaign activate {}", shell_word(id)),
        (None, Some(path)) => {
            format!("campanile campaign apply -f {} --activate", shell_word(&path.display().to_string()))
        }
        (None, None) => String::new(),
    };
    remark_on_user(&mut api, &args.user, output).await?;
    let mut request = wire::PreviewSendRequest {
        subject: args.id.map(Subject::CampaignId),
        user_id: args.user,
        profile,
        event,
        values: args.values,
        action: args.action,
    };
    let answer = match args.file {
        None => api.campaigns.preview_send(request).await?.into_inner(),
        Some(path) => {
            let written = campaign_files::read_one(path, "preview")?;
            request.subject = Some(Subject::Campaign(written.campaign().clone()));
            let answer = api.campaigns.preview_send(request).await;
            answer.map_err(|status| written.refused(status))?.into_inner()
        }
    };
    if output.is_json() {
        output.message(&answer)?;
    } else {
        show(&answer, output);
    }
    if answer.refusal == 0 && answer.suppression == 0 {
        output.next(&next);
        Ok(())
    } else {
        Err(Fail::refused(why(&answer)))
    }
}

/// What is made up of the user, and what sets the campaign off.
pub fn imagined(args: &PreviewArgs) -> Result<(Option<wire::UserUpdate>, Option<wire::Event>), Fail> {
    let event = args.event.as_deref().map(read_event).transpose()?;
    let attributes = &args.attributes;
    let profile = (!attributes.is_empty())
        .then(|| wire::UserUpdate { attributes: attributes.clone(), ..Default::default() });
    Ok((profile, event))
}

/// One that does not exist is made up, which a slip in its id should not hide.
async fn remark_on_user(api: &mut Api, id: &str, output: Output) -> Result<(), Fail> {
    match api.users.get_user(wire::GetUserRequest { id: id.to_owned() }).await {
        Err(status) if status.code() == tonic::Code::NotFound => {
            output.note(&format!(
                "there is no user {id:?}: made up for this preview, with the attributes of --attributes"
            ));
            Ok(())
        }
        // What is wrong with the id is said by the preview itself.
        Err(status) if status.code() == tonic::Code::InvalidArgument => Ok(()),
        Err(status) => Err(status.into()),
        Ok(_) => Ok(()),
    }
}

fn show(answer: &wire::PreviewSendResponse, output: Output) {
    let Some(request) = &answer.request else { return };
    show_request(request, output);
    output.note(&answer.curl);
}

/// A request as it goes over the wire.
pub fn show_request(request: &wire::RenderedRequest, output: Output) {
    output.line(&output.paint(Tone::Strong, &format!("{} {}", request.method, plain(&request.url))));
    for header in &request.headers {
        output.line(&format!("{}: {}", plain(&header.name), plain(&header.value)));
    }
    output.line(&format!("\n{}\n", plain_lines(&request.body)));
}

fn why(answer: &wire::PreviewSendResponse) -> String {
    let reason = match answer.refusal() {
        wire::RefusalReason::Unspecified => words::suppression(answer.suppression()),
        reason => words::refusal(reason),
    };
    format!("it would not be sent: {reason}: {}", answer.detail)
}

/// `{"name": ..., "properties": {...}, "value": ...}`.
pub fn read_event(text: &str) -> Result<wire::Event, Fail> {
    let wrong = |text: String| Fail::input(format!("--event: {text}"));
    let value: Value = serde_json::from_str(text).map_err(|e| wrong(e.to_string()))?;
    let name = value.get("name").or_else(|| value.get("event")).and_then(Value::as_str);
    let name = name.ok_or_else(|| wrong("expected an object with a name".to_owned()))?.to_owned();
    let properties = value.get("properties").map(ToString::to_string).unwrap_or_default();
    Ok(wire::Event {
        name,
        properties,
        value: value.get("value").and_then(Value::as_f64),
        ..Default::default()
    })
}
