//! Who may call: access tokens as of a second ago, how often each was used, and what a call needs. Asked by every door.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use campanile_core::access::{AccessToken, Scope, id_of};
use campanile_core::ports::{Clock, Store};
use campanile_core::throttle::Throttle;
use jiff::Timestamp;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::Instant;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

/// Tokens are read again when they were read longer ago than this: a revoked one is out within two seconds.
const FRESH: Duration = Duration::from_secs(1);
/// They are read no more often than this, however many guess.
const BETWEEN_READS: Duration = Duration::from_millis(50);

/// Who calls, for the audit log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The token's name; `local` for a call without one on a loopback listener.
    pub name: String,
}

impl Caller {
    pub fn local() -> Caller {
        Caller { name: "local".to_owned() }
    }
}

pub struct Access {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Given by the deployment's settings instead of the store.
    own: Option<AccessToken>,
    known: RwLock<Known>,
    /// Held by whoever reads them again.
    reading: AsyncMutex<()>,
    /// By the token's id: until when calls were given away, us.
    given: Mutex<HashMap<String, u64>>,
}

#[derive(Clone, Default)]
struct Known {
    read_at: Option<Instant>,
    by_id: Arc<HashMap<String, AccessToken>>,
}

impl Access {
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, own: Option<AccessToken>) -> Access {
        let (known, reading, given) = (RwLock::default(), AsyncMutex::default(), Mutex::default());
        Access { store, clock, own, known, reading, given }
    }

    /// The bearer of `text` may do what needs `needed` (`None`: anybody who has a token may).
    pub async fn admit(&self, text: &str, needed: Option<Scope>) -> Result<Caller, Status> {
        let now = self.clock.now();
        let wrong = || Status::unauthenticated("the token is not known, was revoked, or is over");
        let id = id_of(text).ok_or_else(wrong)?;
        let token = self.find(id).await?.ok_or_else(wrong)?;
        if !token.is(text) || token.is_over(now) {
            return Err(wrong());
        }
        if let Some(needed) = needed.filter(|needed| !token.covers(*needed)) {
            let has: Vec<&str> = token.scopes.iter().map(|scope| scope.name()).collect();
            let (needed, has) = (needed.name(), has.join(", "));
            return Err(Status::permission_denied(format!(
                "the token {} has the scope {has}; this call needs {needed}",
                token.name
            )));
        }
        self.count(&token, now)?;
        Ok(Caller { name: token.name })
    }

    /// One that is not known may be new: they are read once more for it.
    async fn find(&self, id: &str) -> Result<Option<AccessToken>, Status> {
        if let Some(own) = self.own.as_ref().filter(|own| own.id == id) {
            return Ok(Some(own.clone()));
        }
        let now = Instant::now();
        let fresh = now.checked_sub(FRESH);
        let known = self.known_since(fresh.unwrap_or(now)).await?;
        match known.get(id) {
            Some(token) => Ok(Some(token.clone())),
            None => Ok(self.known_since(now).await?.get(id).cloned()),
        }
    }

    /// As they were at `since` or later; what was read last stands while the store is away, when no call could do anything. Whoever
    /// asks while somebody reads takes what that brings.
    async fn known_since(&self, since: Instant) -> Result<Arc<HashMap<String, AccessToken>>, Status> {
        let known = || self.known.read().unwrap_or_else(PoisonError::into_inner).clone();
        let is_late = |known: &Known| known.read_at.is_some_and(|at| at >= since);
        let last = known();
        if is_late(&last) {
            return Ok(last.by_id);
        }
        let _reading = self.reading.lock().await;
        let last = known();
        if is_late(&last) {
            return Ok(last.by_id);
        }
        if let Some(at) = last.read_at {
            tokio::time::sleep_until(at + BETWEEN_READS).await;
        }
        let read_at = Some(Instant::now());
        match self.store.tokens().await {
            Ok(tokens) => {
                let by_id: HashMap<String, AccessToken> =
                    tokens.into_iter().map(|token| (token.id.clone(), token)).collect();
                let by_id = Arc::new(by_id);
                let read = Known { read_at, by_id: by_id.clone() };
                *self.known.write().unwrap_or_else(PoisonError::into_inner) = read;
                Ok(by_id)
            }
            Err(error) if last.read_at.is_none() => Err(crate::status::store(error)),
            Err(_) => Ok(last.by_id),
        }
    }

    fn count(&self, token: &AccessToken, now: Timestamp) -> Result<(), Status> {
        // Checked when the token was made.
        let Ok(rate) = Throttle::parse(&token.rate) else { return Ok(()) };
        let now_us = u64::try_from(now.as_microsecond()).unwrap_or(0);
        let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
        let last = given.entry(token.id.clone()).or_default();
        let (until, taken) = rate.take(*last, 1, now_us);
        if taken.tokens == 1 {
            *last = until;
            return Ok(());
        }
        let wait = Duration::try_from(taken.next_at.duration_since(now)).unwrap_or_default();
        let text = format!("the token {} may make {} calls; try again later", token.name, token.rate);
        let details = ErrorDetails::with_retry_info(Some(wait));
        Err(Status::with_error_details(Code::ResourceExhausted, text, details))
    }
}
