//! Pure. The file beside a campaign's that says what it should do: `NAME.test.yaml`, YAML or JSON with the conveniences of a campaign file.

use crate::file_fault::{FileFault, FilePlace};
use crate::filed::{Filed, read_as};
use crate::v1::CampaignTest;

/// Reads the file of what a campaign should do, one document.
///
/// # Errors
/// Every fault that could be found, in the order of the text; at most 100.
pub fn read(bytes: &[u8]) -> Result<Filed<CampaignTest>, Vec<FileFault>> {
    let mut documents = read_as::<CampaignTest>(bytes, "cases:")?;
    match (documents.pop(), documents.pop()) {
        (Some(one), None) => Ok(one),
        (Some(second), Some(_)) => {
            Err(vec![FileFault::new("", second.place, "one document of cases in a file, this is another")])
        }
        (None, _) => Err(vec![FileFault::new("", FilePlace { line: 1, column: 1 }, "no cases in this file")]),
    }
}
