//! Pure. Every key of the store, in one table. `P` is the tag of a shard with its colon, `{s17}:`; scripts are given it as
//! `KEYS[1]` and append the suffix, so that whatever belongs to a user stays in one slot.
//!
//! | key | type | holds |
//! | --- | --- | --- |
//! | `cp:layout` | hash | format, shards, birth, hash key: fixed at the first start |
//! | `cp:names`, `{cp:names}:seq`, `{cp:names}:ids` | hash, hash, zset | `c:id` and `d:destination` -> number, `n:number` -> destination; last numbers; ids in order |
//! | `{cp:c:<no>}`, `{cp:c:<no>}:r:<rev>` | hash, string | `v`, `doc`: version and JSON of a campaign's record; JSON of a revision |
//! | `{cp:t:c<no>}`, `{cp:t:d<no>}` | string | until when tokens of a campaign's throttle, of a destination's rate were given away, us |
//! | `{cp:names}:dests`, `{cp:names}:far` | zset, hash | names of destinations in order; `p:<no>`, `b:<no>`: version (8) and JSON of what is set for one and of its breaker, `np`, `nb` how many, `v` how often any changed |
//! | `{cp:d:<no>}` | zset | shard (2) and fence (8) of a destination's requests under way, by when they surely ended |
//! | `cp:changes`, `{cp:changes}:seq`, `{cp:changes}:open` | zset, int, zset | campaign number by its last change; last change; changes begun |
//! | `cp:secrets`, `cp:tokens` | hash | `=name` -> JSON of a secret, of an access token; `version` |
//! | `cp:settings` | hash | `version`, `doc`: revision and JSON of the deployment's settings |
//! | `cp:segments`, `{cp:segments}:ids:<name>` | hash, string | `s=name` and `l=name` -> JSON of a segment, of a list; `s#name` and `l#name` their revisions; `version`; JSON of a list's ids |
//! | `P id:<bucket>`, `P un` | hash, int | user id -> number (5 bytes); last number |
//! | `P u:<5>` | string | version (8 bytes), packed profile |
//! | `P x:<5>` | hash | campaign + key -> what an entry keeps until its send ended |
//! | `P n:<5>` | hash | campaign -> delivery record; campaign + key -> mark of an entry's send; `k` -> what caps counted, 23 bytes a send and scope |
//! | `P h:<5>` | hash | campaign -> what the user had of it |
//! | `P r:<5>` | hash | campaign + key + action -> rendered request with its attempts |
//! | `P ctl`, `P ctlno` | hash, int | campaign -> control word; grows with every change of one |
//! | `P w:<width>:<start>`, `P wheel`, `P soon` | list, zset, zset | due entries by bucket; buckets by opening instant; due entries by instant |
//! | `P q:<lane>` | list | the lane's sends, core bytes |
//! | `P ring`, `P park`, `P held`, `P vt` | zset, zset, zset, number | lanes by virtual time; by the instant they wait for; of held campaigns; virtual time |
//! | `P lease`, `P fence` | zset, int | fences of claims (7) by when their leases run out; last fence |
//! | `P l:<fence>` | string | what a claim leased: `lua/leases.lua` has the bytes |
//! | `P ev`, `P evhead` | list, int | accepted at (6), user number (5), event; events taken from it so far |
//! | `P recent` | list | number (8) and bytes of the latest 1,000 events with what campaigns decided |
//! | `P seen:<day>:<bucket>` | set | hashes of event ids |
//! | `P occ:<campaign><instant>` | hash | `cur`, `last`: cursor and last number of an occurrence |
//! | `P rq:<16>` | string | body hash (16) and answer of a request |
//! | `P c:<campaign>` | hash | counters |
//! | `P log`, `P logrows` | stream, int | one entry a settle: `n` rows, `r` their bytes; rows kept |
//! | `P failed` | zset | lane + core of sends that gave up, by instant |
//! | `P refused:<campaign>` | list | single refusals, newest first |
//! | `P bad`, `P bad:<suffix>` | list, any | foreign bytes: place, 0, bytes; keys of a foreign type |
//! | `P wake` | channel | `e`, `d`, `q`: events, something due earlier, a lane |
//!
//! Numbers in keys and fields are big-endian bytes of fixed width, campaigns 4, users 5, instants 6.

use std::collections::HashMap;

use campanile_core::number::{CampaignNo, DestinationNo};
use campanile_core::throttle::Bucket;
use redis::cluster_routing::Slot;

pub const LAYOUT: &str = "cp:layout";
pub const SECRETS: &str = "cp:secrets";
pub const TOKENS: &str = "cp:tokens";
pub const SETTINGS: &str = "cp:settings";
/// Segments and lists; the ids of a list lie beside it, in the same slot.
pub const SEGMENTS: &str = "cp:segments";
/// Names, their numbers, and the ids of campaigns in order; one slot.
pub const NAMES: [&str; 3] = ["cp:names", "{cp:names}:seq", "{cp:names}:ids"];
/// Names, their numbers, destinations in order; one slot with `FAR`.
pub const DESTINATIONS: [&str; 3] = ["cp:names", "{cp:names}:seq", "{cp:names}:dests"];
/// What is set for destinations, and their breakers.
pub const FAR: &str = "{cp:names}:far";
/// Changes, their number, and the open ones; one slot.
pub const CHANGES: [&str; 3] = ["cp:changes", "{cp:changes}:seq", "{cp:changes}:open"];

/// Buckets of the id map and of the ids of a day's events, per shard: hashes and sets stay small and packed.
const BUCKETS: u64 = 4_096;

const SLOTS: usize = 16_384;

/// The tags of 16 shards, as they are stored: they never change.
#[cfg(test)]
const TAGS_OF_16: [&str; 16] = [
    "s10", "s21", "s2", "s43", "s11", "s20", "s3", "s42", "s12", "s23", "s0", "s41", "s13", "s22", "s1",
    "s40",
];

pub(crate) fn campaign(no: CampaignNo) -> String {
    format!("{{cp:c:{}}}", no.0)
}

/// What was given of a bucket of tokens.
pub(crate) fn throttle(bucket: Bucket) -> String {
    match bucket {
        Bucket::Campaign(no) => format!("{{cp:t:c{}}}", no.0),
        Bucket::Destination(no) => format!("{{cp:t:d{}}}", no.0),
    }
}

/// Requests under way at a destination.
pub(crate) fn places(no: DestinationNo) -> String {
    format!("{{cp:d:{}}}", no.0)
}

pub(crate) fn revision(no: CampaignNo, revision: u32) -> String {
    format!("{{cp:c:{}}}:r:{revision}", no.0)
}

/// The ids of a list of users.
pub(crate) fn list_ids(name: &str) -> String {
    format!("{{{SEGMENTS}}}:ids:{name}")
}

/// Which part of an id map or of a day's event ids a hash belongs to.
pub(crate) fn bucket(hash: u64) -> String {
    (hash % BUCKETS).to_string()
}

/// One tag a shard, so that shard i of n lies in the i-th n-th of the slots: the smallest `s0`, `s1`, .. that does.
pub(crate) fn tags(shards: u16) -> Vec<String> {
    let slots = slots();
    let mut tags = vec![String::new(); usize::from(shards)];
    let mut missing = tags.len();
    for n in 0.. {
        if missing == 0 {
            break;
        }
        let tag = format!("s{n}");
        let part = slots.get(&Slot::for_key(&tag)).map_or(0, |slot| slot * tags.len() / SLOTS);
        if let Some(free) = tags.get_mut(part).filter(|tag| tag.is_empty()) {
            *free = tag;
            missing -= 1;
        }
    }
    tags
}

/// The number of every slot, which the client's own type keeps to itself.
fn slots() -> HashMap<Slot, usize> {
    (0u16..).map_while(Slot::new).zip(0..SLOTS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tags_of_sixteen_shards_never_change() {
        assert_eq!(tags(16), TAGS_OF_16);
    }

    #[test]
    fn every_shard_lies_in_its_own_part_of_the_slots() {
        let slots = slots();
        for shards in [1, 3, 16, 64, 256] {
            for (i, tag) in tags(shards).iter().enumerate() {
                let part = slots[&Slot::for_key(tag)] * usize::from(shards) / SLOTS;
                assert_eq!(part, i, "{tag} of {shards}");
            }
        }
    }

    #[test]
    fn what_one_script_touches_lies_in_one_slot() {
        for keys in [NAMES, CHANGES, DESTINATIONS, [NAMES[0], DESTINATIONS[2], FAR]] {
            assert!(keys.iter().all(|key| Slot::for_key(key) == Slot::for_key(keys[0])), "{keys:?}");
        }
        assert_eq!(Slot::for_key(SEGMENTS), Slot::for_key(list_ids("vip")));
        let (record, revision) = (campaign(CampaignNo(7)), revision(CampaignNo(7), 3));
        assert_eq!(Slot::for_key(record), Slot::for_key(revision));
    }
}
