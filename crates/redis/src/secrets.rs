//! Secrets: one hash, read whole; its version says whether anything changed. A value is in no error and no log line.

use campanile_core::ports::{Answer, Secrets, StoreError};
use campanile_core::secret::Secret;

use crate::arguments::Arguments;
use crate::keys;
use crate::store::RedisStore;

impl RedisStore {
    async fn all_secrets(&self) -> Result<Vec<Secret>, StoreError> {
        let arguments = Arguments::new().bytes("all");
        let mut reply = self.run_on(&[keys::SECRETS], &self.scripts.read_secrets, arguments).await?;
        let _version = reply.int()?;
        let mut secrets = Vec::new();
        while !reply.is_empty() {
            match serde_json::from_slice::<Secret>(&reply.bytes()?) {
                Ok(secret) => secrets.push(secret),
                // Not with the parser's words, which may quote what it read.
                Err(_) => tracing::error!("a stored secret is foreign"),
            }
        }
        secrets.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(secrets)
    }
}

impl Secrets for RedisStore {
    fn put_secret(&self, secret: Secret) -> Answer<'_, ()> {
        Box::pin(async move {
            let json = serde_json::to_vec(&secret)
                .map_err(|_| StoreError::Refused(format!("write secret {}: it is no JSON", secret.name)))?;
            let arguments = Arguments::new().bytes("put").bytes(secret.name).bytes(json);
            self.run_on(&[keys::SECRETS], &self.scripts.secrets, arguments).await.map(|_| ())
        })
    }

    fn secrets(&self) -> Answer<'_, Vec<Secret>> {
        Box::pin(self.all_secrets())
    }

    fn delete_secret<'a>(&'a self, name: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let arguments = Arguments::new().bytes("delete").bytes(name);
            Ok(self.run_on(&[keys::SECRETS], &self.scripts.secrets, arguments).await?.int()? == 1)
        })
    }
}
