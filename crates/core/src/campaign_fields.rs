//! Pure. The plain fields of a campaign: ids, titles, tags, bounds; and the list of what this version does not do yet.
//!
//! What is not done yet is refused by name at save, never taken and ignored. A feature that arrives deletes its line here.

use crate::draft::{Draft, Kind, TriggerOn, Triggered};
use crate::expression::{Expression, Scope};
use crate::fault::Faults;
use crate::limits;

pub(crate) fn check(draft: &Draft, faults: &mut Faults) {
    if let Err(text) = check_slug(&draft.id) {
        faults.add("id", text);
    }
    if draft.title.len() > limits::TITLE_BYTES_MAX || draft.title.chars().any(char::is_control) {
        faults.add(
            "title",
            format!("expected at most {} bytes without control characters", limits::TITLE_BYTES_MAX),
        );
    }
    if draft.tags.len() > limits::TAGS_MAX {
        faults
            .add("tags", format!("has {} tags, at most {} are allowed", draft.tags.len(), limits::TAGS_MAX));
    }
    for (i, tag) in draft.tags.iter().enumerate().take(limits::TAGS_MAX) {
        check_name(tag, &format!("tags[{i}]"), faults);
        if draft.tags[..i].contains(tag) {
            faults.add(format!("tags[{i}]"), format!("{tag:?} is there twice"));
        }
    }
    check_actions(draft, faults);
    if draft.requires_values.len() > limits::DATA_ROWS_MAX {
        faults.add("requires_values", format!("expected at most {} names", limits::DATA_ROWS_MAX));
    }
    for (i, name) in draft.requires_values.iter().enumerate().take(limits::DATA_ROWS_MAX) {
        check_name(name, &format!("requires_values[{i}]"), faults);
    }
    if let Some(expiry) = draft.limits.expiry
        && (expiry.is_zero() || expiry > limits::EXPIRY_MAX)
    {
        faults.add("limits.expiry", "expected more than 0s and at most 366 days");
    }
    let holdback = draft.audience.holdback_percent;
    let tenths = holdback * 10.0;
    if !(0.0..=100.0).contains(&holdback) || (tenths - tenths.round()).abs() > 1e-6 {
        faults.add("audience.holdback_percent", "expected 0 to 100 in steps of 0.1");
    }
    check_segments(&draft.audience.include_segments, "audience.include_segments", faults);
    check_segments(&draft.audience.exclude_segments, "audience.exclude_segments", faults);
    if draft.limits.weight > 255 {
        faults.add("limits.weight", "expected 1 to 255");
    }
    if serde_json::to_vec(draft).map_or(0, |json| json.len()) > limits::CAMPAIGN_BYTES_MAX {
        faults.add("campaign", format!("is larger than {} KiB", limits::CAMPAIGN_BYTES_MAX / 1024));
    }
}

fn check_actions(draft: &Draft, faults: &mut Faults) {
    let actions = &draft.actions;
    if actions.len() > limits::ACTIONS_MAX {
        faults.add(
            "actions",
            format!("has {} actions, at most {} are allowed", actions.len(), limits::ACTIONS_MAX),
        );
    }
    for (i, action) in actions.iter().enumerate().take(limits::ACTIONS_MAX) {
        if let Err(text) = check_slug(&action.name) {
            faults.add(format!("actions[{i}].name"), text);
        } else if actions[..i].iter().any(|earlier| earlier.name == action.name) {
            faults.add(format!("actions[{i}].name"), format!("{} is there twice", action.name));
        }
    }
    if actions.len() < 2 && !draft.exit_on.is_empty() {
        let text = "only with several actions; what is not sent yet is ended by delivery.triggered.cancel_on";
        faults.add("exit_on", text);
    }
    let is_by_event = matches!(draft.delivery.kind, Some(Kind::Triggered(_)));
    let rules = draft.exit_on.iter().chain(actions.iter().filter_map(|action| action.wait_for.as_ref()));
    if !is_by_event && rules.into_iter().any(|rule| !rule.same.is_empty()) {
        faults.add("actions", "same compares with the trigger's properties: only in a triggered campaign");
    }
}

/// The id an author chooses: `a-z0-9-`, 1 to 63 bytes.
pub fn check_slug(slug: &str) -> Result<(), String> {
    let fine = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    if slug.is_empty() {
        Err("is missing: choose a name of a-z, 0-9 and -".to_owned())
    } else if slug.len() > limits::SLUG_BYTES_MAX || !slug.bytes().all(fine) {
        Err(format!("expected 1 to {} characters of a-z, 0-9 and -", limits::SLUG_BYTES_MAX))
    } else {
        Ok(())
    }
}

/// Segments that an audience includes or excludes.
pub fn check_segments(names: &[String], field: &str, faults: &mut Faults) {
    if names.len() > limits::AUDIENCE_SEGMENTS_MAX {
        let most = limits::AUDIENCE_SEGMENTS_MAX;
        faults.add(field, format!("has {} segments, at most {most} are allowed", names.len()));
    }
    for (i, name) in names.iter().enumerate().take(limits::AUDIENCE_SEGMENTS_MAX) {
        if let Err(text) = check_slug(name) {
            faults.add(format!("{field}[{i}]"), text);
        }
    }
}

/// An event or attribute name.
pub(crate) fn check_name(name: &str, field: &str, faults: &mut Faults) {
    if name.is_empty() || name.len() > limits::NAME_BYTES_MAX {
        faults.add(field, format!("expected 1 to {} bytes", limits::NAME_BYTES_MAX));
    } else if name.chars().any(char::is_control) {
        faults.add(field, "must not contain control characters");
    }
}

/// Reads an expression and reports its faults under `field`.
pub(crate) fn expression(text: &str, scope: Scope, field: &str, faults: &mut Faults) -> Option<Expression> {
    match Expression::parse(text, scope) {
        Ok(expression) => Some(expression),
        Err(wrong) => {
            for fault in wrong {
                faults.add(field, format!("column {}: {}", fault.column, fault.text));
            }
            None
        }
    }
}

pub(crate) fn refuse_later(draft: &Draft, faults: &mut Faults) {
    let mut later = |is_used: bool, field: &str, what: &str| {
        if is_used {
            faults.add(field, format!("{what} not available in this version"));
        }
    };
    match &draft.delivery.kind {
        Some(Kind::Triggered(triggered)) => refuse_later_triggered(triggered, &mut later),
        Some(Kind::OneTime(_) | Kind::Recurring(_) | Kind::Manual) | None => {}
    }
}

fn refuse_later_triggered(triggered: &Triggered, later: &mut impl FnMut(bool, &str, &str)) {
    let at = |name: &str| format!("delivery.triggered.{name}");
    for (i, trigger) in triggered.when.iter().enumerate() {
        let field = at(&format!("when[{i}]"));
        later(matches!(trigger.on, TriggerOn::CampaignConverted(_)), &field, "triggers by a conversion are");
    }
}
