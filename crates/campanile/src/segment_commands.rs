//! `campanile segment ...`: saved conditions by name. A change that live campaigns would feel names them and asks first.

use campanile_proto::v1 as wire;
use tonic::Code;

use crate::cli_segments::SegmentCommand;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::{Output, confirm};

/// Segments of one page.
const PAGE: i32 = 1_000;

pub async fn run(api: Api, command: SegmentCommand, output: Output) -> Result<(), Fail> {
    match command {
        SegmentCommand::Set { name, condition, title, yes } => {
            let segment = wire::Segment { name, r#where: condition, title, ..Default::default() };
            set(api, segment, yes, output).await
        }
        SegmentCommand::Show { name } => show(api, name, output).await,
        SegmentCommand::List => list(api, output).await,
        SegmentCommand::Delete { name } => delete(api, name, output).await,
    }
}

async fn set(mut api: Api, segment: wire::Segment, yes: bool, output: Output) -> Result<(), Fail> {
    let asked = wire::GetSegmentRequest { name: segment.name.clone() };
    let there = match api.segments.get_segment(asked).await {
        Ok(answer) => answer.into_inner().segment,
        Err(status) if status.code() == Code::NotFound => None,
        Err(status) => return Err(status.into()),
    };
    let stored = match there {
        None => {
            let request = wire::CreateSegmentRequest { segment: Some(segment), ..Default::default() };
            api.segments.create_segment(request).await?.into_inner().segment
        }
        Some(there) => update(&mut api, segment, &there, yes).await?,
    };
    let stored = stored.unwrap_or_default();
    if output.is_json() {
        return output.message(&stored);
    }
    output.line(&format!("segment {} is at revision {}: {}", stored.name, stored.revision, stored.r#where));
    output.next(&format!("write in_segment(\"{}\") into a condition, or include_segments: {0}", stored.name));
    Ok(())
}

async fn update(
    api: &mut Api,
    segment: wire::Segment,
    there: &wire::Segment,
    yes: bool,
) -> Result<Option<wire::Segment>, Fail> {
    let name = segment.name.clone();
    let mut request = wire::UpdateSegmentRequest {
        segment: Some(segment),
        expected_revision: there.revision,
        validate_only: true,
        ..Default::default()
    };
    let would = api.segments.update_segment(request.clone()).await?.into_inner();
    let used_by = would.used_by.unwrap_or_default();
    let mut users = Vec::new();
    if !used_by.live_campaigns.is_empty() {
        users.push(format!("the audiences of live campaigns: {}", used_by.live_campaigns.join(", ")));
    }
    if used_by.never_send {
        users.push("who is never sent anything (never_send of the settings)".to_owned());
    }
    let changes = would.segment.is_some_and(|would| would.r#where != there.r#where);
    if changes && !users.is_empty() && !yes {
        let question = format!("with {name} change {}. Change it?", users.join("; and "));
        confirm(&question, "add --yes to change it all the same")?;
    }
    request.validate_only = false;
    request.allow_in_use = true;
    Ok(api.segments.update_segment(request).await?.into_inner().segment)
}

async fn show(mut api: Api, name: String, output: Output) -> Result<(), Fail> {
    let answer = api.segments.get_segment(wire::GetSegmentRequest { name }).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    let segment = answer.segment.unwrap_or_default();
    if !segment.title.is_empty() {
        output.line(&segment.title);
    }
    output.line(&segment.r#where);
    used(&answer.used_by.unwrap_or_default(), output);
    output.next(&format!("campanile segment set {} 'CONDITION'", segment.name));
    Ok(())
}

/// Who uses a segment or a list.
pub fn used(by: &wire::GroupUse, output: Output) {
    for (what, names) in [("live campaigns", &by.live_campaigns), ("segments", &by.segments)] {
        if !names.is_empty() {
            output.note(&format!("used by the {what} {}", names.join(", ")));
        }
    }
    if by.never_send {
        output.note("used by never_send of the settings: nobody in it is sent anything");
    }
}

async fn list(mut api: Api, output: Output) -> Result<(), Fail> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::ListSegmentsRequest { page_size: PAGE, page_token };
        let page = api.segments.list_segments(request).await?.into_inner();
        for segment in page.segments {
            if output.is_json() {
                output.message(&segment)?;
            } else {
                rows.push(vec![segment.name, segment.revision.to_string(), segment.r#where]);
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if !output.is_json() {
        output.table(&["SEGMENT", "REVISION", "WHERE"], &rows);
        output.next("campanile segment set NAME 'CONDITION'");
    }
    Ok(())
}

async fn delete(mut api: Api, name: String, output: Output) -> Result<(), Fail> {
    let request = wire::DeleteSegmentRequest { name: name.clone(), ..Default::default() };
    let answer = api.segments.delete_segment(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    output.line(&format!("segment {name} is deleted"));
    output.next("campanile segment list");
    Ok(())
}
