//! The gRPC face of users: batches with an answer per item, imports of any length in bounded memory, one user to look at.

use std::sync::Arc;

use campanile_core::limits;
use campanile_core::ports::StoredUser;
use campanile_core::user::UserChange;
use campanile_proto::v1 as wire;
use campanile_proto::v1::user_service_server::UserService;
use tonic::{Request, Response, Status, Streaming};

use crate::delete_user;
use crate::deployment::Deployment;
use crate::intake::{self, Firing, Upserted};
use crate::read_items::read_user;
use crate::read_request::check_request_id;
use crate::status;
use crate::write_campaign::timestamp;

pub struct Users {
    deployment: Arc<Deployment>,
}

impl Users {
    pub fn new(deployment: Arc<Deployment>) -> Users {
        Users { deployment }
    }
}

/// Bad items an import's answer names.
const BAD_ITEMS_MAX: usize = 100;

#[tonic::async_trait]
impl UserService for Users {
    async fn upsert_users(
        &self,
        request: Request<wire::UpsertUsersRequest>,
    ) -> Result<Response<wire::UpsertUsersResponse>, Status> {
        let request = request.into_inner();
        check_request_id(&request.request_id)?;
        if request.users.is_empty() {
            return Err(status::invalid_field("users", "is missing: give 1 to 1,000 users"));
        }
        let users = upsert(&self.deployment, (&request.users, "users"), 0, Firing::Fires).await?;
        Ok(Response::new(wire::UpsertUsersResponse { users }))
    }

    async fn import_users(
        &self,
        request: Request<Streaming<wire::ImportUsersRequest>>,
    ) -> Result<Response<wire::ImportUsersResponse>, Status> {
        let mut stream = request.into_inner();
        let mut answer = wire::ImportUsersResponse::default();
        let mut index = 0;
        while let Some(part) = self.deployment.next_part(&mut stream).await? {
            let firing = if part.fire_triggers { Firing::Fires } else { Firing::Quiet };
            for user in upsert(&self.deployment, (&part.users, "users"), 0, firing).await? {
                if user.faults.is_empty() {
                    answer.imported += 1;
                    answer.created += i64::from(user.created);
                } else {
                    answer.bad += 1;
                    if answer.bad_items.len() < BAD_ITEMS_MAX {
                        answer.bad_items.push(wire::BadItem {
                            faults: user.faults,
                            index,
                            user_id: user.user_id,
                        });
                    }
                }
                index += 1;
            }
        }
        Ok(Response::new(answer))
    }

    async fn delete_user(
        &self,
        request: Request<wire::DeleteUserRequest>,
    ) -> Result<Response<wire::DeleteUserResponse>, Status> {
        delete_user::delete(&self.deployment, request.into_inner()).await.map(Response::new)
    }

    async fn get_user(
        &self,
        request: Request<wire::GetUserRequest>,
    ) -> Result<Response<wire::GetUserResponse>, Status> {
        let id = request.into_inner().id;
        if id.is_empty() {
            return Err(status::invalid_field("id", "is missing"));
        }
        let user = self.deployment.user(&id).await?;
        let user = user.ok_or_else(|| {
            Status::not_found(format!(
                "there is no user {id:?}: an import, an identify call or an event makes one"
            ))
        })?;
        Ok(Response::new(wire::GetUserResponse { user: Some(write_user(&user)) }))
    }
}

/// Stores the users of one request or part; a bad one is answered with its faults, the others are stored.
pub async fn upsert(
    deployment: &Deployment,
    (users, field): (&[wire::UserUpdate], &str),
    beside: usize,
    firing: Firing,
) -> Result<Vec<wire::UpsertedUser>, Status> {
    if users.len() + beside > limits::BATCH_ITEMS_MAX {
        let text =
            format!("has {} items, at most {} are allowed", users.len() + beside, limits::BATCH_ITEMS_MAX);
        return Err(status::invalid_field(field, text));
    }
    let mut answers = Vec::with_capacity(users.len());
    let mut changes: Vec<UserChange> = Vec::with_capacity(users.len());
    let mut places = Vec::with_capacity(users.len());
    for (place, user) in users.iter().enumerate() {
        let mut answer = wire::UpsertedUser { user_id: user.id.clone(), ..Default::default() };
        match read_user(user) {
            Ok(change) => {
                changes.push(change);
                places.push(place);
            }
            Err(faults) => answer.faults = status::findings(&faults),
        }
        answers.push(answer);
    }
    let (store, now) = (deployment.store.as_ref(), deployment.now());
    let upserted = intake::upsert((store, &deployment.ears), &changes, firing, now).await;
    let upserted = upserted.map_err(status::store)?;
    for (place, upserted) in places.into_iter().zip(upserted) {
        match upserted {
            Upserted::Created => answers[place].created = true,
            Upserted::Changed => {}
            Upserted::Refused(text) => answers[place].faults = vec![status::finding("attributes", &text)],
        }
    }
    Ok(answers)
}

fn write_user(user: &StoredUser) -> wire::User {
    let profile = &user.profile;
    let behaviour = profile.behaviour.iter().map(|(event, b)| wire::Behaviour {
        event: event.clone(),
        count: i64::try_from(b.count).unwrap_or(i64::MAX),
        first_at: Some(timestamp(b.first_at)),
        last_at: Some(timestamp(b.last_at)),
        value_sum: b.values.sum,
    });
    wire::User {
        id: profile.id.clone(),
        attributes: serde_json::Value::Object(profile.attributes.clone()).to_string(),
        time_zone: profile.time_zone.clone().unwrap_or_default(),
        created_at: Some(timestamp(profile.created_at)),
        behaviour: behaviour.collect(),
    }
}
