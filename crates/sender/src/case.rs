//! Pure. A claimed job, unpacked: what the brains decide on, and what a settlement is made of.

use campanile_core::caps::CapAnswer;
use campanile_core::control_word::ControlWord;
use campanile_core::delivery_record::DeliveryRecord;
use campanile_core::due_send::{Class, Lease, SendId};
use campanile_core::event::EntryData;
use campanile_core::kept::Kept;
use campanile_core::number::{Layout, Shard};
use campanile_core::ports::Job;
use campanile_core::user::Profile;

use crate::closed::Closed;

pub struct Case {
    pub lease: Lease,
    pub control: ControlWord,
    pub id: SendId,
    pub id_text: String,
    /// None: the user is gone.
    pub profile: Option<Profile>,
    /// `Err` says why it cannot be read.
    pub entry: Result<Option<EntryData>, String>,
    pub kept: Option<Kept>,
    /// The user's entries into the campaign, where it keeps them. One that cannot be read makes `entry` an `Err`.
    pub record: Option<DeliveryRecord>,
    /// What its caps said, once they were asked.
    pub counted: Option<CapAnswer>,
    /// Its destination takes nothing now.
    pub closed: Option<Closed>,
}

impl Case {
    /// What was kept of an earlier attempt and cannot be read is as good as lost: the send is rendered again.
    pub fn open(job: Job, layout: &Layout, shard: Shard) -> Case {
        let Job { lease, control, profile, data, kept, record } = job;
        let record = record.map(|bytes| DeliveryRecord::decode(&bytes)).transpose();
        let user_id = profile.as_ref().map_or("", |profile| profile.id.as_str());
        let id = SendId::of(layout, shard, lease.lane.campaign, user_id, &lease.send);
        Case {
            id_text: id.to_string(),
            id,
            entry: match &record {
                Ok(_) => data.map(|bytes| EntryData::unpack(&bytes)).transpose(),
                Err(foreign) => Err(foreign.to_string()),
            },
            record: record.unwrap_or_default(),
            counted: None,
            kept: kept.and_then(|bytes| Kept::unpack(&bytes).ok()),
            lease,
            control,
            profile,
            closed: None,
        }
    }

    pub fn class(&self) -> Class {
        self.lease.lane.class
    }

    /// Whether it must give something back if it is not posted.
    pub fn has_reserved(&self) -> bool {
        self.counted == Some(CapAnswer::Reserved)
    }
}
