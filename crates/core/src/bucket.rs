//! Pure. Stable buckets: the same user and salt fall into the same thousandth for ever, on any machine.
//!
//! Golden values below guard it: a changed hash would move every holdback and every variant.

use sha2::{Digest, Sha256};

/// Buckets are numbered 0 to 999.
pub const BUCKETS: u16 = 1_000;

/// The bucket of a user under a salt; the empty salt is the global bucket.
///
/// SHA-256 of the salt, a zero byte and the user id; its first eight bytes as a big-endian number, modulo 1,000.
pub fn bucket(salt: &str, user_id: &str) -> u16 {
    (hash(salt, user_id) % u64::from(BUCKETS)) as u16
}

/// The place of a user among `total` equal shares under a salt, 0 to `total` - 1: the same hash as a fraction of its range.
pub fn share(salt: &str, user_id: &str, total: u64) -> u64 {
    ((u128::from(hash(salt, user_id)) * u128::from(total)) >> 64) as u64
}

fn hash(salt: &str, user_id: &str) -> u64 {
    let mut hash = Sha256::new();
    hash.update(salt.as_bytes());
    hash.update([0]);
    hash.update(user_id.as_bytes());
    hash.finalize().into_iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_values_never_change() {
        for (salt, user_id, expected) in GOLDEN {
            assert_eq!(bucket(salt, user_id), expected, "{salt:?} {user_id:?}");
        }
    }

    #[test]
    fn users_spread_evenly_and_salts_are_independent() {
        let ids: Vec<String> = (0..20_000).map(|n| format!("user-{n}")).collect();
        let low = |salt: &str| ids.iter().filter(|id| bucket(salt, id) < 100).count();
        assert!((1_850..2_150).contains(&low("")), "{}", low(""));
        assert!((1_850..2_150).contains(&low("campaign")), "{}", low("campaign"));
        let both = ids.iter().filter(|id| bucket("", id) < 100 && bucket("campaign", id) < 100).count();
        assert!((130..270).contains(&both), "{both}");
    }

    /// Pearson's statistic of how often each of the equally likely places was taken.
    fn chi_square(places: usize, of: impl Iterator<Item = usize>) -> f64 {
        let mut taken = vec![0u32; places];
        let mut total = 0;
        for place in of {
            taken[place] += 1;
            total += 1;
        }
        let expected = f64::from(total) / places as f64;
        taken.iter().map(|&n| (f64::from(n) - expected).powi(2) / expected).sum()
    }

    /// Bounds are the 99.9 % points: 1143.9 for 999 degrees of freedom, 37.7 for 15.
    #[test]
    fn a_hundred_thousand_ids_fill_buckets_and_shares_uniformly() {
        for salt in ["", "holdback:weekly-digest", "variant:weekly-digest"] {
            let ids = || (0..100_000).map(|n| format!("user-{n}"));
            let buckets = chi_square(1_000, ids().map(|id| usize::from(bucket(salt, &id))));
            assert!(buckets < 1_143.9, "{salt}: {buckets}");
            let shares = chi_square(16, ids().map(|id| share(salt, &id, 16) as usize));
            assert!(shares < 37.7, "{salt}: {shares}");
        }
    }

    #[test]
    fn a_share_stays_within_its_total_and_grows_with_it() {
        for total in [1, 2, 16, 1_000_000, u64::MAX] {
            let place = share("s", "mary", total);
            assert!(place < total, "{place} of {total}");
        }
        assert_eq!(share("", "mary", 0), 0);
        assert_eq!([100, 1_000_000].map(|total| share("variant:a", "mary", total)), SHARES);
    }

    const SHARES: [u64; 2] = [9, 92_854];

    const GOLDEN: [(&str, &str, u16); 6] = [
        ("", "mary", 728),
        ("", "user-1", 32),
        ("holdback:weekly-digest", "mary", 265),
        ("a", "bc", 297),
        ("ab", "c", 165),
        ("grüße", "Ünï-🦀", 887),
    ];
}
