//! Secrets and access tokens: a hash each, read whole; its version says whether anything changed. A value is in no error and no log line.

use campanile_core::access::AccessToken;
use campanile_core::ports::{Answer, Secrets, StoreError};
use campanile_core::ports_access::{Resealed, Tokens};
use campanile_core::sealing::StoredSecret;
use campanile_core::secret::Secret;
use serde::Serialize;

use crate::arguments::Arguments;
use crate::keys;
use crate::store::RedisStore;

impl RedisStore {
    async fn documents(&self, key: &str) -> Result<Vec<Vec<u8>>, StoreError> {
        let arguments = Arguments::new().bytes("all");
        let mut reply = self.run_on(&[key], &self.scripts.read_secrets, arguments).await?;
        let _version = reply.int()?;
        let mut documents = Vec::new();
        while !reply.is_empty() {
            documents.push(reply.bytes()?);
        }
        Ok(documents)
    }

    /// Whether it was carried out.
    async fn change_document(&self, key: &str, arguments: Arguments) -> Result<bool, StoreError> {
        Ok(self.run_on(&[key], &self.scripts.secrets, arguments).await?.int()? == 1)
    }

    fn seal(&self, secret: Secret) -> Result<Vec<u8>, StoreError> {
        let name = secret.name.clone();
        let refused = |text: String| StoreError::Refused(format!("write secret {name}: {text}"));
        json(&StoredSecret::seal(secret, self.sealer.as_deref()).map_err(refused)?)
    }

    async fn all_secrets(&self) -> Result<Vec<Secret>, StoreError> {
        let mut secrets = Vec::new();
        for document in self.documents(keys::SECRETS).await? {
            match open(&document, self) {
                Ok(secret) => secrets.push(secret),
                Err(error) => tracing::error!(error, "a stored secret is left out"),
            }
        }
        secrets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(secrets)
    }

    async fn reseal(&self) -> Result<Resealed, StoreError> {
        let mut done = Resealed::default();
        for old in self.documents(keys::SECRETS).await? {
            let is_current = serde_json::from_slice::<StoredSecret>(&old)
                .is_ok_and(|stored| stored.is_current(self.sealer.as_deref()));
            let secret = match open(&old, self) {
                Ok(secret) if !is_current => secret,
                Ok(_) => continue,
                Err(text) => {
                    done.unread.push(text);
                    continue;
                }
            };
            let name = secret.name.clone();
            let arguments = Arguments::new().bytes("swap").bytes(name).bytes(self.seal(secret)?).bytes(old);
            done.resealed += usize::from(self.change_document(keys::SECRETS, arguments).await?);
        }
        Ok(done)
    }
}

/// Not with the parser's words, which may quote what it read.
fn open(document: &[u8], store: &RedisStore) -> Result<Secret, String> {
    let stored =
        serde_json::from_slice::<StoredSecret>(document).map_err(|_| "a secret is foreign".to_owned())?;
    stored.open(store.sealer.as_deref())
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, StoreError> {
    serde_json::to_vec(value).map_err(|_| StoreError::Refused("a document is no JSON".to_owned()))
}

impl Secrets for RedisStore {
    fn put_secret(&self, secret: Secret) -> Answer<'_, ()> {
        Box::pin(async move {
            let name = secret.name.clone();
            let arguments = Arguments::new().bytes("put").bytes(name).bytes(self.seal(secret)?);
            self.change_document(keys::SECRETS, arguments).await.map(drop)
        })
    }

    fn secrets(&self) -> Answer<'_, Vec<Secret>> {
        Box::pin(self.all_secrets())
    }

    fn reseal_secrets(&self) -> Answer<'_, Resealed> {
        Box::pin(self.reseal())
    }

    fn delete_secret<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        Box::pin(self.change_document(keys::SECRETS, Arguments::new().bytes("delete").bytes(name)))
    }
}

impl Tokens for RedisStore {
    fn put_token(&self, token: AccessToken) -> Answer<'_, ()> {
        Box::pin(async move {
            let document = json(&token)?;
            let arguments = Arguments::new().bytes("put").bytes(token.name).bytes(document);
            self.change_document(keys::TOKENS, arguments).await.map(drop)
        })
    }

    fn tokens(&self) -> Answer<'_, Vec<AccessToken>> {
        Box::pin(async move {
            let mut tokens = Vec::new();
            for document in self.documents(keys::TOKENS).await? {
                match serde_json::from_slice::<AccessToken>(&document) {
                    Ok(token) => tokens.push(token),
                    Err(_) => tracing::error!("a stored access token is foreign and lets nobody in"),
                }
            }
            tokens.sort_unstable_by(|a, b| a.name.cmp(&b.name));
            Ok(tokens)
        })
    }

    fn delete_token<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        Box::pin(self.change_document(keys::TOKENS, Arguments::new().bytes("delete").bytes(name)))
    }
}
