//! What was given of every bucket of tokens. In memory, beside the writer: one process holds the file, and its end takes what
//! it had reserved along.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use campanile_core::throttle::{Bucket, Taken, Throttle};
use jiff::Timestamp;

/// Buckets kept; past these all are new again.
const BUCKETS_MAX: usize = 100_000;

#[derive(Default)]
pub(crate) struct Throttles(Mutex<HashMap<Bucket, u64>>);

impl Throttles {
    pub(crate) fn take(&self, bucket: Bucket, throttle: Throttle, want: usize, now: Timestamp) -> Taken {
        let now_us = u64::try_from(now.as_microsecond()).unwrap_or_default();
        let mut buckets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&bucket) {
            buckets.clear();
        }
        let given = buckets.entry(bucket).or_default();
        let (new, taken) = throttle.take(*given, want as u64, now_us);
        *given = new;
        taken
    }
}
