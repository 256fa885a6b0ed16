//! What is kept in memory beside the file: lanes, control words, the head of the wheel.
//!
//! Never ahead of the file for longer than a transaction: whatever was undone there is read anew here.

use std::collections::HashMap;

use campanile_core::control_word::ControlWord;
use campanile_core::due_send::Lane;
use campanile_core::number::CampaignNo;
use campanile_core::ports::StoreError;
use rusqlite::Connection;

use crate::open::broken;
use crate::ring::Ring;

#[derive(Debug, Default)]
pub(crate) struct Memory {
    pub(crate) ring: Ring,
    /// When the first of the wheel is due, in ms.
    pub(crate) next_due: Option<i64>,
    /// Whether a verb has changed anything here since this was last cleared.
    pub(crate) is_touched: bool,
}

impl Memory {
    pub(crate) fn load(connection: &Connection) -> Result<Memory, StoreError> {
        let read = || -> rusqlite::Result<Memory> {
            let words = words(connection)?;
            let lanes = lanes(connection)?;
            let next_due = connection.query_row("SELECT min(at) FROM wheel", [], |row| row.get(0))?;
            Ok(Memory { ring: Ring::new(words, lanes), next_due, is_touched: false })
        };
        read().map_err(|e| broken(&e))
    }

    pub(crate) fn ring(&mut self) -> &mut Ring {
        self.is_touched = true;
        &mut self.ring
    }

    /// Answers whether this is earlier than anything that was waiting.
    pub(crate) fn note_due(&mut self, at: i64) -> bool {
        let is_earlier = self.next_due.is_none_or(|next| at < next);
        if is_earlier {
            self.is_touched = true;
            self.next_due = Some(at);
        }
        is_earlier
    }
}

/// A foreign word counts as none: its lanes are held.
fn words(connection: &Connection) -> rusqlite::Result<HashMap<CampaignNo, ControlWord>> {
    let mut statement = connection.prepare_cached("SELECT campaign, word FROM control")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, u32>(0)?, row.get::<_, Vec<u8>>(1)?)))?;
    let mut words = HashMap::new();
    for row in rows {
        let (campaign, bytes) = row?;
        match ControlWord::decode(&bytes) {
            Ok(word) => drop(words.insert(CampaignNo(campaign), word)),
            Err(error) => {
                tracing::error!(campaign, %error, "a control word is foreign: the campaign is held")
            }
        }
    }
    Ok(words)
}

/// A foreign lane is never served.
fn lanes(connection: &Connection) -> rusqlite::Result<Vec<(Lane, usize)>> {
    let mut statement = connection.prepare_cached("SELECT lane, count(*) FROM lanes GROUP BY lane")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, i64>(1)?)))?;
    let mut lanes = Vec::new();
    for row in rows {
        let (bytes, len) = row?;
        match Lane::decode(&bytes) {
            Ok(lane) => lanes.push((lane, len.max(0) as usize)),
            Err(error) => tracing::error!(%error, "a lane is foreign: its sends stay"),
        }
    }
    Ok(lanes)
}
