//! What the engine asks of a store about access: tokens by name. As with all ports, every verb may be repeated.

use crate::access::AccessToken;
use crate::ports::Answer;

/// What sealing anew came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resealed {
    pub resealed: usize,
    /// Names with what is wrong; they stay as they are.
    pub unread: Vec<String>,
}

pub trait Tokens {
    /// Replaces the token of this name.
    fn put_token(&self, token: AccessToken) -> Answer<'_, ()>;
    /// In the order of names.
    fn tokens(&self) -> Answer<'_, Vec<AccessToken>>;
    /// Whether there was one.
    fn delete_token<'a>(&'a self, name: &'a str) -> Answer<'a, bool>;
}
