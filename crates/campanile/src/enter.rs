//! `campanile campaign enter`: users into a campaign by hand, named or from a file, with an answer for each.

use std::collections::HashSet;
use std::path::Path;

use campanile_proto::v1 as wire;
use prost::Message;
use serde_json::Value;

use crate::cli_enter::{EnterArgs, SkipGate};
use crate::connect::Api;
use crate::enter_audience;
use crate::fail::Fail;
use crate::json_lines::JsonLines;
use crate::line_fields::take_text;
use crate::output::Output;
use crate::words;

/// Users and bytes of one request, and users of one that waits.
const REQUEST_USERS_MAX: usize = 10_000;
const WAITING_USERS_MAX: usize = 1_000;
const REQUEST_BYTES_MAX: usize = 3 * 1024 * 1024;

pub async fn run(mut api: Api, args: EnterArgs, output: Output) -> Result<(), Fail> {
    if args.condition.is_some() || !args.include_segment.is_empty() || !args.exclude_segment.is_empty() {
        return enter_audience::run(api, args, output).await;
    }
    let users = read(&args)?;
    let skip: Vec<i32> = args.skip.iter().map(|gate| skip(*gate) as i32).collect();
    let (mut rows, mut refused, mut unknown) = (Vec::new(), 0, false);
    let users_max = if args.wait.is_some() { WAITING_USERS_MAX } else { REQUEST_USERS_MAX };
    for (part, users) in (0..).zip(requests(users, users_max)) {
        let request = wire::EnterUsersRequest {
            campaign_id: args.id.clone(),
            users,
            skip: skip.clone(),
            create_missing: args.create_missing,
            request_id: request_id(&args.request_id, part),
            wait: args.wait.and_then(|wait| wait.try_into().ok()),
            ..Default::default()
        };
        let answer = api.campaigns.enter_users(request).await?.into_inner();
        refused += answer.refused;
        for user in answer.users {
            unknown |= user.refusal() == wire::RefusalReason::UnknownUser;
            if output.is_json() {
                output.message(&user)?;
                continue;
            }
            let (answered, more) = match user.refusal() {
                wire::RefusalReason::Unspecified => (entered(&user), user.send_ids.join(" ")),
                reason => (words::refusal(reason), user.detail),
            };
            rows.push(vec![user.user_id, answered, more]);
        }
    }
    if !output.is_json() {
        output.table(&["USER", "ANSWER", "SENDS OR WHY NOT"], &rows);
    }
    if unknown {
        output.note("users that do not exist can be created as they enter: add --create-missing");
    }
    if refused > 0 {
        return Err(Fail::refused(format!("{} did not enter", words::counted(refused, "user"))));
    }
    output.next(&format!("campanile sends list --campaign {}", args.id));
    Ok(())
}

/// With what became of the first send, where that was waited for.
fn entered(user: &wire::EnteredUser) -> String {
    let Some(send) = &user.outcome else { return "entered".to_owned() };
    match send.state() {
        wire::SendState::Pending => "entered, pending".to_owned(),
        wire::SendState::Suppressed => {
            format!("entered, suppressed: {}", words::suppression(send.suppression()))
        }
        state => format!("entered, {}", words::send_state(state)),
    }
}

pub fn skip(gate: SkipGate) -> wire::EnterSkip {
    match gate {
        SkipGate::Audience => wire::EnterSkip::Audience,
        SkipGate::Caps => wire::EnterSkip::Caps,
        SkipGate::QuietHours => wire::EnterSkip::QuietHours,
    }
}

/// Every part of a repeated command is the same request again.
fn request_id(given: &str, part: u32) -> String {
    match (given, part) {
        ("", _) | (_, 0) => given.to_owned(),
        (id, part) => format!("{id}/{part}"),
    }
}

/// All users, each once; or everything that is wrong, before anybody enters.
fn read(args: &EnterArgs) -> Result<Vec<wire::UserToEnter>, Fail> {
    if !args.values.is_empty() {
        let values: Result<Value, _> = serde_json::from_str(&args.values);
        if !values.is_ok_and(|values| values.is_object()) {
            return Err(Fail::input("--values: expected a JSON object, such as '{\"cents\": 500}'"));
        }
    }
    let mut found = Found::default();
    for id in &args.users {
        let user = wire::UserToEnter { user_id: id.clone(), values: args.values.clone() };
        found.add(format!("{id:?}"), user);
    }
    if let Some(path) = &args.from_file {
        read_file(path, &args.values, &mut found)?;
    }
    if !found.faults.is_empty() {
        return Err(Fail::inputs(found.faults));
    }
    if found.users.is_empty() {
        return Err(Fail::input("nobody to enter: name users, or give --from-file FILE"));
    }
    Ok(found.users)
}

#[derive(Default)]
struct Found {
    users: Vec<wire::UserToEnter>,
    ids: HashSet<String>,
    faults: Vec<String>,
}

impl Found {
    fn add(&mut self, place: String, user: wire::UserToEnter) {
        if self.ids.insert(user.user_id.clone()) {
            self.users.push(user);
        } else {
            self.faults.push(format!("{place}: {:?} is there twice", user.user_id));
        }
    }
}

fn read_file(path: &Path, values: &str, found: &mut Found) -> Result<(), Fail> {
    let name = path.display();
    let in_file = |e: std::io::Error| Fail::input(format!("{name}: {e}"));
    let file = std::fs::File::open(path).map_err(in_file)?;
    for line in JsonLines::new(std::io::BufReader::new(file)) {
        let line = line.map_err(in_file)?;
        let place = format!("{name}:{}", line.number);
        match line.object.and_then(|object| read_line(object, values)) {
            Ok(user) => found.add(place, user),
            Err(fault) => found.faults.push(format!("{place}: {fault}")),
        }
    }
    Ok(())
}

fn read_line(mut object: serde_json::Map<String, Value>, values: &str) -> Result<wire::UserToEnter, String> {
    let user_id = take_text(&mut object, &["user_id", "userId", "id"])?.ok_or("has no user_id")?;
    let values = match object.shift_remove("values") {
        None | Some(Value::Null) => values.to_owned(),
        Some(own @ Value::Object(_)) => own.to_string(),
        Some(_) => return Err("values: expected an object".to_owned()),
    };
    match object.keys().next() {
        None => Ok(wire::UserToEnter { user_id, values }),
        Some(key) => Err(format!("{key:?} is not known, expected user_id and values")),
    }
}

/// Users in requests that the server takes.
fn requests(users: Vec<wire::UserToEnter>, users_max: usize) -> Vec<Vec<wire::UserToEnter>> {
    let (mut requests, mut request, mut bytes) = (Vec::new(), Vec::new(), 0);
    for user in users {
        let more = user.encoded_len() + 8;
        if request.len() >= users_max || bytes + more > REQUEST_BYTES_MAX && !request.is_empty() {
            requests.push(std::mem::take(&mut request));
            bytes = 0;
        }
        bytes += more;
        request.push(user);
    }
    requests.push(request);
    requests
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(users: &[&str], values: &str) -> EnterArgs {
        EnterArgs {
            id: "credit".to_owned(),
            users: users.iter().map(|id| (*id).to_owned()).collect(),
            values: values.to_owned(),
            from_file: None,
            condition: None,
            include_segment: Vec::new(),
            exclude_segment: Vec::new(),
            yes: false,
            skip: Vec::new(),
            create_missing: false,
            wait: None,
            request_id: String::new(),
        }
    }

    #[test]
    fn everybody_gets_the_values_and_nobody_enters_twice() {
        let users = read(&args(&["a", "b"], "{\"cents\": 5}")).unwrap();
        assert!(users.len() == 2 && users.iter().all(|user| user.values == "{\"cents\": 5}"), "{users:?}");
        for (users, values, expected) in [
            (&["a", "a"][..], "", "twice"),
            (&[], "", "nobody"),
            (&["a"], "[1]", "--values"),
            (&["a"], "{", "--values"),
        ] {
            let fail = read(&args(users, values)).unwrap_err();
            assert!(fail.code == 2 && fail.lines[0].contains(expected), "{fail:?}");
        }
    }

    #[test]
    fn a_line_s_own_values_win() {
        let check = |line: &str, expected: Result<(&str, &str), &str>| {
            let read = read_line(serde_json::from_str(line).unwrap(), "{}");
            let read = read.as_ref().map(|user| (user.user_id.as_str(), user.values.as_str()));
            assert_eq!(read.map_err(String::as_str), expected, "{line}");
        };
        check(r#"{"user_id":"a","values":{"n":9007199254740993}}"#, Ok(("a", r#"{"n":9007199254740993}"#)));
        check(r#"{"userId":7}"#, Ok(("7", "{}")));
        check(r#"{"values":{}}"#, Err("has no user_id"));
        check(r#"{"user_id":"a","values":[]}"#, Err("values: expected an object"));
        check(r#"{"user_id":"a","cents":1}"#, Err("\"cents\" is not known, expected user_id and values"));
    }

    #[test]
    fn many_users_go_in_several_requests_each_with_an_id_of_its_own() {
        let user = |i: usize| wire::UserToEnter { user_id: i.to_string(), values: String::new() };
        let sizes: Vec<usize> =
            requests((0..25_000).map(user).collect(), 10_000).iter().map(Vec::len).collect();
        assert_eq!(sizes, [10_000, 10_000, 5_000]);
        let heavy = |i: usize| wire::UserToEnter { user_id: i.to_string(), values: "x".repeat(60_000) };
        assert_eq!(requests((0..100).map(heavy).collect(), 10_000).len(), 2);
        assert_eq!(
            (request_id("r", 0), request_id("r", 2), request_id("", 2)),
            ("r".into(), "r/2".into(), "".into())
        );
    }
}
