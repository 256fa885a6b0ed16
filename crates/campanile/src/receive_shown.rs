//! Pure. A webhook that came, as it is shown: whether it is signed, its body on a line, itself as JSON and as a curl command.

use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use campanile_core::signature::{self, Key};
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::table::plain;

/// What a line shows of a body.
const BODY_CHARS_SHOWN: usize = 100;
/// How far the timestamp of a signed webhook may be from now: what Standard Webhooks recommends against replays.
const AGE_SECS_MAX: i64 = 5 * 60;
/// Headers that curl makes itself.
const MADE_BY_CURL: [&str; 4] = ["host", "content-length", "connection", "accept"];

/// One webhook, and what it is answered with.
pub struct Came<'a> {
    pub number: u64,
    pub method: &'a str,
    /// Path and query.
    pub target: &'a str,
    pub headers: &'a HeaderMap,
    pub body: &'a Bytes,
    pub status: StatusCode,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signature {
    Signed,
    /// By a right key, but not of this hour.
    TooOld,
    Wrong,
    Missing,
}

impl Signature {
    pub fn word(self) -> &'static str {
        match self {
            Signature::Signed => "signed",
            Signature::TooOld => "signed, but more than 5 min ago: a replay?",
            Signature::Wrong => "signature wrong",
            Signature::Missing => "not signed",
        }
    }
}

impl Came<'_> {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// What Standard Webhooks asks of a receiver: a signature by one of the keys, over these bytes, of about now.
    pub fn signature(&self, keys: &[Key], now: Timestamp) -> Signature {
        let header = |name: &str| self.header(name).unwrap_or_default();
        let signatures = header("webhook-signature");
        if signatures.is_empty() {
            return Signature::Missing;
        }
        let Ok(at) = header("webhook-timestamp").parse::<i64>() else { return Signature::Wrong };
        if !signature::verify(keys, header("webhook-id"), at, self.body, signatures) {
            return Signature::Wrong;
        }
        let age = now.as_second().saturating_sub(at).saturating_abs();
        if age > AGE_SECS_MAX { Signature::TooOld } else { Signature::Signed }
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.body).into_owned()
    }

    /// The beginning of the body, without what steers a terminal.
    pub fn body_on_a_line(&self) -> String {
        plain(&self.text().chars().take(BODY_CHARS_SHOWN).collect::<String>())
    }

    pub fn json(&self, signature: Option<Signature>, url: &str) -> Value {
        let headers: serde_json::Map<_, _> = self
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()))
            .collect();
        json!({
            "number": self.number, "method": self.method, "target": self.target, "headers": headers, "body": self.text(),
            "status": self.status.as_u16(), "signature": signature.map(Signature::word), "curl": curl(self, url),
        })
    }
}

/// A command of a POSIX shell that sends the same webhook to `url` again; bytes that are no text go by a pipe.
pub fn curl(came: &Came<'_>, url: &str) -> String {
    let mut line = format!("curl -X {} {}", came.method, quoted(&format!("{url}{}", came.target)));
    if url.starts_with("https://") {
        line.push_str(" --insecure");
    }
    for (name, value) in came.headers.iter().filter(|(name, _)| !MADE_BY_CURL.contains(&name.as_str())) {
        line.push_str(&format!(
            " -H {}",
            quoted(&format!("{name}: {}", String::from_utf8_lossy(value.as_bytes())))
        ));
    }
    match std::str::from_utf8(came.body) {
        Ok("") => line,
        Ok(text) if !text.contains('\0') => format!("{line} --data-raw {}", quoted(text)),
        _ => {
            let octal: String = came.body.iter().map(|byte| format!("\\{byte:03o}")).collect();
            format!("printf '{octal}' | {line} --data-binary @-")
        }
    }
}

/// A word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: i64 = 1_614_265_330;
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn came<'a>(headers: &'a HeaderMap, body: &'a Bytes) -> Came<'a> {
        Came { number: 1, method: "POST", target: "/hook?a=1", headers, body, status: StatusCode::NO_CONTENT }
    }

    #[test]
    fn a_signature_is_right_only_for_this_key_this_body_and_about_now() {
        let good = [
            ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
            ("webhook-timestamp", "1614265330"),
            ("webhook-signature", "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="),
        ];
        let check = |pairs: &[(&'static str, &str)], body: &str, key: &str, at: i64, expected: Signature| {
            let (headers, body) = (headers(pairs), Bytes::from(body.to_owned()));
            let now = Timestamp::from_second(at).unwrap();
            let found = came(&headers, &body).signature(&[Key::read(key).unwrap()], now);
            assert_eq!(found, expected, "{pairs:?} {at}");
        };
        let body = r#"{"test": 2432232314}"#;
        check(&good, body, KEY, AT, Signature::Signed);
        check(&good, body, KEY, AT + 300, Signature::Signed);
        check(&good, body, KEY, AT + 301, Signature::TooOld);
        check(&good, body, KEY, AT - 301, Signature::TooOld);
        check(&good, "{}", KEY, AT, Signature::Wrong);
        check(&good, body, "whsec_bmV3", AT, Signature::Wrong);
        check(&good[..2], body, KEY, AT, Signature::Missing);
        check(&[good[0], good[2]], body, KEY, AT, Signature::Wrong);
    }

    #[test]
    fn a_curl_command_survives_the_shell() {
        let headers = headers(&[("host", "x"), ("content-type", "application/json"), ("x-name", "O'Neil")]);
        let text = Bytes::from_static(br#"{"a":"it's"}"#);
        assert_eq!(
            curl(&came(&headers, &text), "http://127.0.0.1:9000"),
            r#"curl -X POST 'http://127.0.0.1:9000/hook?a=1' -H 'content-type: application/json' -H 'x-name: O'\''Neil' --data-raw '{"a":"it'\''s"}'"#
        );
        let bytes = Bytes::from_static(b"\0\xff1");
        let line = curl(&came(&headers, &bytes), "https://127.0.0.1:9000");
        assert!(line.starts_with(r"printf '\000\377\061' | curl ") && line.contains("--insecure"), "{line}");
        assert!(line.ends_with("--data-binary @-"), "{line}");
    }

    #[test]
    fn what_came_cannot_steer_a_terminal() {
        let headers = HeaderMap::new();
        let body = Bytes::from(format!("a\u{1b}[2Jb\n{}", "x".repeat(200)));
        let line = came(&headers, &body).body_on_a_line();
        assert!(line.starts_with("a [2Jb x") && line.chars().count() == BODY_CHARS_SHOWN, "{line}");
    }
}
