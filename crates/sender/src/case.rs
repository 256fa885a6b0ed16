//! Pure. A claimed job, unpacked: what the brains decide on, and what a settlement is made of.

use campanile_core::control_word::ControlWord;
use campanile_core::due_send::{Class, Lease, SendId};
use campanile_core::event::EntryData;
use campanile_core::kept::Kept;
use campanile_core::number::{Layout, Shard};
use campanile_core::ports::Job;
use campanile_core::user::Profile;

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
}

impl Case {
    /// What was kept of an earlier attempt and cannot be read is as good as lost: the send is rendered again.
    pub fn open(job: Job, layout: &Layout, shard: Shard) -> Case {
        let Job { lease, control, profile, data, kept } = job;
        let user_id = profile.as_ref().map_or("", |profile| profile.id.as_str());
        let id = SendId::of(layout, shard, lease.lane.campaign, user_id, &lease.send);
        Case {
            id_text: id.to_string(),
            id,
            entry: data.map(|bytes| EntryData::unpack(&bytes)).transpose(),
            kept: kept.and_then(|bytes| Kept::unpack(&bytes).ok()),
            lease,
            control,
            profile,
        }
    }

    pub fn class(&self) -> Class {
        self.lease.lane.class
    }
}
