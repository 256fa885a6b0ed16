//! Pure. A template: checked once when its campaign is saved, rendered once per send.
//!
//! Never lets a missing value through as a hole, never runs longer than its fuel, and never panics, whatever its text.
//! `template_source` says what the engine runs, `template_names` what its names stand for, `template_filters` what it
//! can call.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use minijinja::value::{Object, Value};
use minijinja::{Environment, Error, ErrorKind};
use serde_json::Value as Json;

use crate::encode;
use crate::fault::Faults;
use crate::limits;
use crate::template_filters::{self, Place};
use crate::template_names::{Scope, Slot};
use crate::template_source::{Origin, Piece, Woven, line_column, weave};
use crate::template_value::{self, Halt};
use crate::webhook_draft::Missing;

/// Makes templates that share an engine.
pub(crate) struct Language {
    missing: Missing,
    place: Place,
    engine: Environment<'static>,
}

/// A checked template.
pub(crate) struct Template {
    woven: Woven,
    missing: Missing,
    place: Place,
    /// Holds the program; none where nothing has to run.
    engine: Option<Environment<'static>>,
}

/// Why a rendering stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Stop {
    /// What is missing, and where.
    Missing(String),
    /// The author's reason.
    Aborted(String),
    Failed(String),
}

const NAME: &str = "template";
/// What the engine's fuel lets a template print.
const BYTES_MAX: usize = limits::TEMPLATE_FUEL as usize * 64;

impl Language {
    pub(crate) fn new(missing: Missing, place: Place) -> Language {
        Language { missing, place, engine: template_filters::engine(missing, place) }
    }

    /// Checks `source`, which stands at `path`.
    pub(crate) fn template(&self, source: &str, path: &str, faults: &mut Faults) -> Option<Template> {
        self.part(source, 0..source.len(), path, faults)
    }

    /// Checks a part of `source`; faults are placed in the whole.
    pub(crate) fn part(
        &self,
        source: &str,
        part: Range<usize>,
        path: &str,
        faults: &mut Faults,
    ) -> Option<Template> {
        let woven = match weave(source, part, self.place) {
            Ok(woven) => woven,
            Err(texts) => {
                texts.into_iter().for_each(|text| faults.add(path, text));
                return None;
            }
        };
        let mut engine = None;
        if woven.constant.is_none() && !woven.bare_slot && woven.pieces.is_none() {
            let mut own = self.engine.clone();
            if let Err(error) = own.add_template_owned(NAME, woven.source.clone()) {
                let origin = error.range().and_then(|range| woven.origin(&range));
                let (line, column) = origin.map_or_else(|| line_column(source, 0), |o| (o.line, o.column));
                let text = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
                faults.add(path, format!("line {line}, column {column}: {text}"));
                return None;
            }
            engine = Some(own);
        }
        Some(Template { woven, missing: self.missing, place: self.place, engine })
    }
}

impl Template {
    /// What its names stand for, each once.
    pub(crate) fn slots(&self) -> &[Slot] {
        &self.woven.slots
    }

    /// What it prints, if it has no tags.
    pub(crate) fn constant(&self) -> Option<&str> {
        self.woven.constant.as_deref()
    }

    /// As text, printed for its place.
    pub(crate) fn text(&self, scope: Scope<'_>) -> Result<String, Stop> {
        if let Some(constant) = &self.woven.constant {
            return Ok(constant.clone());
        }
        if let Some(pieces) = &self.woven.pieces {
            return self.put_together(pieces, scope);
        }
        if !self.woven.single {
            return self.run(scope, |program, root| program.render(root));
        }
        if let (true, [slot]) = (self.woven.bare_slot, self.slots()) {
            let mut text = String::new();
            let is_there = self.print_slot(slot, scope, &mut text)?;
            return if is_there { Ok(text) } else { self.nothing().map(|()| text) };
        }
        let value = self.evaluate(scope)?;
        if template_value::is_missing(&value) {
            return self.nothing().map(|()| String::new());
        }
        let text = template_value::print(&value).map_err(|error| self.stop(&error, scope))?;
        let encoded = self.place == Place::Url && !value.is_safe();
        Ok(if encoded { encode::component(&text).into_owned() } else { text })
    }

    /// As a value with a type. Only a single one has another type than text. Null only where the author wrote `none`.
    pub(crate) fn value<'a>(&self, scope: Scope<'a>) -> Result<Cow<'a, Json>, Stop> {
        if !self.woven.single {
            return self.text(scope).map(|text| Cow::Owned(Json::String(text)));
        }
        if let (true, [slot]) = (self.woven.bare_slot, self.slots()) {
            return match slot.find(scope).map_err(Stop::Failed)? {
                Some(value) => Ok(value),
                None => self.nothing().map(|()| Cow::Owned(Json::String(String::new()))),
            };
        }
        let value = self.evaluate(scope)?;
        if value.is_none() && self.woven.writes_none {
            return Ok(Cow::Owned(Json::Null));
        }
        if template_value::is_missing(&value) {
            return self.nothing().map(|()| Cow::Owned(Json::String(String::new())));
        }
        template_value::json(&value).map(Cow::Owned).map_err(|error| self.stop(&error, scope))
    }

    /// What runs nothing: text, and slots printed for their place.
    fn put_together(&self, pieces: &[Piece], scope: Scope<'_>) -> Result<String, Stop> {
        let mut text = String::with_capacity(self.woven.source.len());
        for piece in pieces {
            let (slot, place) = match piece {
                Piece::Text(piece) => {
                    text.push_str(piece);
                    continue;
                }
                Piece::Slot(slot, place) => (self.slots().get(*slot), self.woven.places.get(*place)),
            };
            let is_there = match slot {
                Some(slot) => self.print_slot(slot, scope, &mut text)?,
                None => false,
            };
            if !is_there && self.missing == Missing::Suppress {
                return Err(Stop::Missing(place.map_or_else(|| "a value".to_owned(), |(_, o)| o.shown())));
            }
            if text.len() > BYTES_MAX {
                return Err(too_much());
            }
        }
        Ok(text)
    }

    /// Answers whether there was something to print.
    fn print_slot(&self, slot: &Slot, scope: Scope<'_>, text: &mut String) -> Result<bool, Stop> {
        let value = slot.find(scope).map_err(Stop::Failed)?;
        let Some(printed) = value.as_deref().and_then(template_value::print_json) else { return Ok(false) };
        // In a URL a secret stands as it is.
        if self.place == Place::Url && !matches!(slot, Slot::Secret(_)) {
            text.push_str(&encode::component(&printed));
        } else {
            text.push_str(&printed);
        }
        Ok(true)
    }

    fn evaluate(&self, scope: Scope<'_>) -> Result<Value, Stop> {
        self.run(scope, |program, root| {
            let captured = program.render_captured(root)?;
            Ok(captured.state().lookup("__value").unwrap_or(Value::UNDEFINED))
        })
    }

    fn run<T>(
        &self,
        scope: Scope<'_>,
        program: impl Fn(minijinja::Template<'_, '_>, Value) -> Result<T, Error>,
    ) -> Result<T, Stop> {
        let Some(engine) = &self.engine else {
            return Err(Stop::Failed("there is nothing to run".to_owned()));
        };
        let mut values = Vec::with_capacity(self.slots().len());
        for slot in self.slots() {
            let value = slot.find(scope).map_err(Stop::Failed)?;
            values.push(match value {
                // In a URL a secret stands as it is.
                Some(value) if self.place == Place::Url && matches!(slot, Slot::Secret(_)) => {
                    Value::from_safe_string(value.as_str().unwrap_or_default().to_owned())
                }
                Some(value) => template_value::engine(&value),
                None => Value::UNDEFINED,
            });
        }
        let root = Value::from_object(Found(values));
        engine
            .get_template(NAME)
            .and_then(|template| program(template, root))
            .map_err(|error| self.stop(&error, scope))
    }

    /// A missing value printed by a single one.
    fn nothing(&self) -> Result<(), Stop> {
        match self.missing {
            Missing::Empty => Ok(()),
            Missing::Suppress => {
                // The whole expression is recorded last.
                Err(Stop::Missing(
                    self.woven.places.last().map_or_else(|| "a value".to_owned(), |(_, o)| o.shown()),
                ))
            }
        }
    }

    /// What an engine error means. Its words may quote values, so where a secret may be among them they are not passed on.
    fn stop(&self, error: &Error, scope: Scope<'_>) -> Stop {
        let origin = error.range().and_then(|range| self.woven.origin(&range));
        let place = origin.map_or_else(|| "the template".to_owned(), Origin::shown);
        let secret = !scope.masked && self.slots().iter().any(|slot| matches!(slot, Slot::Secret(_)));
        match halt(error) {
            Some(Halt::Missing) => Stop::Missing(place),
            Some(Halt::Aborted(_)) if secret => Stop::Aborted("for a reason that holds a secret".to_owned()),
            Some(Halt::Aborted(reason)) => Stop::Aborted(reason.clone()),
            None if error.kind() == ErrorKind::OutOfFuel => too_much(),
            None if secret => Stop::Failed(format!("{}, in {place}", error.kind())),
            None => {
                let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
                Stop::Failed(format!("{detail}, in {place}"))
            }
        }
    }
}

impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Template").field("slots", &self.woven.slots).finish_non_exhaustive()
    }
}

impl Woven {
    /// The smallest recorded place around `range`.
    fn origin(&self, range: &Range<usize>) -> Option<&Origin> {
        self.places
            .iter()
            .filter(|(own, _)| own.start <= range.start && range.end <= own.end)
            .min_by_key(|(own, _)| own.len())
            .map(|(_, origin)| origin)
    }
}

impl Origin {
    fn shown(&self) -> String {
        match self.line {
            1 => format!("`{}`", self.text),
            line => format!("`{}` (line {line}, column {})", self.text, self.column),
        }
    }
}

fn too_much() -> Stop {
    let fuel = limits::TEMPLATE_FUEL;
    Stop::Failed(format!("the template does too much, at most {fuel} steps or {BYTES_MAX} bytes"))
}

/// What our own functions stopped for, however deep the engine has wrapped it.
fn halt(error: &Error) -> Option<&Halt> {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(halt) = error.downcast_ref::<Halt>() {
            return Some(halt);
        }
        source = error.source();
    }
    None
}

/// The root of a rendering: `__0`, `__1`, ...
#[derive(Debug)]
struct Found(Vec<Value>);

impl Object for Found {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, key: &str) -> Option<Value> {
        let number: usize = key.strip_prefix("__")?.parse().ok()?;
        self.0.get(number).cloned()
    }
}
