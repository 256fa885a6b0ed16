//! Pure. Bounds a template before it is parsed: the parser, and everything that walks its tree, recurses.
//!
//! Reads tokens only, so that text of any shape is safe to hand in.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

use crate::limits::{TEMPLATE_BYTES_MAX, TEMPLATE_NESTING_MAX, TEMPLATE_OPERATORS_MAX};

/// Jinja's delimiters; a line break at the end of the text stays.
pub(crate) fn syntax() -> SyntaxConfig {
    SyntaxConfig::builder().keep_trailing_newline(true).build().unwrap_or_default()
}

/// `Err` is where (a byte offset) and what. Text that cannot be read as tokens passes: the parser says it better.
pub(crate) fn bound(source: &str) -> Result<(), (usize, String)> {
    if source.len() > TEMPLATE_BYTES_MAX {
        return Err((0, format!("a template has at most {TEMPLATE_BYTES_MAX} bytes, got {}", source.len())));
    }
    let mut scan = Scan::default();
    for token in tokenize(source, false, syntax()) {
        let Ok((token, span)) = token else { return Ok(()) };
        scan.take(&token).map_err(|text| (span.start_offset as usize, text))?;
    }
    Ok(())
}

#[derive(Default)]
struct Scan {
    /// Open tags; of each, how deep it nests its body (every `elif` is one level more).
    tags: Vec<usize>,
    levels: usize,
    brackets: usize,
    operators: usize,
    /// The next word says which tag this is.
    at_keyword: bool,
    /// Inside `set`, before its `=`: without one it opens a block.
    in_set: bool,
}

impl Scan {
    fn take(&mut self, token: &Token<'_>) -> Result<(), String> {
        if std::mem::take(&mut self.at_keyword)
            && let Token::Ident(word) = token
        {
            self.keyword(word);
        }
        match token {
            Token::VariableStart | Token::BlockStart => {
                (self.brackets, self.operators, self.in_set) = (0, 0, false);
                self.at_keyword = matches!(token, Token::BlockStart);
            }
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => {
                self.brackets += 1;
                self.operators += 1;
            }
            Token::ParenClose | Token::BracketClose | Token::BraceClose => {
                self.brackets = self.brackets.saturating_sub(1);
            }
            Token::Assign if self.in_set && self.brackets == 0 => {
                self.in_set = false;
                self.levels -= self.tags.pop().unwrap_or(0);
            }
            Token::Ident("not" | "and" | "or" | "is" | "if" | "in" | "else") => self.operators += 1,
            Token::Ident(_) | Token::Str(_) | Token::String(_) | Token::Int(_) | Token::Int128(_) => {}
            Token::Float(_) | Token::Comma | Token::Colon | Token::Assign | Token::TemplateData(_) => {}
            Token::VariableEnd | Token::BlockEnd => {}
            _ => self.operators += 1,
        }
        if self.brackets > TEMPLATE_NESTING_MAX {
            return Err(format!("brackets are nested too deeply, at most {TEMPLATE_NESTING_MAX} levels"));
        }
        if self.levels > TEMPLATE_NESTING_MAX {
            return Err(format!("tags are nested too deeply, at most {TEMPLATE_NESTING_MAX} levels"));
        }
        if self.operators > TEMPLATE_OPERATORS_MAX {
            return Err(format!(
                "too long an expression, at most {TEMPLATE_OPERATORS_MAX} operators in one tag"
            ));
        }
        Ok(())
    }

    fn keyword(&mut self, word: &str) {
        match word {
            "for" | "if" | "with" | "set" | "filter" | "macro" | "call" | "autoescape" => {
                self.tags.push(1);
                self.levels += 1;
                self.in_set = word == "set";
            }
            "elif" => {
                if let Some(top) = self.tags.last_mut() {
                    *top += 1;
                    self.levels += 1;
                }
            }
            _ if word.starts_with("end") => self.levels -= self.tags.pop().unwrap_or(0),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(source: &str, expected: Option<&str>) {
        let answer = bound(source).err().map(|(_, text)| text);
        match expected {
            None => assert_eq!(answer, None, "{source:.60}"),
            Some(part) => {
                assert!(answer.clone().unwrap_or_default().contains(part), "{source:.60}: {answer:?}")
            }
        }
    }

    #[test]
    fn what_people_write_is_within_bounds() {
        check("", None);
        check("{{ user.name }}", None);
        check(&"{{ user.name | upper }}{% if a %}b{% endif %}{% set x = (1) %}".repeat(500), None);
        check(&format!("{{{{ user.x in [{}] }}}}", "'DE', ".repeat(2_000)), None);
        check(&format!("{{% if a %}}{}{{% endif %}}", "{% elif b %}".repeat(30)), None);
        check("{% set x %}{% set y | replace(a='b') %}{% endset %}{% endset %}", None);
    }

    #[test]
    fn what_would_overflow_a_stack_is_refused() {
        for (piece, what) in [
            ("(", "brackets"),
            ("[", "brackets"),
            ("{'a':", "brackets"),
            ("f(", "brackets"),
            ("not ", "operators"),
            ("-", "operators"),
            ("a+", "operators"),
            ("a~", "operators"),
            ("a.b|c|", "operators"),
            ("a if b else ", "operators"),
            ("a is b and ", "operators"),
        ] {
            check(&format!("{{{{ {} }}}}", piece.repeat(4_000)), Some(what));
        }
        for tag in ["{% if a %}", "{% for a in b %}", "{% with %}", "{% set x %}", "{% filter upper %}"] {
            check(&tag.repeat(3_000), Some("tags"));
        }
        check(&format!("{{% if a %}}{}", "{% elif b %}".repeat(5_000)), Some("tags"));
        check(&"x".repeat(70_000), Some("bytes"));
    }
}
