//! Pure. What is kept of a send between its attempts and after it failed: the rendered request and every failed attempt.

use serde::{Deserialize, Serialize};

use crate::attempt::Attempt;
use crate::user::{pack, unpack};
use crate::webhook_kept::StoredRequest;

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    pub request: StoredRequest,
    /// Oldest first; at most as many as a retry schedule has waits, and one.
    pub attempts: Vec<Attempt>,
}

impl Kept {
    pub fn pack(&self) -> Vec<u8> {
        pack(self)
    }

    pub fn unpack(bytes: &[u8]) -> Result<Kept, String> {
        unpack(bytes).map_err(|e| format!("kept request: {e}"))
    }
}
