//! A form that was posted: it is read only if it brings the token that the browser was given.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::guard::Token;
use crate::problem::Problem;

/// The fields of a form, and the token for the next one.
pub(crate) struct Posted<T> {
    pub(crate) fields: T,
    pub(crate) token: Token,
}

#[derive(Deserialize)]
struct Proof {
    #[serde(default)]
    token: String,
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Posted<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Posted<T>, Problem> {
        let given = request.extensions().get::<Token>().cloned();
        let bytes = Bytes::from_request(request, state).await;
        let bytes = bytes.map_err(|refused| Problem::unread(refused.body_text()))?;
        let proof: Proof = read(&bytes)?;
        let Some(token) = given.filter(|given| given.text == proof.token) else {
            return Err(Problem::foreign());
        };
        Ok(Posted { fields: read(&bytes)?, token })
    }
}

fn read<T: DeserializeOwned>(bytes: &Bytes) -> Result<T, Problem> {
    serde_urlencoded::from_bytes(bytes).map_err(|e| Problem::unread(e.to_string()))
}
