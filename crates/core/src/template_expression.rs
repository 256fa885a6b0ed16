//! Pure. Expressions of a template, written again with their guards.
//!
//! Between `template_source`, which writes tags, and `template_call`, which writes filters, tests and calls.

use std::ops::Range;

use minijinja::machinery::ast::{BinOp, BinOpKind, CallType, CompareOpKind, Expr, UnaryOpKind};

use crate::template_names::{Key, Slot, slot};
use crate::template_source::{Origin, Writer, line_column};

/// How tightly what is written binds, as the engine's grammar has it.
pub(crate) const LOOSEST: u8 = 0;
pub(crate) const OR: u8 = 1;
const AND: u8 = 2;
pub(crate) const NOT: u8 = 3;
const SUM: u8 = 5;
const PRODUCT: u8 = 7;
const POWER: u8 = 8;
/// A filter takes a negation or a chain of filters as it stands.
pub(crate) const FILTERED: u8 = 9;
const POSTFIX: u8 = 11;
pub(crate) const PRIMARY: u8 = 12;

impl<'s> Writer<'s> {
    /// What is printed, or is the value of a single one.
    pub(crate) fn printed(&mut self, e: &Expr<'s>) {
        let from = self.out.len();
        self.loosest(e);
        self.record(from, e);
    }

    pub(crate) fn loosest(&mut self, e: &Expr<'s>) {
        self.expression(e, LOOSEST);
    }

    pub(crate) fn loosest_but_if(&mut self, e: &Expr<'s>) {
        self.expression(e, OR);
    }

    /// A value that gets a name: never nested deeper than JSON may be.
    pub(crate) fn kept(&mut self, e: &Expr<'s>) {
        let plain = match e {
            Expr::Const(_) | Expr::Test(_) | Expr::Compare(_) | Expr::UnaryOp(_) => true,
            Expr::Call(call) => matches!(call.identify_call(), CallType::Function("namespace")),
            Expr::BinOp(op) => {
                !matches!(op.op, BinOpKind::ScAnd | BinOpKind::ScOr | BinOpKind::Add | BinOpKind::Mul)
            }
            e => self.path(e).is_some(),
        };
        if plain {
            self.loosest(e);
        } else {
            let from = self.out.len();
            self.expression(e, FILTERED);
            self.out.push_str("|__shallow");
            self.record(from, e);
        }
    }

    /// A value that must be there.
    pub(crate) fn must(&mut self, e: &Expr<'s>, level: u8) {
        if self.is_always_there(e) {
            self.expression(e, level);
        } else {
            self.guarded(e, "__must", level);
        }
    }

    pub(crate) fn guarded(&mut self, e: &Expr<'s>, guard: &str, level: u8) {
        self.bound(FILTERED, level, |w| {
            let from = w.out.len();
            w.expression(e, FILTERED);
            w.out.push('|');
            w.out.push_str(guard);
            w.record(from, e);
        });
    }

    /// Writes `inner`, which binds as tightly as `own`, where `level` is wanted.
    pub(crate) fn bound(&mut self, own: u8, level: u8, inner: impl FnOnce(&mut Self)) {
        if own < level {
            self.out.push('(');
            inner(self);
            self.out.push(')');
        } else {
            inner(self);
        }
    }

    pub(crate) fn expression(&mut self, e: &Expr<'s>, level: u8) {
        if let Some((root, at, keys)) = self.path(e) {
            return self.name(root, at, keys);
        }
        match e {
            Expr::Var(var) => self.out.push_str(var.id),
            Expr::Const(constant) => {
                self.writes_none |= constant.value.is_none();
                let span = constant.span();
                let text = self.source.get(span.start_offset as usize..span.end_offset as usize);
                self.out.push_str(text.unwrap_or("none"));
            }
            Expr::GetAttr(attribute) => {
                self.expression(&attribute.expr, POSTFIX);
                self.out.push('.');
                self.out.push_str(attribute.name);
            }
            Expr::GetItem(item) => {
                self.expression(&item.expr, POSTFIX);
                self.out.push('[');
                self.loosest(&item.subscript_expr);
                self.out.push(']');
            }
            Expr::Slice(slice) => {
                self.must(&slice.expr, POSTFIX);
                self.out.push('[');
                for (i, part) in [&slice.start, &slice.stop, &slice.step].into_iter().enumerate() {
                    self.out.push_str(if i > 0 { ":" } else { "" });
                    if let Some(part) = part {
                        self.must(part, LOOSEST);
                    }
                }
                self.out.push(']');
            }
            Expr::UnaryOp(unary) => match (&unary.op, &unary.expr) {
                (UnaryOpKind::Not, Expr::BinOp(op)) if self.is_not_in(op) => {
                    self.compared("__not_in", &op.left, &op.right);
                }
                (UnaryOpKind::Not, inner) => self.bound(NOT, level, |w| {
                    w.out.push_str("not ");
                    w.expression(inner, NOT);
                }),
                (UnaryOpKind::Neg, inner) => self.bound(FILTERED, level, |w| {
                    w.out.push('-');
                    w.must(inner, POSTFIX);
                }),
            },
            Expr::BinOp(op) => self.operation(op, e, level),
            Expr::Compare(chain) => self.bound(AND, level, |w| {
                let mut left = &chain.expr;
                for (i, link) in chain.ops.iter().enumerate() {
                    w.out.push_str(if i > 0 { " and " } else { "" });
                    w.compared(comparison(link.op), left, &link.expr);
                    left = &link.expr;
                }
            }),
            Expr::IfExpr(choice) => self.bound(LOOSEST, level, |w| {
                w.expression(&choice.true_expr, OR);
                w.out.push_str(" if ");
                w.expression(&choice.test_expr, OR);
                w.out.push_str(" else ");
                match &choice.false_expr {
                    Some(other) => w.expression(other, LOOSEST),
                    None => w.out.push_str("''"),
                }
            }),
            Expr::Filter(filter) => {
                self.bound(FILTERED, level, |w| w.filter(filter, filter.span().start_offset, e))
            }
            Expr::Test(test) => self.test(test, test.span().start_offset as usize, level),
            Expr::Call(call) => {
                let from = self.out.len();
                self.call(call, start(e));
                self.record(from, e);
            }
            Expr::List(list) => self.items("[", &list.items, "]"),
            Expr::Tuple(tuple) => {
                self.items("(", &tuple.items, if tuple.items.len() == 1 { ",)" } else { ")" })
            }
            Expr::Map(map) => {
                self.out.push('{');
                for (i, (key, value)) in map.keys.iter().zip(&map.values).enumerate() {
                    self.out.push_str(if i > 0 { ", " } else { "" });
                    self.must(key, LOOSEST);
                    self.out.push_str(": ");
                    self.must(value, LOOSEST);
                }
                self.out.push('}');
            }
        }
    }

    fn items(&mut self, open: &str, items: &[Expr<'s>], close: &str) {
        self.out.push_str(open);
        for (i, item) in items.iter().enumerate() {
            self.out.push_str(if i > 0 { ", " } else { "" });
            self.must(item, LOOSEST);
        }
        self.out.push_str(close);
    }

    fn operation(&mut self, op: &BinOp<'s>, e: &Expr<'s>, level: u8) {
        let (own, sign) = match op.op {
            BinOpKind::ScAnd => return self.choice(" and ", op, AND, level),
            BinOpKind::ScOr => return self.choice(" or ", op, OR, level),
            BinOpKind::Eq => return self.compared("__eq", &op.left, &op.right),
            BinOpKind::Ne => return self.compared("__ne", &op.left, &op.right),
            BinOpKind::Lt => return self.compared("__lt", &op.left, &op.right),
            BinOpKind::Lte => return self.compared("__le", &op.left, &op.right),
            BinOpKind::Gt => return self.compared("__gt", &op.left, &op.right),
            BinOpKind::Gte => return self.compared("__ge", &op.left, &op.right),
            BinOpKind::In => return self.compared("__in", &op.left, &op.right),
            BinOpKind::Concat => {
                let from = self.out.len();
                self.must(&op.left, FILTERED);
                self.out.push_str("|__cat(");
                self.must(&op.right, LOOSEST);
                self.out.push(')');
                return self.record(from, e);
            }
            BinOpKind::Add => (SUM, " + "),
            BinOpKind::Sub => (SUM, " - "),
            BinOpKind::Mul => (PRODUCT, " * "),
            BinOpKind::Div => (PRODUCT, " / "),
            BinOpKind::FloorDiv => (PRODUCT, " // "),
            BinOpKind::Rem => (PRODUCT, " % "),
            BinOpKind::Pow => (POWER, " ** "),
        };
        self.bound(own, level, |w| {
            let from = w.out.len();
            w.must(&op.left, own);
            w.out.push_str(sign);
            w.must(&op.right, own + 1);
            w.record(from, e);
        });
    }

    fn choice(&mut self, word: &str, op: &BinOp<'s>, own: u8, level: u8) {
        self.bound(own, level, |w| {
            w.expression(&op.left, own);
            w.out.push_str(word);
            w.expression(&op.right, own + 1);
        });
    }

    /// Always in brackets of its own: a filter on a filter would read as a chain.
    fn compared(&mut self, filter: &str, left: &Expr<'s>, right: &Expr<'s>) {
        self.out.push('(');
        self.expression(left, FILTERED);
        self.out.push('|');
        self.out.push_str(filter);
        self.out.push('(');
        self.loosest(right);
        self.out.push_str("))");
    }

    /// `a not in b` and `not a in b` are one tree; the author's text between the two sides tells them apart.
    fn is_not_in(&self, op: &BinOp<'s>) -> bool {
        let between = self.source.get(end(&op.left)..start(&op.right)).unwrap_or_default();
        matches!(op.op, BinOpKind::In)
            && between.split(|c: char| !c.is_alphanumeric()).any(|word| word == "not")
    }

    /// A name that is not the template's own, with the constant keys behind it.
    fn path(&self, e: &Expr<'s>) -> Option<(&'s str, usize, Vec<Key>)> {
        match e {
            Expr::Var(var) if !self.locals.contains(var.id) => {
                Some((var.id, var.span().start_offset as usize, Vec::new()))
            }
            Expr::GetAttr(attribute) => {
                let (root, at, mut keys) = self.path(&attribute.expr)?;
                keys.push(Key::Name(attribute.name.to_owned()));
                Some((root, at, keys))
            }
            Expr::GetItem(item) => {
                let Expr::Const(key) = &item.subscript_expr else { return None };
                let key = match key.value.as_str() {
                    Some(name) => Key::Name(name.to_owned()),
                    None if key.value.is_integer() => Key::Index(key.value.as_i64()?),
                    None => return None,
                };
                let (root, at, mut keys) = self.path(&item.expr)?;
                keys.push(key);
                Some((root, at, keys))
            }
            _ => None,
        }
    }

    fn name(&mut self, root: &str, at: usize, keys: Vec<Key>) {
        match slot(root, keys) {
            Ok(slot) => self.slot(slot),
            Err(text) => self.faults.push((at, text)),
        }
    }

    pub(crate) fn slot(&mut self, slot: Slot) {
        let known = self.slots.iter().position(|own| *own == slot);
        let number = known.unwrap_or_else(|| {
            self.slots.push(slot);
            self.slots.len() - 1
        });
        self.out.push_str("__");
        self.out.push_str(&number.to_string());
    }

    fn is_always_there(&self, e: &Expr<'s>) -> bool {
        match e {
            Expr::Const(_) | Expr::UnaryOp(_) | Expr::Compare(_) | Expr::Test(_) => true,
            Expr::Slice(_) | Expr::List(_) | Expr::Tuple(_) | Expr::Map(_) => true,
            Expr::BinOp(op) => !matches!(op.op, BinOpKind::ScAnd | BinOpKind::ScOr),
            Expr::Call(call) => {
                matches!(call.identify_call(), CallType::Function("range" | "dict" | "count"))
            }
            e => self
                .path(e)
                .and_then(|(root, _, keys)| slot(root, keys).ok())
                .is_some_and(|s| !s.may_be_missing()),
        }
    }

    pub(crate) fn record(&mut self, from: usize, e: &Expr<'s>) {
        let to = self.out.len();
        let origin = self.origin(e);
        self.places.push((Range { start: from, end: to }, origin));
    }

    fn origin(&self, e: &Expr<'s>) -> Origin {
        let (from, to) = widened(self.source, start(e), end(e));
        let (line, column) = line_column(self.whole, self.begin + from);
        let mut text = self.source.get(from..to).unwrap_or_default();
        if text.len() > 80 {
            text = text.get(..text.floor_char_boundary(80)).unwrap_or_default();
        }
        Origin { line, column, text: text.into() }
    }
}

fn comparison(op: CompareOpKind) -> &'static str {
    match op {
        CompareOpKind::Eq => "__eq",
        CompareOpKind::Ne => "__ne",
        CompareOpKind::Lt => "__lt",
        CompareOpKind::Lte => "__le",
        CompareOpKind::Gt => "__gt",
        CompareOpKind::Gte => "__ge",
        CompareOpKind::In => "__in",
        CompareOpKind::NotIn => "__not_in",
    }
}

/// Where an expression begins: the tree's own spans begin at its last part, or one token early.
fn start(e: &Expr<'_>) -> usize {
    match e {
        Expr::GetAttr(x) => start(&x.expr),
        Expr::GetItem(x) => start(&x.expr),
        Expr::Slice(x) => start(&x.expr),
        Expr::Call(x) => start(&x.expr),
        Expr::BinOp(x) => start(&x.left),
        Expr::Compare(x) => start(&x.expr),
        Expr::IfExpr(x) => start(&x.true_expr),
        Expr::Test(x) => start(&x.expr),
        Expr::Filter(x) if x.expr.is_some() => x.expr.as_ref().map_or(0, start),
        other => other.span().start_offset as usize,
    }
}

fn end(e: &Expr<'_>) -> usize {
    e.span().end_offset as usize
}

/// The tree does not keep brackets: takes in those that were opened just before and are closed inside.
fn widened(source: &str, mut from: usize, to: usize) -> (usize, usize) {
    let inside = source.get(from..to).unwrap_or_default();
    let mut missing = inside.matches(')').count().saturating_sub(inside.matches('(').count());
    while missing > 0 {
        let before = source.get(..from).unwrap_or_default().trim_end();
        if !before.ends_with('(') {
            break;
        }
        from = before.len() - 1;
        missing -= 1;
    }
    (from, to)
}
