//! Pure. Faults of an input: every wrong field at once, each with its path and what would be right.

use std::fmt;

/// One wrong field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Path in the message's own names: `delivery.recurring.cron`, `webhook.data[3].value`.
    pub field: String,
    /// What is wrong and what would be right; lower case, no full stop.
    pub text: String,
}

/// All faults of one input, in the order of its fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

impl Faults {
    pub fn add(&mut self, field: impl Into<String>, text: impl Into<String>) {
        self.0.push(Fault { field: field.into(), text: text.into() });
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `value`, or the faults if there are any.
    pub fn or<T>(self, value: T) -> Result<T, Faults> {
        if self.is_empty() { Ok(value) } else { Err(self) }
    }
}

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", fault.field, fault.text)?;
        }
        Ok(())
    }
}

impl std::error::Error for Faults {}

/// Foreign text fit for a fault: short, in quotes, its control characters visible.
pub fn quoted(text: &str) -> String {
    let short: String = text.chars().take(32).collect();
    if short.len() < text.len() { format!("{short:?}...") } else { format!("{short:?}") }
}
