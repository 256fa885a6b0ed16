//! Who looks at a page: the access token that the browser keeps as a cookie, brought along with every call of the control API that a page
//! makes. Nothing is kept here, so that any process serves any browser and a revoked token is out at once.

use axum::http::{HeaderMap, HeaderValue, header};
use campanile_core::access;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::{Request, Status};

const COOKIE: &str = "campanile_session";

tokio::task_local! {
    static BEARER: Option<MetadataValue<Ascii>>;
}

/// The access token of a browser's cookie, if it has the form of one.
pub(crate) fn of(headers: &HeaderMap) -> Option<String> {
    let text = cookie_of(headers, COOKIE)?;
    access::id_of(text).map(|_| text.to_owned())
}

/// What a browser keeps under this name.
pub(crate) fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(known, _)| *known == name).map(|(_, text)| text)
}

/// Runs `page`; the calls it makes bring `token` along.
pub(crate) async fn with<T>(token: Option<&str>, page: impl Future<Output = T>) -> T {
    let value = token.and_then(|text| format!("Bearer {text}").parse().ok());
    BEARER.scope(value, page).await
}

/// Keeps the token in the browser until it is closed; `None` takes it out.
pub(crate) fn cookie(token: Option<&str>, is_secure: bool) -> Option<HeaderValue> {
    let secure = if is_secure { "; Secure" } else { "" };
    let (text, age) = token.map_or(("", "; Max-Age=0"), |text| (text, ""));
    HeaderValue::try_from(format!("{COOKIE}={text}; Path=/; HttpOnly; SameSite=Strict{secure}{age}")).ok()
}

/// Puts the token of the page under way on each call.
#[derive(Clone)]
pub(crate) struct Bearer;

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Ok(Some(value)) = BEARER.try_with(Clone::clone) {
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}
