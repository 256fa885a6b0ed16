//! `campanile destination ...`: where webhooks go, what is set for each place, and how it stands.

use campanile_core::duration_text;
use campanile_proto::v1 as wire;

use crate::cli_destinations::{DestinationCommand, DestinationSetArgs};
use crate::connect::Api;
use crate::fail::Fail;
use crate::output::Output;
use crate::words;

/// Destinations of one page.
const PAGE: i32 = 1_000;
/// Takes a limit away.
const NONE: &str = "none";

pub async fn run(mut api: Api, command: DestinationCommand, output: Output) -> Result<(), Fail> {
    match command {
        DestinationCommand::List => list(api, output).await,
        DestinationCommand::Show { name } => {
            let request = wire::GetDestinationRequest { name };
            let found = api.destinations.get_destination(request).await?.into_inner().destination;
            show(&found.unwrap_or_default(), output)
        }
        DestinationCommand::Set(args) => set(api, args, output).await,
        DestinationCommand::Reset { name } => {
            let request = wire::ResetBreakerRequest { name, ..Default::default() };
            let reset = api.destinations.reset_breaker(request).await?.into_inner().destination;
            show(&reset.unwrap_or_default(), output)
        }
    }
}

async fn list(mut api: Api, output: Output) -> Result<(), Fail> {
    let mut rows = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = wire::ListDestinationsRequest { page_size: PAGE, page_token };
        let page = api.destinations.list_destinations(request).await?.into_inner();
        for destination in page.destinations {
            if output.is_json() {
                output.message(&destination)?;
                continue;
            }
            let policy = destination.policy.clone().unwrap_or_default();
            let concurrency = match policy.concurrency {
                0 => String::new(),
                n => n.to_string(),
            };
            rows.push(vec![
                destination.name.clone(),
                words::standing(&destination),
                policy.rate.clone(),
                concurrency,
                timeout(&policy),
            ]);
        }
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if !output.is_json() {
        output.table(&["DESTINATION", "STANDS", "RATE", "AT ONCE", "TIME-OUT"], &rows);
        output.next("campanile destination set DESTINATION --rate 50/s");
    }
    Ok(())
}

fn timeout(policy: &wire::DestinationPolicy) -> String {
    let seconds = policy.timeout.map_or(0, |timeout| timeout.seconds);
    if seconds == 0 { String::new() } else { format!("{seconds}s") }
}

fn show(destination: &wire::Destination, output: Output) -> Result<(), Fail> {
    if output.is_json() {
        return output.message(destination);
    }
    let policy = destination.policy.clone().unwrap_or_default();
    output.line(&format!("{} {}", destination.name, words::standing(destination)));
    let breaker = destination.breaker.unwrap_or_default();
    if breaker.good + breaker.bad > 0 {
        let all = breaker.good + breaker.bad;
        output.line(&format!("of {all} attempts of the last minute {} failed", breaker.bad));
    }
    let limits = [
        (!policy.rate.is_empty()).then(|| format!("{} requests", policy.rate)),
        (policy.concurrency > 0).then(|| format!("{} at once", policy.concurrency)),
        policy.timeout.map(|_| format!("{} for each", timeout(&policy))),
    ];
    let limits: Vec<String> = limits.into_iter().flatten().collect();
    let limits = if limits.is_empty() { "nothing is limited".to_owned() } else { limits.join(", ") };
    output.line(&limits);
    let name = &destination.name;
    match breaker.state() {
        wire::BreakerState::Open | wire::BreakerState::Probing => {
            output.next(&format!("campanile destination reset {name}"));
        }
        _ => output.next(&format!("campanile destination set {name} --rate 50/s")),
    }
    Ok(())
}

async fn set(mut api: Api, args: DestinationSetArgs, output: Output) -> Result<(), Fail> {
    let DestinationSetArgs { name, rate, concurrency, timeout } = args;
    let mut paths = Vec::new();
    let mut policy = wire::DestinationPolicy::default();
    if let Some(rate) = rate {
        paths.push("policy.rate".to_owned());
        policy.rate = if rate == NONE { String::new() } else { rate };
    }
    if let Some(concurrency) = concurrency {
        paths.push("policy.concurrency".to_owned());
        policy.concurrency = concurrency;
    }
    if let Some(timeout) = timeout {
        paths.push("policy.timeout".to_owned());
        if timeout != NONE {
            let lasts =
                duration_text::parse(&timeout).map_err(|text| Fail::input(format!("--timeout: {text}")))?;
            let seconds = i64::try_from(lasts.as_secs()).unwrap_or(i64::MAX);
            policy.timeout = Some(prost_types::Duration { seconds, nanos: 0 });
        }
    }
    let request = wire::UpdateDestinationRequest {
        destination: Some(wire::Destination { name, policy: Some(policy), ..Default::default() }),
        update_mask: Some(prost_types::FieldMask { paths }),
        ..Default::default()
    };
    let set = api.destinations.update_destination(request).await?.into_inner().destination;
    show(&set.unwrap_or_default(), output)
}
