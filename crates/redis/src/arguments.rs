//! Pure. The arguments of a script, and the parts that several scripts take.

use campanile_core::counter::{Count, summed};
use campanile_core::delivery_record::RecordChange;
use campanile_core::due_send::DueEntry;
use campanile_core::limits;
use campanile_core::log_row::LogRow;
use campanile_core::number::{CampaignNo, UserNo, millis};
use campanile_core::ports::{NewEntry, OccurrenceKey, RefusedRow, StoreError, StoredUser};
use redis::Cmd;

use crate::refused_row;

/// One call's arguments, in order; a list is preceded by its length.
pub(crate) struct Arguments(pub(crate) Vec<Vec<u8>>);

impl Arguments {
    pub(crate) fn new() -> Arguments {
        Arguments(Vec::new())
    }

    pub(crate) fn bytes(mut self, bytes: impl Into<Vec<u8>>) -> Arguments {
        self.0.push(bytes.into());
        self
    }

    pub(crate) fn number(self, n: impl TryInto<i64>) -> Arguments {
        self.bytes(n.try_into().unwrap_or(i64::MAX).to_string())
    }

    /// New entries, each with its data.
    pub(crate) fn entries(mut self, entries: &[NewEntry]) -> Arguments {
        self = self.number(entries.len());
        for NewEntry { due, data } in entries {
            let mut due: DueEntry = due.clone();
            due.send.has_data |= data.is_some();
            self = self.bytes(due.encode()).bytes(data.clone().unwrap_or_default());
        }
        self
    }

    pub(crate) fn counts(mut self, counts: &[Count]) -> Arguments {
        let counts = summed(counts.iter().copied());
        self = self.number(counts.len());
        for count in counts {
            self = self.bytes(count.campaign.0.to_be_bytes()).bytes(count.counter.field()).number(count.by);
        }
        self
    }

    /// Of each campaign at most as many as are kept, the last ones.
    pub(crate) fn refused(mut self, rows: &[RefusedRow]) -> Arguments {
        let mut left = std::collections::HashMap::new();
        let mut kept: Vec<&RefusedRow> = rows
            .iter()
            .rev()
            .filter(|row| {
                let left = left.entry(row.campaign).or_insert(limits::REFUSED_MAX);
                let fits = *left > 0;
                *left = left.saturating_sub(1);
                fits
            })
            .collect();
        kept.reverse();
        self = self.number(kept.len());
        for row in kept {
            self = self.bytes(row.campaign.0.to_be_bytes()).bytes(refused_row::encode(row));
        }
        self
    }

    /// Log rows, with the bounds of the log.
    pub(crate) fn rows(mut self, rows: &[LogRow]) -> Arguments {
        self = self.number(rows.len());
        for row in rows {
            self = self.bytes(row.encode());
        }
        self.number(limits::LOG_ROWS_MAX).number(limits::LOG_KEPT.as_millis())
    }

    pub(crate) fn records(mut self, records: &[RecordChange]) -> Arguments {
        self = self.number(records.len());
        for RecordChange { user, campaign, old, new, waiting, folded, data } in records {
            self = self.bytes(user_bytes(*user)).bytes(campaign.0.to_be_bytes());
            self = self.bytes(old.as_slice()).bytes(new.as_slice());
            for keys in [waiting, folded] {
                self = keys.iter().fold(self.number(keys.len()), |all, key| all.bytes(key.to_be_bytes()));
            }
            self = data.iter().fold(self.number(data.len()), |all, data| {
                all.bytes(data.key.to_be_bytes())
                    .bytes(if data.appends { "+" } else { "=" })
                    .bytes(data.bytes.as_slice())
            });
        }
        self
    }

    pub(crate) fn add_to(&self, cmd: &mut Cmd) {
        for argument in &self.0 {
            cmd.arg(argument.as_slice());
        }
    }
}

pub(crate) fn user_bytes(no: UserNo) -> Vec<u8> {
    no.0.to_be_bytes()[3..].to_vec()
}

pub(crate) fn occurrence_bytes(occurrence: OccurrenceKey) -> Vec<u8> {
    let mut bytes = occurrence.campaign.0.to_be_bytes().to_vec();
    bytes.extend(&millis(occurrence.at).to_be_bytes()[2..]);
    bytes
}

/// Where an entry keeps its data.
pub(crate) fn entry_field(campaign: CampaignNo, key: u64) -> Vec<u8> {
    let mut bytes = campaign.0.to_be_bytes().to_vec();
    bytes.extend(key.to_be_bytes());
    bytes
}

/// A stored user's value: the version after the one read, and the profile.
pub(crate) fn next_value(user: &StoredUser) -> Vec<u8> {
    value(user.version + 1, &user.profile.pack())
}

pub(crate) fn value(version: u64, packed: &[u8]) -> Vec<u8> {
    let mut bytes = version.to_be_bytes().to_vec();
    bytes.extend(packed);
    bytes
}

/// A call's bound was passed by our own code: nothing was done.
pub(crate) fn at_most(what: &str, n: usize, max: usize) -> Result<(), StoreError> {
    if n > max { Err(StoreError::Refused(format!("{n} {what} in one call, at most {max}"))) } else { Ok(()) }
}
