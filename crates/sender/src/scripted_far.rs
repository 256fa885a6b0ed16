//! What the scripted store keeps of destinations: breakers, saved whatever their version.

use std::time::Duration;

use campanile_core::destination::{DestinationPolicy, StoredDestination};
use campanile_core::destination_port::{BreakerChange, Destinations, FollowedDestinations, Place};
use campanile_core::number::DestinationNo;
use campanile_core::ports::Answer;

use crate::scripted_store::{ScriptedStore, answer, never};

impl Destinations for ScriptedStore {
    fn list_destinations<'a>(&'a self, _: &'a str, _: usize) -> Answer<'a, Vec<StoredDestination>> {
        never()
    }

    fn follow_destinations(&self, seen: u64) -> Answer<'_, FollowedDestinations> {
        let state = self.state();
        let changed = seen != state.far_version + 1;
        let destinations = changed.then(|| state.destinations.clone());
        answer(FollowedDestinations { version: state.far_version + 1, destinations })
    }

    fn save_destination(&self, _: DestinationNo, _: u64, _: DestinationPolicy) -> Answer<'_, bool> {
        never()
    }

    fn save_breakers<'a>(&'a self, breakers: &'a [BreakerChange]) -> Answer<'a, Vec<bool>> {
        let mut state = self.state();
        state.far_version += 1;
        for BreakerChange { no, version, breaker } in breakers {
            state.destinations.retain(|known| known.no != *no);
            state.destinations.extend(breaker.clone().map(|breaker| StoredDestination {
                no: *no,
                name: "https://far.example:443".to_owned(),
                revision: 0,
                policy: DestinationPolicy::default(),
                breaker_version: version + 1,
                breaker,
            }));
        }
        answer(vec![true; breakers.len()])
    }

    fn take_places<'a>(
        &'a self,
        _: DestinationNo,
        limit: usize,
        places: &'a [Place],
        _: Duration,
    ) -> Answer<'a, usize> {
        answer(places.len().min(limit))
    }

    fn leave_places<'a>(&'a self, _: DestinationNo, _: &'a [Place]) -> Answer<'a, ()> {
        answer(())
    }
}
