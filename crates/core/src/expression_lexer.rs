//! Pure. Expression text to tokens, in Jinja's spelling; before it nothing, after it `expression_parser`.
//!
//! Knows the slips of other languages (`&&`, `=`, `{{ }}`) by name and says what is written here instead.

use serde_json::Number;

use crate::expression::FaultList;

/// A piece of the expression's text, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Span {
    pub(crate) start: usize,
    pub(crate) end: usize,
}

impl Span {
    /// The text it covers.
    pub(crate) fn of(self, text: &str) -> &str {
        text.get(self.start..self.end).unwrap_or_default()
    }
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Token {
    Word(String),
    Text(String),
    Number(Number),
    Symbol(&'static str),
    End,
}

/// Longest first.
const SYMBOLS: [&str; 12] = ["==", "!=", "<=", ">=", "<", ">", "(", ")", "[", "]", ",", "."];

const ARITHMETIC: &str = "arithmetic is not part of an expression";
const BRACES: &str = "an expression is written without braces: user.plan == \"pro\"";
const QUOTES: &str = "text is written in straight quotes, \"like this\"";

/// What people write by habit, and what is written here. Longest first.
const SLIPS: [(&str, &str); 28] = [
    ("===", "equality is written =="),
    ("!==", "inequality is written !="),
    ("&&", "write and"),
    ("||", "write or"),
    ("<>", "inequality is written !="),
    ("=~", "write is matching(\"...\")"),
    ("{{", BRACES),
    ("}}", BRACES),
    ("{%", BRACES),
    ("%}", BRACES),
    ("{", BRACES),
    ("}", BRACES),
    ("=", "equality is written =="),
    ("!", "write not"),
    ("&", "write and"),
    ("|", "filters are not part of an expression"),
    ("~", "texts are not joined in an expression"),
    ("+", ARITHMETIC),
    ("-", "arithmetic is not part of an expression; a name with a dash is written user[\"first-name\"]"),
    ("*", ARITHMETIC),
    ("/", ARITHMETIC),
    ("%", ARITHMETIC),
    ("`", QUOTES),
    ("“", QUOTES),
    ("”", QUOTES),
    ("„", QUOTES),
    ("‘", QUOTES),
    ("’", QUOTES),
];

/// The tokens of `text`, closed by an `End`; what cannot be read is a fault and is passed over.
pub(crate) fn lex(text: &str, faults: &mut FaultList<'_>) -> Vec<(Token, Span)> {
    let mut lexer = Lexer { text, at: 0, faults };
    let mut tokens: Vec<(Token, Span)> = Vec::new();
    loop {
        lexer.take_while(char::is_whitespace);
        let start = lexer.at;
        let Some(first) = lexer.peek() else {
            tokens.push((Token::End, Span { start, end: start }));
            return tokens;
        };
        let signed = !tokens.last().is_some_and(|(token, _)| ends_value(token));
        if let Some(token) = lexer.token(first, signed) {
            tokens.push((token, Span { start, end: lexer.at }));
        }
    }
}

/// Whether a minus after it would stand between two values.
fn ends_value(token: &Token) -> bool {
    match token {
        Token::Text(_) | Token::Number(_) | Token::Symbol(")" | "]") => true,
        Token::Word(word) => !matches!(word.as_str(), "and" | "or" | "not" | "in" | "is"),
        _ => false,
    }
}

fn is_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

struct Lexer<'t, 'f, 'l> {
    text: &'t str,
    at: usize,
    faults: &'f mut FaultList<'l>,
}

impl<'t> Lexer<'t, '_, '_> {
    fn rest(&self) -> &'t str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn take_while(&mut self, keep: impl Fn(char) -> bool) -> &'t str {
        let rest = self.rest();
        let taken = rest.find(|c| !keep(c)).map_or(rest, |end| &rest[..end]);
        self.at += taken.len();
        taken
    }

    fn token(&mut self, first: char, signed: bool) -> Option<Token> {
        let digit_follows = self.rest().chars().nth(1).is_some_and(|c| c.is_ascii_digit());
        match first {
            '"' | '\'' => self.quoted(first),
            '0'..='9' => self.number(),
            '-' if signed && digit_follows => self.number(),
            _ if is_word(first) => Some(Token::Word(self.take_while(is_word).to_owned())),
            _ => self.symbol(first),
        }
    }

    /// The longest match wins: `==` is a symbol, `=` and `===` are slips.
    fn symbol(&mut self, first: char) -> Option<Token> {
        let rest = self.rest();
        let slip = SLIPS.iter().find(|(slip, _)| rest.starts_with(slip));
        let symbol = SYMBOLS.iter().find(|symbol| rest.starts_with(**symbol));
        match (slip, symbol) {
            (Some((slip, hint)), _) if slip.len() > symbol.map_or(0, |symbol| symbol.len()) => {
                self.faults.add(self.at, format!("{slip} is not understood: {hint}"));
                self.at += slip.len();
                None
            }
            (_, Some(symbol)) => {
                self.at += symbol.len();
                Some(Token::Symbol(symbol))
            }
            _ => {
                self.faults.add(self.at, format!("{first:?} is not understood"));
                self.at += first.len_utf8();
                None
            }
        }
    }

    fn number(&mut self) -> Option<Token> {
        let (start, rest) = (self.at, self.rest());
        let length = number_length(rest.as_bytes());
        self.at += length;
        let written = rest.get(..length).unwrap_or_default();
        let unit = self.take_while(is_word);
        if !unit.is_empty() {
            let text =
                format!("{written}{unit} is not a number: a duration or other text is written in quotes");
            self.faults.add(start, text);
            return None;
        }
        // JSON's reader keeps 64-bit integers exactly; what it refuses here is a leading zero or a number too large.
        match written.replace('_', "").parse::<Number>() {
            Ok(number) if number.is_f64() && !written.contains(['.', 'e', 'E']) => {
                self.faults.add(start, format!("{written} is larger than a 64-bit integer"));
                None
            }
            Ok(number) => Some(Token::Number(number)),
            Err(_) => {
                self.faults.add(start, format!("{written} is not a number, write it like 12, -3 or 0.5"));
                None
            }
        }
    }

    fn quoted(&mut self, quote: char) -> Option<Token> {
        let start = self.at;
        self.at += 1;
        let mut text = String::new();
        loop {
            text += self.take_while(|c| c != quote && c != '\\');
            let Some(next) = self.peek() else {
                self.faults.add(start, "this text has no closing quote");
                return None;
            };
            self.at += 1;
            if next == quote {
                return Some(Token::Text(text));
            }
            match self.escaped() {
                Some(c) => text.push(c),
                // An unknown escape stands for itself, as in Jinja: "\d+" needs no second backslash.
                None => text.push('\\'),
            }
        }
    }

    /// The character named by what follows a backslash; nothing is taken where it names none.
    fn escaped(&mut self) -> Option<char> {
        let rest = self.rest();
        let (c, length) = match rest.chars().next()? {
            'n' => ('\n', 1),
            'r' => ('\r', 1),
            't' => ('\t', 1),
            'b' => ('\u{8}', 1),
            'f' => ('\u{c}', 1),
            c @ ('\\' | '"' | '\'' | '/') => (c, 1),
            'u' => {
                let unit = |at: usize| u16::from_str_radix(rest.get(at + 1..at + 5)?, 16).ok();
                let first = unit(0)?;
                let second = if rest.get(5..7) == Some("\\u") { unit(6) } else { None };
                let mut decoded = char::decode_utf16([Some(first), second].into_iter().flatten());
                let c = decoded.next()?.ok()?;
                (c, if c.len_utf16() == 2 { 11 } else { 5 })
            }
            _ => return None,
        };
        self.at += length;
        Some(c)
    }
}

/// Bytes of the number at the start of `text`: sign, digits with `_`, fraction, exponent.
fn number_length(text: &[u8]) -> usize {
    let digits =
        |from: usize| text.iter().skip(from).take_while(|b| b.is_ascii_digit() || **b == b'_').count() + from;
    let is_digit = |at: usize| text.get(at).is_some_and(u8::is_ascii_digit);
    let mut end = digits(usize::from(text.first() == Some(&b'-')));
    if text.get(end) == Some(&b'.') && is_digit(end + 1) {
        end = digits(end + 1);
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(text.get(end + 1), Some(b'+' | b'-')));
        if is_digit(end + 1 + sign) {
            end = digits(end + 1 + sign);
        }
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lexed(text: &str) -> (Vec<Token>, Vec<(usize, String)>) {
        let mut faults = FaultList::new(text);
        let tokens = lex(text, &mut faults).into_iter().map(|(token, _)| token).collect();
        (tokens, faults.into_faults().into_iter().map(|f| (f.column, f.text)).collect())
    }

    #[track_caller]
    fn check(text: &str, expected: &[Token]) {
        let (tokens, faults) = lexed(text);
        assert_eq!(faults, [], "{text}");
        assert_eq!(tokens, [expected, &[Token::End]].concat(), "{text}");
    }

    #[track_caller]
    fn check_refused(text: &str, column: usize, expected: &str) {
        let (_, faults) = lexed(text);
        let found = faults.iter().any(|(at, fault)| *at == column && fault.contains(expected));
        assert!(found, "{text:?} gave {faults:?}, expected {expected:?} at {column}");
    }

    fn number(text: &str) -> Token {
        Token::Number(text.parse().unwrap())
    }

    #[test]
    fn words_symbols_and_numbers_are_told_apart() {
        use Token::Symbol;
        let word = |text: &str| Token::Word(text.to_owned());
        check("user.größe>=1_000", &[word("user"), Symbol("."), word("größe"), Symbol(">="), number("1000")]);
        check("a == -5", &[word("a"), Symbol("=="), number("-5")]);
        check("[-1,2.5e3]", &[Symbol("["), number("-1"), Symbol(","), number("2.5e3"), Symbol("]")]);
        check("a[0].b", &[word("a"), Symbol("["), number("0"), Symbol("]"), Symbol("."), word("b")]);
        check("9223372036854775807", &[number("9223372036854775807")]);
        check("18446744073709551615", &[number("18446744073709551615")]);
        check("\n \t", &[]);
    }

    #[test]
    fn text_is_quoted_either_way_with_escapes() {
        let text = |text: &str| [Token::Text(text.to_owned())];
        check(r#"'it "is"'"#, &text("it \"is\""));
        check(r#""a\"b\\c\n\/""#, &text("a\"b\\c\n/"));
        check(r#""\u00e9\ud83e\udd80!""#, &text("é🦀!"));
        check(r#""\d+\.\w""#, &text(r"\d+\.\w"));
        check(r#""\ud83e""#, &text(r"\ud83e"));
        check(r#""\u12""#, &text(r"\u12"));
        check("\"grüße\"", &text("grüße"));
        check("''", &text(""));
    }

    #[test]
    fn slips_of_other_languages_are_answered_with_what_is_written_here() {
        check_refused("é && b", 3, "write and");
        check_refused("a || b", 3, "write or");
        check_refused("a = 1", 3, "written ==");
        check_refused("a === 1", 3, "written ==");
        check_refused("a <> 1", 3, "written !=");
        check_refused("!a", 1, "write not");
        check_refused("{{ a }}", 1, "without braces");
        check_refused("a | lower", 3, "filters");
        check_refused("a + 1", 3, "arithmetic");
        check_refused("a -1", 3, "arithmetic");
        check_refused("user.first-name", 11, "user[\"first-name\"]");
        check_refused("a == “x”", 6, "straight quotes");
        check_refused("a @ b", 3, "'@' is not understood");
        check_refused("a == \"x", 6, "no closing quote");
        check_refused("a == \"x\\", 6, "no closing quote");
        check_refused("a == 30d", 6, "in quotes");
        check_refused("a == 007", 6, "not a number");
        check_refused("a == 18446744073709551616", 6, "64-bit");
        check_refused("a == 1e999", 6, "not a number");
    }
}
