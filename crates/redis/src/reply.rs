//! Pure. Reading a script's reply: bytes and numbers in order, and a named error where they are something else.

use campanile_core::number::{UserNo, instant};
use campanile_core::ports::{StoreError, StoredUser};
use campanile_core::user::Profile;
use jiff::Timestamp;
use redis::Value;

/// What a script answered, behind its time.
pub(crate) struct Reply {
    script: &'static str,
    values: std::vec::IntoIter<Value>,
}

impl Reply {
    /// Takes the time off the front.
    pub(crate) fn read(script: &'static str, value: Value) -> Result<(Timestamp, Reply), StoreError> {
        let Value::Array(values) = value else {
            return Err(foreign(script, "no list"));
        };
        let mut reply = Reply { script, values: values.into_iter() };
        let time = instant(reply.count()?);
        Ok((time, reply))
    }

    pub(crate) fn int(&mut self) -> Result<i64, StoreError> {
        match self.values.next() {
            Some(Value::Int(n)) => Ok(n),
            other => Err(self.unlike("a number", other.as_ref())),
        }
    }

    pub(crate) fn count(&mut self) -> Result<u64, StoreError> {
        Ok(self.int()?.max(0).unsigned_abs())
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, StoreError> {
        match self.optional()? {
            Some(bytes) => Ok(bytes),
            None => Err(self.unlike("bytes", None)),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, StoreError> {
        String::from_utf8(self.bytes()?).map_err(|_| foreign(self.script, "expected text"))
    }

    pub(crate) fn optional(&mut self) -> Result<Option<Vec<u8>>, StoreError> {
        match self.values.next() {
            Some(Value::BulkString(bytes)) => Ok(Some(bytes)),
            Some(Value::SimpleString(text)) => Ok(Some(text.into_bytes())),
            Some(Value::Nil) => Ok(None),
            other => Err(self.unlike("bytes or nothing", other.as_ref())),
        }
    }

    pub(crate) fn list(&mut self) -> Result<Vec<Value>, StoreError> {
        match self.values.next() {
            Some(Value::Array(values)) => Ok(values),
            other => Err(self.unlike("a list", other.as_ref())),
        }
    }

    /// One character a thing asked about: whether it was done.
    pub(crate) fn flags(&mut self) -> Result<Vec<bool>, StoreError> {
        Ok(self.bytes()?.into_iter().map(|flag| flag == b'1').collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.len() == 0
    }

    pub(crate) fn left(&self) -> usize {
        self.values.len()
    }

    /// Numbers and values of users, to the end; the foreign ones apart.
    pub(crate) fn users(mut self) -> Result<(Vec<StoredUser>, Vec<ForeignValue>), StoreError> {
        let (mut users, mut foreign) = (Vec::new(), Vec::new());
        while !self.is_empty() {
            let (no, value) = (user_no(&self.bytes()?), self.bytes()?);
            match stored_user(no, &value) {
                Ok(user) => users.push(user),
                Err(text) => foreign.push(ForeignValue { no, value, text }),
            }
        }
        Ok((users, foreign))
    }

    fn unlike(&self, expected: &str, value: Option<&Value>) -> StoreError {
        let found = match value {
            None | Some(Value::Nil) => "nothing",
            Some(Value::Int(_)) => "a number",
            Some(Value::BulkString(_) | Value::SimpleString(_)) => "bytes",
            Some(_) => "something else",
        };
        foreign(self.script, &format!("expected {expected}, found {found}"))
    }
}

/// A user's value that this version cannot read.
pub(crate) struct ForeignValue {
    pub(crate) no: UserNo,
    pub(crate) value: Vec<u8>,
    pub(crate) text: String,
}

pub(crate) fn user_no(bytes: &[u8]) -> UserNo {
    UserNo(number(bytes))
}

/// Big-endian; of more than 8 bytes the last.
pub(crate) fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |n, b| n << 8 | u64::from(*b))
}

pub(crate) fn stored_user(no: UserNo, value: &[u8]) -> Result<StoredUser, String> {
    let (version, packed) =
        value.split_at_checked(8).ok_or_else(|| format!("profile: {} bytes", value.len()))?;
    Ok(StoredUser { no, version: number(version), profile: Profile::unpack(packed)? })
}

pub(crate) fn foreign(script: &str, text: &str) -> StoreError {
    StoreError::Foreign { place: format!("the answer of script {script}"), text: text.to_owned() }
}
