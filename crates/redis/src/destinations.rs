//! Destinations: what is set for them, their breakers, places for requests under way. Policies and breakers lie in one hash beside the names, each
//! with its version in front; places in a key of their own for each destination.

use std::time::Duration;

use campanile_core::breaker::Breaker;
use campanile_core::destination::{DestinationPolicy, StoredDestination};
use campanile_core::destination_port::{BreakerChange, Destinations, FollowedDestinations, Place};
use campanile_core::limits;
use campanile_core::number::DestinationNo;
use campanile_core::ports::{Answer, StoreError};
use serde::de::DeserializeOwned;

use crate::arguments::{Arguments, at_most, value};
use crate::keys;
use crate::reply::{Reply, foreign, number};
use crate::store::RedisStore;

impl RedisStore {
    async fn page_of_destinations(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<Vec<StoredDestination>, StoreError> {
        let arguments = Arguments::new().bytes(after).number(limit.min(limits::PAGE_MAX));
        let keys = [keys::DESTINATIONS[0], keys::DESTINATIONS[2], keys::FAR];
        read_all(self.run_on(&keys, &self.scripts.list_destinations, arguments).await?)
    }

    async fn changed_destinations(&self, seen: u64) -> Result<FollowedDestinations, StoreError> {
        let arguments = Arguments::new().number(seen);
        let keys = [keys::DESTINATIONS[0], keys::FAR];
        let mut reply = self.run_on(&keys, &self.scripts.follow_destinations, arguments).await?;
        let version = reply.count()?;
        let destinations = if reply.int()? == 1 { Some(read_all(reply)?) } else { None };
        Ok(FollowedDestinations { version, destinations })
    }

    /// One character each, as the script says.
    async fn save_far(
        &self,
        kind: &str,
        most: usize,
        values: impl Iterator<Item = (DestinationNo, u64, Vec<u8>)>,
    ) -> Result<Vec<u8>, StoreError> {
        let arguments = values
            .fold(Arguments::new().bytes(kind).number(most), |arguments, (no, version, value)| {
                arguments.number(no.0).number(version).bytes(value)
            });
        self.run_on(&[keys::FAR], &self.scripts.save_destinations, arguments).await?.bytes()
    }

    async fn write_policy(
        &self,
        no: DestinationNo,
        revision: u64,
        policy: DestinationPolicy,
    ) -> Result<bool, StoreError> {
        let bytes = value(revision + 1, &json(&policy)?);
        let most = limits::DESTINATION_POLICIES_MAX;
        match self.save_far("p", most, std::iter::once((no, revision, bytes))).await?.first() {
            Some(b'1') => Ok(true),
            Some(b'2') => Err(StoreError::Full(format!("{most} destinations have settings of their own"))),
            _ => Ok(false),
        }
    }

    async fn write_breakers(&self, changes: &[BreakerChange]) -> Result<Vec<bool>, StoreError> {
        at_most("breakers", changes.len(), limits::BREAKERS_SAVED_MAX)?;
        if changes.is_empty() {
            return Ok(Vec::new());
        }
        let values = changes.iter().map(|change| {
            let bytes = change.breaker.as_ref().map(json).transpose()?;
            let bytes = bytes.map(|json| value(change.version + 1, &json));
            Ok((change.no, change.version, bytes.unwrap_or_default()))
        });
        let values = values.collect::<Result<Vec<_>, StoreError>>()?;
        let answers = self.save_far("b", limits::BREAKERS_MAX, values.into_iter()).await?;
        Ok(answers.into_iter().map(|answer| answer == b'1').collect())
    }
}

impl Destinations for RedisStore {
    fn list_destinations<'a>(&'a self, after: &'a str, limit: usize) -> Answer<'a, Vec<StoredDestination>> {
        Box::pin(self.page_of_destinations(after, limit))
    }

    fn follow_destinations(&self, seen: u64) -> Answer<'_, FollowedDestinations> {
        Box::pin(self.changed_destinations(seen))
    }

    fn save_destination(
        &self,
        no: DestinationNo,
        revision: u64,
        policy: DestinationPolicy,
    ) -> Answer<'_, bool> {
        Box::pin(self.write_policy(no, revision, policy))
    }

    fn save_breakers<'a>(&'a self, breakers: &'a [BreakerChange]) -> Answer<'a, Vec<bool>> {
        Box::pin(self.write_breakers(breakers))
    }

    fn take_places<'a>(
        &'a self,
        no: DestinationNo,
        limit: usize,
        places: &'a [Place],
        lasts: Duration,
    ) -> Answer<'a, usize> {
        Box::pin(async move {
            at_most("places", places.len(), limits::CLAIM_MAX)?;
            let arguments = Arguments::new().number(limit).number(lasts.as_millis());
            let arguments =
                places.iter().fold(arguments, |arguments, place| arguments.bytes(place_bytes(place)));
            let mut reply = self.run_on(&[keys::places(no)], &self.scripts.take_places, arguments).await?;
            Ok(reply.count()? as usize)
        })
    }

    fn leave_places<'a>(&'a self, no: DestinationNo, places: &'a [Place]) -> Answer<'a, ()> {
        Box::pin(async move {
            at_most("places", places.len(), limits::CLAIM_MAX)?;
            if places.is_empty() {
                return Ok(());
            }
            let arguments = places.iter().fold(Arguments::new(), |all, place| all.bytes(place_bytes(place)));
            self.run_on(&[keys::places(no)], &self.scripts.leave_places, arguments).await.map(drop)
        })
    }
}

fn place_bytes(place: &Place) -> Vec<u8> {
    let mut bytes = place.shard.0.to_be_bytes().to_vec();
    bytes.extend(place.fence.to_be_bytes());
    bytes
}

fn json<T: serde::Serialize>(doc: &T) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(doc).map_err(|e| StoreError::Refused(format!("write a destination: {e}")))
}

fn read_all(mut reply: Reply) -> Result<Vec<StoredDestination>, StoreError> {
    let mut all = Vec::new();
    while !reply.is_empty() {
        let no = u32::try_from(reply.int()?).map_err(|_| foreign("destinations", "a number over 32 bits"))?;
        let (name, policy, breaker) = (reply.text()?, reply.optional()?, reply.optional()?);
        let (revision, policy) = stored(&name, "policy", policy);
        let (breaker_version, breaker): (u64, Breaker) = stored(&name, "breaker", breaker);
        all.push(StoredDestination {
            no: DestinationNo(no),
            name,
            revision,
            policy,
            breaker_version,
            breaker,
        });
    }
    Ok(all)
}

/// What is foreign counts as not set, with the version it stands under, so that it can be set anew.
fn stored<T: DeserializeOwned + Default>(name: &str, what: &str, value: Option<Vec<u8>>) -> (u64, T) {
    let Some(value) = value else { return (0, T::default()) };
    let Some((version, json)) = value.split_at_checked(8) else { return (0, T::default()) };
    let doc = serde_json::from_slice(json).unwrap_or_else(|error| {
        tracing::error!(destination = name, %error, "the stored {what} of a destination is foreign");
        T::default()
    });
    (number(version), doc)
}
