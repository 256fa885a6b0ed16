//! Pure. One attempt's request in the types the wire speaks: where it goes, and all of its headers.
//!
//! Before: `admit`, which renders. After: `wire`. What cannot be said in HTTP is found here, not there.

use bytes::Bytes;
use campanile_core::reason::Suppression;
use campanile_core::signature::Key;
use campanile_core::webhook::{Request, Unsendable};
use campanile_core::webhook_draft::Method;
use campanile_core::webhook_headers::{AttemptHead, each_header};
use http::header::HOST;
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use http_body_util::Full;

/// A request ready to be sent; may hold secrets.
pub struct Outgoing {
    pub(crate) target: Target,
    pub(crate) method: http::Method,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// The body of a 2xx answer is wanted too, as far as it is read.
    pub wants_answer: bool,
}

/// Where a request goes.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) is_https: bool,
    /// Without the brackets of an IPv6 address.
    pub(crate) host: String,
    pub(crate) port: u16,
    authority: Authority,
    path: PathAndQuery,
}

pub fn outgoing(request: &Request, head: &AttemptHead<'_>, keys: &[Key]) -> Result<Outgoing, Unsendable> {
    let target = Target::of(&request.url)?;
    let mut headers = HeaderMap::with_capacity(request.headers.len() + 11);
    each_header(request, head, keys, |name, value| {
        let wrong = || invalid(format!("the value cannot stand in a header, in headers.{name}"));
        let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| wrong())?;
        headers.append(parsed, HeaderValue::try_from(value.into_owned()).map_err(|_| wrong())?);
        Ok(())
    })?;
    let method = match request.method {
        Method::Post => http::Method::POST,
        Method::Put => http::Method::PUT,
        Method::Patch => http::Method::PATCH,
        Method::Delete => http::Method::DELETE,
        Method::Get => http::Method::GET,
    };
    Ok(Outgoing { target, method, headers, body: Bytes::copy_from_slice(&request.body), wants_answer: false })
}

impl Target {
    fn of(url: &str) -> Result<Target, Unsendable> {
        // It may hold a secret: no error shows it.
        let parts =
            Uri::try_from(url).map_err(|_| invalid("the URL cannot be sent".to_owned()))?.into_parts();
        let is_https = parts.scheme == Some(Scheme::HTTPS);
        let authority = parts.authority.ok_or_else(|| invalid("the URL has no host".to_owned()))?;
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host).to_owned();
        let port = authority.port_u16().unwrap_or(if is_https { 443 } else { 80 });
        let path = parts.path_and_query.unwrap_or_else(|| PathAndQuery::from_static("/"));
        Ok(Target { is_https, host, port, authority, path })
    }

    /// What connections are shared by.
    pub(crate) fn key(&self) -> String {
        let scheme = if self.is_https { "https" } else { "http" };
        format!("{scheme}://{}:{}", self.host, self.port)
    }
}

impl Outgoing {
    pub(crate) fn into_request(self) -> (Target, http::Request<Full<Bytes>>) {
        let mut request = http::Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.headers_mut() = self.headers;
        (self.target, request)
    }
}

/// HTTP/1 says the path, and the host in a header.
pub(crate) fn fit_http1(request: &mut http::Request<Full<Bytes>>, target: &Target) {
    *request.uri_mut() = Uri::from(target.path.clone());
    if let Ok(host) = HeaderValue::from_str(target.authority.as_str()) {
        request.headers_mut().insert(HOST, host);
    }
}

/// HTTP/2 says the whole URL.
pub(crate) fn fit_http2(request: &mut http::Request<Full<Bytes>>, target: &Target) {
    let scheme = if target.is_https { Scheme::HTTPS } else { Scheme::HTTP };
    let uri = Uri::builder()
        .scheme(scheme)
        .authority(target.authority.clone())
        .path_and_query(target.path.clone())
        .build();
    *request.uri_mut() = uri.unwrap_or_else(|_| Uri::from(target.path.clone()));
    request.headers_mut().remove(HOST);
}

fn invalid(detail: String) -> Unsendable {
    Unsendable { reason: Suppression::BodyInvalid, detail }
}
