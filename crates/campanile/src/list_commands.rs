//! `campanile list ...`: lists of user ids, from a file or standard input, an id a line.

use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use campanile_core::limits;
use campanile_proto::v1 as wire;

use crate::cli_segments::{ListCommand, ListPut};
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::Output;
use crate::segment_commands::used;

/// Lists, or ids, of one page.
const PAGE: i32 = 1_000;
/// Ids of one part of the stream: far below the largest message.
const PART_IDS: usize = 5_000;

pub async fn run(api: Api, command: ListCommand, output: Output) -> Result<(), Fail> {
    match command {
        ListCommand::Set(put) => change(api, put, wire::PutMode::Replace, output).await,
        ListCommand::Add(put) => change(api, put, wire::PutMode::Add, output).await,
        ListCommand::Remove(put) => change(api, put, wire::PutMode::Remove, output).await,
        ListCommand::Show { name } => show(api, name, output).await,
        ListCommand::List => list(api, output).await,
        ListCommand::Delete { name } => delete(api, name, output).await,
    }
}

async fn change(mut api: Api, put: ListPut, mode: wire::PutMode, output: Output) -> Result<(), Fail> {
    let ListPut { name, users, file } = put;
    let ids = match (file, users.is_empty()) {
        (Some(file), true) => read(&file)?,
        (None, false) => users,
        _ => {
            return Err(Fail::input(
                "say which users: USER..., or --file FILE with an id a line (- is standard input)",
            ));
        }
    };
    let mode = mode as i32;
    let mut parts: Vec<wire::PutUserListRequest> = ids
        .chunks(PART_IDS)
        .map(|ids| wire::PutUserListRequest { name: name.clone(), user_ids: ids.to_vec(), mode })
        .collect();
    if parts.is_empty() {
        parts.push(wire::PutUserListRequest { name, user_ids: Vec::new(), mode });
    }
    let answer = api.segments.put_user_list(tokio_stream::iter(parts)).await?.into_inner();
    let list = answer.list.unwrap_or_default();
    if output.is_json() {
        return output.message(&list);
    }
    output.line(&format!("list {} has {} users", list.name, list.users));
    output.next(&format!("write in_list(\"{}\") into a condition", list.name));
    Ok(())
}

/// Ids of a file, an id a line; empty lines are left out.
fn read(file: &Path) -> Result<Vec<String>, Fail> {
    let name = file.display();
    let source: Box<dyn Read> = if file == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(file).map_err(|e| Fail::input(format!("{name}: {e}")))?)
    };
    let mut ids = Vec::new();
    for (i, line) in BufReader::new(source).lines().enumerate() {
        let line = line.map_err(|e| Fail::input(format!("{name}:{}: {e}", i + 1)))?;
        let id = line.trim_end_matches('\r');
        if !id.is_empty() {
            ids.push(id.to_owned());
        }
        if ids.len() > limits::USER_LIST_IDS_MAX {
            let most = limits::USER_LIST_IDS_MAX;
            return Err(Fail::input(format!("{name}: a list has at most {most} ids")));
        }
    }
    Ok(ids)
}

async fn show(mut api: Api, name: String, output: Output) -> Result<(), Fail> {
    let mut page_token = String::new();
    loop {
        let request = wire::GetUserListRequest { name: name.clone(), page_size: PAGE, page_token };
        let page = api.segments.get_user_list(request).await?.into_inner();
        if output.is_json() {
            output.message(&page)?;
        } else {
            page.user_ids.iter().for_each(|id| output.line(id));
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            let users = page.list.unwrap_or_default().users;
            output.note(&format!("{users} users"));
            used(&page.used_by.unwrap_or_default(), output);
            return Ok(());
        }
    }
}

async fn list(mut api: Api, output: Output) -> Result<(), Fail> {
    let request = wire::ListUserListsRequest { page_size: PAGE, page_token: String::new() };
    let page = api.segments.list_user_lists(request).await?.into_inner();
    if output.is_json() {
        return page.lists.iter().try_for_each(|list| output.message(list));
    }
    let rows: Vec<Vec<String>> =
        page.lists.into_iter().map(|list| vec![list.name, list.users.to_string()]).collect();
    output.table(&["LIST", "USERS"], &rows);
    output.next("campanile list set NAME --file FILE");
    Ok(())
}

async fn delete(mut api: Api, name: String, output: Output) -> Result<(), Fail> {
    let request = wire::DeleteUserListRequest { name: name.clone(), ..Default::default() };
    let answer = api.segments.delete_user_list(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    output.line(&format!("list {name} is deleted"));
    output.next("campanile list list");
    Ok(())
}
