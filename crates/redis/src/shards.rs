//! The shards' tags, and one call to each of them at the same time.

use std::future::Future;

use campanile_core::number::Shard;
use campanile_core::ports::StoreError;
use futures_util::future::try_join_all;

/// In the order of shards; each with its colon, as scripts are given it.
pub(crate) struct Shards(Vec<String>);

impl Shards {
    pub(crate) fn new(tags: Vec<String>) -> Shards {
        Shards(tags.into_iter().map(|tag| format!("{{{tag}}}:")).collect())
    }

    pub(crate) fn prefix(&self, shard: Shard) -> Result<&str, StoreError> {
        self.0
            .get(usize::from(shard.0))
            .map(String::as_str)
            .ok_or_else(|| StoreError::Refused(format!("shard {} of {}", shard.0, self.0.len())))
    }

    pub(crate) fn prefixes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// One call a shard, concurrently; the first error counts.
    pub(crate) async fn each<F, T>(&self, call: impl Fn(Shard) -> F) -> Result<Vec<T>, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        try_join_all((0..self.0.len()).map(|n| call(Shard(u16::try_from(n).unwrap_or(u16::MAX))))).await
    }
}
