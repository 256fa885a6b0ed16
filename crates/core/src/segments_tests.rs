//! Segments and lists in conditions: what holds, why it holds, and what is refused when it is saved.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use crate::expression::{Expression, Scope};
use crate::expression_examples::{mary, parsed};
use crate::facts::Facts;
use crate::fault::Faults;
use crate::limits;
use crate::segment::{Named, Segment, SegmentRecord};
use crate::segments::Segments;
use crate::user_list::{UserIds, UserList};

fn segment(name: &str, condition: &str) -> Segment {
    let record = SegmentRecord {
        name: name.to_owned(),
        title: String::new(),
        condition: condition.to_owned(),
        revision: 1,
        created_at: Timestamp::UNIX_EPOCH,
        updated_at: Timestamp::UNIX_EPOCH,
    };
    let mut faults = Faults::default();
    Segment::read(record, &mut faults).unwrap_or_else(|| panic!("{faults}"))
}

fn all() -> Segments {
    let segments = vec![
        segment("pros", "user.plan == \"pro\""),
        segment("buyers", "count(\"purchase\") >= 2"),
        segment("good", "in_segment(\"pros\") and in_segment(\"buyers\")"),
        segment("grown", "in_segment(\"good\") and user.age > 50"),
        segment("recent", "last(\"purchase\") > ago(\"1d\")"),
        segment("lately-good", "in_segment(\"good\") and in_segment(\"recent\")"),
        segment("invited", "in_list(\"beta\") or in_segment(\"gone\")"),
    ];
    let ids = UserIds::new(vec!["mary".to_owned(), "john".to_owned()]).unwrap();
    let record = ids.record("beta", 1, Timestamp::UNIX_EPOCH);
    Segments::new(segments, vec![Arc::new(UserList { record, ids })])
}

fn with<T>(ask: impl FnOnce(&Facts<'_>) -> T) -> T {
    let (mary, all) = (mary(), all());
    ask(&Facts { segments: &all, ..mary.facts() })
}

#[track_caller]
fn check(text: &str, holds: bool, saw: &str) {
    with(|facts| {
        let expression = parsed(text);
        assert_eq!(expression.matches(facts), holds, "{text}");
        let why = expression.explain(facts);
        assert_eq!((why.result, why.saw().as_str()), (holds, saw), "{text}");
    });
}

#[test]
fn a_segment_is_its_condition_and_is_explained_by_it() {
    check("in_segment(\"pros\")", true, "in_segment(\"pros\") was true: user.plan is \"pro\"");
    check(
        "in_segment(\"pros\") == true",
        true,
        "in_segment(\"pros\") == true was true: in_segment(\"pros\") is true",
    );
    let why = "user.age > 50 was false: user.age is 41";
    check("in_segment(\"grown\")", false, &format!("in_segment(\"grown\") was false: {why}"));
    check("user.vip and in_segment(\"grown\")", false, &format!("in_segment(\"grown\") was false: {why}"));
    check("not in_segment(\"pros\")", false, "not in_segment(\"pros\") was false: user.plan is \"pro\"");
    check(
        "not in_segment(\"grown\")",
        true,
        "not in_segment(\"grown\") was true: user.plan is \"pro\", count(\"purchase\") is 2, user.age is 41",
    );
}

#[test]
fn a_list_holds_whom_it_names() {
    check("in_list(\"beta\")", true, "in_list(\"beta\") was true: in_list(\"beta\") is true");
    check("in_segment(\"invited\") and user.age == 1", false, "user.age == 1 was false: user.age is 41");
    check("not in_list(\"beta\")", false, "not in_list(\"beta\") was false: in_list(\"beta\") is true");
}

#[test]
fn what_does_not_exist_holds_nobody_and_says_so() {
    check("in_segment(\"gone\")", false, "in_segment(\"gone\") was false: in_segment(\"gone\") is missing");
    check("in_list(\"gone\")", false, "in_list(\"gone\") was false: in_list(\"gone\") is missing");
    let named = Named { segments: vec!["pros".to_owned(), "gone".to_owned()], lists: Vec::new() };
    assert_eq!(all().missing(&named).as_deref(), Some("segment gone does not exist"));
    let named = Named { segments: Vec::new(), lists: vec!["beta".to_owned()] };
    assert_eq!(all().missing(&named), None);
}

#[test]
fn segments_are_asked_about_a_user_by_name() {
    let asked = |name: &str| with(|facts| facts.segments.contains(name, facts));
    assert_eq!((asked("good"), asked("grown"), asked("gone")), (Some(true), Some(false), None));
    let all = all();
    assert!(all.looks_at_time("lately-good") && !all.looks_at_time("good"));
    assert_eq!(all.naming_segment("good").collect::<Vec<_>>(), ["grown", "lately-good"]);
    assert_eq!(all.naming_list("beta").collect::<Vec<_>>(), ["invited"]);
    let through = all.through(&Named { segments: vec!["grown".to_owned()], lists: Vec::new() });
    assert_eq!(through.segments, ["grown", "good", "buyers", "pros"]);
}

#[track_caller]
fn check_saved(segments: &Segments, name: &str, condition: &str, expected: &[&str]) {
    let mut faults = Faults::default();
    segments.with(segment(name, condition)).check_segment(name, &mut faults);
    let found: Vec<&str> = faults.0.iter().map(|fault| fault.text.as_str()).collect();
    assert_eq!(found, expected, "{name}: {condition}");
}

#[test]
fn a_segment_that_would_contain_itself_is_refused_with_the_way() {
    let all = all();
    check_saved(&all, "pros", "in_segment(\"pros\")", &["the segment would contain itself: pros -> pros"]);
    check_saved(
        &all,
        "pros",
        "user.vip and not in_segment(\"grown\")",
        &["the segment would contain itself: pros -> grown -> good -> pros"],
    );
    check_saved(&all, "pros", "in_segment(\"buyers\")", &[]);
}

#[test]
fn what_a_segment_names_must_be_there() {
    let text = "in_segment(\"byers\") or in_list(\"betta\") or in_list(\"x\")";
    let expected = [
        "there is no segment \"byers\": did you mean buyers?",
        "there is no list \"betta\": did you mean beta?",
        "there is no list \"x\"",
    ];
    check_saved(&all(), "new", text, &expected);
}

#[test]
fn segments_are_not_too_deep_and_not_too_many() {
    let name = |n: usize| format!("s{n}");
    let mut chain = Segments::new(vec![segment("s1", "user.vip")], Vec::new());
    for n in 2..=limits::SEGMENT_DEPTH_MAX {
        chain = chain.with(segment(&name(n), &format!("in_segment(\"s{}\")", n - 1)));
    }
    let mary = mary();
    let facts = Facts { segments: &chain, ..mary.facts() };
    let deepest = format!("in_segment(\"s{}\")", limits::SEGMENT_DEPTH_MAX);
    assert!(parsed(&deepest).matches(&facts), "the deepest that may be saved is matched");
    check_saved(&chain, "deeper", &deepest, &["segments are at most 16 deep, this one would be deeper"]);
    // Each asks the one below twice: two to the power of the depth.
    let mut wide = Segments::new(vec![segment("s1", "user.vip")], Vec::new());
    for n in 2..=8 {
        let below = n - 1;
        let text = format!("in_segment(\"s{below}\") and (user.x == 1 or in_segment(\"t{below}\"))");
        wide = wide.with(segment(&format!("t{below}"), &format!("in_segment(\"s{below}\")")));
        wide = wide.with(segment(&name(n), &text));
    }
    check_saved(&wide, "one", "in_segment(\"s5\")", &[]);
    let expected = ["asks more than 256 segments, those inside them counted"];
    check_saved(&wide, "many", "in_segment(\"s8\") and in_segment(\"t7\")", &expected);
}

#[test]
fn a_circle_that_slipped_in_ends_and_holds_nobody() {
    let circle =
        Segments::new(vec![segment("a", "in_segment(\"b\")"), segment("b", "in_segment(\"a\")")], Vec::new());
    let mary = mary();
    let facts = Facts { segments: &circle, ..mary.facts() };
    let expression = parsed("in_segment(\"a\")");
    assert!(!expression.matches(&facts) && !expression.explain(&facts).result);
    assert!(circle.looks_at_time("a") || circle.through(&expression.named()).segments.len() == 2);
}

#[test]
fn an_audience_is_narrowed_by_its_segments() {
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    let audience = |text: &str, include: &[&str], exclude: &[&str]| {
        Expression::audience(text, &names(include), &names(exclude)).unwrap()
    };
    let text = audience("user.a or user.b", &["x", "y"], &["z"]).text().to_owned();
    assert_eq!(
        text,
        "(user.a or user.b) and in_segment(\"x\") and in_segment(\"y\") and not in_segment(\"z\")"
    );
    assert_eq!(audience("everyone", &["x"], &[]).text(), "in_segment(\"x\")");
    assert!(audience("everyone", &[], &[]).is_everyone());
    let takes = |include: &[&str], exclude: &[&str]| {
        with(|facts| audience("user.vip or user.nope", include, exclude).matches(facts))
    };
    assert!(takes(&["good"], &[]) && takes(&[], &["grown"]));
    assert!(!takes(&["grown"], &[]) && !takes(&["good"], &["pros"]));
}

#[test]
fn names_of_segments_are_checked_where_they_are_written() {
    let refused = |text: &str| Expression::parse(text, Scope::Audience).unwrap_err()[0].text.clone();
    assert!(refused("in_segment(\"Not A Name\")").starts_with("the name of a segment expected"));
    assert!(refused("in_list()").contains("in_list takes one text in quotes"));
    assert!(refused("in_segment == 1").contains("in_segment is a function"));
    assert_eq!(parsed("not in_segment(\"a\")").tree(), json!({"not": {"true": {"in_segment": "a"}}}));
}

proptest! {
    /// A condition means the same, kept by name or written out.
    #[test]
    fn a_name_stands_for_its_condition(age in 0i64..80, plan in "pro|free", vip in any::<bool>(), negated in any::<bool>()) {
        let mut example = mary();
        example.profile.attributes.insert("age".to_owned(), json!(age));
        example.profile.attributes.insert("plan".to_owned(), json!(plan));
        example.profile.attributes.insert("vip".to_owned(), json!(vip));
        let all = all();
        let facts = Facts { segments: &all, ..example.facts() };
        let not = if negated { "not " } else { "" };
        let named = parsed(&format!("{not}in_segment(\"grown\") or user.vip"));
        let written = parsed(&format!(
            "{not}(user.plan == \"pro\" and count(\"purchase\") >= 2 and user.age > 50) or user.vip"
        ));
        prop_assert_eq!(named.matches(&facts), written.matches(&facts));
        prop_assert_eq!(named.explain(&facts).result, named.matches(&facts));
    }
}

#[test]
fn a_segment_does_not_ask_what_a_user_had_of_campaigns() {
    let record = SegmentRecord {
        condition: "not received(\"welcome\") and user.vip".to_owned(),
        ..segment("s", "user.vip").record
    };
    let mut faults = Faults::default();
    assert!(Segment::read(record, &mut faults).is_none());
    assert!(
        faults.to_string().contains("received and failed are for the conditions of campaigns"),
        "{faults}"
    );
}
