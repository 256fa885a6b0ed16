//! Pure. What all requests have in common: request ids and page sizes.

use campanile_core::fault::Faults;
use campanile_core::limits;
use tonic::Status;

use crate::read_items::check_client_id;
use crate::status;

/// What a page holds where the caller does not say.
const PAGE_DEFAULT: usize = 50;

pub fn check_request_id(id: &str) -> Result<(), Status> {
    let mut faults = Faults::default();
    check_client_id(id, "request_id", limits::REQUEST_ID_BYTES_MAX, &mut faults);
    if faults.is_empty() { Ok(()) } else { Err(status::invalid(&faults)) }
}

pub fn page_size(asked: i32) -> Result<usize, Status> {
    match usize::try_from(asked) {
        Ok(0) => Ok(PAGE_DEFAULT),
        Ok(n) => Ok(n.min(limits::PAGE_MAX)),
        Err(_) => Err(status::invalid_field("page_size", "expected 0 or more")),
    }
}

/// How many of a campaign's next occurrences are asked for.
pub fn occurrences(asked: i32) -> Result<usize, Status> {
    let wanted = usize::try_from(asked).ok().filter(|n| *n <= limits::OCCURRENCES_TOLD_MAX);
    let text = || format!("expected 0 to {}", limits::OCCURRENCES_TOLD_MAX);
    wanted.ok_or_else(|| status::invalid_field("occurrences", text()))
}
