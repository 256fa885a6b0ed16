//! Secrets and access tokens, a JSON document each. A value is in no error and no log line.

use campanile_core::access::AccessToken;
use campanile_core::ports::StoreError;
use campanile_core::ports_access::Resealed;
use campanile_core::sealing::{Sealer, StoredSecret};
use campanile_core::secret::Secret;
use rusqlite::params;

use crate::campaigns::{SECRETS, json};
use crate::room::{Done, Room, View};

impl Room<'_> {
    pub(crate) fn put_secret(&self, secret: Secret, sealer: Option<&dyn Sealer>) -> Done<()> {
        let name = secret.name.clone();
        let refused = |text: String| StoreError::Refused(format!("write secret {name}: {text}"));
        let stored = StoredSecret::seal(secret, sealer).map_err(refused)?;
        let sql = "INSERT INTO secrets (name, doc) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc";
        self.run(sql, params![name, json(&stored)?])?;
        self.note_change(SECRETS)
    }

    pub(crate) fn delete_secret(&self, name: &str) -> Done<bool> {
        let was_there = self.run("DELETE FROM secrets WHERE name = ?1", [name])? > 0;
        self.note_change(SECRETS)?;
        Ok(was_there)
    }

    pub(crate) fn reseal_secrets(&self, sealer: Option<&dyn Sealer>) -> Done<Resealed> {
        let mut done = Resealed::default();
        for stored in self.stored_secrets()? {
            let is_current = stored.as_ref().is_ok_and(|stored| stored.is_current(sealer));
            match stored.and_then(|stored| stored.open(sealer)) {
                Ok(_) if is_current => {}
                Ok(secret) => {
                    self.put_secret(secret, sealer)?;
                    done.resealed += 1;
                }
                Err(text) => done.unread.push(text),
            }
        }
        Ok(done)
    }

    pub(crate) fn put_token(&self, token: &AccessToken) -> Done<()> {
        let sql = "INSERT INTO tokens (name, doc) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET doc = excluded.doc";
        self.run(sql, params![token.name, json(token)?]).map(drop)
    }

    pub(crate) fn delete_token(&self, name: &str) -> Done<bool> {
        Ok(self.run("DELETE FROM tokens WHERE name = ?1", [name])? > 0)
    }
}

impl View<'_> {
    pub(crate) fn secrets(&self, sealer: Option<&dyn Sealer>) -> Done<Vec<Secret>> {
        let open = |stored: Result<StoredSecret, String>| {
            stored
                .and_then(|stored| stored.open(sealer))
                .inspect_err(|error| tracing::error!(error, "a stored secret is left out"))
                .ok()
        };
        Ok(self.stored_secrets()?.into_iter().filter_map(open).collect())
    }

    /// Not with the parser's words, which may quote what it read.
    fn stored_secrets(&self) -> Done<Vec<Result<StoredSecret, String>>> {
        let docs = self.all("SELECT doc FROM secrets ORDER BY name", [], |row| row.get::<_, String>(0))?;
        let read = |doc: String| serde_json::from_str(&doc).map_err(|_| "a secret is foreign".to_owned());
        Ok(docs.into_iter().map(read).collect())
    }

    pub(crate) fn tokens(&self) -> Done<Vec<AccessToken>> {
        let docs = self.all("SELECT doc FROM tokens ORDER BY name", [], |row| row.get::<_, String>(0))?;
        let read = |doc: String| {
            serde_json::from_str(&doc)
                .inspect_err(|_| tracing::error!("a stored access token is foreign and lets nobody in"))
                .ok()
        };
        Ok(docs.into_iter().filter_map(read).collect())
    }
}
