//! Pure. Segments: saved, named conditions on a user. Before: what an author sends. After: `segments` holds all of them for matching.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::campaign_fields::{check_slug, expression};
use crate::expression::{Expression, Scope};
use crate::fault::Faults;
use crate::limits;

/// One document in the store, compared by `revision`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SegmentRecord {
    pub name: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    #[serde(rename = "where")]
    pub condition: String,
    /// 1 at first; grows by one with every change.
    pub revision: u32,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
}

/// A segment, ready to be matched.
#[derive(Clone, Debug)]
pub struct Segment {
    pub record: SegmentRecord,
    pub expression: Expression,
    /// Segments and lists its condition names itself.
    pub named: Named,
}

/// Segments and lists that something names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Named {
    pub segments: Vec<String>,
    pub lists: Vec<String>,
}

impl Segment {
    /// All faults of its own fields at once; whether what it names is there is `Segments::check`'s.
    pub fn read(record: SegmentRecord, faults: &mut Faults) -> Option<Segment> {
        let before = faults.0.len();
        if let Err(text) = check_slug(&record.name) {
            faults.add("name", text);
        }
        if record.title.len() > limits::TITLE_BYTES_MAX || record.title.chars().any(char::is_control) {
            let most = limits::TITLE_BYTES_MAX;
            faults.add("title", format!("expected at most {most} bytes without control characters"));
        }
        let expression = expression(&record.condition, Scope::Audience, "where", faults)?;
        // What a user had of campaigns is read for campaigns that ask themselves, and a segment is asked by anybody.
        if !expression.names().campaigns.is_empty() {
            faults.add("where", "received and failed are for the conditions of campaigns, not for segments");
        }
        let named = expression.named();
        (faults.0.len() == before).then_some(Segment { record, expression, named })
    }

    /// As it was stored; none: this version cannot read it.
    pub fn stored(record: SegmentRecord) -> Option<Segment> {
        let mut faults = Faults::default();
        Segment::read(record, &mut faults)
    }
}

impl Named {
    pub fn is_empty(&self) -> bool {
        self.segments.is_empty() && self.lists.is_empty()
    }

    /// Takes in what something else names, each name once.
    pub fn extend(&mut self, other: Named) {
        let add = |names: &mut Vec<String>, more: Vec<String>| {
            for name in more {
                if !names.contains(&name) {
                    names.push(name);
                }
            }
        };
        add(&mut self.segments, other.segments);
        add(&mut self.lists, other.lists);
    }
}
