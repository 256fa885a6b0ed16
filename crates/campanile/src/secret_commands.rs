//! `campanile secret ...`: values come from the terminal or standard input, never from an argument, and are never shown.

use std::io::{IsTerminal, Read};

use campanile_proto::v1 as wire;

use crate::cli_deployment::SecretCommand;
use crate::connect::Api;
use crate::fail::Fail;
use crate::keyring;
use crate::output::Output;
use crate::random::random;

/// Secrets of one page.
const PAGE: i32 = 1_000;
/// What several values of the largest size need, with room around them.
const INPUT_BYTES_MAX: u64 = 128 * 1024;

pub async fn run(api: Api, command: SecretCommand, output: Output) -> Result<(), Fail> {
    match command {
        SecretCommand::Set { name, host, allow_in_use } => set(api, name, host, allow_in_use, output).await,
        SecretCommand::List => list(api, output).await,
        SecretCommand::Delete { name } => delete(api, name, output).await,
        SecretCommand::RotateKey => rotate(api, output).await,
        SecretCommand::NewKey => {
            new_key(output);
            Ok(())
        }
    }
}

async fn set(
    mut api: Api,
    name: String,
    hosts: Vec<String>,
    allow_in_use: bool,
    output: Output,
) -> Result<(), Fail> {
    let values = values_given(&name)?;
    if values.is_empty() {
        return Err(Fail::input("there is no value: give one on standard input, one a line"));
    }
    let n = values.len();
    let request = wire::PutSecretRequest { name, values, hosts, allow_in_use, ..Default::default() };
    let answer = api.secrets.put_secret(request).await.map_err(|status| {
        let is_in_use = status.code() == tonic::Code::FailedPrecondition;
        let mut fail = Fail::from(status);
        if is_in_use {
            fail.lines.push("add --allow-in-use to replace it all the same".to_owned());
        }
        fail
    })?;
    let answer = answer.into_inner();
    let secret = answer.secret.unwrap_or_default();
    if output.is_json() {
        return output.message(&secret);
    }
    let values = if n == 1 { String::new() } else { format!(" with {n} values") };
    output.line(&format!("{} is stored{values}, for {}", secret.name, secret.hosts.join(", ")));
    if !answer.in_use_by.is_empty() {
        output.line(&format!("used from now on by {}", answer.in_use_by.join(", ")));
    }
    output.next(&format!(
        "write {{{{ secret.{} }}}} into a campaign, or name it as its signing_secret",
        secret.name
    ));
    Ok(())
}

async fn list(mut api: Api, output: Output) -> Result<(), Fail> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::ListSecretsRequest { page_size: PAGE, page_token };
        let page = api.secrets.list_secrets(request).await?.into_inner();
        for secret in page.secrets {
            if output.is_json() {
                output.message(&secret)?;
            } else {
                rows.push(vec![secret.name, secret.hosts.join(", ")]);
            }
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if !output.is_json() {
        output.table(&["SECRET", "HOSTS"], &rows);
        output.next("campanile secret set NAME --host HOST");
    }
    Ok(())
}

async fn delete(mut api: Api, name: String, output: Output) -> Result<(), Fail> {
    let request = wire::DeleteSecretRequest { name: name.clone(), ..Default::default() };
    let answer = api.secrets.delete_secret(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    output.line(&format!("{name} is deleted"));
    output.next("campanile secret list");
    Ok(())
}

/// Needs no server.
pub fn new_key(output: Output) {
    output.line(&keyring::new_line(random(), random()));
    output.next("put it first in the file that secrets.key_file names, in every process, then campanile secret rotate-key");
}

async fn rotate(mut api: Api, output: Output) -> Result<(), Fail> {
    let answer = api.secrets.reencrypt_secrets(wire::ReencryptSecretsRequest {}).await?.into_inner();
    if output.is_json() {
        output.message(&answer)?;
    } else {
        output.line(&format!("{} secrets are sealed anew", answer.reencrypted));
        for text in &answer.unreadable {
            output.line(&format!("left as it is: {text}"));
        }
    }
    if answer.unreadable.is_empty() { Ok(()) } else { Err(Fail::refused("some secrets could not be opened")) }
}

/// The values of a secret that a person types or a pipe brings; never arguments, which other processes can read.
pub fn values_given(name: &str) -> Result<Vec<String>, Fail> {
    if std::io::stdin().is_terminal() { ask(name) } else { read() }
}

/// Values until an empty one, not shown as they are typed.
fn ask(name: &str) -> Result<Vec<String>, Fail> {
    let mut values = Vec::new();
    loop {
        let prompt = match values.len() {
            0 => format!("value of {name} (not shown): "),
            _ => "another value while it rotates (return: no more): ".to_owned(),
        };
        let typed =
            rpassword::prompt_password(prompt).map_err(|e| Fail::refused(format!("the terminal: {e}")))?;
        if typed.is_empty() {
            return Ok(values);
        }
        values.push(typed);
    }
}

fn read() -> Result<Vec<String>, Fail> {
    let mut bytes = Vec::new();
    let read = std::io::stdin().take(INPUT_BYTES_MAX + 1).read_to_end(&mut bytes);
    read.map_err(|e| Fail::input(format!("standard input: {e}")))?;
    if bytes.len() as u64 > INPUT_BYTES_MAX {
        return Err(Fail::input("standard input: is larger than any secret"));
    }
    values(&bytes).map_err(Fail::input)
}

/// One value a line; the error never shows what was given.
fn values(bytes: &[u8]) -> Result<Vec<String>, String> {
    let text = std::str::from_utf8(bytes).map_err(|_| "standard input: is not UTF-8 text")?;
    Ok(text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_value() {
        assert_eq!(values(b"one\r\n\ntwo with blanks \n").unwrap(), ["one", "two with blanks "]);
        assert_eq!(values(b"").unwrap(), [""; 0]);
        assert!(values(b"s\xffcret").unwrap_err().contains("UTF-8"));
    }
}
