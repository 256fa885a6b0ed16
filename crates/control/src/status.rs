//! Pure. Our refusals and troubles as gRPC statuses, with `google.rpc` details.

use campanile_core::fault::Faults;
use campanile_core::ports::StoreError;
use campanile_proto::v1 as wire;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// How long a caller is asked to wait when a bound is reached.
const RETRY_AFTER_FULL: std::time::Duration = std::time::Duration::from_secs(1);

/// `INVALID_ARGUMENT`, naming every wrong field.
pub fn invalid(faults: &Faults) -> Status {
    let mut details = ErrorDetails::new();
    for fault in &faults.0 {
        details.add_bad_request_violation(&fault.field, &fault.text);
    }
    let n = faults.0.len();
    let text = match faults.0.first() {
        Some(first) if n == 1 => format!("{}: {}", first.field, first.text),
        Some(first) => format!("{}: {} (and {} more)", first.field, first.text, n - 1),
        None => "invalid".to_owned(),
    };
    Status::with_error_details(Code::InvalidArgument, text, details)
}

/// One wrong field.
pub fn invalid_field(field: &str, text: impl Into<String>) -> Status {
    let mut faults = Faults::default();
    faults.add(field, text);
    invalid(&faults)
}

pub fn store(error: StoreError) -> Status {
    tracing::warn!(%error, "the store did not do what it was asked");
    match error {
        StoreError::Away(_) => Status::unavailable(error.to_string()),
        StoreError::Full(_) => {
            let details = ErrorDetails::with_retry_info(Some(RETRY_AFTER_FULL));
            Status::with_error_details(Code::ResourceExhausted, error.to_string(), details)
        }
        StoreError::Foreign { .. } => Status::internal(error.to_string()),
        StoreError::Refused(_) => Status::failed_precondition(error.to_string()),
    }
}

/// Faults as findings of an item's answer. A text that begins with `line L, column C: ` or `column C: ` says where.
pub fn findings(faults: &Faults) -> Vec<wire::Finding> {
    faults.0.iter().map(|fault| finding(&fault.field, &fault.text)).collect()
}

pub fn finding(field: &str, text: &str) -> wire::Finding {
    let (line, rest) = placed(text, "line ");
    let (column, _) = placed(rest, "column ");
    let line = if line == 0 && column > 0 { 1 } else { line };
    wire::Finding { description: text.to_owned(), field: field.to_owned(), line, column }
}

fn placed<'a>(text: &'a str, word: &str) -> (u32, &'a str) {
    let Some(rest) = text.strip_prefix(word) else { return (0, text) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (number, rest) = rest.split_at(end);
    (number.parse().unwrap_or(0), rest.trim_start_matches([',', ':', ' ']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where() {
        let check = |text: &str, line: u32, column: u32| {
            let found = finding("f", text);
            assert_eq!((found.line, found.column, found.description.as_str()), (line, column, text));
        };
        check("line 3, column 14: unexpected end", 3, 14);
        check("column 7: is not known", 1, 7);
        check("is missing", 0, 0);
        check("line up", 0, 0);
    }
}
