//! Pure. The URL of a webhook: what stands in it, where it may lead, and the user name and password it carries.
//!
//! A value printed into path or query can never change where a request goes; one that fills the host or the whole URL
//! leads only to hosts the campaign lists.

use std::fmt;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use minijinja::machinery::{Token, tokenize};
use url::Url;

use crate::encode;
use crate::fault::Faults;
use crate::limits;
use crate::network::{self, Policy};
use crate::secret::{MASK, host_matches};
use crate::template::{Language, Stop, Template};
use crate::template_filters::Place;
use crate::template_names::{Scope, Slot};
use crate::template_scan;
use crate::webhook_draft::Missing;

/// A checked URL.
#[derive(Debug)]
pub(crate) struct Address {
    base: Base,
    credentials: Option<Credentials>,
    /// Path, query and fragment; empty where the base is the whole URL.
    rest: Template,
    /// What it always is, if nothing in it is a template.
    always: Option<Box<Target>>,
}

/// What comes before the path.
#[derive(Debug)]
enum Base {
    /// Scheme, host and port, as they are always.
    Fixed(Box<Url>),
    /// The scheme, and a host that is a template.
    Host(&'static str, Template),
    /// A template that says scheme, host and whatever else.
    Whole(Template),
}

#[derive(Debug)]
struct Credentials {
    user: Template,
    password: Option<Template>,
}

/// A rendered URL. May hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Without user name and password.
    pub(crate) url: Url,
    /// `Basic ...`.
    pub(crate) authorization: Option<String>,
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Target")
    }
}

/// Why a URL cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    Stop(Stop),
    /// Not a URL, or larger than one may be.
    Invalid(String),
    /// It leads where it may not.
    Forbidden(String),
}

impl From<Stop> for Refused {
    fn from(stop: Stop) -> Refused {
        Refused::Stop(stop)
    }
}

/// A piece of a template's source.
enum Piece {
    Text(Range<usize>),
    Value(Range<usize>),
    Tag,
}

fn pieces(source: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut opened = 0;
    for token in tokenize(source, false, template_scan::syntax()) {
        let Ok((token, span)) = token else { break };
        let (from, to) = (span.start_offset as usize, span.end_offset as usize);
        match token {
            Token::TemplateData(_) => pieces.push(Piece::Text(from..to)),
            Token::VariableStart => opened = from,
            Token::VariableEnd => pieces.push(Piece::Value(opened..to)),
            Token::BlockStart => pieces.push(Piece::Tag),
            _ => {}
        }
    }
    pieces
}

/// Where, between `from` and `to`, the first of `signs` stands outside of tags.
fn find(source: &str, pieces: &[Piece], within: Range<usize>, signs: &[char]) -> Option<usize> {
    pieces.iter().find_map(|piece| {
        let Piece::Text(range) = piece else { return None };
        let range = range.start.max(within.start)..range.end.min(within.end);
        let text = source.get(range.clone())?;
        text.find(signs).map(|at| range.start + at)
    })
}

impl Address {
    pub(crate) fn compile(
        url: &str,
        allowed_hosts: &[String],
        missing: Missing,
        policy: &Policy,
        path: &str,
        faults: &mut Faults,
    ) -> Option<Address> {
        if url.trim().is_empty() {
            faults.add(path, "is missing: say where to send, as in https://example.com/hook");
            return None;
        }
        let source = url.trim();
        if let Err((at, text)) = template_scan::bound(source) {
            faults.add(path, format!("column {}: {text}", at + 1));
            return None;
        }
        let pieces = pieces(source);
        let before = faults.0.len();
        let text = Language::new(missing, Place::Text);
        let component = Language::new(missing, Place::Url);
        let (base, credentials, rest) = match pieces.first() {
            Some(Piece::Value(first)) => {
                let base = text.part(source, first.clone(), path, faults)?;
                (Base::Whole(base), None, first.end..source.len())
            }
            _ => {
                let parts = Parts::of(source, &pieces, path, faults)?;
                let credentials = parts.credentials(source, &component, path, faults);
                let host = source.get(parts.host.clone()).unwrap_or_default();
                let base = if host.contains("{{") {
                    Base::Host(parts.scheme, text.part(source, parts.host.clone(), path, faults)?)
                } else {
                    let fixed = Url::parse(&format!("{}://{host}/", parts.scheme));
                    match fixed.map(Box::new) {
                        Ok(fixed) => Base::Fixed(fixed),
                        Err(error) => {
                            faults.add(path, format!("{host:?} is not a host: {error}"));
                            return None;
                        }
                    }
                };
                (base, credentials, parts.host.end..source.len())
            }
        };
        let rest = component.part(source, rest, path, faults)?;
        let mut address = Address { base, credentials, rest, always: None };
        address.check_base(allowed_hosts, policy, path, faults);
        if let (Base::Fixed(base), Some(rest), None) =
            (&address.base, address.rest.constant(), &address.credentials)
        {
            match address.assembled(base.as_str().trim_end_matches('/'), rest) {
                Ok(url) => address.always = Some(Box::new(Target { url, authorization: None })),
                Err(Refused::Invalid(text) | Refused::Forbidden(text)) => faults.add(path, text),
                Err(Refused::Stop(_)) => {}
            }
        }
        (faults.0.len() == before).then_some(address)
    }

    fn check_base(&self, allowed_hosts: &[String], policy: &Policy, path: &str, faults: &mut Faults) {
        match &self.base {
            Base::Fixed(url) => {
                if let Err(text) = policy.check_url(url) {
                    faults.add(path, text);
                }
            }
            Base::Host(scheme, _) if *scheme == "http" && !policy.allows_plain_http() => {
                faults.add(path, network::PLAIN_HTTP);
            }
            Base::Host(..) | Base::Whole(_) => {}
        }
        if self.base_is_personal() && allowed_hosts.is_empty() {
            faults.add(
                path,
                "a value from a user or event fills the host: list the hosts it may lead to in allowed_hosts",
            );
        }
    }

    /// Whether a user or an event says where it leads.
    pub(crate) fn base_is_personal(&self) -> bool {
        match &self.base {
            Base::Fixed(_) => false,
            Base::Host(_, template) | Base::Whole(template) => template.slots().iter().any(Slot::is_personal),
        }
    }

    /// The constant part, if scheme, host and port are.
    pub(crate) fn fixed(&self) -> Option<&Url> {
        match &self.base {
            Base::Fixed(url) => Some(url),
            _ => None,
        }
    }

    /// The secret that is the whole URL, or its beginning.
    pub(crate) fn secret_url(&self) -> Option<&str> {
        match &self.base {
            Base::Whole(template) => match template.slots() {
                [Slot::Secret(name)] => Some(name),
                _ => None,
            },
            _ => None,
        }
    }

    pub(crate) fn has_credentials(&self) -> bool {
        self.credentials.is_some()
    }

    /// What the URL, without its user name and password, is made of.
    pub(crate) fn url_slots(&self) -> impl Iterator<Item = &Slot> {
        let base = match &self.base {
            Base::Fixed(_) => None,
            Base::Host(_, template) | Base::Whole(template) => Some(template),
        };
        base.into_iter().chain([&self.rest]).flat_map(|template| template.slots())
    }

    /// What the user name and password are made of.
    pub(crate) fn credential_slots(&self) -> impl Iterator<Item = &Slot> {
        let own = self.credentials.iter().flat_map(|c| std::iter::once(&c.user).chain(&c.password));
        let whole = match &self.base {
            Base::Fixed(_) => None,
            Base::Host(_, template) | Base::Whole(template) => Some(template),
        };
        own.chain(whole).flat_map(|template| template.slots())
    }

    /// As it is shown: secrets masked, user name and password left out. It need not be a URL.
    pub(crate) fn shown(&self, scope: Scope<'_>) -> Result<String, Refused> {
        Ok(self.base_text(scope)? + &self.rest.text(scope)?)
    }

    /// As it is requested. `allowed_hosts` are patterns.
    pub(crate) fn render(&self, scope: Scope<'_>, allowed_hosts: &[String]) -> Result<Target, Refused> {
        if let Some(always) = &self.always {
            return Ok(Target::clone(always));
        }
        let base_text = self.base_text(scope)?;
        let rest = self.rest.text(scope)?;
        if let Base::Fixed(base) = &self.base
            && let Some(url) = joined(base, &rest)
        {
            return Ok(Target { url, authorization: self.own_authorization(scope)? });
        }
        let mut url = self.assembled(&base_text, &rest)?;
        if self.base_is_personal() {
            let host = url.host_str().unwrap_or_default();
            if !allowed_hosts.iter().any(|pattern| host_matches(pattern, host)) {
                return Err(Refused::Forbidden(format!("host {host} is not in allowed_hosts")));
            }
        }
        let authorization = self.authorization(scope, &url)?;
        // Both fail only for URLs without a host, which are none of ours.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Target { url, authorization })
    }

    /// Base and rest as one URL; the rest must not change where the base leads.
    fn assembled(&self, base: &str, rest: &str) -> Result<Url, Refused> {
        if has_dot_segment(rest) {
            return Err(Refused::Invalid("a segment of the path is `.` or `..`".to_owned()));
        }
        let wrong = |error| Refused::Invalid(format!("not a URL: {error}"));
        let mut url = Url::parse(&format!("{base}{rest}")).map_err(wrong)?;
        if !matches!(self.base, Base::Fixed(_)) {
            let alone = Url::parse(base).map_err(wrong)?;
            if (url.scheme(), url.host_str(), url.port()) != (alone.scheme(), alone.host_str(), alone.port())
            {
                return Err(Refused::Forbidden("what follows the host would change it".to_owned()));
            }
        }
        url.set_fragment(None);
        if url.as_str().len() > limits::URL_BYTES_MAX {
            let max = limits::URL_BYTES_MAX;
            return Err(Refused::Invalid(format!("the URL has {} bytes, at most {max}", url.as_str().len())));
        }
        Ok(url)
    }

    fn base_text(&self, scope: Scope<'_>) -> Result<String, Refused> {
        match &self.base {
            Base::Fixed(url) => Ok(url.as_str().trim_end_matches('/').to_owned()),
            Base::Whole(template) => Ok(template.text(scope)?),
            Base::Host(scheme, template) => {
                let host = template.text(scope)?;
                let fits = |c: char| c.is_alphanumeric() || matches!(c, '.' | '-' | '_' | ':');
                if template.slots().iter().any(Slot::is_personal) && !host.chars().all(fits) {
                    return Err(Refused::Invalid(format!("{host:?} is not a host")));
                }
                Ok(format!("{scheme}://{host}"))
            }
        }
    }

    /// Of user name and password in the URL's own text, without rendering the rest of it.
    pub(crate) fn own_authorization(&self, scope: Scope<'_>) -> Result<Option<String>, Refused> {
        let Some(credentials) = &self.credentials else { return Ok(None) };
        let password = credentials.password.as_ref().map(|password| password.text(scope)).transpose()?;
        basic(credentials.user.text(scope)?, password).map(Some)
    }

    /// Given in the URL's own text, or by what filled it.
    fn authorization(&self, scope: Scope<'_>, url: &Url) -> Result<Option<String>, Refused> {
        if self.credentials.is_some() {
            self.own_authorization(scope)
        } else if url.username().is_empty() && url.password().is_none() {
            Ok(None)
        } else {
            basic(url.username().to_owned(), url.password().map(str::to_owned)).map(Some)
        }
    }
}

/// What `assembled` answers, without reading the host again. None: `rest` is not so plain that it stands in a URL as it is.
pub(crate) fn joined(base: &Url, rest: &str) -> Option<Url> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_~/%?=&+,:;@!$()*.".contains(&byte);
    let (path, query) = rest.split_once('?').map_or((rest, None), |(path, query)| (path, Some(query)));
    let length = base.as_str().len() + rest.len();
    let fits = path.starts_with('/') && length <= limits::URL_BYTES_MAX && rest.bytes().all(is_plain);
    if !fits || has_dot_segment(rest) {
        return None;
    }
    let mut url = base.clone();
    url.set_path(path);
    url.set_query(query);
    Some(url)
}

/// Both percent-encoded, as they stand in a URL.
fn basic(user: String, password: Option<String>) -> Result<String, Refused> {
    // A secret may be both at once.
    let (user, password) = match password {
        Some(password) => (user, password),
        None => match user.split_once(':') {
            Some((user, password)) => (user.to_owned(), password.to_owned()),
            None => (user, String::new()),
        },
    };
    let wrong =
        || Refused::Invalid("user name and password are not UTF-8, or hold control characters".to_owned());
    let user = encode::decoded(&user).ok_or_else(wrong)?;
    let password = encode::decoded(&password).ok_or_else(wrong)?;
    if user.contains(char::is_control) || password.contains(char::is_control) {
        return Err(wrong());
    }
    if user.contains(':') {
        return Err(Refused::Invalid("a user name must not contain a colon".to_owned()));
    }
    Ok(format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))))
}

/// Where the parts of a URL with a written scheme stand in its source.
struct Parts {
    scheme: &'static str,
    /// With the `:` between, without the `@`.
    userinfo: Option<(Range<usize>, Option<Range<usize>>)>,
    host: Range<usize>,
}

impl Parts {
    fn of(source: &str, pieces: &[Piece], path: &str, faults: &mut Faults) -> Option<Parts> {
        let lower = source.get(..8).unwrap_or(source).to_ascii_lowercase();
        let scheme = ["https", "http"]
            .into_iter()
            .find(|scheme| lower.strip_prefix(scheme).is_some_and(|rest| rest.starts_with("://")));
        let Some(scheme) = scheme else {
            faults.add(path, "is not absolute: it begins with https://, or with a value that does");
            return None;
        };
        let from = scheme.len() + 3;
        let end = find(source, pieces, from..source.len(), &['/', '?', '#', '\\']).unwrap_or(source.len());
        let mut at_tag = 0;
        for piece in pieces {
            match piece {
                Piece::Text(range) | Piece::Value(range) => at_tag = range.end,
                Piece::Tag if at_tag < end || at_tag <= from => {
                    faults
                        .add(path, "host and port may hold values, but no tags: write them behind the host");
                    return None;
                }
                Piece::Tag => {}
            }
        }
        let last_at = std::iter::successors(find(source, pieces, from..end, &['@']), |at| {
            find(source, pieces, at + 1..end, &['@'])
        })
        .last();
        let userinfo = last_at.map(|at| match find(source, pieces, from..at, &[':']) {
            Some(colon) => (from..colon, Some(colon + 1..at)),
            None => (from..at, None),
        });
        let host = last_at.map_or(from, |at| at + 1)..end;
        if source.get(host.clone()).unwrap_or_default().is_empty() {
            faults.add(path, "has no host");
            return None;
        }
        Some(Parts { scheme, userinfo, host })
    }

    fn credentials(
        &self,
        source: &str,
        component: &Language,
        path: &str,
        faults: &mut Faults,
    ) -> Option<Credentials> {
        let (user, password) = self.userinfo.clone()?;
        if user.is_empty() && password.is_none() {
            return None;
        }
        let user = component.part(source, user, path, faults)?;
        let password = match password {
            Some(password) => Some(component.part(source, password, path, faults)?),
            None => None,
        };
        Some(Credentials { user, password })
    }
}

/// URL parsers take `.` and `..`, also spelt `%2e`, for steps in the path.
fn has_dot_segment(rest: &str) -> bool {
    let path = rest.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|segment| {
        segment.len() <= 6 && matches!(segment.to_ascii_lowercase().replace("%2e", ".").as_str(), "." | "..")
    })
}

/// The mask of an `Authorization` header.
pub(crate) fn masked_authorization() -> String {
    format!("Basic {MASK}")
}
