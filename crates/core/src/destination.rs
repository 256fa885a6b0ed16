//! Pure. A destination: scheme, host and port of a URL, what an operator set for it, and how it stands.
//!
//! What is set holds for all senders and all campaigns together. A destination that nobody set anything for has `DestinationPolicy::default`.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use url::Url;

use crate::breaker::Breaker;
use crate::fault::Faults;
use crate::limits;
use crate::network;
use crate::number::DestinationNo;
use crate::throttle::Throttle;

/// What an operator set.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DestinationPolicy {
    /// Requests in a time, such as `50/s`; empty: as many as there are.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub rate: String,
    /// Requests under way at once; 0: as many as there are.
    #[serde(skip_serializing_if = "is_zero")]
    pub concurrency: u32,
    /// For the whole exchange, in seconds; 0: `limits::EXCHANGE_TIMEOUT`.
    #[serde(skip_serializing_if = "is_zero")]
    pub timeout_secs: u32,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

/// As a store keeps it.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredDestination {
    pub no: DestinationNo,
    /// `https://hooks.example.com:443`, always with its port.
    pub name: String,
    /// Grows by one with every change of the policy; 0: nobody set one.
    pub revision: u64,
    pub policy: DestinationPolicy,
    /// Grows by one with every write of the breaker; 0: there is none.
    pub breaker_version: u64,
    pub breaker: Breaker,
}

/// A checked policy, ready to be sent by.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Terms {
    pub rate: Option<Throttle>,
    pub concurrency: Option<usize>,
    pub timeout: Option<Duration>,
}

/// The name of a destination that somebody writes: a scheme, a host, perhaps a port, and nothing else.
pub fn named(text: &str) -> Option<String> {
    let url = Url::parse(text.trim()).ok()?;
    let is_bare = matches!(url.path(), "" | "/")
        && url.query().is_none()
        && url.fragment().is_none()
        && url.username().is_empty()
        && url.password().is_none();
    (matches!(url.scheme(), "http" | "https") && is_bare).then(|| network::destination(&url)).flatten()
}

impl DestinationPolicy {
    /// All that is wrong with it, by field.
    pub fn check(&self, faults: &mut Faults) -> Terms {
        let mut terms = Terms::default();
        if !self.rate.is_empty() {
            match Throttle::parse(&self.rate) {
                Ok(rate) => terms.rate = Some(rate),
                Err(text) => faults.add("policy.rate", text),
            }
        }
        if self.concurrency > limits::DESTINATION_CONCURRENCY_MAX {
            let max = limits::DESTINATION_CONCURRENCY_MAX;
            faults.add("policy.concurrency", format!("at most {max} requests at once, or 0 for no limit"));
        }
        terms.concurrency = (self.concurrency > 0).then_some(self.concurrency as usize);
        let max = limits::DESTINATION_TIMEOUT_MAX.as_secs() as u32;
        if self.timeout_secs > max {
            faults.add("policy.timeout", format!("expected 1 to {max} seconds"));
        }
        terms.timeout = (self.timeout_secs > 0).then(|| Duration::from_secs(u64::from(self.timeout_secs)));
        terms
    }

    /// For sending: what was checked when it was set.
    pub fn terms(&self) -> Terms {
        self.check(&mut Faults::default())
    }
}

impl Terms {
    /// Whether it is asked for places or tokens before a request is made.
    pub fn is_limited(&self) -> bool {
        self.rate.is_some() || self.concurrency.is_some()
    }

    /// How long a lease must last at least for a send to end within it, in seconds; 0: as its campaign says.
    pub fn lease_secs(&self) -> u8 {
        let lease = self.timeout.filter(|timeout| *timeout > limits::EXCHANGE_TIMEOUT);
        lease.map_or(0, |timeout| (timeout + limits::LEASE_SLACK).as_secs().min(255) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(policy: &DestinationPolicy, expected: &[&str]) {
        let mut faults = Faults::default();
        policy.check(&mut faults);
        let fields: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
        assert_eq!(fields, expected, "{policy:?}");
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        check(&DestinationPolicy::default(), &[]);
        let good = DestinationPolicy { rate: "50/s".to_owned(), concurrency: 8, timeout_secs: 90 };
        check(&good, &[]);
        let terms = good.terms();
        assert!(terms.is_limited() && terms.rate.is_some());
        assert_eq!(
            (terms.concurrency, terms.timeout, terms.lease_secs()),
            (Some(8), Some(Duration::from_secs(90)), 105)
        );
        let wrong = DestinationPolicy { rate: "fast".to_owned(), concurrency: 100_001, timeout_secs: 91 };
        check(&wrong, &["policy.rate", "policy.concurrency", "policy.timeout"]);
    }

    #[test]
    fn a_destination_is_named_by_scheme_host_and_port_alone() {
        for (text, name) in [
            ("https://hooks.example.com", "https://hooks.example.com:443"),
            (" HTTPS://Hooks.Example.com/ ", "https://hooks.example.com:443"),
            ("http://10.1.2.3:8080", "http://10.1.2.3:8080"),
            ("https://[::1]:8443/", "https://[::1]:8443"),
        ] {
            assert_eq!(named(text).as_deref(), Some(name));
        }
        for wrong in [
            "",
            "hooks.example.com",
            "https://",
            "ftp://a.example",
            "https://a.example/x",
            "https://u:p@a.example",
            "https://a.example?x",
        ] {
            assert!(named(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn a_policy_nobody_set_limits_nothing_and_is_stored_as_nothing() {
        let policy = DestinationPolicy::default();
        assert_eq!(serde_json::to_string(&policy).unwrap(), "{}");
        assert_eq!(serde_json::from_str::<DestinationPolicy>("{}").unwrap(), policy);
        assert_eq!((policy.terms(), policy.terms().lease_secs()), (Terms::default(), 0));
        assert!(!policy.terms().is_limited());
    }
}
