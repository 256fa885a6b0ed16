//! One user and what happened to it, for the tests of templates and webhooks.

use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use crate::event::Event;
use crate::facts::Facts;
use crate::fault::Faults;
use crate::network::Policy;
use crate::secret::{Secret, Secrets};
use crate::segments::Segments;
use crate::user::Profile;
use crate::webhook::RenderContext;

pub(crate) struct Sample {
    pub(crate) profile: Profile,
    pub(crate) event: Option<Event>,
    pub(crate) values: Option<Map<String, Value>>,
    pub(crate) secrets: Secrets,
    pub(crate) policy: Policy,
    zone: TimeZone,
}

pub(crate) fn secret(name: &str, values: &[&str], hosts: &[&str]) -> Secret {
    let mut faults = Faults::default();
    let values = values.iter().map(|&v| v.to_owned()).collect();
    let hosts: Vec<String> = hosts.iter().map(|&h| h.to_owned()).collect();
    Secret::new(name, values, &hosts, "", &mut faults).unwrap_or_else(|| panic!("{faults}"))
}

pub(crate) fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        other => panic!("not a map: {other}"),
    }
}

impl Sample {
    pub(crate) fn new() -> Sample {
        let mut profile = Profile::new("u 1/ä", "2026-01-01T00:00:00Z".parse().unwrap());
        profile.time_zone = Some("Europe/Berlin".to_owned());
        profile.attributes = map(json!({
            "name": "Mary", "First name": "M\"\n", "age": 41, "vip": true, "off": false, "score": 1.5, "one": 1.0,
            "big": 9_007_199_254_740_993_i64, "null": null, "empty": "", "zero": 0, "none_list": [null],
            "tags": ["b", "a"], "address": {"city": "Köln", "zip": null}, "city": "Wien", "born": "2000-02-29",
            "html": "<b>&</b>", "yes": "yes", "path": "../x?y#z", "dots": "..", "host": "a.example.org",
        }));
        let event = Event {
            name: "purchase".to_owned(),
            value: Some(600.0),
            properties: map(json!({
                "total": 600, "price": 9.5, "kind": "purchase",
                "items": [{"sku": "x", "n": 2}, {"sku": "y\"", "n": 1}, {"n": 3}], "nested": {"a": {"b": [1, 2]}},
            })),
            occurred_at: "2026-07-01T10:00:00.5Z".parse().unwrap(),
            id: "e1".to_owned(),
            happening: None,
            collected: Vec::new(),
        };
        let earlier = Event { occurred_at: "2026-06-01T00:00:00Z".parse().unwrap(), ..event.clone() };
        profile.count(&event, event.occurred_at);
        profile.count(&earlier, event.occurred_at);
        Sample {
            profile,
            event: Some(event),
            values: None,
            secrets: [
                secret("KEY", &["s3cr3t/ü"], &["h.example", "*.h.example"]),
                secret("SIGN", &["whsec_bmV3", "whsec_b2xk"], &["h.example"]),
                secret("URL", &["https://bob:pw%21@hooks.example/T0/B1"], &["hooks.example"]),
                secret("HOST", &["h.example"], &["h.example"]),
            ]
            .into_iter()
            .collect(),
            policy: Policy::default(),
            zone: TimeZone::UTC,
        }
    }

    pub(crate) fn context(&self) -> RenderContext<'_> {
        RenderContext {
            facts: Facts {
                previous: None,
                profile: &self.profile,
                event: self.event.as_ref(),
                values: self.values.as_ref(),
                as_of: "2026-07-01T12:00:00Z".parse().unwrap(),
                now: "2026-07-01T12:00:01Z".parse().unwrap(),
                segments: Segments::none(),
                fallback_zone: &self.zone,
            },
            due_at: "2026-07-01T12:00:00Z".parse().unwrap(),
            send_id: "snd_1",
            campaign_id: "first",
            campaign_title: "The \"first\"",
            action_name: "hello",
            variant: "",
            secrets: &self.secrets,
            policy: &self.policy,
        }
    }
}
