//! Pure. Tokens to a syntax tree, with Jinja's precedence: `or`, `and`, `not`, comparison, `is`.
//!
//! Knows no names and no types: those are `expression_check`'s. Stops at the first fault, since what follows one is guesswork.

use serde_json::Number;

use crate::expression::FaultList;
use crate::expression_lexer::{Span, Token};
use crate::limits;

#[derive(Debug)]
pub(crate) struct Syntax {
    pub(crate) form: Form,
    pub(crate) span: Span,
}

#[derive(Debug)]
pub(crate) enum Form {
    /// A word and what is reached from it: `everyone`, `user.plan`, `properties.items[0]`.
    Path(String, Vec<Step>),
    Text(String),
    Number(Number),
    Truth(bool),
    /// `none`, which no condition takes.
    Nothing,
    List(Vec<Syntax>),
    Call(String, Vec<Syntax>),
    Not(Box<Syntax>),
    All(Vec<Syntax>),
    Any(Vec<Syntax>),
    Compare(Comparison, Box<Syntax>, Box<Syntax>),
    In {
        needle: Box<Syntax>,
        haystack: Box<Syntax>,
        negated: bool,
    },
    Is {
        subject: Box<Syntax>,
        test: Call,
        negated: bool,
    },
}

/// A test after `is`.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    pub(crate) at: usize,
    pub(crate) given: Vec<Syntax>,
}

/// One step into a map or list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Name(String),
    Index(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(crate) fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "==",
            Comparison::NotEqual => "!=",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }

    fn from_sign(sign: &str) -> Option<Comparison> {
        use Comparison::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
        [Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual].into_iter().find(|c| c.sign() == sign)
    }
}

/// The syntax tree of a whole expression; nothing where there was a fault.
pub(crate) fn parse(tokens: &[(Token, Span)], faults: &mut FaultList<'_>) -> Option<Syntax> {
    let mut parser = Parser { tokens, next: 0, depth: 0 };
    let whole = parser.either().and_then(|syntax| match parser.peek() {
        Token::End => Ok(syntax),
        extra => Err(parser.fault(leftover(extra))),
    });
    whole.map_err(|(at, text)| faults.add(at, text)).ok()
}

/// Byte and text of the fault that ended the parse.
type Stop = (usize, String);
type Parsed = Result<Syntax, Stop>;

struct Parser<'t> {
    tokens: &'t [(Token, Span)],
    next: usize,
    depth: usize,
}

impl<'t> Parser<'t> {
    fn peek(&self) -> &'t Token {
        self.tokens.get(self.next).map_or(&Token::End, |(token, _)| token)
    }

    fn span(&self) -> Span {
        let last = self.tokens.last();
        self.tokens.get(self.next).or(last).map_or(Span { start: 0, end: 0 }, |(_, span)| *span)
    }

    /// From `start` to the end of the last token taken.
    fn since(&self, start: usize) -> Span {
        let end = self
            .next
            .checked_sub(1)
            .and_then(|last| self.tokens.get(last))
            .map_or(start, |(_, span)| span.end);
        Span { start, end }
    }

    fn fault(&self, text: impl Into<String>) -> Stop {
        (self.span().start, text.into())
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Token::Word(next) if next == word);
        self.next += usize::from(found);
        found
    }

    fn take_symbol(&mut self, symbol: &str) -> bool {
        let found = matches!(self.peek(), Token::Symbol(next) if *next == symbol);
        self.next += usize::from(found);
        found
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Stop> {
        if self.take_symbol(symbol) {
            return Ok(());
        }
        Err(self.fault(format!("expected {symbol} but found {}", shown(self.peek()))))
    }

    /// Runs `inner` one level deeper. Everything that recurses comes through here.
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, Stop>) -> Result<T, Stop> {
        if self.depth == limits::EXPRESSION_DEPTH_MAX {
            return Err(self.fault(format!("nested deeper than {} levels", limits::EXPRESSION_DEPTH_MAX)));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn either(&mut self) -> Parsed {
        self.chain("or", Self::both, Form::Any)
    }

    fn both(&mut self) -> Parsed {
        self.chain("and", Self::negation, Form::All)
    }

    fn chain(&mut self, word: &str, part: fn(&mut Self) -> Parsed, form: fn(Vec<Syntax>) -> Form) -> Parsed {
        let start = self.span().start;
        let first = part(self)?;
        if !self.take_word(word) {
            return Ok(first);
        }
        let mut parts = vec![first, part(self)?];
        while self.take_word(word) {
            parts.push(part(self)?);
        }
        Ok(Syntax { form: form(parts), span: self.since(start) })
    }

    fn negation(&mut self) -> Parsed {
        let start = self.span().start;
        if !self.take_word("not") {
            return self.comparison();
        }
        let inner = self.deeper(Self::negation)?;
        Ok(Syntax { form: Form::Not(Box::new(inner)), span: self.since(start) })
    }

    fn comparison(&mut self) -> Parsed {
        let start = self.span().start;
        let left = self.tested()?;
        let Some(operator) = self.take_operator() else {
            return Ok(left);
        };
        let right = self.tested()?;
        let (left, right) = (Box::new(left), Box::new(right));
        let form = match operator {
            Operator::Compare(comparison) => Form::Compare(comparison, left, right),
            Operator::In { negated } => Form::In { needle: left, haystack: right, negated },
        };
        let chained = self.fault("comparisons are not chained: write a < b and b < c");
        if self.take_operator().is_some() {
            return Err(chained);
        }
        Ok(Syntax { form, span: self.since(start) })
    }

    fn take_operator(&mut self) -> Option<Operator> {
        if self.take_word("in") {
            return Some(Operator::In { negated: false });
        }
        if self.take_word("not") {
            if self.take_word("in") {
                return Some(Operator::In { negated: true });
            }
            self.next -= 1;
            return None;
        }
        let Token::Symbol(sign) = self.peek() else {
            return None;
        };
        let comparison = Comparison::from_sign(sign)?;
        self.next += 1;
        Some(Operator::Compare(comparison))
    }

    fn tested(&mut self) -> Parsed {
        let start = self.span().start;
        let subject = self.primary()?;
        if !self.take_word("is") {
            return Ok(subject);
        }
        let negated = self.take_word("not");
        let at = self.span().start;
        let Token::Word(name) = self.peek() else {
            return Err(self.fault(format!("expected a test, such as set, but found {}", shown(self.peek()))));
        };
        self.next += 1;
        let given = if self.take_symbol("(") { self.listed(")")? } else { Vec::new() };
        let test = Call { name: name.clone(), at, given };
        let form = Form::Is { subject: Box::new(subject), test, negated };
        if matches!(self.peek(), Token::Word(word) if word == "is") {
            return Err(self.fault("tests are not chained: write x is set and x is empty"));
        }
        Ok(Syntax { form, span: self.since(start) })
    }

    /// Values with commas between them, up to and with `close`.
    fn listed(&mut self, close: &'static str) -> Result<Vec<Syntax>, Stop> {
        let mut values = Vec::new();
        while !self.take_symbol(close) {
            values.push(self.deeper(Self::either)?);
            if !self.take_symbol(",") && *self.peek() != Token::Symbol(close) {
                return Err(self.fault(format!("expected , or {close} but found {}", shown(self.peek()))));
            }
        }
        Ok(values)
    }

    fn primary(&mut self) -> Parsed {
        let start = self.span().start;
        let form = match self.peek() {
            Token::Text(text) => Form::Text(text.clone()),
            Token::Number(number) => Form::Number(number.clone()),
            Token::Word(word) => return self.word(word),
            Token::Symbol("(") => {
                self.next += 1;
                let inner = self.deeper(Self::either)?;
                self.expect(")")?;
                return Ok(inner);
            }
            Token::Symbol("[") => {
                self.next += 1;
                let values = self.listed("]")?;
                return Ok(Syntax { form: Form::List(values), span: self.since(start) });
            }
            other => {
                return Err(self.fault(format!("expected a condition or value but found {}", shown(other))));
            }
        };
        self.next += 1;
        Ok(Syntax { form, span: self.since(start) })
    }

    fn word(&mut self, word: &str) -> Parsed {
        let start = self.span().start;
        let form = match word {
            "true" | "True" => Form::Truth(true),
            "false" | "False" => Form::Truth(false),
            "none" | "None" | "null" | "nil" | "undefined" => Form::Nothing,
            "and" | "or" | "in" | "is" | "not" | "if" | "else" => {
                return Err(self.fault(format!("expected a condition or value but found {word}")));
            }
            "AND" | "OR" | "NOT" | "IN" | "IS" | "Not" => {
                return Err(
                    self.fault(format!("{word} is written in small letters: {}", word.to_lowercase()))
                );
            }
            _ => {
                self.next += 1;
                let form = if self.take_symbol("(") {
                    Form::Call(word.to_owned(), self.listed(")")?)
                } else {
                    Form::Path(word.to_owned(), self.steps()?)
                };
                return Ok(Syntax { form, span: self.since(start) });
            }
        };
        self.next += 1;
        Ok(Syntax { form, span: self.since(start) })
    }

    fn steps(&mut self) -> Result<Vec<Step>, Stop> {
        let mut steps = Vec::new();
        loop {
            let goes_on = matches!(self.peek(), Token::Symbol("." | "["));
            if goes_on && steps.len() == limits::JSON_DEPTH_MAX {
                return Err(self.fault(format!("a path has at most {} parts", limits::JSON_DEPTH_MAX)));
            }
            if self.take_symbol(".") {
                let Token::Word(name) = self.peek() else {
                    let found = shown(self.peek());
                    return Err(self.fault(format!("expected a name after the dot but found {found}; other names are written [\"like this\"], positions [0]")));
                };
                steps.push(Step::Name(name.clone()));
                self.next += 1;
            } else if self.take_symbol("[") {
                steps.push(match self.peek() {
                    Token::Text(name) => Step::Name(name.clone()),
                    Token::Number(number) => Step::Index(self.index(number)?),
                    other => {
                        return Err(self.fault(format!(
                            "expected a name in quotes or a position but found {}",
                            shown(other)
                        )));
                    }
                });
                self.next += 1;
                self.expect("]")?;
            } else {
                return Ok(steps);
            }
        }
    }

    fn index(&self, number: &Number) -> Result<usize, Stop> {
        let index = number.as_u64().and_then(|index| usize::try_from(index).ok());
        index.ok_or_else(|| self.fault(format!("{number} is not a position: they are 0, 1, 2 and so on")))
    }
}

enum Operator {
    Compare(Comparison),
    In { negated: bool },
}

fn shown(token: &Token) -> String {
    match token {
        Token::Word(word) => word.clone(),
        Token::Text(text) => format!("{text:?}"),
        Token::Number(number) => number.to_string(),
        Token::Symbol(symbol) => (*symbol).to_owned(),
        Token::End => "the end".to_owned(),
    }
}

/// What stands where the expression should have ended.
fn leftover(token: &Token) -> String {
    let Token::Word(word) = token else {
        return format!("expected and, or, or the end but found {}", shown(token));
    };
    let small = word.to_lowercase();
    let hint = match small.as_str() {
        "and" | "or" | "not" | "in" | "is" => return format!("{word} is written in small letters: {small}"),
        "contains" | "includes" | "has" => "is containing(\"...\")",
        "startswith" | "starts_with" | "starts" | "starting_with" => "is starting_with(\"...\")",
        "endswith" | "ends_with" | "ends" | "ending_with" => "is ending_with(\"...\")",
        "matches" | "like" | "matching" => "is matching(\"...\")",
        "between" => "is between(1, 5)",
        "before" => "is before(\"2026-12-01\")",
        "after" => "is after(\"2026-12-01\")",
        "exists" | "set" => "is set",
        "if" | "else" => return format!("{word} is not part of an expression: write and, or"),
        _ => return format!("expected and, or, or the end but found {word}"),
    };
    format!("{word} is not an operator: write {hint}")
}

#[cfg(test)]
mod tests {
    use crate::expression::{Expression, Scope};
    use crate::expression_examples::{check_refused, parsed};
    use crate::limits;

    #[test]
    fn wrong_syntax_says_what_was_expected() {
        check_refused("", 1, "write everyone");
        check_refused("  \n", 1, "write everyone");
        check_refused("user.x ==", 10, "expected a condition or value but found the end");
        check_refused("(user.x == 1", 13, "expected ) but found the end");
        check_refused("user.x == 1)", 12, "expected and, or, or the end but found )");
        check_refused("user.x == 1 user.y == 2", 13, "expected and, or, or the end but found user");
        check_refused("user.x == and", 11, "found and");
        check_refused("user. == 1", 7, "expected a name after the dot");
        check_refused("user.x[y] == 1", 8, "expected a name in quotes or a position");
        check_refused("user.x[-1] == 1", 8, "not a position");
        check_refused("user.x[1.5] == 1", 8, "not a position");
        check_refused("user.x.0 == 1", 8, "positions [0]");
        check_refused("user.x[0 == 1", 10, "expected ]");
        check_refused("user.x in [1 2]", 14, "expected , or ]");
        check_refused("user.x in [1, 2", 16, "expected , or ]");
        check_refused("user.x is", 10, "expected a test");
        check_refused("user.x is \"set\"", 11, "expected a test");
        check_refused("user.x is between(1, 2", 23, "expected , or )");
        check_refused("user.x == 1 and", 16, "the end");
        check_refused("é == ü and and", 12, "found and");
    }

    #[test]
    fn chains_and_slips_are_refused_with_what_to_write() {
        check_refused("1 < user.x < 5", 12, "not chained: write a < b and b < c");
        check_refused("user.x == user.y == 1", 18, "not chained");
        check_refused("user.x in [1] in [2]", 15, "not chained");
        check_refused("user.x is set is set", 15, "not chained");
        check_refused("user.x == 1 AND user.y", 13, "small letters: and");
        check_refused("NOT user.x", 1, "small letters: not");
        check_refused("user.x contains \"a\"", 8, "write is containing");
        check_refused("user.x LIKE \"a\"", 8, "write is matching");
        check_refused("user.x if user.y", 8, "not part of an expression");
        check_refused("user.x is containing \"a\"", 22, "found \"a\"");
    }

    #[test]
    fn nesting_is_bounded_and_never_overflows_the_stack() {
        let most = limits::EXPRESSION_DEPTH_MAX;
        let nested =
            |open: &str, close: &str, n: usize| format!("{}user.x{}", open.repeat(n), close.repeat(n));
        // Half of what a thread usually has.
        let shallow = std::thread::Builder::new().stack_size(1024 * 1024).spawn(move || {
            parsed(&nested("(", ")", most));
            parsed(&nested("not ", "", most));
            check_refused(&nested("(", ")", most + 1), most + 2, "deeper than 64 levels");
            check_refused(&nested("not ", "", most + 1), most * 4 + 5, "deeper than 64 levels");
            for (open, close) in
                [("(", ")"), ("not ", ""), ("not (", ")"), ("[", "]"), ("count(", ")"), ("x is y(", ")")]
            {
                for n in [2_000, 10_000, 100_000] {
                    assert!(Expression::parse(&nested(open, close, n), Scope::Trigger).is_err());
                    assert!(Expression::parse(&open.repeat(n), Scope::Trigger).is_err());
                }
            }
        });
        shallow.unwrap().join().unwrap();
    }

    #[test]
    fn size_is_bounded() {
        let most = limits::EXPRESSION_BYTES_MAX;
        check_refused(&format!("user.x == \"{}\"", "x".repeat(most)), 1, "at most 16384 bytes");
        check_refused(&format!("user{}", ".x".repeat(18)), 37, "at most 16 parts");
        parsed(&format!("user{} == 1", ".x".repeat(16)));
        let wide = vec!["user.x"; 1_500].join(" or ");
        assert!(parsed(&wide).explain(&crate::expression_examples::mary().facts()).parts.len() == 1_500);
    }
}
