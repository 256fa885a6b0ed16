//! Pure. Numbers that stand for names in stored bytes, and the deployment's layout they hang on.
//!
//! Names are long and change places in memory; numbers are small, given once and never reused.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// 4 bytes, never 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CampaignNo(pub u32);

/// 4 bytes; 0 means that the URL is not constant, so the destination is not known before rendering.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct DestinationNo(pub u32);

/// 5 bytes, counted per shard from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct UserNo(pub u64);

/// Where a user lives, and with it everything about the user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Shard(pub u16);

/// Fixed when a store is first started; part of every send id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Random, so that two deployments never make the same send id.
    pub birth: [u8; 3],
    /// Key of every stored hash, so that ids cannot be made to collide from outside.
    pub hash_key: [u8; 16],
    pub shards: u16,
}

impl Layout {
    pub fn shard_of(&self, user_id: &str) -> Shard {
        let hash = self.hash64("shard", &[user_id.as_bytes()]);
        Shard((hash % u64::from(self.shards.max(1))) as u16)
    }

    pub fn shards(&self) -> impl Iterator<Item = Shard> + use<> {
        (0..self.shards).map(Shard)
    }

    /// First 8 bytes of SHA-256 over key, purpose and length-prefixed parts.
    pub fn hash64(&self, purpose: &str, parts: &[&[u8]]) -> u64 {
        let [a, b, c, d, e, f, g, h, ..] = self.hash(purpose, parts);
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// First 16 bytes of the same.
    pub fn hash128(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 16] {
        let mut out = [0; 16];
        out.copy_from_slice(&self.hash(purpose, parts)[..16]);
        out
    }

    fn hash(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        let mut sha = Sha256::new();
        sha.update(self.hash_key);
        sha.update(purpose.as_bytes());
        for part in parts {
            sha.update((part.len() as u64).to_be_bytes());
            sha.update(part);
        }
        sha.finalize().into()
    }
}

/// Instants are stored as 6 bytes of Unix milliseconds: from 1970 to the year 9999, where jiff ends.
pub fn millis(at: Timestamp) -> u64 {
    at.as_millisecond().max(0).unsigned_abs()
}

/// The instant of stored milliseconds; the last one there is if they are out of range.
pub fn instant(millis: u64) -> Timestamp {
    i64::try_from(millis).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok()).unwrap_or(Timestamp::MAX)
}
