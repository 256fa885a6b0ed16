//! Pure. A template's source, parsed, checked, and written again with its guards.
//!
//! The engine's own answers to a missing value are not ours: it prints nothing, or fails inside `if`. So what it runs
//! is written here from the syntax tree of what the author wrote: names become slots, comparisons become filters that
//! are false with a missing value, and everything that would print or change one gets a guard that stops the rendering.

use std::collections::HashSet;
use std::ops::Range;

use minijinja::machinery::ast::{Expr, Macro, Stmt};
use minijinja::machinery::parse;

use crate::template_filters::Place;
use crate::template_names::{CORE, Slot};
use crate::template_scan;

/// What the engine runs instead of what the author wrote.
#[derive(Debug)]
pub(crate) struct Woven {
    pub(crate) source: String,
    /// `__0`, `__1`, ... in the source.
    pub(crate) slots: Vec<Slot>,
    /// What may fail: its range in `source`, and how it stands in the author's text.
    pub(crate) places: Vec<(Range<usize>, Origin)>,
    /// Exactly one `{{ ... }}`: the source sets `__value` instead of printing it.
    pub(crate) single: bool,
    /// Of a single one: it is this slot and nothing else.
    pub(crate) bare_slot: bool,
    /// An author who writes `none` means null.
    pub(crate) writes_none: bool,
    /// No tag at all: what it prints.
    pub(crate) constant: Option<String>,
    /// Text and slots alone, as most templates are: nothing has to run.
    pub(crate) pieces: Option<Vec<Piece>>,
}

/// One after the other they are what a template prints.
#[derive(Debug)]
pub(crate) enum Piece {
    Text(String),
    /// The number of the slot, and of its place.
    Slot(usize, usize),
}

/// An expression of the author's: where it begins, and its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) text: Box<str>,
}

/// Weaves the part of `whole` at `part`. Faults come with `line L, column C: ` of the whole before them.
pub(crate) fn weave(whole: &str, part: Range<usize>, place: Place) -> Result<Woven, Vec<String>> {
    let source = whole.get(part.clone()).unwrap_or_default();
    let fault = |at: usize, text: &str| {
        let (line, column) = line_column(whole, part.start + at);
        format!("line {line}, column {column}: {text}")
    };
    template_scan::bound(source).map_err(|(at, text)| vec![fault(at, &text)])?;
    let tree = parse(source, "template", template_scan::syntax()).map_err(|error| {
        let at = error.range().map_or(0, |range| range.start);
        let text = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
        vec![fault(at.min(source.len()), &text)]
    })?;
    let Stmt::Template(tree) = &tree else { return Err(vec![fault(0, "not a template")]) };
    let mut writer = Writer {
        whole,
        begin: part.start,
        source,
        place,
        out: String::with_capacity(source.len() * 2),
        slots: Vec::new(),
        places: Vec::new(),
        locals: HashSet::new(),
        macros: HashSet::new(),
        faults: Vec::new(),
        writes_none: false,
    };
    declare(&tree.children, &mut writer);
    let constant = match tree.children.as_slice() {
        [] => Some(String::new()),
        [Stmt::EmitRaw(raw)] => Some(raw.raw.to_owned()),
        _ => None,
    };
    let mut pieces = None;
    let single = match tree.children.as_slice() {
        [Stmt::EmitExpr(emit)] => {
            writer.out.push_str("{% set __value = ");
            writer.printed(&emit.expr);
            writer.out.push_str(" %}");
            true
        }
        children => {
            let each: Vec<Option<Piece>> = children.iter().map(|child| writer.piece(child)).collect();
            pieces = each.into_iter().collect();
            false
        }
    };
    if !writer.faults.is_empty() {
        return Err(writer.faults.iter().map(|(at, text)| fault(*at, text)).collect());
    }
    let bare_slot = single && writer.slots.len() == 1 && writer.out == "{% set __value = __0 %}";
    Ok(Woven {
        source: writer.out,
        slots: writer.slots,
        places: writer.places,
        single,
        bare_slot,
        writes_none: writer.writes_none,
        constant,
        pieces,
    })
}

/// Both from 1; columns count characters.
pub(crate) fn line_column(source: &str, at: usize) -> (usize, usize) {
    let before = source.get(..at).unwrap_or(source);
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    let column = before.get(line_start..).map_or(0, |line| line.chars().count());
    (before.matches('\n').count() + 1, column + 1)
}

/// Writes statements here, expressions in `template_expression`.
pub(crate) struct Writer<'s> {
    /// What the author wrote, and where in it `source` begins.
    pub(crate) whole: &'s str,
    pub(crate) begin: usize,
    pub(crate) source: &'s str,
    pub(crate) place: Place,
    pub(crate) out: String,
    pub(crate) slots: Vec<Slot>,
    pub(crate) places: Vec<(Range<usize>, Origin)>,
    /// Names the template gives itself.
    pub(crate) locals: HashSet<&'s str>,
    pub(crate) macros: HashSet<&'s str>,
    pub(crate) faults: Vec<(usize, String)>,
    pub(crate) writes_none: bool,
}

/// Collects every name the template gives itself, wherever it does.
fn declare<'s>(statements: &[Stmt<'s>], writer: &mut Writer<'s>) {
    for statement in statements {
        match statement {
            Stmt::ForLoop(s) => {
                writer.locals.insert("loop");
                declare_target(&s.target, writer);
                declare(&s.body, writer);
                declare(&s.else_body, writer);
            }
            Stmt::IfCond(s) => {
                declare(&s.true_body, writer);
                declare(&s.false_body, writer);
            }
            Stmt::WithBlock(s) => {
                s.assignments.iter().for_each(|(target, _)| declare_target(target, writer));
                declare(&s.body, writer);
            }
            Stmt::Set(s) => declare_target(&s.target, writer),
            Stmt::SetBlock(s) => {
                declare_target(&s.target, writer);
                declare(&s.body, writer);
            }
            Stmt::FilterBlock(s) => declare(&s.body, writer),
            Stmt::Macro(s) => declare_macro(s, writer),
            Stmt::CallBlock(s) => declare_macro(&s.macro_decl, writer),
            _ => {}
        }
    }
}

fn declare_macro<'s>(m: &Macro<'s>, writer: &mut Writer<'s>) {
    writer.macros.insert(m.name);
    writer.macros.insert("caller");
    writer.locals.insert(m.name);
    writer.locals.insert("caller");
    m.args.iter().for_each(|target| declare_target(target, writer));
    declare(&m.body, writer);
}

fn declare_target<'s>(target: &Expr<'s>, writer: &mut Writer<'s>) {
    match target {
        Expr::Var(var) => {
            let at = var.span().start_offset as usize;
            if var.id.starts_with("__") || CORE.contains(&var.id) {
                writer.faults.push((at, format!("{} is taken, choose another name", var.id)));
            }
            writer.locals.insert(var.id);
        }
        Expr::List(list) => list.items.iter().for_each(|item| declare_target(item, writer)),
        Expr::Tuple(tuple) => tuple.items.iter().for_each(|item| declare_target(item, writer)),
        _ => {}
    }
}

impl<'s> Writer<'s> {
    fn statements(&mut self, statements: &[Stmt<'s>]) {
        statements.iter().for_each(|statement| self.statement(statement));
    }

    /// Writes a statement; answers the piece it is, if it has nothing to run.
    fn piece(&mut self, statement: &Stmt<'s>) -> Option<Piece> {
        let from = self.out.len();
        self.statement(statement);
        match statement {
            Stmt::EmitRaw(raw) => Some(Piece::Text(raw.raw.to_owned())),
            Stmt::EmitExpr(_) => {
                let written = self.out.get(from..)?.strip_prefix("{{ __")?.strip_suffix(" }}")?;
                let is_slot = written.bytes().all(|digit| digit.is_ascii_digit());
                let slot = written.parse().ok().filter(|_| is_slot)?;
                Some(Piece::Slot(slot, self.places.len().checked_sub(1)?))
            }
            _ => None,
        }
    }

    fn statement(&mut self, statement: &Stmt<'s>) {
        match statement {
            Stmt::EmitRaw(raw) => self.raw(raw.raw),
            Stmt::EmitExpr(emit) => {
                self.out.push_str("{{ ");
                self.printed(&emit.expr);
                self.out.push_str(" }}");
            }
            Stmt::ForLoop(s) => {
                self.out.push_str("{% for ");
                self.target(&s.target, true);
                self.out.push_str(" in ");
                self.guarded(&s.iter, "__each", crate::template_expression::OR);
                if let Some(filter) = &s.filter_expr {
                    self.out.push_str(" if ");
                    self.loosest(filter);
                }
                self.out.push_str(if s.recursive { " recursive %}" } else { " %}" });
                self.statements(&s.body);
                if !s.else_body.is_empty() {
                    self.out.push_str("{% else %}");
                    self.statements(&s.else_body);
                }
                self.out.push_str("{% endfor %}");
            }
            Stmt::IfCond(s) => {
                self.out.push_str("{% if ");
                self.condition(s);
                self.out.push_str("{% endif %}");
            }
            Stmt::WithBlock(s) => {
                self.out.push_str("{% with ");
                for (i, (target, value)) in s.assignments.iter().enumerate() {
                    self.out.push_str(if i > 0 { ", " } else { "" });
                    self.target(target, true);
                    self.out.push_str(" = ");
                    self.kept(value);
                }
                self.out.push_str(" %}");
                self.statements(&s.body);
                self.out.push_str("{% endwith %}");
            }
            Stmt::Set(s) => {
                self.out.push_str("{% set ");
                self.target(&s.target, false);
                self.out.push_str(" = ");
                self.kept(&s.expr);
                self.out.push_str(" %}");
            }
            other if self.place == Place::Url => {
                self.fault(other, "a URL holds values, if, for, set and with, nothing else");
            }
            other => self.block(other),
        }
    }

    fn block(&mut self, statement: &Stmt<'s>) {
        match statement {
            Stmt::SetBlock(s) => {
                self.out.push_str("{% set ");
                self.target(&s.target, false);
                if let Some(filter) = &s.filter {
                    self.out.push_str(" | ");
                    self.loosest(filter);
                }
                self.out.push_str(" %}");
                self.statements(&s.body);
                self.out.push_str("{% endset %}");
            }
            Stmt::FilterBlock(s) => {
                self.out.push_str("{% filter ");
                self.loosest(&s.filter);
                self.out.push_str(" %}");
                self.statements(&s.body);
                self.out.push_str("{% endfilter %}");
            }
            Stmt::Macro(m) => {
                self.out.push_str("{% macro ");
                self.out.push_str(m.name);
                self.signature(m);
                self.out.push_str(" %}");
                self.statements(&m.body);
                self.out.push_str("{% endmacro %}");
            }
            Stmt::CallBlock(s) => {
                self.out.push_str("{% call");
                if !s.macro_decl.args.is_empty() {
                    self.signature(&s.macro_decl);
                }
                self.out.push(' ');
                self.call(&s.call, s.call.span().start_offset as usize);
                self.out.push_str(" %}");
                self.statements(&s.macro_decl.body);
                self.out.push_str("{% endcall %}");
            }
            Stmt::Do(s) => {
                self.out.push_str("{% do ");
                self.call(&s.call, s.call.span().start_offset as usize);
                self.out.push_str(" %}");
            }
            other => self.fault(other, "this tag is not available in a template"),
        }
    }

    /// Condition, body and what follows, without the closing tag.
    fn condition(&mut self, s: &minijinja::machinery::ast::IfCond<'s>) {
        self.loosest_but_if(&s.expr);
        self.out.push_str(" %}");
        self.statements(&s.true_body);
        match s.false_body.as_slice() {
            [] => {}
            [Stmt::IfCond(next)] => {
                self.out.push_str("{% elif ");
                self.condition(next);
            }
            other => {
                self.out.push_str("{% else %}");
                self.statements(other);
            }
        }
    }

    fn signature(&mut self, m: &Macro<'s>) {
        self.out.push('(');
        let first_default = m.args.len().saturating_sub(m.defaults.len());
        for (i, argument) in m.args.iter().enumerate() {
            self.out.push_str(if i > 0 { ", " } else { "" });
            self.target(argument, true);
            if let Some(default) = i.checked_sub(first_default).and_then(|at| m.defaults.get(at)) {
                self.out.push_str(" = ");
                self.loosest(default);
            }
        }
        self.out.push(')');
    }

    fn target(&mut self, target: &Expr<'s>, nested: bool) {
        match target {
            Expr::Var(var) => self.out.push_str(var.id),
            Expr::GetAttr(attribute) => {
                self.target(&attribute.expr, true);
                self.out.push('.');
                self.out.push_str(attribute.name);
            }
            Expr::List(list) => {
                self.out.push_str(if nested { "(" } else { "" });
                for (i, item) in list.items.iter().enumerate() {
                    self.out.push_str(if i > 0 { ", " } else { "" });
                    self.target(item, true);
                }
                self.out.push_str(if list.items.len() == 1 { "," } else { "" });
                self.out.push_str(if nested { ")" } else { "" });
            }
            _ => {}
        }
    }

    /// Text outside tags, so that it is read as text again.
    fn raw(&mut self, text: &str) {
        if text.contains(['{', '}', '%', '#']) {
            self.out.push_str("{{ ");
            self.out.push_str(&serde_json::Value::from(text).to_string());
            self.out.push_str(if self.place == Place::Url { "|__raw }}" } else { " }}" });
        } else {
            self.out.push_str(text);
        }
    }

    fn fault(&mut self, statement: &Stmt<'s>, text: &str) {
        let span = match statement {
            Stmt::AutoEscape(s) => s.span(),
            Stmt::SetBlock(s) => s.span(),
            Stmt::FilterBlock(s) => s.span(),
            Stmt::Macro(s) => s.span(),
            Stmt::CallBlock(s) => s.span(),
            Stmt::Do(s) => s.span(),
            _ => Default::default(),
        };
        self.faults.push((span.start_offset as usize, text.to_owned()));
    }
}
