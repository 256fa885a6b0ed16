//! Manual entries: users by id, cut by shard into chunks that are each entered once, however often the request comes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use campanile_core::campaign_actions::Action;
use campanile_core::campaign_record::CampaignRecord;
use campanile_core::due_send::{SendId, Skip};
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_core::number::{DestinationNo, Shard, UserNo};
use campanile_core::ports::{Add, Added, StoredUser};
use campanile_core::reason::Refusal;
use campanile_core::segments::Segments;
use campanile_core::sends_query::SendRow;
use campanile_core::user::Profile;
use campanile_proto::v1 as wire;
use campanile_scheduler::manual::{self, Asked, Entered};
use campanile_scheduler::plan::Planned;
use futures_util::future::try_join_all;
use prost::Message;
use serde_json::{Map, Value};
use tokio::time::Instant;
use tonic::Status;

use crate::deployment::Deployment;
use crate::entry_runs;
use crate::histories;
use crate::intake::by_shard;
use crate::read_campaign;
use crate::read_items::{check_client_id, check_user_id, read_values};
use crate::status;
use crate::write_send::write_send;
use crate::write_stats::refusal;

/// Users of one call to the store.
const CHUNK_MAX: usize = 500;

pub async fn enter(
    deployment: &Deployment,
    request: wire::EnterUsersRequest,
) -> Result<wire::EnterUsersResponse, Status> {
    if let Some(audience) = &request.audience {
        return entry_runs::enter(deployment, &request, audience).await;
    }
    let Given { values, skip, wait } = read(&request)?;
    let deadline = Instant::now() + wait;
    let record = deployment.campaign(&request.campaign_id).await?;
    let compiled =
        deployment.compile(record.draft.clone(), record.created_at).await.map_err(status::store)?;
    let campaign = compiled.map_err(|faults| status::invalid(&faults))?;
    let constant = campaign.actions.first().and_then(Action::constant_destination);
    let destination = match constant {
        Some(name) => deployment.store.destinations(&[name]).await.map_err(status::store)?.into_iter().next(),
        None => None,
    };
    let planned = Planned {
        no: record.no,
        revision: record.revision,
        destination: destination.unwrap_or(DestinationNo(0)),
        campaign: &campaign,
    };
    let id = if request.request_id.is_empty() { deployment.make_id() } else { request.request_id.clone() };
    let body = deployment.store.layout().hash128("enter-body", &[&asked_for(&request)]);
    let segments = deployment.segments().await.map_err(status::store)?;
    let following = match wait.is_zero() || request.validate_only {
        true => None,
        false => Some(deployment.outcomes.follow(&deployment.store).await.map_err(status::store)?),
    };
    let (record, request, values, id) = (&record, &request, &values, id.as_str());
    let entering = Entering { deployment, request, values, skip, id, body, planned, segments, record };
    let shards = by_shard(deployment.store.as_ref(), request.users.iter().map(|user| user.user_id.as_str()));
    // A repeat is cut the same way, so a chunk is named by its place.
    let chunks = shards.iter().flat_map(|(shard, places)| {
        (0_u32..).zip(places.chunks(CHUNK_MAX)).map(|(chunk, places)| (*shard, chunk, places))
    });
    let entered = chunks.map(|(shard, chunk, places)| entering.enter_chunk(shard, chunk, places));
    let (mut answers, mut is_repeat) = (BTreeMap::new(), false);
    for (answered, is_repeated) in try_join_all(entered).await? {
        answers.extend(answered);
        is_repeat |= is_repeated;
    }
    let mut users: Vec<wire::EnteredUser> = answers.into_values().collect();
    let refused =
        users.iter().filter(|user| user.refusal() != wire::RefusalReason::Unspecified).count() as i64;
    let entered = users.len() as i64 - refused;
    if let Some(following) = following {
        let first = |user: &wire::EnteredUser| user.send_ids.first().and_then(|id| SendId::parse(id));
        let sends: Vec<SendId> = users.iter().filter_map(first).collect();
        let rows = following.until(deadline, &sends, is_repeat).await.map_err(status::store)?;
        for user in &mut users {
            let row = first(user).map(|id| (id, rows.get(&id)));
            user.outcome = row.map(|(id, row)| outcome(deployment, record, user, id, row));
        }
    }
    Ok(wire::EnterUsersResponse { users, entered, refused, run: None })
}

/// What is known of a send; one of which nothing is known is pending.
fn outcome(
    deployment: &Deployment,
    record: &CampaignRecord,
    user: &wire::EnteredUser,
    id: SendId,
    row: Option<&SendRow>,
) -> wire::Send {
    let pending = || wire::Send {
        id: id.to_string(),
        campaign_id: record.id.clone(),
        user_id: user.user_id.clone(),
        state: wire::SendState::Pending as i32,
        ..Default::default()
    };
    row.map_or_else(pending, |row| write_send(deployment.store.layout(), Some(record), row))
}

/// What a request gives besides the users.
struct Given {
    /// Of each user.
    values: Vec<Map<String, Value>>,
    skip: Skip,
    wait: Duration,
}

/// Everything that is wrong with a request at once.
fn read(request: &wire::EnterUsersRequest) -> Result<Given, Status> {
    let mut faults = Faults::default();
    check_client_id(&request.request_id, "request_id", limits::REQUEST_ID_BYTES_MAX, &mut faults);
    let n = request.users.len();
    if n == 0 {
        let text = "has 0 users, expected 1 to 10000, or an audience instead";
        faults.add("users", text);
    } else if n > limits::ENTER_USERS_MAX {
        faults.add("users", format!("has {n} users, expected 1 to {}", limits::ENTER_USERS_MAX));
    }
    let of_all = read_values(&request.values, "values", &mut faults);
    let mut values = Vec::with_capacity(n);
    let mut seen = std::collections::HashSet::with_capacity(n);
    for (i, user) in request.users.iter().enumerate().take(limits::ENTER_USERS_MAX) {
        check_user_id(&user.user_id, &format!("users[{i}].user_id"), &mut faults);
        if !seen.insert(user.user_id.as_str()) {
            faults.add(format!("users[{i}].user_id"), format!("{:?} is there twice", user.user_id));
        }
        values.push(match user.values.is_empty() {
            true => of_all.clone(),
            false => read_values(&user.values, &format!("users[{i}].values"), &mut faults),
        });
    }
    let skip = read_skip(&request.skip, &mut faults);
    let wait = read_campaign::duration(request.wait.as_ref(), "wait", &mut faults).unwrap_or_default();
    if wait > limits::WAIT_MAX {
        faults.add("wait", format!("expected at most {} s", limits::WAIT_MAX.as_secs()));
    }
    if !wait.is_zero() && n > limits::WAIT_USERS_MAX {
        faults.add("wait", format!("is for at most {} users, this has {n}", limits::WAIT_USERS_MAX));
    }
    if faults.is_empty() { Ok(Given { values, skip, wait }) } else { Err(status::invalid(&faults)) }
}

pub fn read_skip(gates: &[i32], faults: &mut Faults) -> Skip {
    let mut skip = Skip::default();
    for (i, gate) in gates.iter().enumerate() {
        match wire::EnterSkip::try_from(*gate) {
            Ok(wire::EnterSkip::Audience) => skip.audience = true,
            Ok(wire::EnterSkip::Caps) => skip.caps = true,
            Ok(wire::EnterSkip::QuietHours) => skip.quiet_hours = true,
            _ => faults.add(format!("skip[{i}]"), "expected AUDIENCE, CAPS or QUIET_HOURS"),
        }
    }
    skip
}

struct Entering<'a> {
    deployment: &'a Deployment,
    request: &'a wire::EnterUsersRequest,
    values: &'a [Map<String, Value>],
    skip: Skip,
    /// The request's id, made where the caller gave none.
    id: &'a str,
    /// Hash of all that was asked.
    body: [u8; 16],
    planned: Planned<'a>,
    segments: Arc<Segments>,
    record: &'a CampaignRecord,
}

impl Entering<'_> {
    async fn looked_back(
        &self,
        shard: Shard,
        opened: Vec<Option<StoredUser>>,
    ) -> Result<Vec<Option<StoredUser>>, Status> {
        let is_there: Vec<bool> = opened.iter().map(Option::is_some).collect();
        let mut users: Vec<StoredUser> = opened.into_iter().flatten().collect();
        histories::fill(self.deployment, self.planned.campaign, shard, &mut users).await?;
        let mut users = users.into_iter();
        Ok(is_there.into_iter().map(|is_there| if is_there { users.next() } else { None }).collect())
    }

    async fn enter_chunk(
        &self,
        shard: Shard,
        chunk: u32,
        places: &[usize],
    ) -> Result<(Vec<(usize, wire::EnteredUser)>, bool), Status> {
        let store = self.deployment.store.as_ref();
        let layout = store.layout();
        let now = self.deployment.now();
        let ids: Vec<String> =
            places.iter().map(|&place| self.request.users[place].user_id.clone()).collect();
        let (creates, is_real) = (self.request.create_missing, !self.request.validate_only);
        let create = (creates && is_real).then_some(now);
        let opened = store.open_users(shard, &ids, create).await.map_err(status::store)?;
        let opened = self.looked_back(shard, opened).await?;
        let imagined =
            |id: &String| StoredUser { no: UserNo(0), version: 0, profile: Profile::new(id.clone(), now) };
        let asked: Vec<Asked> = places
            .iter()
            .zip(opened.into_iter().zip(&ids))
            .map(|(&place, (user, id))| Asked {
                user_id: id.clone(),
                user: user.or_else(|| creates.then(|| imagined(id))),
                values: self.values[place].clone(),
            })
            .collect();
        let request = manual::Request { id: self.id, skip: self.skip, segments: &self.segments, now };
        let plan = manual::enter(self.record, &self.planned, (layout, shard), &asked, &request);
        // What is kept for a repeat names nobody: the same request has the ids.
        let users = plan.answers.iter().map(write);
        let answer = wire::EnterUsersResponse { users: users.collect(), ..Default::default() };
        let campaign = self.record.id.as_bytes();
        let add = Add {
            request: layout.hash128("enter", &[campaign, self.id.as_bytes(), &chunk.to_be_bytes()]),
            body: self.body,
            entries: plan.entries,
            counts: plan.counts,
            refused: plan.refused,
            answer: answer.encode_to_vec(),
        };
        if !is_real {
            let would =
                answer.users.into_iter().map(|user| wire::EnteredUser { send_ids: Vec::new(), ..user });
            return Ok((self.named(places, would), false));
        }
        let added = store.add(shard, &add).await.map_err(status::store)?;
        let is_repeat = matches!(added, Added::Before(_));
        let answer = match added {
            Added::Now => answer,
            Added::Before(bytes) => wire::EnterUsersResponse::decode(bytes.as_slice())
                .map_err(|e| Status::internal(format!("the stored answer of request {:?}: {e}", self.id)))?,
            Added::OtherBody => {
                return Err(status::invalid_field("request_id", "was used for another request within 24 h"));
            }
        };
        Ok((self.named(places, answer.users.into_iter()), is_repeat))
    }

    fn named(
        &self,
        places: &[usize],
        users: impl Iterator<Item = wire::EnteredUser>,
    ) -> Vec<(usize, wire::EnteredUser)> {
        let named = places.iter().zip(users).map(|(&place, user)| {
            let user_id = self.request.users[place].user_id.clone();
            (place, wire::EnteredUser { user_id, ..user })
        });
        named.collect()
    }
}

/// All that was asked: the same request id with anything else in it is another request. How long it waits is no part of it.
pub fn asked_for(request: &wire::EnterUsersRequest) -> Vec<u8> {
    let asked = wire::EnterUsersRequest {
        request_id: String::new(),
        wait: None,
        validate_only: false,
        ..request.clone()
    };
    asked.encode_to_vec()
}

fn write(answer: &Entered) -> wire::EnteredUser {
    let (send_ids, reason, detail) = match answer {
        Entered::Accepted(ids) => (ids.iter().map(ToString::to_string).collect(), None, String::new()),
        Entered::Refused(reason, text) => (Vec::new(), Some(*reason), text.clone()),
    };
    let refusal = reason.map_or(wire::RefusalReason::Unspecified, |reason: Refusal| refusal(reason));
    wire::EnteredUser { user_id: String::new(), send_ids, refusal: refusal as i32, detail, outcome: None }
}
