//! `campanile users ...`: imports, and one user to look at.

use campanile_core::encode::shell_word;
use campanile_proto::v1 as wire;
use serde_json::{Map, Value};

use crate::cli::UsersCommand;
use crate::cli_edits::DeleteArgs;
use crate::connect::Api;
use crate::fail::Fail;
use crate::import;
use crate::output::{Output, Tone, confirm};
use crate::table::plain;
use crate::words;

pub async fn run(mut api: Api, command: UsersCommand, output: Output) -> Result<(), Fail> {
    match command {
        UsersCommand::Import(args) => import::run(api, args, output).await,
        UsersCommand::Delete(args) => delete(api, args, output).await,
        UsersCommand::Show { id } => {
            let answer = api.users.get_user(wire::GetUserRequest { id: id.clone() }).await;
            let answer = answer.map_err(|status| match status.code() {
                tonic::Code::NotFound => {
                    let mut fail = Fail::from(status);
                    let id = shell_word(&id);
                    fail.lines
                        .push(format!("type `campanile users import FILE`, or `campanile track {id} EVENT`"));
                    fail
                }
                _ => Fail::from(status),
            })?;
            let answer = answer.into_inner();
            show(&answer.user.unwrap_or_default(), output)
        }
    }
}

/// Shows first what is known, then asks.
async fn delete(mut api: Api, args: DeleteArgs, output: Output) -> Result<(), Fail> {
    let mut request =
        wire::DeleteUserRequest { id: args.id.clone(), validate_only: true, ..Default::default() };
    let before = api.users.delete_user(request.clone()).await?.into_inner();
    if !args.yes {
        let rows = words::counted(before.log_rows, "row");
        let lists = match before.lists.as_slice() {
            [] => String::new(),
            lists => format!(", and its id from the lists {}", lists.join(", ")),
        };
        let question = format!(
            "{} and all that is kept of it goes for good, {rows} of the send log too{lists}. Erase?",
            args.id
        );
        confirm(&question, "add --yes to erase")?;
    }
    request.validate_only = false;
    let answer = api.users.delete_user(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    output.line(&format!("{} is erased; what was planned for it ends unsent", plain(&args.id)));
    output.next("campanile sends list");
    Ok(())
}

fn show(user: &wire::User, output: Output) -> Result<(), Fail> {
    if output.is_json() {
        return output.message(user);
    }
    output.line(&output.paint(Tone::Strong, &plain(&user.id)));
    let zone = if user.time_zone.is_empty() { "unknown" } else { user.time_zone.as_str() };
    output.line(&format!("time zone {zone}, created {}", words::instant(user.created_at.as_ref())));
    let attributes: Map<String, Value> = serde_json::from_str(&user.attributes).unwrap_or_default();
    let rows: Vec<Vec<String>> =
        attributes.iter().map(|(name, value)| vec![name.clone(), value.to_string()]).collect();
    if !rows.is_empty() {
        output.line("");
        output.table(&["ATTRIBUTE", "VALUE"], &rows);
    }
    let rows = user.behaviour.iter().map(|b| {
        vec![
            b.event.clone(),
            b.count.to_string(),
            words::instant(b.first_at.as_ref()),
            words::instant(b.last_at.as_ref()),
            b.value_sum.to_string(),
        ]
    });
    let rows: Vec<Vec<String>> = rows.collect();
    if !rows.is_empty() {
        output.line("");
        output.table(&["EVENT", "COUNT", "FIRST", "LAST", "SUM OF VALUES"], &rows);
    }
    output.next(&format!("campanile sends list --user {}", shell_word(&user.id)));
    Ok(())
}
