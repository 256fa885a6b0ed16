//! Settings: flags over environment over file over defaults. The only room that reads the environment.
//!
//! The defaults are a commented file inside the binary, which is also the manual. Unknown keys are errors that name the key.

#![allow(clippy::disallowed_methods)]

use std::net::SocketAddr;
use std::path::Path;

use campanile_core::cidr::Cidr;
use campanile_core::fault::Faults;
use campanile_core::network::Policy;
use campanile_core::secret::host_patterns;
use campanile_sender::divert::Divert;
use serde::Deserialize;
use toml::{Table, Value};

/// What `campanile config` prints.
pub const DEFAULTS: &str = include_str!("config_default.toml");
const PREFIX: &str = "CAMPANILE_";
/// Variables that are flags of the command line, not settings.
const NOT_SETTINGS: [&str; 8] = [
    "CAMPANILE_SERVER",
    "CAMPANILE_TOKEN",
    "CAMPANILE_TOKEN_FILE",
    "CAMPANILE_CA_FILE",
    "CAMPANILE_CLIENT_CERT",
    "CAMPANILE_CLIENT_KEY",
    "CAMPANILE_CONFIG",
    "CAMPANILE_RECEIVE_LISTEN",
];

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub store: Store,
    pub listen: Listen,
    pub auth: Auth,
    pub tls: Tls,
    pub secrets: Secrets,
    pub network: Network,
    pub sender: Sender,
    pub log: Log,
    pub shutdown: Shutdown,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    pub url: String,
    pub shards: u16,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Listen {
    pub grpc: SocketAddr,
    pub console: SocketAddr,
    pub console_hosts: Vec<String>,
    pub intake: SocketAddr,
    pub health: SocketAddr,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Auth {
    pub require_on_loopback: bool,
    pub admin_token_file: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    pub cert_file: String,
    pub key_file: String,
    pub client_ca_file: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secrets {
    pub key_file: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    pub dev: bool,
    pub allow_http: bool,
    pub allow_networks: Vec<String>,
    pub deny_networks: Vec<String>,
    pub allow_hosts: Vec<String>,
    #[serde(deserialize_with = "text_or_number")]
    pub ports: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sender {
    pub slots: usize,
    pub divert_to: String,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    pub format: LogFormat,
    pub level: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    Human,
    Json,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    pub grace_secs: u64,
}

/// Why there is no configuration; says which layer is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{layer}: {text}")]
pub struct ConfigError {
    pub layer: String,
    pub text: String,
}

/// Settings given by flags, as `section.key` and a value.
pub type Flags = Vec<(&'static str, Value)>;

/// Whether the person asked for no colours (no-color.org).
pub fn no_colour() -> bool {
    std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// A variable that the person named, such as one that holds a secret.
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Reads all layers. `file` is the file of `--config`, if any.
pub fn load(file: Option<&Path>, flags: Flags) -> Result<Config, ConfigError> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with(PREFIX) && !NOT_SETTINGS.contains(&name.as_str()));
    let text = match file {
        None => None,
        Some(path) => {
            let layer = path.display().to_string();
            match std::fs::read_to_string(path) {
                Ok(text) => Some((layer, text)),
                Err(e) => return Err(ConfigError { layer, text: e.to_string() }),
            }
        }
    };
    merge(text, variables.collect(), flags)
}

fn merge(
    file: Option<(String, String)>,
    mut variables: Vec<(String, String)>,
    flags: Flags,
) -> Result<Config, ConfigError> {
    let mut merged = parse("defaults", DEFAULTS)?;
    check("defaults", &merged)?;
    if let Some((layer, text)) = file {
        overlay(&mut merged, parse(&layer, &text)?);
        check(&layer, &merged)?;
    }
    variables.sort();
    for (name, text) in variables {
        let path = name.trim_start_matches(PREFIX).to_lowercase();
        let path: Vec<&str> = path.split("__").collect();
        set(&mut merged, &path, read_value(&text));
        check(&name, &merged)?;
    }
    for (path, value) in flags {
        let path: Vec<&str> = path.split('.').collect();
        set(&mut merged, &path, value);
        check(&format!("flag {}", path.join(".")), &merged)?;
    }
    let config = check("settings", &merged)?;
    config.check_dev()?;
    Ok(config)
}

fn parse(layer: &str, text: &str) -> Result<Table, ConfigError> {
    text.parse().map_err(|e: toml::de::Error| ConfigError { layer: layer.to_owned(), text: e.to_string() })
}

/// Each layer is checked as it is laid on, so that an error names the layer that brought it.
fn check(layer: &str, merged: &Table) -> Result<Config, ConfigError> {
    let fail = |text: String| ConfigError { layer: layer.to_owned(), text };
    let config: Config = serde_path_to_error::deserialize(merged.clone()).map_err(|e| {
        let text = e.inner().message().trim().to_owned();
        match e.path().to_string().as_str() {
            "." => fail(text),
            path => fail(format!("{path}: {text}")),
        }
    })?;
    config.policy().map_err(fail)?;
    config.check_tls().map_err(fail)?;
    config.divert().map_err(|text| fail(format!("sender.divert_to: {text}")))?;
    if config.sender.slots == 0 || config.sender.slots > 65_536 {
        return Err(fail("sender.slots: expected 1 to 65536".to_owned()));
    }
    if config.store.shards == 0 || config.store.shards > 64 {
        return Err(fail("store.shards: expected 1 to 64".to_owned()));
    }
    Ok(config)
}

/// One port is a number to whoever writes it.
fn text_or_number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    match Value::deserialize(from)? {
        Value::Integer(n) => Ok(n.to_string()),
        Value::String(text) => Ok(text),
        other => Err(serde::de::Error::custom(format!("expected ports such as \"443,8443\", got {other}"))),
    }
}

fn overlay(onto: &mut Table, from: Table) {
    for (key, value) in from {
        match (onto.get_mut(&key), value) {
            (Some(Value::Table(onto)), Value::Table(from)) => overlay(onto, from),
            (_, value) => drop(onto.insert(key, value)),
        }
    }
}

fn set(onto: &mut Table, path: &[&str], value: Value) {
    match path {
        [] => {}
        [key] => drop(onto.insert((*key).to_owned(), value)),
        [key, rest @ ..] => {
            let inner = onto.entry(*key).or_insert_with(|| Value::Table(Table::new()));
            match inner {
                Value::Table(inner) => set(inner, rest, value),
                // A key below a value: the check names it.
                other => *other = Value::Table(Table::from_iter([(rest.join("."), value)])),
            }
        }
    }
}

/// A variable's text as a TOML value where it reads as one, else as text.
fn read_value(text: &str) -> Value {
    let table: Result<Table, _> = format!("value = {text}").parse();
    table.ok().and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
}

impl Config {
    /// Where webhooks may go.
    pub fn policy(&self) -> Result<Policy, String> {
        let Network { dev, allow_http, allow_networks, deny_networks, allow_hosts, ports } = &self.network;
        let read = |name: &str, networks: &[String]| -> Result<Vec<Cidr>, String> {
            let read = networks.iter().map(|text| text.parse::<Cidr>());
            read.collect::<Result<_, _>>().map_err(|text| format!("{name}: {text}"))
        };
        let mut faults = Faults::default();
        let allow_hosts = host_patterns(allow_hosts, "network.allow_hosts", &mut faults);
        if !faults.0.is_empty() {
            return Err(faults.to_string());
        }
        Ok(Policy {
            allow_http: *allow_http,
            allow_networks: read("network.allow_networks", allow_networks)?,
            deny_networks: read("network.deny_networks", deny_networks)?,
            allow_hosts,
            ports: ports.parse().map_err(|text| format!("network.ports: {text}"))?,
            dev: *dev,
        })
    }

    fn check_tls(&self) -> Result<(), String> {
        let Tls { cert_file, key_file, client_ca_file } = &self.tls;
        match (cert_file.is_empty(), key_file.is_empty(), client_ca_file.is_empty()) {
            (false, true, _) => Err("tls.key_file: is missing, and tls.cert_file is set".to_owned()),
            (true, false, _) => Err("tls.cert_file: is missing, and tls.key_file is set".to_owned()),
            (true, true, false) => Err("tls.client_ca_file: needs tls.cert_file and tls.key_file".to_owned()),
            _ => Ok(()),
        }
    }

    /// Where every webhook goes instead, if anywhere.
    pub fn divert(&self) -> Result<Option<Divert>, String> {
        match self.sender.divert_to.as_str() {
            "" => Ok(None),
            url => Divert::read(url, &self.policy()?).map(Some),
        }
    }

    fn check_dev(&self) -> Result<(), ConfigError> {
        let Listen { grpc, console, intake, health, .. } = self.listen;
        let listeners = [
            ("listen.grpc", grpc),
            ("listen.console", console),
            ("listen.intake", intake),
            ("listen.health", health),
        ];
        for (name, address) in listeners {
            if self.network.dev && !address.ip().is_loopback() {
                let text = format!("dev is for loopback only, but {name} is {address}");
                return Err(ConfigError { layer: "network.dev".to_owned(), text });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(file: &str, variables: &[(&str, &str)], flags: Flags) -> Result<Config, String> {
        let variables = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        merge(Some(("campanile.toml".to_owned(), file.to_owned())), variables, flags)
            .map_err(|e| e.to_string())
    }

    #[test]
    fn flags_win_over_environment_over_file_over_defaults() {
        let file = "[sender]\nslots = 1\n[listen]\ngrpc = \"127.0.0.1:1\"\n";
        let config = merged(file, &[("CAMPANILE_SENDER__SLOTS", "2")], vec![]).unwrap();
        assert_eq!((config.sender.slots, config.listen.grpc.port()), (2, 1));
        let flags = vec![("sender.slots", Value::Integer(3))];
        let config = merged(file, &[("CAMPANILE_SENDER__SLOTS", "2")], flags).unwrap();
        assert_eq!((config.sender.slots, config.listen.console.port()), (3, 7071));
    }

    #[test]
    fn what_is_wrong_is_named_with_its_layer() {
        let check = |result: Result<Config, String>, layer: &str, text: &str| {
            let error = result.err().unwrap_or_else(|| panic!("{text} was taken"));
            assert!(error.starts_with(layer) && error.contains(text), "{error}");
        };
        check(merged("[sender]\nslotz = 1", &[], vec![]), "campanile.toml", "sender.slotz: unknown field");
        check(merged("[sender", &[], vec![]), "campanile.toml", "line 1");
        check(merged("", &[("CAMPANILE_SENDR__SLOTS", "1")], vec![]), "CAMPANILE_SENDR__SLOTS", "sendr");
        check(
            merged("", &[("CAMPANILE_SENDER__SLOTS", "many")], vec![]),
            "CAMPANILE_SENDER__SLOTS",
            "sender.slots",
        );
        check(
            merged("", &[("CAMPANILE_SENDER__SLOTS__X", "1")], vec![]),
            "CAMPANILE_SENDER__SLOTS__X",
            "sender.slots",
        );
        check(merged("[sender]\nslots = 0", &[], vec![]), "campanile.toml", "sender.slots");
        check(merged("[listen]\ngrpc = \"here\"", &[], vec![]), "campanile.toml", "listen.grpc");
        check(merged("[tls]\ncert_file = \"a\"", &[], vec![]), "campanile.toml", "tls.key_file");
        check(merged("[tls]\nclient_ca_file = \"a\"", &[], vec![]), "campanile.toml", "tls.client_ca_file");
        let networks = "[network]\nallow_networks = [\"10.0.0.0/40\"]";
        check(merged(networks, &[], vec![]), "campanile.toml", "network.allow_networks");
        check(
            merged("[network]\ndeny_networks = [\"x\"]", &[], vec![]),
            "campanile.toml",
            "network.deny_networks",
        );
        check(
            merged("[network]\nallow_hosts = [\"a/b\"]", &[], vec![]),
            "campanile.toml",
            "network.allow_hosts[0]",
        );
        check(merged("[network]\nports = \"web\"", &[], vec![]), "campanile.toml", "network.ports");
    }

    #[test]
    fn where_webhooks_may_go_is_read_from_every_layer() {
        let file = "[network]\ndeny_networks = [\"1.1.1.0/24\"]\nallow_hosts = [\"*.Example.com\"]";
        let config = merged(file, &[("CAMPANILE_NETWORK__PORTS", "443")], vec![]).unwrap();
        let policy = config.policy().unwrap();
        assert_eq!(
            (policy.allow_hosts.as_slice(), policy.deny_networks.len()),
            (&["*.example.com".to_owned()][..], 1)
        );
        assert!(
            policy.check_host("a.example.com", 443).is_ok()
                && policy.check_host("a.example.com", 80).is_err()
        );
    }

    #[test]
    fn dev_is_refused_where_others_can_reach_it() {
        let file = "[network]\ndev = true\n[listen]\nconsole = \"0.0.0.0:7071\"";
        assert!(merged(file, &[], vec![]).unwrap_err().contains("listen.console is 0.0.0.0:7071"));
        assert!(merged("[network]\ndev = true", &[], vec![]).is_ok());
    }
}
