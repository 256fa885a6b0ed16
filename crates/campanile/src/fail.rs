//! How a command ends badly: an exit code that scripts can use, and lines that say what to do.
//!
//! 1: refused, not found, or some items were bad. 2: what was typed or written is wrong. 3: the server cannot be reached.

use tonic::{Code, Status};
use tonic_types::StatusExt;

#[derive(Debug, PartialEq, Eq)]
pub struct Fail {
    pub code: u8,
    pub lines: Vec<String>,
    /// Every line begins with its place in a file: `first.yaml:3:5: ...`.
    pub is_placed: bool,
}

impl Fail {
    pub fn refused(text: impl Into<String>) -> Fail {
        Fail { code: 1, lines: vec![text.into()], is_placed: false }
    }

    pub fn input(text: impl Into<String>) -> Fail {
        Fail::inputs(vec![text.into()])
    }

    /// Several things are wrong, each on a line.
    pub fn inputs(lines: Vec<String>) -> Fail {
        Fail { code: 2, lines, is_placed: false }
    }

    /// Faults of files, each line with its place.
    pub fn placed(lines: Vec<String>) -> Fail {
        Fail { code: 2, lines, is_placed: true }
    }

    pub fn unreachable(server: &str, why: &str) -> Fail {
        let text = format!("cannot reach {server}: is `campanile serve` running? ({why})");
        Fail { code: 3, lines: vec![text], is_placed: false }
    }
}

/// A server's answer; every wrong field on a line of its own.
impl From<Status> for Fail {
    fn from(status: Status) -> Fail {
        let found = violations(&status);
        let lines = match found.is_empty() {
            true if is_connection_lost(&status) => {
                vec![format!("the server went away: {}", status.message())]
            }
            true => vec![status.message().to_owned()],
            false => found.into_iter().map(|(field, text)| format!("{field}: {text}")).collect(),
        };
        Fail { code: code(&status), lines, is_placed: false }
    }
}

/// The wrong fields that a server named, with what is wrong.
pub fn violations(status: &Status) -> Vec<(String, String)> {
    let found = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
    found.into_iter().map(|violation| (violation.field, violation.description)).collect()
}

/// The exit code that says what a server's refusal means for who typed the command.
pub fn code(status: &Status) -> u8 {
    match status.code() {
        Code::InvalidArgument => 2,
        Code::Unavailable => 3,
        _ if is_connection_lost(status) => 3,
        _ => 1,
    }
}

/// The connection broke under a call. What a server said has no cause here; what the transport made of a failure has.
fn is_connection_lost(status: &Status) -> bool {
    std::error::Error::source(status).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn every_wrong_field_gets_a_line() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("id", "is missing");
        details.add_bad_request_violation("webhook.url", "is missing");
        let fail = Fail::from(Status::with_error_details(Code::InvalidArgument, "two", details));
        assert_eq!(fail.lines, ["id: is missing", "webhook.url: is missing"]);
        assert_eq!(fail.code, 2);
    }

    #[test]
    fn exit_codes_tell_refusals_from_wrong_input_and_a_server_that_is_away() {
        for (code, expected) in [
            (Code::NotFound, 1),
            (Code::FailedPrecondition, 1),
            (Code::AlreadyExists, 1),
            (Code::Aborted, 1),
            (Code::ResourceExhausted, 1),
            (Code::Internal, 1),
            (Code::InvalidArgument, 2),
            (Code::Unavailable, 3),
        ] {
            let fail = Fail::from(Status::new(code, "x"));
            assert_eq!((fail.code, fail.lines), (expected, vec!["x".to_owned()]));
        }
        let broken = Fail::from(Status::from_error(std::io::Error::other("reset by peer").into()));
        assert_eq!((broken.code, broken.lines[0].contains("went away")), (3, true), "{broken:?}");
        let fail = Fail::unreachable("http://127.0.0.1:7070", "refused");
        assert_eq!(fail.code, 3);
        assert!(
            fail.lines[0].starts_with("cannot reach http://127.0.0.1:7070: is `campanile serve` running?")
        );
    }
}
