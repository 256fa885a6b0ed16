//! Caps: what was counted of each user, beside the user's delivery records. The rules are `core::caps`', in Lua.

use campanile_core::caps::{CapAnswer, CapAsk, CapRule, Since};
use campanile_core::caps_port::Caps;
use campanile_core::due_send::Lease;
use campanile_core::limits;
use campanile_core::number::{Shard, millis};
use campanile_core::ports::{Answer, StoreError};

use crate::arguments::{Arguments, at_most, user_bytes};
use crate::store::RedisStore;

impl RedisStore {
    async fn ask_caps(
        &self,
        verb: &str,
        shard: Shard,
        asks: &[CapAsk],
    ) -> Result<Vec<CapAnswer>, StoreError> {
        at_most("sends", asks.len(), limits::CAP_ASKS_MAX)?;
        if asks.is_empty() {
            return Ok(Vec::new());
        }
        let mut arguments = Arguments::new().bytes(verb).number(limits::CAP_TIME_MAX.as_millis());
        for ask in asks {
            arguments =
                arguments.bytes(user_bytes(ask.user)).bytes(ask.send.encode()).number(ask.rules.len());
            arguments = ask.rules.iter().fold(arguments, rule);
        }
        let mut reply = self.run(shard, &self.scripts.reserve_caps, arguments).await?;
        let mut answers = Vec::with_capacity(asks.len());
        for _ in asks {
            let over = reply.count()? as usize;
            answers.push(over.checked_sub(1).map_or(CapAnswer::Reserved, CapAnswer::Over));
        }
        Ok(answers)
    }
}

fn rule(arguments: Arguments, rule: &CapRule) -> Arguments {
    let arguments = arguments.bytes(rule.scope.to_be_bytes());
    let arguments = match rule.since {
        Since::Ago(time) => arguments.bytes("a").number(time.as_millis()),
        Since::At(at) => arguments.bytes("f").number(millis(at)),
    };
    arguments.number(rule.at_most)
}

impl Caps for RedisStore {
    fn reserve_caps<'a>(&'a self, shard: Shard, asks: &'a [CapAsk]) -> Answer<'a, Vec<CapAnswer>> {
        Box::pin(self.ask_caps("reserve", shard, asks))
    }

    fn look_at_caps<'a>(&'a self, shard: Shard, asks: &'a [CapAsk]) -> Answer<'a, Vec<CapAnswer>> {
        Box::pin(self.ask_caps("look", shard, asks))
    }

    fn release_caps<'a>(&'a self, shard: Shard, leases: &'a [Lease]) -> Answer<'a, ()> {
        Box::pin(async move {
            at_most("sends", leases.len(), limits::CAP_ASKS_MAX)?;
            if leases.is_empty() {
                return Ok(());
            }
            let members =
                leases.iter().fold(Arguments::new(), |members, lease| members.bytes(lease.encode()));
            self.run(shard, &self.scripts.release_caps, members).await.map(drop)
        })
    }
}
