//! `campanile token ...`: access tokens, each shown once.

use campanile_core::access::{AccessToken, RANDOM_BYTES};
use campanile_core::duration_text;
use campanile_proto::v1 as wire;
use clap::Subcommand;
use jiff::Timestamp;

use crate::connect::Api;
use crate::fail::Fail;
use crate::output::Output;
use crate::random::random;
use crate::words;

#[derive(Debug, Subcommand)]
pub enum TokenCommand {
    /// Make a token and show it, once.
    Create {
        name: String,
        /// What it lets its bearer do: admin, campaigns, ingest or read.
        #[arg(long, required = true, value_name = "SCOPE")]
        scope: Vec<String>,
        /// How long it is good for, such as 90d. Left out: until it is revoked.
        #[arg(long, value_name = "DURATION")]
        expires: Option<String>,
        /// Calls it may make, such as 100/s. Left out: unbounded.
        #[arg(long, value_name = "RATE", default_value = "", hide_default_value = true)]
        rate: String,
    },
    /// List tokens; what they are known by is never shown again.
    List,
    /// End a token.
    Revoke { name: String },
    /// Print the text of a token that is kept nowhere, for auth.admin_token_file.
    New,
}

pub async fn run(api: Api, command: TokenCommand, now: Timestamp, output: Output) -> Result<(), Fail> {
    match command {
        TokenCommand::Create { name, scope, expires, rate } => {
            let expires_at = expires.map(|text| ends(&text, now)).transpose()?;
            let request = wire::CreateTokenRequest { name, scopes: scope, expires_at, rate };
            create(api, request, output).await
        }
        TokenCommand::List => list(api, output).await,
        TokenCommand::Revoke { name } => revoke(api, name, output).await,
        TokenCommand::New => {
            new(output);
            Ok(())
        }
    }
}

/// Needs no server.
pub fn new(output: Output) {
    let scopes = ["admin".to_owned()];
    // Its name and scope are fixed, so that nothing can be wrong with them.
    if let Ok((_, text)) =
        AccessToken::make("x", &scopes, None, "", Timestamp::UNIX_EPOCH, random::<RANDOM_BYTES>())
    {
        output.line(&text);
    }
}

fn ends(text: &str, now: Timestamp) -> Result<prost_types::Timestamp, Fail> {
    let wrong = |why: String| Fail::input(format!("--expires {text}: {why}"));
    let span = duration_text::parse(text).map_err(wrong)?;
    let at = now.saturating_add(span).map_err(|e| wrong(e.to_string()))?;
    Ok(prost_types::Timestamp { seconds: at.as_second(), nanos: 0 })
}

async fn create(mut api: Api, request: wire::CreateTokenRequest, output: Output) -> Result<(), Fail> {
    let answer = api.tokens.create_token(request).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    output.line(&answer.secret);
    output.next("keep it now: it is not shown again; CAMPANILE_TOKEN=... campanile campaign list");
    Ok(())
}

async fn list(mut api: Api, output: Output) -> Result<(), Fail> {
    let tokens = api.tokens.list_tokens(wire::ListTokensRequest {}).await?.into_inner().tokens;
    if output.is_json() {
        return tokens.iter().try_for_each(|token| output.message(token));
    }
    let row = |token: wire::AccessToken| {
        let until = token.expires_at.map_or_else(|| "revoked".to_owned(), |at| words::instant(Some(&at)));
        vec![token.name, token.scopes.join(", "), until, token.rate]
    };
    output.table(&["TOKEN", "SCOPES", "UNTIL", "RATE"], &tokens.into_iter().map(row).collect::<Vec<_>>());
    output.next("campanile token create NAME --scope SCOPE");
    Ok(())
}

async fn revoke(mut api: Api, name: String, output: Output) -> Result<(), Fail> {
    let answer = api.tokens.revoke_token(wire::RevokeTokenRequest { name: name.clone() }).await?.into_inner();
    if output.is_json() {
        return output.message(&answer);
    }
    output.line(&format!("{name} is revoked: within two seconds it is taken nowhere"));
    output.next("campanile token list");
    Ok(())
}
