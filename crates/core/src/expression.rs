//! Pure. Conditions people write, in Jinja's syntax: read and checked once, then matched, explained and listed.
//!
//! `expression_lexer` -> `expression_parser` -> `expression_check` (with `expression_operand` and `expression_predicate`)
//! makes the typed tree of `expression_tree`; `expression_match`, `expression_explain` and `expression_survey` read it.
//! What a value is compared by stands in `expression_value`. Nothing here reads the clock: time is `facts.as_of`.
//!
//! The rules in short: a comparison with a missing (or null) value is false, also `!=`, `not in` and `is not` a test; only
//! `set` and `empty` see a missing value. Types do not coerce, integers and fractions compare as exact numbers. A bare
//! value is true only if it is the boolean true. Times compare where one side is known to be a time, or in a time test.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::Value;

use crate::expression_check;
use crate::expression_explain::{self, Explanation};
use crate::expression_given::Given;
use crate::expression_lexer::{Span, Token, lex};
use crate::expression_match::holds;
use crate::expression_parser;
use crate::expression_survey::{self, Names};
use crate::expression_tree::{Condition, Node};
use crate::facts::Facts;
use crate::limits;
use crate::segment::Named;

/// Where an expression stands, and so which names it may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// About a user alone: audiences, segments.
    Audience,
    /// About a user and what opened its entry: also `properties.x`, `event.x`, `values.x`.
    Trigger,
    /// About a user inside a multi-message campaign: also `previous.outcome` and `previous.status`.
    Step,
    /// About an answer: only `status` and `response.x`.
    Response,
}

/// A checked expression. Two are equal if they were read from the same text in the same scope.
#[derive(Clone, Debug)]
pub struct Expression {
    text: String,
    scope: Scope,
    root: Node,
}

impl PartialEq for Expression {
    fn eq(&self, other: &Expression) -> bool {
        self.text == other.text && self.scope == other.scope
    }
}

impl Expression {
    /// Reads and checks `text`. All wrong names, tests and types are told at once; of wrong syntax, the first.
    pub fn parse(text: &str, scope: Scope) -> Result<Expression, Vec<ExpressionFault>> {
        Expression::parse_within(text, scope, limits::EXPRESSION_BYTES_MAX)
    }

    /// An audience: everybody for whom `condition` holds, who is in all of the segments `include` and in none of `exclude`. Names
    /// and number of segments were checked before.
    pub(crate) fn audience(
        condition: &str,
        include: &[String],
        exclude: &[String],
    ) -> Result<Expression, Vec<ExpressionFault>> {
        let own = Expression::parse(condition, Scope::Audience)?;
        if include.is_empty() && exclude.is_empty() {
            return Ok(own);
        }
        let mut parts = Vec::new();
        if !own.is_everyone() {
            parts.push(format!("({})", condition.trim()));
        }
        parts.extend(include.iter().map(|name| format!("in_segment(\"{name}\")")));
        parts.extend(exclude.iter().map(|name| format!("not in_segment(\"{name}\")")));
        Expression::parse_within(&parts.join(" and "), Scope::Audience, usize::MAX)
    }

    fn parse_within(text: &str, scope: Scope, bytes_max: usize) -> Result<Expression, Vec<ExpressionFault>> {
        let mut faults = FaultList::new(text);
        if text.len() > bytes_max {
            let most = bytes_max;
            faults.add(0, format!("an expression has at most {most} bytes, this one has {}", text.len()));
            return Err(faults.into_faults());
        }
        if text.trim().is_empty() {
            faults.add(0, "a condition is missing: write everyone if everybody is meant");
            return Err(faults.into_faults());
        }
        let tokens = lex(text, &mut faults);
        bound_patterns(&tokens, &mut faults);
        if !faults.is_empty() {
            return Err(faults.into_faults());
        }
        let syntax = expression_parser::parse(&tokens, &mut faults);
        let root = syntax.and_then(|syntax| expression_check::check(&syntax, scope, &mut faults));
        match root {
            Some(root) if faults.is_empty() => Ok(Expression { text: text.to_owned(), scope, root }),
            _ => Err(faults.into_faults()),
        }
    }

    /// Whether it holds for a user at `facts.as_of`. In `Scope::Response` every value is missing here.
    pub fn matches(&self, facts: &Facts<'_>) -> bool {
        holds(&self.root, &Given::facts(facts))
    }

    /// Whether it holds for an answer (`Scope::Response`); a body that is not JSON is given as null.
    pub fn matches_response(&self, status: u16, body: &Value) -> bool {
        holds(&self.root, &Given::response(status, body))
    }

    /// Why it holds or does not, condition by condition; its result always equals `matches`.
    pub fn explain(&self, facts: &Facts<'_>) -> Explanation {
        expression_explain::explain(&self.root, &self.text, &Given::facts(facts))
    }

    /// As `explain`, for an answer.
    pub fn explain_response(&self, status: u16, body: &Value) -> Explanation {
        expression_explain::explain(&self.root, &self.text, &Given::response(status, body))
    }

    /// The text it was read from.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub fn scope(&self) -> Scope {
        self.scope
    }

    /// Whether it is the word `everyone` and nothing else.
    pub fn is_everyone(&self) -> bool {
        matches!(self.root.condition, Condition::Everyone)
    }

    /// The checked tree as JSON, each condition under its operator: `{"and": [{"==": [..]}, ..]}`.
    pub fn tree(&self) -> Value {
        self.root.to_json()
    }

    /// What is allowed but probably not meant, with its place.
    pub fn warnings(&self) -> Vec<ExpressionFault> {
        let mut warnings = FaultList::new(&self.text);
        expression_survey::warn(&self.root, &self.text, &mut warnings);
        warnings.into_faults()
    }

    /// The segments and lists it names.
    pub fn named(&self) -> Named {
        let names = self.names();
        Named { segments: names.segments.into_iter().collect(), lists: names.lists.into_iter().collect() }
    }

    pub(crate) fn root(&self) -> &Node {
        &self.root
    }

    /// The attributes, properties, values and events it looks at.
    pub fn names(&self) -> Names {
        expression_survey::names(&self.root)
    }

    /// Whether only the action before decides it, so that it stands the moment that one has ended.
    pub fn asks_previous_only(&self) -> bool {
        expression_survey::asks_previous_only(&self.root)
    }

    /// The only user ids it can hold for, if it names them (`user_id in [..] and ..`): walk these instead of everybody.
    pub fn id_list(&self) -> Option<BTreeSet<&str>> {
        expression_survey::id_list(&self.root)
    }
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Compiled patterns are the one part of an expression that is larger than its text.
fn bound_patterns(tokens: &[(Token, Span)], faults: &mut FaultList<'_>) {
    let is_pattern = |pair: &&[(Token, Span)]| match pair {
        [(Token::Word(is), _), (Token::Word(test), _)] => {
            matches!(is.as_str(), "is" | "not") && test == "matching"
        }
        _ => false,
    };
    if let Some([_, (_, span)]) = tokens.windows(2).filter(is_pattern).nth(limits::PATTERNS_MAX) {
        faults.add(span.start, format!("an expression has at most {} patterns", limits::PATTERNS_MAX));
    }
}

/// One thing wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExpressionFault {
    /// Counted in characters from 1.
    pub column: usize,
    /// What is wrong and what would be right; lower case, no full stop.
    pub text: String,
}

impl fmt::Display for ExpressionFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "column {}: {}", self.column, self.text)
    }
}

/// Faults of one expression; a hostile one could have thousands.
const FAULTS_MAX: usize = 20;
/// Characters of one fault's text, which may quote the author's.
const FAULT_CHARS_MAX: usize = 300;

/// Collects faults by byte and gives them by column.
pub(crate) struct FaultList<'t> {
    text: &'t str,
    found: Vec<ExpressionFault>,
}

impl<'t> FaultList<'t> {
    pub(crate) fn new(text: &'t str) -> FaultList<'t> {
        FaultList { text, found: Vec::new() }
    }

    pub(crate) fn add(&mut self, at: usize, text: impl Into<String>) {
        if self.found.len() < FAULTS_MAX {
            let before = self.text.get(..at).unwrap_or(self.text);
            let text = shorten(&text.into(), FAULT_CHARS_MAX);
            self.found.push(ExpressionFault { column: before.chars().count() + 1, text });
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    /// In the order of the text.
    pub(crate) fn into_faults(mut self) -> Vec<ExpressionFault> {
        self.found.sort_by_key(|fault| fault.column);
        self.found
    }
}

/// At most `chars_max` characters of `text`, the cut marked.
pub(crate) fn shorten(text: &str, chars_max: usize) -> String {
    match text.char_indices().nth(chars_max) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
