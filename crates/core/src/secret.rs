//! Pure. Secrets: a name, its values, the hosts it may be sent to. Nothing here ever prints a value.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::fault::Faults;
use crate::limits;

/// What stands for a secret wherever somebody looks.
pub const MASK: &str = "***";

/// A stored secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    pub name: String,
    /// The newest first: templates print it, every one of them signs while it rotates.
    pub values: Vec<String>,
    /// Hosts it may be sent to: exact (`hooks.example.com`), or everything below (`*.example.com`).
    pub hosts: Vec<String>,
}

/// All secrets of a deployment, by name: a snapshot handed to saving and rendering.
#[derive(Clone, Debug, Default)]
pub struct Secrets {
    known: BTreeMap<String, Arc<Secret>>,
    unchecked: bool,
}

impl Secret {
    /// Checks what `PutSecret` brings; hosts come out in lower case.
    pub fn new(
        name: &str,
        values: Vec<String>,
        hosts: &[String],
        path: &str,
        faults: &mut Faults,
    ) -> Option<Secret> {
        let before = faults.0.len();
        let field = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        if !is_name(name) {
            faults.add(
                field("name"),
                format!(
                    "expected letters, digits and _, not first a digit, at most {} bytes",
                    limits::SLUG_BYTES_MAX
                ),
            );
        }
        match values.len() {
            0 => faults.add(field("values"), "at least one value is needed"),
            n if n > limits::SECRET_VALUES_MAX => {
                faults.add(field("values"), format!("at most {} values, got {n}", limits::SECRET_VALUES_MAX));
            }
            _ => {}
        }
        for (i, value) in values.iter().enumerate() {
            if value.is_empty() || value.len() > limits::SECRET_BYTES_MAX {
                let max = limits::SECRET_BYTES_MAX;
                faults.add(field(&format!("values[{i}]")), format!("expected 1 to {max} bytes"));
            } else if value.contains(['\0', '\r', '\n']) {
                faults.add(field(&format!("values[{i}]")), "must not contain NUL or line breaks");
            }
        }
        if hosts.is_empty() {
            faults.add(
                field("hosts"),
                "name the hosts it may be sent to, such as hooks.example.com or *.example.com",
            );
        }
        let hosts = host_patterns(hosts, &field("hosts"), faults);
        (faults.0.len() == before).then(|| Secret { name: name.to_owned(), values, hosts })
    }

    /// The newest value.
    pub fn value(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    /// Whether it may be sent to `host` (in lower case, as the `url` crate gives it).
    pub fn allows(&self, host: &str) -> bool {
        self.hosts.iter().any(|pattern| host_matches(pattern, host))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Secret")
            .field("name", &self.name)
            .field("values", &self.values.len())
            .field("hosts", &self.hosts)
            .finish()
    }
}

impl Secrets {
    /// For reading a campaign that was checked when it was saved: whether its secrets still exist and where they may
    /// go is asked when it is rendered.
    pub fn unchecked() -> Secrets {
        Secrets { known: BTreeMap::new(), unchecked: true }
    }

    pub(crate) fn is_unchecked(&self) -> bool {
        self.unchecked
    }

    pub fn get(&self, name: &str) -> Option<&Arc<Secret>> {
        self.known.get(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }
}

impl<S: Into<Arc<Secret>>> FromIterator<S> for Secrets {
    fn from_iter<I: IntoIterator<Item = S>>(secrets: I) -> Secrets {
        let known = secrets.into_iter().map(Into::into).map(|secret| (secret.name.clone(), secret)).collect();
        Secrets { known, unchecked: false }
    }
}

/// `{{ secret.NAME }}` must read it.
fn is_name(name: &str) -> bool {
    let mut bytes = name.bytes();
    name.len() <= limits::SLUG_BYTES_MAX
        && bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// Whether `host` is what `pattern` names. Both in lower case.
pub fn host_matches(pattern: &str, host: &str) -> bool {
    match pattern.strip_prefix("*.") {
        Some(parent) => host.strip_suffix(parent).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.')),
        None => pattern == host,
    }
}

/// Checks a list of hosts and gives it in the form `host_matches` compares: a port or a bare `*` is refused.
pub fn host_patterns(hosts: &[String], path: &str, faults: &mut Faults) -> Vec<String> {
    if hosts.len() > limits::HOSTS_MAX {
        faults.add(path, format!("at most {} hosts, got {}", limits::HOSTS_MAX, hosts.len()));
        return Vec::new();
    }
    let mut patterns = Vec::with_capacity(hosts.len());
    for (i, given) in hosts.iter().enumerate() {
        let (star, host) = match given.trim().strip_prefix("*.") {
            Some(parent) => ("*.", parent),
            None => ("", given.trim()),
        };
        match url::Host::parse(host) {
            Ok(url::Host::Domain(name)) if !name.contains('*') && !(name.is_empty()) => {
                patterns.push(format!("{star}{name}"));
            }
            Ok(ip @ (url::Host::Ipv4(_) | url::Host::Ipv6(_))) if star.is_empty() => patterns.push(ip.to_string()),
            _ => faults.add(
                format!("{path}[{i}]"),
                format!("{given:?} is not a host, expected one like hooks.example.com or *.example.com, without scheme, port or path"),
            ),
        }
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(name: &str, values: &[&str], hosts: &[&str]) -> Result<Secret, String> {
        let mut faults = Faults::default();
        let values = values.iter().map(|&v| v.to_owned()).collect();
        let hosts: Vec<String> = hosts.iter().map(|&h| h.to_owned()).collect();
        Secret::new(name, values, &hosts, "", &mut faults).ok_or_else(|| faults.to_string())
    }

    #[test]
    fn a_secret_needs_a_name_values_and_hosts() {
        assert!(
            made("SLACK_URL", &["v"], &["hooks.slack.com", "*.Example.COM", "127.0.0.1", "[::1]"]).is_ok()
        );
        for (name, values, hosts, field) in [
            ("", &["v"][..], &["a.example"][..], "name:"),
            ("1a", &["v"], &["a.example"], "name:"),
            ("a-b", &["v"], &["a.example"], "name:"),
            ("a\0", &["v"], &["a.example"], "name:"),
            ("A", &[], &["a.example"], "values:"),
            ("A", &[""], &["a.example"], "values[0]:"),
            ("A", &["a\nb"], &["a.example"], "values[0]:"),
            ("A", &["v"; 9], &["a.example"], "values:"),
            ("A", &["v"], &[], "hosts:"),
            ("A", &["v"], &["*"], "hosts[0]:"),
            ("A", &["v"], &["https://a.example"], "hosts[0]:"),
            ("A", &["v"], &["a.example:443"], "hosts[0]:"),
            ("A", &["v"], &["a.*.example"], "hosts[0]:"),
            ("A", &["v"], &["*.127.0.0.1"], "hosts[0]:"),
        ] {
            let answer = made(name, values, hosts).unwrap_err();
            assert!(answer.starts_with(field), "{name} {values:?} {hosts:?}: {answer}");
        }
    }

    #[test]
    fn a_secret_goes_to_its_own_hosts_only() {
        let secret = made("A", &["v"], &["hooks.slack.com", "*.Example.com"]).unwrap();
        for (host, allowed) in [
            ("hooks.slack.com", true),
            ("x.hooks.slack.com", false),
            ("a.example.com", true),
            ("a.b.example.com", true),
            ("example.com", false),
            (".example.com", false),
            ("evilexample.com", false),
            ("example.com.evil.test", false),
        ] {
            assert_eq!(secret.allows(host), allowed, "{host}");
        }
    }

    #[test]
    fn debug_never_shows_a_value() {
        let secret = made("A", &["s3cr3t"], &["a.example"]).unwrap();
        let secrets: Secrets = [secret.clone()].into_iter().collect();
        assert!(!format!("{secret:?} {secrets:?}").contains("s3cr3t"));
    }
}
