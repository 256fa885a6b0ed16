//! Keys that secrets are sealed with, from a file: one a line, `ID:BASE64` of 32 random bytes. The first seals, all of them open, so that a
//! new key is put before the old one and the old one taken out once everything is sealed anew.
//!
//! AES-256-GCM with nonces of 96 random bits, which is far from any limit for the few secrets there are.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use campanile_core::sealing::Sealer;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};

const VERSION: &str = "v1";
const KEY_BYTES: usize = 32;

pub struct Keyring {
    /// The first seals.
    keys: Vec<(String, LessSafeKey)>,
    /// From the operating system.
    nonce: fn() -> [u8; NONCE_LEN],
}

impl Keyring {
    /// Reads the text of a key file. The error names the line, never what is on it.
    pub fn read(text: &str, nonce: fn() -> [u8; NONCE_LEN]) -> Result<Keyring, String> {
        let mut keys: Vec<(String, LessSafeKey)> = Vec::new();
        for (number, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let wrong = || {
                format!(
                    "line {}: expected ID:BASE64 of {KEY_BYTES} bytes; `campanile secret new-key` makes one",
                    number + 1
                )
            };
            let (id, key) = line.split_once(':').ok_or_else(wrong)?;
            let is_id =
                (1..=32).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let bytes = STANDARD
                .decode(key.trim())
                .ok()
                .filter(|bytes| is_id && bytes.len() == KEY_BYTES)
                .ok_or_else(wrong)?;
            if keys.iter().any(|(known, _)| known == id) {
                return Err(format!("line {}: there is a key of this id above", number + 1));
            }
            let key = UnboundKey::new(&AES_256_GCM, &bytes).map_err(|_| wrong())?;
            keys.push((id.to_owned(), LessSafeKey::new(key)));
        }
        if keys.is_empty() {
            return Err("holds no key; `campanile secret new-key` makes one".to_owned());
        }
        Ok(Keyring { keys, nonce })
    }
}

impl Sealer for Keyring {
    fn seal(&self, plain: &[u8], bound: &[u8]) -> Result<String, String> {
        let (id, key) = self.keys.first().ok_or("there is no key")?;
        let nonce = (self.nonce)();
        let mut bytes = plain.to_vec();
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut bytes)
            .map_err(|_| "it could not be sealed".to_owned())?;
        let mut sealed = nonce.to_vec();
        sealed.extend_from_slice(&bytes);
        Ok(format!("{VERSION}.{id}.{}", STANDARD.encode(sealed)))
    }

    fn open(&self, sealed: &str, bound: &[u8]) -> Result<Vec<u8>, String> {
        let mut parts = sealed.splitn(3, '.');
        let (version, id, text) =
            (parts.next(), parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        if version != Some(VERSION) {
            return Err("it is sealed in a way this version does not know".to_owned());
        }
        let known = self.keys.iter().find(|(known, _)| known == id);
        let (_, key) = known.ok_or_else(|| format!("its key {id:?} is not in the key file"))?;
        let changed = || "it was changed, or sealed by another key of the same id".to_owned();
        let mut bytes = STANDARD.decode(text).map_err(|_| changed())?;
        let nonce: [u8; NONCE_LEN] =
            bytes.get(..NONCE_LEN).and_then(|n| n.try_into().ok()).ok_or_else(changed)?;
        let mut rest = bytes.split_off(NONCE_LEN);
        let plain = key
            .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(bound), &mut rest)
            .map_err(|_| changed())?;
        Ok(plain.to_vec())
    }

    fn is_current(&self, sealed: &str) -> bool {
        let id = sealed.split('.').nth(1);
        self.keys.first().is_some_and(|(first, _)| Some(first.as_str()) == id)
    }
}

/// A line for a key file.
pub fn new_line(random: [u8; KEY_BYTES], id: [u8; 4]) -> String {
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{id}:{}", STANDARD.encode(random))
}

/// Makes the file with one key where there is none; only its owner may read it.
pub fn make_file(path: &Path, line: &str) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(path)?;
    writeln!(file, "{line}")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(id: u8) -> String {
        new_line([id; KEY_BYTES], [id; 4])
    }

    fn ring(text: &str) -> Keyring {
        Keyring::read(text, || [5; NONCE_LEN]).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_key_and_its_bounds_only() {
        let one = ring(&line(1));
        let sealed = one.seal(b"canary", b"hosts").unwrap();
        assert!(!sealed.contains("canary"));
        assert_eq!(one.open(&sealed, b"hosts").unwrap(), b"canary");
        assert!(one.open(&sealed, b"other hosts").unwrap_err().contains("was changed"));
        assert!(one.open(&sealed.replace("v1.", "v9."), b"hosts").unwrap_err().contains("does not know"));
        assert!(ring(&line(2)).open(&sealed, b"hosts").unwrap_err().contains("not in the key file"));
        for cut in 0..sealed.len() {
            assert!(one.open(&sealed[..cut], b"hosts").is_err());
        }
    }

    #[test]
    fn a_new_key_seals_and_the_old_one_still_opens() {
        let sealed = ring(&line(1)).seal(b"canary", b"").unwrap();
        let both = ring(&format!("# newest first\n{}\n{}\n", line(2), line(1)));
        assert_eq!(both.open(&sealed, b"").unwrap(), b"canary");
        assert!(!both.is_current(&sealed) && both.is_current(&both.seal(b"x", b"").unwrap()));
    }

    #[test]
    fn a_wrong_line_is_named_and_not_shown() {
        let told = |text: &str| Keyring::read(text, || [0; NONCE_LEN]).err().unwrap();
        assert!(told("").contains("holds no key"));
        assert!(told("\n#x\nabc").starts_with("line 3"));
        assert!(told("a:c2hvcnQ=").starts_with("line 1") && !told("a:c2hvcnQ=").contains("c2hvcnQ"));
        assert!(told(&format!("{}\n{}", line(1), line(1))).contains("line 2"));
    }
}
