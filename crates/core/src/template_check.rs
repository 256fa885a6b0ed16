//! Compiles and renders one template, for the tests of templates.

use crate::fault::Faults;
use crate::template::{Language, Stop, Template};
use crate::template_filters::Place;
use crate::template_names::Scope;
use crate::template_sample::Sample;
use crate::webhook_draft::Missing;

pub(crate) fn compiled(source: &str, missing: Missing, place: Place) -> Result<Template, String> {
    let mut faults = Faults::default();
    let template = Language::new(missing, place).template(source, "f", &mut faults);
    assert_eq!(template.is_none(), !faults.is_empty(), "{source}: {faults}");
    template.ok_or_else(|| faults.to_string())
}

pub(crate) fn rendered(source: &str, missing: Missing) -> Result<String, Stop> {
    let sample = Sample::new();
    let template = compiled(source, missing, Place::Text).unwrap_or_else(|fault| panic!("{source}: {fault}"));
    template.text(Scope { context: &sample.context(), masked: false })
}

#[track_caller]
pub(crate) fn check(source: &str, expected: &str) {
    assert_eq!(rendered(source, Missing::Suppress), Ok(expected.to_owned()), "{source}");
}

#[track_caller]
pub(crate) fn check_missing(source: &str, expression: &str) {
    match rendered(source, Missing::Suppress) {
        Err(Stop::Missing(text)) => assert!(text.contains(&format!("`{expression}`")), "{source}: {text}"),
        other => panic!("{source}: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn check_failed(source: &str, part: &str) {
    match rendered(source, Missing::Suppress) {
        Err(Stop::Failed(text)) => assert!(text.contains(part), "{source}: {text}"),
        other => panic!("{source:.100}: {other:?}"),
    }
}

#[track_caller]
pub(crate) fn check_value(source: &str, expected: &str) {
    let sample = Sample::new();
    let template = compiled(source, Missing::Suppress, Place::Text).unwrap();
    let context = sample.context();
    let value = template.value(Scope { context: &context, masked: false }).map(|value| value.to_string());
    assert_eq!(value, Ok(expected.to_owned()), "{source}");
}

#[track_caller]
pub(crate) fn check_fault(source: &str, parts: &[&str]) {
    let fault = compiled(source, Missing::Suppress, Place::Text).err().unwrap_or_default();
    for part in parts {
        assert!(fault.contains(part), "{source:.100}: {fault:?} lacks {part:?}");
    }
}
