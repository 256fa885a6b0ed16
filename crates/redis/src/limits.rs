//! Limits that all senders share: buckets of tokens.

use campanile_core::ports::{Answer, Limits, StoreError};
use campanile_core::throttle::{Bucket, Taken, Throttle};
use jiff::Timestamp;

use crate::arguments::Arguments;
use crate::keys;
use crate::reply::{Reply, foreign};
use crate::store::RedisStore;

impl Limits for RedisStore {
    fn take_tokens(&self, bucket: Bucket, throttle: Throttle, want: usize) -> Answer<'_, Taken> {
        Box::pin(async move {
            let arguments = Arguments::new().number(want).number(throttle.interval_us).number(throttle.ahead);
            let key = keys::throttle(bucket);
            let mut reply = self.run_on(&[key], &self.scripts.take_tokens, arguments).await?;
            let tokens = reply.count()?;
            Ok(Taken { tokens, first_at: instant(&mut reply)?, next_at: instant(&mut reply)? })
        })
    }
}

/// Microseconds since 1970, as text: more than a script's numbers hold when they become integers on the way.
fn instant(reply: &mut Reply) -> Result<Timestamp, StoreError> {
    let us = reply.text()?.parse().ok().and_then(|us| Timestamp::from_microsecond(us).ok());
    us.ok_or_else(|| foreign("take_tokens", "expected an instant"))
}
