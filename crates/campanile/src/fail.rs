//! How a command ends badly: an exit code that scripts can use, and lines that say what to do.
//!
//! 1: refused, not found, or some items were bad. 2: what was typed or written is wrong. 3: the server cannot be reached.

use tonic::{Code, Status};
use tonic_types::StatusExt;

#[derive(Debug, PartialEq, Eq)]
pub struct Fail {
    pub code: u8,
    pub lines: Vec<String>,
}

impl Fail {
    pub fn refused(text: impl Into<String>) -> Fail {
        Fail { code: 1, lines: vec![text.into()] }
    }

    pub fn input(text: impl Into<String>) -> Fail {
        Fail { code: 2, lines: vec![text.into()] }
    }

    pub fn unreachable(server: &str, why: &str) -> Fail {
        Fail { code: 3, lines: vec![format!("cannot reach {server}: is `campanile serve` running? ({why})")] }
    }
}

/// A server's answer; every wrong field on a line of its own.
impl From<Status> for Fail {
    fn from(status: Status) -> Fail {
        let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        let code = match status.code() {
            Code::InvalidArgument => 2,
            Code::Unavailable => 3,
            _ => 1,
        };
        if violations.is_empty() {
            return Fail { code, lines: vec![status.message().to_owned()] };
        }
        let lines = violations.into_iter().map(|v| format!("{}: {}", v.field, v.description));
        Fail { code, lines: lines.collect() }
    }
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
    fn exit_codes_tell_refusals_from_trouble() {
        for (code, expected) in
            [(Code::NotFound, 1), (Code::FailedPrecondition, 1), (Code::InvalidArgument, 2), (Code::Unavailable, 3)]
        {
            assert_eq!(Fail::from(Status::new(code, "x")).code, expected);
        }
    }
}
