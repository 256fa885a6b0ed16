//! Pure. The actions of a campaign, compiled: what each sends, in one version or in several by stable weights.
//!
//! A user's variant hangs on its id, the campaign's id and the weights alone: it stays while these stand, whatever else changes, and
//! is the same in every action that is split alike.

use crate::bucket::share;
use crate::campaign::Rules;
use crate::campaign_fields::check_slug;
use crate::draft::{self, Draft};
use crate::fault::Faults;
use crate::limits;
use crate::step::Step;
use crate::webhook::CompiledWebhook;

#[derive(Debug)]
pub struct Action {
    pub name: String,
    /// What its sends are told apart by, whatever its place.
    pub number: u8,
    pub step: Step,
    /// One without a name, or one for each variant.
    pub versions: Vec<Version>,
    salt: String,
}

/// What is sent to the users of one variant, or to all.
#[derive(Debug)]
pub struct Version {
    /// Of the variant; empty where there are none.
    pub name: String,
    /// Its share ends before this; of the last one, the sum of all weights.
    until: u64,
    pub webhook: CompiledWebhook,
}

impl Action {
    /// The place of the user's version among `versions`.
    pub fn place_of(&self, user_id: &str) -> usize {
        if self.versions.len() < 2 {
            return 0;
        }
        let total = self.versions.last().map_or(0, |version| version.until);
        let share = share(&self.salt, user_id, total);
        self.versions.partition_point(|version| version.until <= share)
    }

    /// What the user is sent.
    pub fn version_of(&self, user_id: &str) -> Option<&Version> {
        self.versions.get(self.place_of(user_id))
    }

    pub fn webhooks(&self) -> impl Iterator<Item = &CompiledWebhook> {
        self.versions.iter().map(|version| &version.webhook)
    }

    /// Whether it asks for the event that opened the entry, so that the entry must keep it.
    pub fn needs_event(&self) -> bool {
        self.asks_entry() || self.webhooks().any(CompiledWebhook::needs_event)
    }

    /// The same for the values of a manual entry.
    pub fn needs_values(&self) -> bool {
        self.asks_entry() || self.webhooks().any(CompiledWebhook::needs_values)
    }

    /// Its condition may.
    fn asks_entry(&self) -> bool {
        self.step.condition.is_some() && !self.step.is_decided_early()
    }

    /// Every secret any version mentions, perhaps more than once.
    pub fn secrets(&self) -> impl Iterator<Item = &String> {
        self.webhooks().flat_map(CompiledWebhook::secrets)
    }

    /// `https://host:443`, if every version leads to one place and no value says where.
    pub fn constant_destination(&self) -> Option<String> {
        let mut all = self.webhooks().map(CompiledWebhook::constant_destination);
        let first = all.next()??;
        all.all(|other| other.as_deref() == Some(&first)).then_some(first)
    }
}

/// All actions, or none and the faults.
pub(crate) fn compile(draft: &Draft, rules: &Rules<'_>, faults: &mut Faults) -> Option<Vec<Action>> {
    let salt = format!("variant:{}", draft.id);
    match (&draft.webhook, draft.actions.as_slice()) {
        (Some(_), [_, ..]) => {
            faults.add("actions", "give either webhook or actions, not both");
            None
        }
        (Some(webhook), []) => {
            let webhook = CompiledWebhook::compile(webhook, "webhook", rules.secrets, rules.policy, faults)?;
            let versions = vec![Version { name: String::new(), until: 1, webhook }];
            Some(vec![Action {
                name: "webhook".to_owned(),
                number: 0,
                step: Step::default(),
                versions,
                salt,
            }])
        }
        (None, []) => {
            faults.add("webhook", "is missing: say what to send, at least its url");
            None
        }
        (None, actions) => {
            let compiled: Vec<Option<Action>> = (0..)
                .zip(actions.iter().take(limits::ACTIONS_MAX))
                .map(|(i, action): (usize, _)| {
                    let path = format!("actions[{i}]");
                    let step = Step::read(action, &path, i == 0, faults);
                    let versions = versions(action, &path, rules, faults)?;
                    if i == 0 && versions.iter().any(|version| version.webhook.needs_previous()) {
                        faults.add(&path, "the first action has none before it: it cannot say previous");
                    }
                    let number = action.number.unwrap_or(u8::try_from(i).unwrap_or(u8::MAX));
                    Some(Action { name: action.name.clone(), number, step, versions, salt: salt.clone() })
                })
                .collect();
            compiled.into_iter().collect()
        }
    }
}

fn versions(
    action: &draft::Action,
    path: &str,
    rules: &Rules<'_>,
    faults: &mut Faults,
) -> Option<Vec<Version>> {
    let compile = |webhook: &Option<_>, path: String, faults: &mut Faults| match webhook {
        Some(webhook) => CompiledWebhook::compile(webhook, &path, rules.secrets, rules.policy, faults),
        None => {
            faults.add(path, "is missing: say what to send");
            None
        }
    };
    if action.variants.is_empty() {
        let webhook = compile(&action.webhook, format!("{path}.webhook"), faults)?;
        return Some(vec![Version { name: String::new(), until: 1, webhook }]);
    }
    check_variants(action, path, faults);
    let mut until = 0;
    let versions: Vec<Option<Version>> = (0..)
        .zip(action.variants.iter().take(limits::VARIANTS_MAX))
        .map(|(i, variant): (usize, _)| {
            until += u64::from(variant.weight.max(1));
            let webhook = compile(&variant.webhook, format!("{path}.variants[{i}].webhook"), faults)?;
            Some(Version { name: variant.name.clone(), until, webhook })
        })
        .collect();
    versions.into_iter().collect()
}

fn check_variants(action: &draft::Action, path: &str, faults: &mut Faults) {
    let variants = &action.variants;
    if action.webhook.is_some() {
        faults.add(format!("{path}.webhook"), "give either a webhook or variants, not both");
    }
    if !(limits::VARIANTS_MIN..=limits::VARIANTS_MAX).contains(&variants.len()) {
        let text = format!(
            "expected {} to {} variants, got {}",
            limits::VARIANTS_MIN,
            limits::VARIANTS_MAX,
            variants.len()
        );
        faults.add(format!("{path}.variants"), text);
    }
    for (i, variant) in variants.iter().enumerate().take(limits::VARIANTS_MAX) {
        let path = format!("{path}.variants[{i}]");
        if let Err(text) = check_slug(&variant.name) {
            faults.add(format!("{path}.name"), text);
        } else if variants.iter().take(i).any(|earlier| earlier.name == variant.name) {
            faults.add(format!("{path}.name"), format!("{} is there twice", variant.name));
        }
        if variant.weight > limits::VARIANT_WEIGHT_MAX {
            let text = format!("expected 1 to {}, or 0 for 1", limits::VARIANT_WEIGHT_MAX);
            faults.add(format!("{path}.weight"), text);
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::campaign::Campaign;
    use crate::draft::{Audience, Delivery, Kind, Variant};
    use crate::webhook_draft::Webhook;

    fn draft(id: &str, variants: &[(&str, u32)]) -> Draft {
        let variant = |(name, weight): &(&str, u32)| Variant {
            name: (*name).to_owned(),
            weight: *weight,
            webhook: Some(Webhook { url: "https://hooks.example/in".to_owned(), ..Webhook::default() }),
        };
        let variants = variants.iter().map(variant).collect();
        Draft {
            id: id.to_owned(),
            audience: Audience { condition: "everyone".to_owned(), ..Audience::default() },
            delivery: Delivery { kind: Some(Kind::Manual), ..Delivery::default() },
            actions: vec![draft::Action { name: "hello".to_owned(), variants, ..draft::Action::default() }],
            ..Draft::default()
        }
    }

    fn compiled(draft: Draft) -> Campaign {
        Campaign::compile_saved(draft, Timestamp::UNIX_EPOCH).unwrap_or_else(|faults| panic!("{faults}"))
    }

    fn places(campaign: &Campaign, users: usize) -> Vec<usize> {
        (0..users).map(|n| campaign.actions[0].place_of(&format!("user-{n}"))).collect()
    }

    #[test]
    fn users_are_split_by_weight() {
        let campaign = compiled(draft("a", &[("control", 7), ("bold", 2), ("odd", 0)]));
        let places = places(&campaign, 100_000);
        for (place, expected) in [(0, 70_000.0), (1, 20_000.0), (2, 10_000.0)] {
            let n = places.iter().filter(|p| **p == place).count() as f64;
            // Four standard deviations.
            assert!(
                (n - expected).abs() < 4.0 * (expected * (1.0 - expected / 100_000.0)).sqrt(),
                "{place}: {n}"
            );
        }
    }

    #[test]
    fn sixteen_equal_variants_pass_a_chi_square_test_over_a_hundred_thousand_ids() {
        let names: Vec<String> = (0..16).map(|n| format!("v{n}")).collect();
        let variants: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let mut taken = [0u32; 16];
        for place in places(&compiled(draft("a", &variants)), 100_000) {
            taken[place] += 1;
        }
        let chi: f64 = taken.iter().map(|&n| (f64::from(n) - 6_250.0).powi(2) / 6_250.0).sum();
        assert!(chi < 37.7, "the 99.9 % point of 15 degrees of freedom is 37.7, this is {chi}");
    }

    #[test]
    fn a_user_keeps_its_variant_while_weights_stand_and_other_campaigns_split_otherwise() {
        let before = compiled(draft("a", &[("x", 50), ("y", 50)]));
        let mut edited = draft("a", &[("new-name", 50), ("y", 50)]);
        edited.title = "another".to_owned();
        edited.actions[0].name = "bye".to_owned();
        edited.audience.condition = "user.plan == \"pro\"".to_owned();
        assert_eq!(places(&before, 1_000), places(&compiled(edited), 1_000));
        let other = places(&compiled(draft("b", &[("x", 50), ("y", 50)])), 10_000);
        let same = places(&before, 10_000).iter().zip(&other).filter(|(a, b)| a == b).count();
        assert!(
            (4_800..5_200).contains(&same),
            "{same} of 10,000 in the same place of an independent campaign"
        );
    }

    #[test]
    fn wrong_variants_are_told_all_at_once() {
        let mut wrong = draft("a", &[("x", 1), ("x", 1_000_001), ("No", 1)]);
        wrong.actions[0].variants[2].webhook = None;
        wrong.actions[0].webhook = Some(Webhook::default());
        let faults = Campaign::compile_saved(wrong, Timestamp::UNIX_EPOCH).unwrap_err();
        let fields: Vec<&str> = faults.0.iter().map(|fault| fault.field.as_str()).collect();
        let expected = [
            "actions[0].webhook",
            "actions[0].variants[1].name",
            "actions[0].variants[1].weight",
            "actions[0].variants[2].name",
            "actions[0].variants[2].webhook",
        ];
        assert_eq!(fields, expected);
        for n in [1, 17] {
            let names: Vec<String> = (0..n).map(|n| format!("v{n}")).collect();
            let variants: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
            let faults = Campaign::compile_saved(draft("a", &variants), Timestamp::UNIX_EPOCH).unwrap_err();
            assert!(faults.to_string().contains("2 to 16 variants"), "{faults}");
        }
    }
}
