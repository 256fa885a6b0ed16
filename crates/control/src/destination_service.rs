//! The gRPC face of destinations: listed, read, set, and let go again after trouble.

use std::sync::Arc;

use campanile_core::breaker::{Breaker, Standing};
use campanile_core::destination::{self, DestinationPolicy, StoredDestination};
use campanile_core::destination_port::BreakerChange;
use campanile_core::fault::Faults;
use campanile_proto::v1 as wire;
use campanile_proto::v1::destination_service_server::DestinationService;
use jiff::Timestamp;
use tonic::{Request, Response, Status};

use crate::deployment::Deployment;
use crate::read_request::{check_request_id, page_size};
use crate::status;
use crate::write_campaign::timestamp;

/// Tries to write over what others write at the same time.
const TRIES_MAX: usize = 20;
/// What a mask may name.
const FIELDS: [&str; 4] = ["policy", "policy.rate", "policy.concurrency", "policy.timeout"];

pub struct DestinationNames {
    deployment: Arc<Deployment>,
}

impl DestinationNames {
    pub fn new(deployment: Arc<Deployment>) -> DestinationNames {
        DestinationNames { deployment }
    }

    /// As it stands, whether anything was ever sent there or not.
    async fn read(&self, name: &str) -> Result<Option<StoredDestination>, Status> {
        let store = &self.deployment.store;
        // What comes after the name without its last character begins with the name, or nearly.
        let mut after = name.to_owned();
        after.pop();
        loop {
            let page = store.list_destinations(&after, PAGE).await.map_err(status::store)?;
            if let Some(found) = page.iter().find(|destination| destination.name == name) {
                return Ok(Some(found.clone()));
            }
            match page.last() {
                Some(last) if last.name.as_str() < name => after.clone_from(&last.name),
                _ => return Ok(None),
            }
        }
    }

    fn written(&self, stored: &StoredDestination) -> wire::Destination {
        write(stored, self.deployment.now())
    }
}

/// Destinations read at once where one is sought.
const PAGE: usize = 100;

#[tonic::async_trait]
impl DestinationService for DestinationNames {
    async fn list_destinations(
        &self,
        request: Request<wire::ListDestinationsRequest>,
    ) -> Result<Response<wire::ListDestinationsResponse>, Status> {
        let request = request.into_inner();
        let limit = page_size(request.page_size)?;
        let store = &self.deployment.store;
        let page = store.list_destinations(&request.page_token, limit).await.map_err(status::store)?;
        let next_page_token = match page.last() {
            Some(last) if page.len() == limit => last.name.clone(),
            _ => String::new(),
        };
        let destinations = page.iter().map(|stored| self.written(stored)).collect();
        Ok(Response::new(wire::ListDestinationsResponse { destinations, next_page_token }))
    }

    async fn get_destination(
        &self,
        request: Request<wire::GetDestinationRequest>,
    ) -> Result<Response<wire::GetDestinationResponse>, Status> {
        let name = read_name(&request.into_inner().name, "name")?;
        match self.read(&name).await? {
            Some(stored) => {
                let destination = Some(self.written(&stored));
                Ok(Response::new(wire::GetDestinationResponse { destination }))
            }
            None => Err(unknown(&name)),
        }
    }

    async fn update_destination(
        &self,
        request: Request<wire::UpdateDestinationRequest>,
    ) -> Result<Response<wire::UpdateDestinationResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let asked = request.destination.unwrap_or_default();
        let name = read_name(&asked.name, "destination.name")?;
        let mask = request.update_mask.map(|mask| mask.paths).unwrap_or_default();
        let set = read_policy(&asked.policy.unwrap_or_default(), &mask)?;
        let store = &self.deployment.store;
        // Gives it a number where it is new: it can be set before anything is sent.
        let no = store.destinations(std::slice::from_ref(&name)).await.map_err(status::store)?;
        let no = no.first().copied().unwrap_or_default();
        for _ in 0..TRIES_MAX {
            let Some(stored) = self.read(&name).await? else { return Err(unknown(&name)) };
            let expected = u64::try_from(request.expected_revision)
                .map_err(|_| status::invalid_field("expected_revision", "expected 0 or more"))?;
            if expected > 0 && expected != stored.revision {
                let text =
                    format!("{name} is at revision {}, not at {expected}: read it again", stored.revision);
                return Err(Status::aborted(text));
            }
            let policy = merged(stored.policy.clone(), &set, &mask);
            let is_same = policy == stored.policy && stored.revision > 0;
            if is_same
                || store.save_destination(no, stored.revision, policy.clone()).await.map_err(status::store)?
            {
                let revision = if is_same { stored.revision } else { stored.revision + 1 };
                let destination = Some(self.written(&StoredDestination { policy, revision, ..stored }));
                return Ok(Response::new(wire::UpdateDestinationResponse { destination }));
            }
        }
        Err(Status::aborted(format!("{name} is being changed by others: try again")))
    }

    async fn reset_breaker(
        &self,
        request: Request<wire::ResetBreakerRequest>,
    ) -> Result<Response<wire::ResetBreakerResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        let name = read_name(&request.name, "name")?;
        for _ in 0..TRIES_MAX {
            let Some(stored) = self.read(&name).await? else { return Err(unknown(&name)) };
            // That it had been left alone may have been told: then its end is, too.
            let mut reset = stored.breaker.clone();
            reset.close();
            reset.gone_at = None;
            let breaker = (!reset.is_idle(self.deployment.now())).then_some(reset);
            let change = BreakerChange { no: stored.no, version: stored.breaker_version, breaker };
            let is_done = stored.breaker_version == 0
                || self.deployment.store.save_breakers(&[change]).await.map_err(status::store)? == [true];
            if is_done {
                let closed = StoredDestination { breaker: Breaker::default(), ..stored };
                let destination = Some(self.written(&closed));
                return Ok(Response::new(wire::ResetBreakerResponse { destination }));
            }
        }
        Err(Status::aborted(format!("{name} is being written by senders: try again")))
    }
}

fn unknown(name: &str) -> Status {
    Status::not_found(format!("nothing was ever sent to {name} or set for it"))
}

/// In the form destinations are known by.
fn read_name(text: &str, field: &str) -> Result<String, Status> {
    let wrong = || {
        let text = format!(
            "{text:?} is no destination, expected one like https://hooks.example.com or https://10.1.2.3:8443"
        );
        status::invalid_field(field, text)
    };
    destination::named(text).ok_or_else(wrong)
}

/// What is asked for, with every wrong field named.
fn read_policy(policy: &wire::DestinationPolicy, mask: &[String]) -> Result<DestinationPolicy, Status> {
    let mut faults = Faults::default();
    for path in mask.iter().filter(|path| !FIELDS.contains(&path.as_str())) {
        faults.add("update_mask", format!("{path:?} cannot be set, expected {}", FIELDS.join(", ")));
    }
    let timeout = policy.timeout.unwrap_or_default();
    if timeout.nanos != 0 {
        faults.add("policy.timeout", "expected whole seconds");
    }
    let concurrency = u32::try_from(policy.concurrency);
    if concurrency.is_err() {
        faults.add("policy.concurrency", "expected 0 or more");
    }
    let read = DestinationPolicy {
        rate: policy.rate.trim().to_owned(),
        concurrency: concurrency.unwrap_or_default(),
        // Less than nothing is as wrong as too much.
        timeout_secs: u32::try_from(timeout.seconds).unwrap_or(u32::MAX),
    };
    read.check(&mut faults);
    if faults.is_empty() { Ok(read) } else { Err(status::invalid(&faults)) }
}

fn merged(mut stored: DestinationPolicy, set: &DestinationPolicy, mask: &[String]) -> DestinationPolicy {
    let sets = |field: &str| mask.is_empty() || mask.iter().any(|path| path == field || path == "policy");
    if sets("policy.rate") {
        stored.rate.clone_from(&set.rate);
    }
    if sets("policy.concurrency") {
        stored.concurrency = set.concurrency;
    }
    if sets("policy.timeout") {
        stored.timeout_secs = set.timeout_secs;
    }
    stored
}

fn write(stored: &StoredDestination, now: Timestamp) -> wire::Destination {
    let StoredDestination { name, revision, policy, breaker, .. } = stored;
    let timeout = (policy.timeout_secs > 0)
        .then(|| prost_types::Duration { seconds: i64::from(policy.timeout_secs), nanos: 0 });
    let (state, opened_at, until) = match breaker.standing {
        Standing::Closed => (wire::BreakerState::Closed, None, None),
        Standing::Open { until, since, .. } => (wire::BreakerState::Open, Some(since), Some(until)),
        Standing::Probing { until, since, .. } => (wire::BreakerState::Probing, Some(since), Some(until)),
    };
    let sum = breaker.minute.sum(now);
    let count = |n: u32| i32::try_from(n).unwrap_or(i32::MAX);
    wire::Destination {
        name: name.clone(),
        policy: Some(wire::DestinationPolicy {
            rate: policy.rate.clone(),
            concurrency: count(policy.concurrency),
            timeout,
        }),
        revision: i64::try_from(*revision).unwrap_or(i64::MAX),
        breaker: Some(wire::Breaker {
            state: state.into(),
            opened_at: opened_at.map(timestamp),
            until: until.map(timestamp),
            good: count(sum.good),
            bad: count(sum.bad),
        }),
        gone_at: breaker.gone_at.map(timestamp),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mask_sets_what_it_names_and_nothing_else() {
        let stored = DestinationPolicy { rate: "5/s".to_owned(), concurrency: 2, timeout_secs: 9 };
        let asked = wire::DestinationPolicy { concurrency: 7, ..Default::default() };
        let mask = ["policy.concurrency".to_owned()];
        let set = read_policy(&asked, &mask).unwrap();
        assert_eq!(
            merged(stored.clone(), &set, &mask),
            DestinationPolicy { concurrency: 7, ..stored.clone() }
        );
        assert_eq!(merged(stored, &set, &[]), DestinationPolicy { concurrency: 7, ..Default::default() });
    }

    #[test]
    fn every_wrong_field_is_named_at_once() {
        use tonic_types::StatusExt;
        let timeout = Some(prost_types::Duration { seconds: -1, nanos: 5 });
        let asked = wire::DestinationPolicy { rate: "fast".to_owned(), concurrency: -1, timeout };
        let refused = read_policy(&asked, &["breaker".to_owned()]).unwrap_err();
        let fields = refused.get_details_bad_request().unwrap().field_violations;
        let mut fields: Vec<String> = fields.into_iter().map(|violation| violation.field).collect();
        fields.sort();
        fields.dedup();
        assert_eq!(fields, ["policy.concurrency", "policy.rate", "policy.timeout", "update_mask"]);
    }
}
