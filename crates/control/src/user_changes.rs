//! Pure. What a change of a user makes happen, for those who listen.

use campanile_core::event::{Event, LogItem};
use campanile_core::happening::{Happening, attribute_changed};
use campanile_core::ports::StoredUser;
use campanile_core::segments::Segments;
use campanile_core::user::{Profile, UserChange};
use campanile_core::watch;
use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::ears::Heard;

/// The first version of a profile: nobody has written it since its user was made.
const MADE: u64 = 1;

/// A change to an attribute that is listened to, before it is applied.
pub struct Watched(Vec<(String, Value)>);

impl Watched {
    /// The values of now of what `change` writes and somebody listens to.
    pub fn before(heard: &Heard, user: &StoredUser, change: &UserChange) -> Watched {
        let named =
            change.attributes.iter().map(|(name, _)| name).filter(|name| heard.attributes.contains(*name));
        let value = |name: &String| user.profile.attributes.get(name).cloned().unwrap_or(Value::Null);
        Watched(named.map(|name| (name.clone(), value(name))).collect())
    }

    /// Packed items for the log: what has another value now. `place` tells the changes of one write apart.
    pub fn happened(self, user: &StoredUser, place: usize, now: Timestamp) -> impl Iterator<Item = Vec<u8>> {
        self.0.into_iter().filter_map(move |(name, from)| {
            let to = user.profile.attributes.get(&name).unwrap_or(&Value::Null);
            let id = format!("{name}/{}/{place}", user.version);
            (*to != from)
                .then(|| item(Happening::AttributeChanged, attribute_changed(&name, &from, to), &id, now))
        })
    }
}

/// The watched segments that the user came into or left by a change; the user is marked as it is now.
pub fn crossed(
    heard: &Heard,
    before: &Profile,
    user: &mut StoredUser,
    segments: &Segments,
    now: Timestamp,
) -> Vec<Vec<u8>> {
    let crossed = watch::look(&heard.watches, Some(before), &mut user.profile, segments, now);
    watch::forget(&heard.watches, &mut user.profile);
    let cause = format!("{}/{}", user.no.0, user.version);
    crossed.iter().map(|crossing| LogItem::Event(crossing.event(&cause, now)).pack()).collect()
}

/// Told with the first write to a user, for those who listen.
pub fn created(heard: &Heard, user: &StoredUser, now: Timestamp) -> Option<Vec<u8>> {
    let is_told = heard.created && user.version == MADE;
    is_told.then(|| item(Happening::UserCreated, Map::new(), "", now))
}

fn item(happening: Happening, properties: Map<String, Value>, id: &str, now: Timestamp) -> Vec<u8> {
    let (name, id) = (happening.name().to_owned(), format!("{}/{id}", happening.name()));
    LogItem::Event(Event {
        name,
        value: None,
        properties,
        occurred_at: now,
        id,
        happening: Some(happening),
        collected: Vec::new(),
    })
    .pack()
}

#[cfg(test)]
mod tests {
    use campanile_core::number::UserNo;
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_listened_to_and_changes_is_told() {
        let heard = Heard {
            created: true,
            attributes: ["plan".to_owned(), "age".to_owned()].into(),
            ..Heard::default()
        };
        let now = Timestamp::UNIX_EPOCH;
        let check = |was: Value, change: Value, expected: Value| {
            let mut profile = Profile::new("mary", now);
            profile.attributes = was.as_object().cloned().unwrap_or_default();
            let mut user = StoredUser { no: UserNo(1), version: 7, profile };
            let attributes = change.as_object().cloned().unwrap_or_default();
            let change = UserChange { id: "mary".to_owned(), attributes, time_zone: None, created_at: None };
            let watched = Watched::before(&heard, &user, &change);
            user.profile.apply(&change).unwrap();
            let told: Vec<Value> = watched
                .happened(&user, 0, now)
                .map(|bytes| match LogItem::unpack(&bytes) {
                    Ok(LogItem::Event(event)) => Value::Object(event.properties),
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(Value::Array(told), expected);
        };
        check(
            json!({"plan": "free"}),
            json!({"plan": "pro", "name": "M"}),
            json!([{"attribute": "plan", "from": "free", "to": "pro"}]),
        );
        check(json!({"plan": "pro"}), json!({"plan": "pro"}), json!([]));
        check(json!({"plan": "pro"}), json!({"plan": null}), json!([{"attribute": "plan", "from": "pro"}]));
        check(json!({}), json!({"plan": null}), json!([]));
        check(
            json!({}),
            json!({"age": 5, "plan": "x"}),
            json!([{"attribute": "age", "to": 5}, {"attribute": "plan", "to": "x"}]),
        );
    }

    #[test]
    fn a_user_is_created_once() {
        let heard = |created| Heard { created, ..Heard::default() };
        let user = |version| StoredUser {
            no: UserNo(1),
            version,
            profile: Profile::new("mary", Timestamp::UNIX_EPOCH),
        };
        let told = |created, version| {
            super::created(&heard(created), &user(version), Timestamp::UNIX_EPOCH).is_some()
        };
        assert_eq!([told(true, 1), told(true, 2), told(false, 1)], [true, false, false]);
    }
}
