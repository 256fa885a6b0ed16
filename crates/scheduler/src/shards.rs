//! Work on many shards: a few at a time, in this process's own order, and each shard's trouble its own.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::future::Future;
use std::pin::Pin;

use campanile_core::number::Shard;
use campanile_core::ports::{Answer, StoreError};
use futures_util::stream::{self, StreamExt};

/// Shards worked on at once. Schedulers begin at different ones, so that two of them seldom decide the same thing.
const AT_ONCE: usize = 8;

/// What a pass had to leave undone, in words: the place and why.
pub type Troubles = BTreeSet<String>;

/// What became of one shard.
pub type Answered<T> = (Shard, Result<T, StoreError>);

/// Runs `work` for every shard and answers for each, in no particular order.
pub async fn each<'a, T: Send + 'a>(
    shards: &[Shard],
    work: impl Fn(Shard) -> Answer<'a, T>,
) -> Vec<Answered<T>> {
    let all: Vec<_> = shards.iter().map(|&shard| tagged(shard, work(shard))).collect();
    stream::iter(all).buffer_unordered(AT_ONCE).collect().await
}

/// Boxed: a stream of unnamed futures that borrow cannot be spawned.
fn tagged<'a, T: Send + 'a>(
    shard: Shard,
    answer: Answer<'a, T>,
) -> Pin<Box<dyn Future<Output = Answered<T>> + Send + 'a>> {
    Box::pin(async move { (shard, answer.await) })
}

/// What was done; none where this place alone is in trouble, which is noted and does not hold up the others. A store that is away is
/// away for all: that ends the pass.
pub fn aside<T>(
    done: Result<T, StoreError>,
    place: impl Display,
    troubles: &mut Troubles,
) -> Result<Option<T>, StoreError> {
    match done {
        Ok(done) => Ok(Some(done)),
        Err(error @ StoreError::Away(_)) => Err(error),
        Err(error) => {
            troubles.insert(format!("{place}: {error}"));
            Ok(None)
        }
    }
}
