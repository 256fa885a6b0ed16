//! Pure. Access tokens: who may call what, how often, until when. A token is shown once, when it is made; kept is its hash.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::campaign_fields::check_slug;
use crate::fault::Faults;
use crate::limits;
use crate::throttle::Throttle;

/// What every token begins with, so that people and scanners know one when they see it.
pub const PREFIX: &str = "campanile_";
/// Random bytes of a token: 6 to find it by, 26 that nobody can guess.
pub const RANDOM_BYTES: usize = 32;
const ID_BYTES: usize = 6;

/// What a token lets its bearer do. `Admin` includes all others; `Campaigns` includes `Read`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// Everything, also secrets, settings, destinations, tokens and the erasure of users.
    Admin,
    /// Create, change and steer campaigns and segments, enter users, resend and cancel.
    Campaigns,
    /// Users and events in; nothing out.
    Ingest,
    /// Look at everything but secrets; change nothing.
    Read,
}

impl Scope {
    pub const ALL: [Scope; 4] = [Scope::Admin, Scope::Campaigns, Scope::Ingest, Scope::Read];

    pub fn name(self) -> &'static str {
        match self {
            Scope::Admin => "admin",
            Scope::Campaigns => "campaigns",
            Scope::Ingest => "ingest",
            Scope::Read => "read",
        }
    }

    pub fn parse(text: &str) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| scope.name() == text)
    }

    /// Whether whoever has this scope may do what needs `needed`.
    pub fn covers(self, needed: Scope) -> bool {
        self == Scope::Admin || self == needed || (self == Scope::Campaigns && needed == Scope::Read)
    }
}

/// A token as it is kept.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessToken {
    /// A slug.
    pub name: String,
    /// 12 hexadecimal digits, the part of the token that finds it.
    pub id: String,
    /// SHA-256 of the whole token, 64 hexadecimal digits.
    pub hash: String,
    /// At least one, in the order of `Scope`.
    pub scopes: Vec<Scope>,
    pub created_at: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// Calls, such as `100/s`; empty: unbounded.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub rate: String,
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("name", &self.name)
            .field("scopes", &self.scopes)
            .finish_non_exhaustive()
    }
}

impl AccessToken {
    /// A new one, and the text its bearer shows. `random` comes from the operating system.
    pub fn make(
        name: &str,
        scopes: &[String],
        expires_at: Option<Timestamp>,
        rate: &str,
        now: Timestamp,
        random: [u8; RANDOM_BYTES],
    ) -> Result<(AccessToken, String), Faults> {
        let mut faults = Faults::default();
        if let Err(text) = check_slug(name) {
            faults.add("name", text);
        }
        let scopes = read_scopes(scopes, &mut faults);
        if expires_at.is_some_and(|at| at <= now) {
            faults.add("expires_at", "is past already");
        }
        if !rate.is_empty()
            && let Err(text) = Throttle::parse(rate)
        {
            faults.add("rate", text);
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let text = format!("{PREFIX}{}_{}", hex(&random[..ID_BYTES]), hex(&random[ID_BYTES..]));
        let (id, hash) = (hex(&random[..ID_BYTES]), hash(&text));
        let name = name.to_owned();
        let token =
            AccessToken { name, id, hash, scopes, created_at: now, expires_at, rate: rate.to_owned() };
        Ok((token, text))
    }

    /// The token of this text, which may do everything; `None`: the text is no token's.
    pub fn of_text(name: &str, text: &str, created_at: Timestamp) -> Option<AccessToken> {
        let id = id_of(text)?.to_owned();
        let (name, hash, scopes, rate) = (name.to_owned(), hash(text), vec![Scope::Admin], String::new());
        Some(AccessToken { name, id, hash, scopes, created_at, expires_at: None, rate })
    }

    /// Whether `text` is this token. Takes as long for a near miss as for any other.
    pub fn is(&self, text: &str) -> bool {
        let given = hash(text);
        given.len() == self.hash.len()
            && given.bytes().zip(self.hash.bytes()).fold(0, |differs, (a, b)| differs | (a ^ b)) == 0
    }

    pub fn is_over(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|at| at <= now)
    }

    pub fn covers(&self, needed: Scope) -> bool {
        self.scopes.iter().any(|scope| scope.covers(needed))
    }
}

fn read_scopes(given: &[String], faults: &mut Faults) -> Vec<Scope> {
    let mut scopes = Vec::new();
    for (i, text) in given.iter().enumerate() {
        match Scope::parse(text) {
            Some(scope) => scopes.push(scope),
            None => faults.add(
                format!("scopes[{i}]"),
                format!("{text:?} is no scope, expected {}", Scope::ALL.map(Scope::name).join(", ")),
            ),
        }
    }
    if given.is_empty() {
        faults.add("scopes", format!("name at least one of {}", Scope::ALL.map(Scope::name).join(", ")));
    }
    scopes.sort_unstable();
    scopes.dedup();
    scopes
}

/// The part that finds a token, if `text` has the form of one.
pub fn id_of(text: &str) -> Option<&str> {
    let (id, rest) = text.strip_prefix(PREFIX)?.split_once('_')?;
    let is_hex =
        |part: &str, bytes: usize| part.len() == 2 * bytes && part.bytes().all(|b| b.is_ascii_hexdigit());
    (text.len() <= limits::TOKEN_TEXT_BYTES_MAX
        && is_hex(id, ID_BYTES)
        && is_hex(rest, RANDOM_BYTES - ID_BYTES))
    .then_some(id)
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn made(
        name: &str,
        scopes: &[&str],
        expires: Option<i64>,
        rate: &str,
    ) -> Result<(AccessToken, String), String> {
        let scopes: Vec<String> = scopes.iter().map(|&s| s.to_owned()).collect();
        AccessToken::make(name, &scopes, expires.map(at), rate, at(1_000), [7; 32]).map_err(|f| f.to_string())
    }

    #[test]
    fn a_token_is_known_by_its_whole_text_only() {
        let (token, text) = made("ci", &["read", "ingest", "read"], Some(2_000), "10/s").unwrap();
        assert_eq!(text, format!("campanile_070707070707_{}", "07".repeat(26)));
        assert_eq!(id_of(&text), Some("070707070707"));
        assert_eq!(token.scopes, [Scope::Ingest, Scope::Read]);
        assert!(token.is(&text));
        for wrong in [
            "",
            "campanile_070707070707_",
            &text[..text.len() - 1],
            &format!("{text}0"),
            &text.to_uppercase(),
        ] {
            assert!(!token.is(wrong), "{wrong}");
            assert!(id_of(wrong).is_none(), "{wrong}");
        }
        assert!(!token.is_over(at(1_999)) && token.is_over(at(2_000)));
        assert!(!format!("{token:?}").contains(&token.hash));
        assert!(
            !serde_json::to_string(&token).unwrap().contains(&text[23..]),
            "the token itself is not kept"
        );
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        let told = made("A b", &["root"], Some(1_000), "fast").unwrap_err();
        for field in ["name:", "scopes[0]:", "expires_at:", "rate:"] {
            assert!(told.contains(field), "{field} {told}");
        }
        assert!(made("a", &[], None, "").unwrap_err().contains("scopes:"));
    }

    #[test]
    fn a_scope_covers_what_it_says() {
        use Scope::{Admin, Campaigns, Ingest, Read};
        let check = |has: Scope, may: &[Scope]| {
            for needed in Scope::ALL {
                assert_eq!(has.covers(needed), may.contains(&needed), "{has:?} {needed:?}");
            }
        };
        check(Admin, &Scope::ALL);
        check(Campaigns, &[Campaigns, Read]);
        check(Ingest, &[Ingest]);
        check(Read, &[Read]);
    }
}
