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
    let mut hash = Sha256::new();
    hash.update(salt.as_bytes());
    hash.update([0]);
    hash.update(user_id.as_bytes());
    let first = hash.finalize().into_iter().take(8).fold(0u64, |number, byte| number << 8 | u64::from(byte));
    (first % u64::from(BUCKETS)) as u16
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

    const GOLDEN: [(&str, &str, u16); 6] = [
        ("", "mary", 728),
        ("", "user-1", 32),
        ("holdback:weekly-digest", "mary", 265),
        ("a", "bc", 297),
        ("ab", "c", 165),
        ("grüße", "Ünï-🦀", 887),
    ];
}
