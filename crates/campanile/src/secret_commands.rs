//! `campanile secret ...`: values come from the terminal or standard input, never from an argument, and are never shown.

use std::io::{IsTerminal, Read};

use campanile_proto::v1 as wire;

use crate::cli::SecretCommand;
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::Output;

pub async fn run(mut api: Api, command: SecretCommand, output: Output) -> Result<(), Fail> {
    match command {
        SecretCommand::Set { name, host } => {
            let values = read_values(&name)?;
            let request = wire::PutSecretRequest { name, values, hosts: host, ..Default::default() };
            let secret = api.secrets.put_secret(request).await?.into_inner().secret.unwrap_or_default();
            if output.is_json() {
                return output.message(&secret);
            }
            output.line(&format!("{} is stored, for {}", secret.name, secret.hosts.join(", ")));
            output.note(&format!("next: write {{{{ secret.{} }}}} into a campaign", secret.name));
            Ok(())
        }
        SecretCommand::List => {
            let mut rows = Vec::new();
            let mut page_token = String::new();
            loop {
                let request = wire::ListSecretsRequest { page_size: 1_000, page_token };
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
            }
            Ok(())
        }
        SecretCommand::Delete { name } => {
            let request = wire::DeleteSecretRequest { name: name.clone(), ..Default::default() };
            api.secrets.delete_secret(request).await?;
            output.note(&format!("{name} is deleted"));
            Ok(())
        }
    }
}

/// One value a line; on a terminal one value, not shown as it is typed.
fn read_values(name: &str) -> Result<Vec<String>, Fail> {
    let text = if std::io::stdin().is_terminal() {
        let typed = rpassword::prompt_password(format!("value of {name}: "));
        typed.map_err(|e| Fail::refused(e.to_string()))?
    } else {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).map_err(|e| Fail::input(format!("standard input: {e}")))?;
        text
    };
    let values: Vec<String> = text.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
    if values.is_empty() { Err(Fail::input("there is no value")) } else { Ok(values) }
}
