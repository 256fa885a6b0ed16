//! Pure. How late sends were, in a bounded number of counters that add up over shards: a histogram with eight steps to each doubling.
//!
//! Counted is from the instant a send was due to the beginning of its first request, once a send. Buckets 0 to 7 are single
//! milliseconds; above, a bucket is an eighth of a power of two wide, so that a percentile read from it is at most 12.5 % too high.

/// Buckets that whole milliseconds of 32 bits fall into.
pub const BUCKETS: u8 = 240;
const STEPS: u32 = 8;

/// The bucket of so many milliseconds.
pub fn bucket(ms: u32) -> u8 {
    let Some(doublings) = ms.checked_ilog2().and_then(|log| log.checked_sub(STEPS.ilog2())) else {
        return ms as u8;
    };
    let step = (ms >> doublings) % STEPS;
    ((doublings + 1) * STEPS + step) as u8
}

/// The longest that falls into a bucket, in milliseconds.
pub fn longest_ms(bucket: u8) -> u64 {
    let bucket = u64::from(bucket);
    let steps = u64::from(STEPS);
    if bucket < steps {
        return bucket;
    }
    let (doublings, step) = (bucket / steps - 1, bucket % steps);
    ((steps + step + 1) << doublings) - 1
}

/// How many sends fell into which bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Latency(std::collections::BTreeMap<u8, u64>);

impl Latency {
    pub fn add(&mut self, bucket: u8, sends: u64) {
        *self.0.entry(bucket).or_default() += sends;
    }

    pub fn sends(&self) -> u64 {
        self.0.values().sum()
    }

    /// So many milliseconds at most for this share of the sends (0 to 1). None: nothing was counted.
    pub fn within_ms(&self, share: f64) -> Option<u64> {
        let wanted = ((self.sends() as f64 * share.clamp(0.0, 1.0)).ceil() as u64).max(1);
        let mut seen = 0;
        let reached = self.0.iter().find(|(_, sends)| {
            seen += **sends;
            seen >= wanted
        });
        reached.map(|(bucket, _)| longest_ms(*bucket))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_bucket_holds_its_length_and_is_an_eighth_wide(ms: u32) {
            let found = bucket(ms);
            prop_assert!(found < BUCKETS);
            let longest = longest_ms(found);
            prop_assert!(longest >= u64::from(ms));
            prop_assert!(longest as f64 <= f64::from(ms) * 1.125);
            prop_assert!(found == 0 || longest_ms(found - 1) < u64::from(ms));
        }

        #[test]
        fn longer_is_never_in_a_lower_bucket(a: u32, b: u32) {
            prop_assert_eq!(a.cmp(&b).is_ge(), bucket(a.max(b)) >= bucket(a.min(b)) && a >= b);
        }

        #[test]
        fn a_percentile_is_the_sorted_lists_within_a_bucket(mut lengths in prop::collection::vec(0u32..10_000_000, 1..200), share in 0.0f64..1.0) {
            let mut latency = Latency::default();
            lengths.iter().for_each(|ms| latency.add(bucket(*ms), 1));
            lengths.sort_unstable();
            let place = ((lengths.len() as f64 * share).ceil() as usize).max(1) - 1;
            let exact = u64::from(lengths[place]);
            let told = latency.within_ms(share).unwrap();
            prop_assert!(told >= exact && told as f64 <= exact as f64 * 1.125, "{} of {}", told, exact);
        }
    }

    #[test]
    fn nothing_has_no_percentiles() {
        assert_eq!(Latency::default().within_ms(0.5), None);
    }
}
