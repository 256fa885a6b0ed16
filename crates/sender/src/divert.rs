//! Pure. Staging on real data: every webhook goes to one URL of the operator's, instead of where it was meant to go.
//!
//! What goes there has its secrets masked: they are bound to their hosts, and this is none of them.

use campanile_core::network::Policy;
use campanile_core::signature::Key;
use campanile_core::webhook::{Request, Unsendable};
use campanile_core::webhook_headers::AttemptHead;
use url::Url;

use crate::outgoing::{Outgoing, outgoing};

/// Says where a diverted webhook was meant to go.
pub const DIVERTED_FROM: &str = "campanile-diverted-from";

/// Where everything goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divert(String);

impl Divert {
    /// The error says what is wrong with the URL, or why this deployment does not send there.
    pub fn read(text: &str, policy: &Policy) -> Result<Divert, String> {
        let url = Url::parse(text).map_err(|e| format!("{text:?} is no URL: {e}"))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("expected a URL without user name and password".to_owned());
        }
        policy.check_url(&url)?;
        Ok(Divert(url.into()))
    }

    pub fn url(&self) -> &str {
        &self.0
    }

    /// `masked` is the request as it may be shown.
    pub fn outgoing(
        &self,
        masked: Request,
        head: &AttemptHead<'_>,
        keys: &[Key],
    ) -> Result<Outgoing, Unsendable> {
        let mut headers = masked.headers.clone();
        headers.retain(|(name, _)| name != DIVERTED_FROM);
        headers.push((DIVERTED_FROM.to_owned(), masked.url.clone()));
        outgoing(&Request { url: self.0.clone(), headers, ..masked }, head, keys)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_a_url_that_the_deployment_sends_to() {
        let dev = Policy { dev: true, ..Policy::default() };
        let check = |text: &str, policy: &Policy, expected: Result<&str, &str>| match (
            Divert::read(text, policy),
            expected,
        ) {
            (Ok(divert), Ok(url)) => assert_eq!(divert.url(), url),
            (Err(told), Err(text)) => assert!(told.contains(text), "{told}"),
            (read, _) => panic!("{text}: {read:?}"),
        };
        check("https://staging.example/in", &Policy::default(), Ok("https://staging.example/in"));
        check("http://127.0.0.1:9000", &dev, Ok("http://127.0.0.1:9000/"));
        check("http://127.0.0.1:9000", &Policy::default(), Err("plain http"));
        check("https://10.1.2.3/", &Policy::default(), Err("10.1.2.3"));
        check("staging", &Policy::default(), Err("is no URL"));
        check("https://me:secret@staging.example/", &Policy::default(), Err("without user name"));
    }
}
