//! The HTTP intake: Segment's tracking calls, so that any library of theirs feeds Campanile unchanged, and manual entries. Nothing is
//! acknowledged before it is stored.

use std::io::Read;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use campanile_core::fault::Faults;
use campanile_core::limits;
use campanile_proto::json;
use campanile_proto::v1 as wire;
use serde_json::{Value, json};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::deployment::Deployment;
use crate::enter_users;
use crate::event_service::take;
use crate::guard::{self, Guard};
use crate::intake::Firing;
use crate::segment::{self, Call};

/// The calls, behind `guard`.
pub fn router(deployment: Arc<Deployment>, guard: Guard) -> Router {
    let single = |kind: &'static str| {
        post(move |state, headers, body| async move { one(state, headers, body, kind).await })
    };
    let mut router = Router::new();
    for kind in ["identify", "track", "alias", "group", "page", "screen"] {
        router = router.route(&format!("/v1/{kind}"), single(kind));
    }
    router
        .route("/v1/batch", post(|state, headers, body| batch(state, headers, body, Firing::Fires)))
        .route("/v1/import", post(|state, headers, body| batch(state, headers, body, Firing::Quiet)))
        .route("/v1/campaigns/{verb}", post(enter))
        .fallback(|| async {
            Refused::not_found("there is no such call; see the documentation of the intake")
        })
        .layer(DefaultBodyLimit::max(limits::BATCH_BYTES_MAX))
        .layer(from_fn_with_state(guard, guard::intake))
        .with_state(deployment)
}

/// Why a call was not taken, as JSON.
struct Refused(StatusCode, Value);

impl Refused {
    fn input(errors: Vec<Value>) -> Refused {
        Refused(StatusCode::BAD_REQUEST, json!({"success": false, "errors": errors}))
    }

    fn not_found(text: &str) -> Refused {
        Refused(StatusCode::NOT_FOUND, json!({"success": false, "errors": [{"text": text}]}))
    }
}

impl From<Status> for Refused {
    fn from(status: Status) -> Refused {
        let code = match status.code() {
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::FailedPrecondition | Code::Aborted | Code::AlreadyExists => StatusCode::CONFLICT,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let violations = status.get_details_bad_request().map(|bad| bad.field_violations).unwrap_or_default();
        let errors: Vec<Value> = match violations.as_slice() {
            [] => vec![json!({"text": status.message()})],
            all => all.iter().map(|v| json!({"field": v.field, "text": v.description})).collect(),
        };
        Refused(code, json!({"success": false, "errors": errors}))
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let is_later = matches!(self.0, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE);
        let mut response = (self.0, axum::Json(self.1)).into_response();
        if is_later {
            response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
        }
        response
    }
}

async fn one(
    State(deployment): State<Arc<Deployment>>,
    headers: HeaderMap,
    body: Bytes,
    kind: &str,
) -> Result<axum::Json<Value>, Refused> {
    let call = read_body(&headers, &body)?;
    take_calls(&deployment, &[(kind, &call)], Firing::Fires).await
}

async fn batch(
    State(deployment): State<Arc<Deployment>>,
    headers: HeaderMap,
    body: Bytes,
    firing: Firing,
) -> Result<axum::Json<Value>, Refused> {
    let body = read_body(&headers, &body)?;
    let Some(calls) = body.get("batch").and_then(Value::as_array) else {
        return Err(Refused::input(vec![
            json!({"field": "batch", "text": "is missing: expected a list of calls"}),
        ]));
    };
    let firing = match body.get("fire_triggers") {
        None | Some(Value::Null | Value::Bool(false)) => firing,
        Some(Value::Bool(true)) => Firing::Fires,
        Some(_) => {
            return Err(Refused::input(vec![
                json!({"field": "fire_triggers", "text": "expected true or false"}),
            ]));
        }
    };
    let kind = |call: &Value| call.get("type").and_then(Value::as_str).map(str::to_owned).unwrap_or_default();
    let kinds: Vec<String> = calls.iter().map(kind).collect();
    let calls: Vec<(&str, &Value)> = kinds.iter().map(String::as_str).zip(calls).collect();
    take_calls(&deployment, &calls, firing).await
}

/// Takes what can be taken; the faults of the rest are named by item and field. A call of which nothing can be taken is refused.
async fn take_calls(
    deployment: &Deployment,
    calls: &[(&str, &Value)],
    firing: Firing,
) -> Result<axum::Json<Value>, Refused> {
    let (mut users, mut events, mut ignored) = (Vec::new(), Vec::new(), 0);
    let (mut user_items, mut event_items, mut errors) = (Vec::new(), Vec::new(), Vec::new());
    for (item, (kind, call)) in calls.iter().enumerate() {
        match segment::read(kind, call) {
            Ok(Call::User(user)) => {
                users.push(user);
                user_items.push(item);
            }
            Ok(Call::Event(event)) => {
                events.push(event);
                event_items.push(item);
            }
            Ok(Call::Ignored) => ignored += 1,
            Err(faults) => errors.extend(told(item, &faults)),
        }
    }
    let (upserted, tracked) = take(deployment, &users, &events, "", firing).await?;
    let of_users = user_items.iter().zip(&upserted).map(|(item, user)| (*item, user.faults.as_slice()));
    let of_events = event_items.iter().zip(&tracked).map(|(item, event)| (*item, event.faults.as_slice()));
    let mut taken = ignored;
    for (item, faults) in of_users.chain(of_events) {
        taken += usize::from(faults.is_empty());
        errors.extend(faults.iter().map(|f| json!({"item": item, "field": f.field, "text": f.description})));
    }
    if taken == 0 && !errors.is_empty() {
        return Err(Refused::input(errors));
    }
    Ok(axum::Json(match errors.as_slice() {
        [] => json!({"success": true}),
        errors => json!({"success": true, "accepted": taken, "errors": errors}),
    }))
}

fn told(item: usize, faults: &Faults) -> Vec<Value> {
    faults.0.iter().map(|fault| json!({"item": item, "field": fault.field, "text": fault.text})).collect()
}

/// `POST /v1/campaigns/{id}:enter`: an `EnterUsersRequest` as proto3 JSON, its answer likewise.
async fn enter(
    State(deployment): State<Arc<Deployment>>,
    Path(verb): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Refused> {
    let Some(id) = verb.strip_suffix(":enter") else {
        return Err(Refused::not_found("there is no such call; did you mean /v1/campaigns/ID:enter?"));
    };
    let value = read_body(&headers, &body)?;
    let request: wire::EnterUsersRequest = json::read_value(value)
        .map_err(|e| Refused::input(vec![json!({"field": e.path, "text": e.text})]))?;
    let request = wire::EnterUsersRequest { campaign_id: id.to_owned(), ..request };
    let answer = enter_users::enter(&deployment, request).await?;
    let text = json::write(&answer).map_err(|e| Refused::from(Status::internal(e.to_string())))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}

/// JSON, also gzipped; bounded before and after.
fn read_body(headers: &HeaderMap, body: &Bytes) -> Result<Value, Refused> {
    let refused = |text: String| Refused::input(vec![json!({"text": text})]);
    let encoding =
        headers.get(header::CONTENT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut plain = Vec::new();
    let text: &[u8] = match encoding {
        "" | "identity" => body,
        "gzip" => {
            let most = limits::BATCH_BYTES_MAX as u64;
            let read = flate2::read::GzDecoder::new(body.as_ref()).take(most + 1).read_to_end(&mut plain);
            read.map_err(|e| refused(format!("the body is not gzip: {e}")))?;
            if plain.len() as u64 > most {
                return Err(refused(format!("the body has more than {} MiB", most / 1024 / 1024)));
            }
            &plain
        }
        other => return Err(refused(format!("content-encoding {other:?} is not known: send gzip, or none"))),
    };
    serde_json::from_slice(text).map_err(|e| refused(format!("the body is not JSON: {e}")))
}
