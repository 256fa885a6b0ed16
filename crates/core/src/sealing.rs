//! Pure. Secrets as they are stored: their values sealed by a key that the store does not have, their name and hosts bound to them, so
//! that nobody who can write to the store can send a secret elsewhere.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Seals and opens. The keys are the deployment's; the store never sees them.
pub trait Sealer: Send + Sync {
    /// Text that only the key opens, and only beside the same `bound`.
    fn seal(&self, plain: &[u8], bound: &[u8]) -> Result<String, String>;
    /// The reason says which key is missing, or that the text was changed; never what is in it.
    fn open(&self, sealed: &str, bound: &[u8]) -> Result<Vec<u8>, String>;
    /// Whether `sealed` was sealed by the key that seals now.
    fn is_current(&self, sealed: &str) -> bool;
}

/// A secret in a store.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
pub enum StoredSecret {
    Sealed {
        name: String,
        /// The values, as JSON, sealed.
        sealed: String,
        hosts: Vec<String>,
    },
    /// Where the deployment has no key.
    Plain(Secret),
}

impl StoredSecret {
    /// Without a sealer it is stored as it is.
    pub fn seal(secret: Secret, sealer: Option<&dyn Sealer>) -> Result<StoredSecret, String> {
        let Some(sealer) = sealer else { return Ok(StoredSecret::Plain(secret)) };
        let plain = serde_json::to_vec(&secret.values).map_err(|_| "its values are no JSON".to_owned())?;
        let sealed = sealer.seal(&plain, &bound(&secret.name, &secret.hosts))?;
        Ok(StoredSecret::Sealed { name: secret.name, sealed, hosts: secret.hosts })
    }

    pub fn open(self, sealer: Option<&dyn Sealer>) -> Result<Secret, String> {
        match (self, sealer) {
            (StoredSecret::Plain(secret), _) => Ok(secret),
            (StoredSecret::Sealed { name, .. }, None) => {
                Err(format!("the secret {name} is sealed, and no key was given: set secrets.key_file"))
            }
            (StoredSecret::Sealed { name, sealed, hosts }, Some(sealer)) => {
                let told = |text: String| format!("the secret {name}: {text}");
                let plain = sealer.open(&sealed, &bound(&name, &hosts)).map_err(told)?;
                let values = serde_json::from_slice(&plain)
                    .map_err(|_| told("its values cannot be read".to_owned()))?;
                Ok(Secret { name, values, hosts })
            }
        }
    }

    /// Whether it would be stored the same way today.
    pub fn is_current(&self, sealer: Option<&dyn Sealer>) -> bool {
        match (self, sealer) {
            (StoredSecret::Sealed { sealed, .. }, Some(sealer)) => sealer.is_current(sealed),
            (StoredSecret::Plain(_), None) => true,
            _ => false,
        }
    }
}

/// No name or host has a line break in it, so that no two lists give the same bytes.
fn bound(name: &str, hosts: &[String]) -> Vec<u8> {
    let mut bytes = b"campanile secret 1\n".to_vec();
    for part in std::iter::once(name).chain(hosts.iter().map(String::as_str)) {
        bytes.extend_from_slice(part.as_bytes());
        bytes.push(b'\n');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns bytes round; knows what it was bound to.
    struct Mirror;

    impl Sealer for Mirror {
        fn seal(&self, plain: &[u8], bound: &[u8]) -> Result<String, String> {
            let turned: String = String::from_utf8_lossy(plain).chars().rev().collect();
            Ok(format!("{turned}|{}", String::from_utf8_lossy(bound)))
        }

        fn open(&self, sealed: &str, bound: &[u8]) -> Result<Vec<u8>, String> {
            let (turned, with) = sealed.split_once('|').ok_or("was changed")?;
            if with.as_bytes() != bound {
                return Err("was changed".to_owned());
            }
            Ok(turned.chars().rev().collect::<String>().into_bytes())
        }

        fn is_current(&self, _: &str) -> bool {
            true
        }
    }

    fn secret() -> Secret {
        let (name, values, hosts) = ("A", vec!["canary".to_owned()], vec!["a.example".to_owned()]);
        Secret { name: name.to_owned(), values, hosts }
    }

    fn stored(sealer: Option<&dyn Sealer>) -> String {
        serde_json::to_string(&StoredSecret::seal(secret(), sealer).unwrap()).unwrap()
    }

    fn opened(json: &str, sealer: Option<&dyn Sealer>) -> Result<Secret, String> {
        serde_json::from_str::<StoredSecret>(json).unwrap().open(sealer)
    }

    #[test]
    fn what_is_sealed_opens_with_the_key_and_beside_its_own_hosts_only() {
        let json = stored(Some(&Mirror));
        assert!(!json.contains("canary"), "{json}");
        assert_eq!(opened(&json, Some(&Mirror)).unwrap(), secret());
        assert!(opened(&json, None).unwrap_err().contains("secrets.key_file"));
        let moved = json.replace(r#""hosts":["a.example"]"#, r#""hosts":["evil.example"]"#);
        assert_ne!(moved, json);
        assert!(opened(&moved, Some(&Mirror)).unwrap_err().contains("was changed"));
    }

    #[test]
    fn what_was_stored_before_there_was_a_key_is_read_and_sealed_again() {
        let json = stored(None);
        assert_eq!(opened(&json, Some(&Mirror)).unwrap(), secret());
        let old: StoredSecret = serde_json::from_str(&json).unwrap();
        assert!(old.is_current(None) && !old.is_current(Some(&Mirror)));
    }
}
