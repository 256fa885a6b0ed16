//! Pure. Filters, tests and calls of a template, written again with their guards, and refused where they are not known.
//!
//! The last third of `template_source`.

use minijinja::machinery::ast::{Call, CallArg, CallType, Expr, Filter, Test};
use minijinja::value::ValueKind;

use crate::behaviour::{Figure, Window};
use crate::duration_text;
use crate::template_expression::{FILTERED, LOOSEST, NOT, PRIMARY};
use crate::template_filters::{FILTERS, Place, TESTS, date_format_fault};
use crate::template_names::{LATER, Slot, nearest};
use crate::template_source::Writer;

const FUNCTIONS: &[&str] =
    &["abort", "avg", "count", "dict", "first", "last", "max", "min", "namespace", "range", "sum"];

impl<'s> Writer<'s> {
    pub(crate) fn filter(&mut self, filter: &Filter<'s>, at: u32, e: &Expr<'s>) {
        let name = filter.name;
        let at = at as usize;
        let in_url = self.place == Place::Url && matches!(name, "e" | "escape");
        if !FILTERS.contains(&name) || in_url {
            let hint = nearest(name, FILTERS.iter().copied()).filter(|_| !in_url);
            let hint = hint.map(|known| format!(", did you mean {known}")).unwrap_or_default();
            return self.faults.push((at, format!("filter {name} is not known here{hint}")));
        }
        let from = self.out.len();
        let defaults = matches!(name, "default" | "d");
        if let Some(subject) = &filter.expr {
            if defaults {
                self.expression(subject, FILTERED)
            } else {
                self.must(subject, FILTERED)
            }
            self.out.push('|');
        }
        match name {
            "date" => {
                if let Some(CallArg::Pos(Expr::Const(format))) = filter.args.first()
                    && let Some(fault) = format.value.as_str().and_then(date_format_fault)
                {
                    self.faults.push((at, fault));
                }
                self.out.push_str("__date(");
                self.slot(Slot::Zone);
                self.out.push_str(if filter.args.is_empty() { "" } else { ", " });
                self.arguments(&filter.args, true);
                self.out.push(')');
            }
            "hmac_sha256" => match filter.args.as_slice() {
                [CallArg::Pos(Expr::Const(secret))] if secret.value.as_str().is_some() => {
                    self.out.push_str("__hmac(");
                    self.slot(Slot::Secret(secret.value.as_str().unwrap_or_default().to_owned()));
                    self.out.push(')');
                }
                _ => {
                    self.faults.push((at, "write hmac_sha256(\"NAME\") with the name of a secret".to_owned()))
                }
            },
            _ => {
                self.named_callable(name, &filter.args, at);
                self.out.push_str(name);
                if !filter.args.is_empty() {
                    self.out.push('(');
                    self.arguments(&filter.args, !defaults);
                    self.out.push(')');
                }
            }
        }
        self.record(from, e);
    }

    /// Filters that take the name of another filter or test.
    fn named_callable(&mut self, name: &str, args: &[CallArg<'s>], at: usize) {
        let (position, known, what) = match name {
            "map" => (0, FILTERS, "filter"),
            "select" | "reject" => (0, TESTS, "test"),
            "selectattr" | "rejectattr" => (1, TESTS, "test"),
            _ => return,
        };
        if let Some(CallArg::Pos(Expr::Const(given))) = args.get(position) {
            let given = given.value.as_str().unwrap_or_default();
            if !known.contains(&given) || matches!(given, "date" | "hmac_sha256") {
                self.faults.push((at, format!("{what} {given} cannot be given to {name}")));
            }
        }
    }

    pub(crate) fn test(&mut self, test: &Test<'s>, at: usize, level: u8) {
        let negated = match test.name {
            "set" | "defined" => false,
            "none" | "undefined" => true,
            name if TESTS.contains(&name) => {
                self.out.push('(');
                self.expression(&test.expr, FILTERED);
                self.out.push_str("|__test('");
                self.out.push_str(name);
                self.out.push('\'');
                for arg in &test.args {
                    self.out.push_str(", ");
                    self.arguments(std::slice::from_ref(arg), false);
                }
                self.out.push_str("))");
                return;
            }
            name => {
                let hint = nearest(name, TESTS.iter().copied());
                let hint = hint.map(|known| format!(", did you mean {known}")).unwrap_or_default();
                return self.faults.push((at, format!("test {name} is not known here{hint}")));
            }
        };
        self.bound(if negated { NOT } else { PRIMARY }, level, |w| {
            w.out.push_str(if negated { "not (" } else { "(" });
            w.expression(&test.expr, FILTERED);
            w.out.push_str("|__set)");
        });
    }

    pub(crate) fn call(&mut self, call: &Call<'s>, at: usize) {
        match call.identify_call() {
            CallType::Function("loop") if self.locals.contains("loop") => {
                self.called("loop", &call.args, true)
            }
            CallType::Function(name) if self.macros.contains(name) => self.called(name, &call.args, false),
            CallType::Function(name) if self.locals.contains(name) => {
                self.faults.push((at, format!("{name} is not a function")));
            }
            CallType::Function("abort") if call.args.is_empty() => {
                self.out.push_str("abort('no reason given')")
            }
            CallType::Function(name @ ("abort" | "range" | "dict" | "namespace")) => {
                self.called(name, &call.args, true)
            }
            CallType::Function(name) if LATER.contains(&name) => {
                self.faults.push((at, format!("{name} is not available in this version")));
            }
            CallType::Function(name) if let Some(figure) = Figure::named(name) => {
                self.behaviour(figure, &call.args, at);
            }
            CallType::Function(name) => {
                let hint = nearest(name, FUNCTIONS.iter().copied());
                let hint = hint.map(|known| format!(", did you mean {known}")).unwrap_or_default();
                self.faults.push((at, format!("function {name} is not known here{hint}")));
            }
            CallType::Method(Expr::Var(var), name @ ("cycle" | "changed"))
                if var.id == "loop" && self.locals.contains("loop") =>
            {
                self.called(&format!("loop.{name}"), &call.args, true);
            }
            CallType::Method(_, name) => {
                self.faults
                    .push((at, format!("values have no methods here; write a filter, as in x | {name}")));
            }
            CallType::Object(_) => self.faults.push((at, "this cannot be called".to_owned())),
        }
    }

    fn called(&mut self, name: &str, args: &[CallArg<'s>], must: bool) {
        self.out.push_str(name);
        self.out.push('(');
        self.arguments(args, must);
        self.out.push(')');
    }

    fn arguments(&mut self, args: &[CallArg<'s>], must: bool) {
        for (i, arg) in args.iter().enumerate() {
            self.out.push_str(if i > 0 { ", " } else { "" });
            let value = match arg {
                CallArg::Pos(value) => value,
                CallArg::Kwarg(name, value) => {
                    self.out.push_str(name);
                    self.out.push('=');
                    value
                }
                CallArg::PosSplat(value) => {
                    self.out.push('*');
                    value
                }
                CallArg::KwargSplat(value) => {
                    self.out.push_str("**");
                    value
                }
            };
            if must { self.must(value, LOOSEST) } else { self.loosest(value) }
        }
    }

    /// `count("purchase")` over all time, `count("purchase", "30d")` over a window. The event may come from a value, the window
    /// is written.
    fn behaviour(&mut self, figure: Figure, args: &[CallArg<'s>], at: usize) {
        let name = figure.name();
        let (event, window) = match args {
            [CallArg::Pos(event)] => (event, None),
            [CallArg::Pos(event), CallArg::Pos(Expr::Const(window))] if figure.takes_window() => {
                let length = duration_text::parse(window.value.as_str().unwrap_or_default());
                match length.and_then(Window::new) {
                    Ok(window) => (event, Some(window)),
                    Err(text) => return self.faults.push((at, text)),
                }
            }
            _ if figure.takes_window() => {
                let text = format!("write {name}(\"event\") or {name}(\"event\", \"30d\")");
                return self.faults.push((at, text));
            }
            _ => return self.faults.push((at, format!("write {name}(\"event\")"))),
        };
        match event {
            Expr::Const(event) if event.value.kind() == ValueKind::String => {
                let event = event.value.as_str().unwrap_or_default().to_owned();
                self.slot(Slot::Behaviour(figure, event, window));
            }
            Expr::Const(_) => self.faults.push((at, format!("write {name}(\"event\")"))),
            event => {
                self.out.push('(');
                self.slot(Slot::Behaviours(figure, window));
                self.out.push('[');
                self.must(event, LOOSEST);
                self.out.push_str(if figure.may_be_missing() { "])" } else { "]|default(0))" });
            }
        }
    }
}
