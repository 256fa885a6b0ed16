//! Pure. Standard Webhooks signatures: `v1,` and HMAC-SHA256 over `id.timestamp.body`, in base64.
//!
//! Signing is ours; verifying is what a receiver does (`campanile receive`, tests).

use std::fmt;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::secret::Secret;

/// What a signing secret begins with.
pub const PREFIX: &str = "whsec_";

/// Secrets are handed around with and without padding.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A ready key: the key's own hashing is done once, not per message.
#[derive(Clone)]
pub struct Key(Hmac<Sha256>);

impl Key {
    /// Reads `whsec_` and base64.
    pub fn read(text: &str) -> Result<Key, String> {
        let wrong = || format!("a signing secret is {PREFIX} followed by base64 of its key");
        let encoded = text.strip_prefix(PREFIX).ok_or_else(wrong)?;
        let bytes = LENIENT.decode(encoded.trim_end()).map_err(|_| wrong())?;
        if bytes.is_empty() {
            return Err(wrong());
        }
        Hmac::new_from_slice(&bytes).map(Key).map_err(|_| wrong())
    }

    /// The keys of all values of a secret, the newest first.
    pub fn all(secret: &Secret) -> Result<Vec<Key>, String> {
        secret.values.iter().map(|value| Key::read(value)).collect()
    }

    fn tag(&self, id: &str, timestamp: i64, body: &[u8]) -> Hmac<Sha256> {
        let mut mac = self.0.clone();
        mac.update(id.as_bytes());
        mac.update(b".");
        mac.update(timestamp.to_string().as_bytes());
        mac.update(b".");
        mac.update(body);
        mac
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key")
    }
}

/// The `webhook-signature` header: one signature per key, separated by spaces. `timestamp` is in seconds.
pub fn sign(keys: &[Key], id: &str, timestamp: i64, body: &[u8]) -> String {
    let mut header = String::with_capacity(keys.len() * 48);
    for key in keys {
        if !header.is_empty() {
            header.push(' ');
        }
        header.push_str("v1,");
        STANDARD.encode_string(key.tag(id, timestamp, body).finalize().into_bytes(), &mut header);
    }
    header
}

/// Whether one of the header's signatures is by one of `keys`. How old `timestamp` may be is the receiver's to say.
pub fn verify(keys: &[Key], id: &str, timestamp: i64, body: &[u8], header: &str) -> bool {
    header
        .split(' ')
        .filter_map(|signature| signature.strip_prefix("v1,"))
        .filter_map(|encoded| STANDARD.decode(encoded).ok())
        .any(|tag| keys.iter().any(|key| key.tag(id, timestamp, body).verify_slice(&tag).is_ok()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const BODY: &[u8] = br#"{"test": 2432232314}"#;

    fn key(text: &str) -> Key {
        Key::read(text).unwrap()
    }

    #[test]
    fn the_published_example_is_reproduced() {
        let keys = [key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")];
        let header = sign(&keys, ID, 1_614_265_330, BODY);
        assert_eq!(header, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        assert!(verify(&keys, ID, 1_614_265_330, BODY, &header));
    }

    #[test]
    fn every_key_signs_while_a_secret_rotates_and_any_of_them_verifies() {
        let (new, old) = (key("whsec_bmV3"), key("whsec_b2xk"));
        let header = sign(&[new.clone(), old.clone()], ID, 1, BODY);
        assert_eq!(header.split(' ').count(), 2);
        for keys in [[new.clone()], [old]] {
            assert!(verify(&keys, ID, 1, BODY, &header));
        }
        for (id, at, body) in [("other", 1, BODY), (ID, 2, BODY), (ID, 1, &b"{}"[..])] {
            assert!(!verify(std::slice::from_ref(&new), id, at, body, &header));
        }
        for wrong in ["", "v1,", "v1,AAAA", "v2,AAAA", "v1a,x", "\u{0}"] {
            assert!(!verify(std::slice::from_ref(&new), ID, 1, BODY, wrong));
        }
    }

    #[test]
    fn a_signing_secret_that_is_none_is_refused() {
        assert!(Key::read("whsec_bmV3").is_ok());
        assert!(Key::read("whsec_bmV3eA").is_ok(), "padding may be left out");
        for text in ["", "whsec_", "bmV3", "whsec_*", "WHSEC_bmV3"] {
            assert!(Key::read(text).unwrap_err().contains("whsec_"), "{text}");
        }
    }
}
