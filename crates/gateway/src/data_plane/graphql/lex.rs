//! The tokens of documents, and syntax errors with the gateway's texts.

use std::fmt::Write;

use super::document::place;

/// A syntax error: the gateway's text, and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) text: String,
    pub(super) at: usize,
}

impl SyntaxError {
    pub(super) fn new(source: &str, at: usize, what: &str) -> Self {
        let (line, column) = place(source, at);
        let lines: Vec<&str> = source
            .split('\n')
            .map(|it| it.trim_end_matches('\r'))
            .collect();
        let width = (line + 1).to_string().len();
        let mut text = format!("Syntax Error GraphQL request ({line}:{column}) {what}\n\n");
        // Writing to a String cannot fail.
        let mut show = |number: usize| {
            if let Some(line) = number.checked_sub(1).and_then(|n| lines.get(n)) {
                let _ = writeln!(text, "{number:>width$}: {line}");
            }
        };
        if line >= 2 {
            show(line - 1);
        }
        show(line);
        let _ = writeln!(text, "{}^", " ".repeat(1 + width + column));
        if line < lines.len() {
            let _ = writeln!(text, "{:>width$}: {}", line + 1, lines[line]);
        }
        Self { text, at }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    End,
    Punctuation(&'static str),
    Name(String),
    Int(String),
    Float(String),
    String(String),
}

impl Token {
    pub(super) fn shown(&self) -> String {
        match self {
            Self::End => "EOF".to_owned(),
            Self::Punctuation(it) => (*it).to_owned(),
            Self::Name(it) => format!("Name \"{it}\""),
            Self::Int(it) => format!("Int \"{it}\""),
            Self::Float(it) => format!("Float \"{it}\""),
            Self::String(it) => format!("String \"{it}\""),
        }
    }
}

pub(super) struct Lexer<'a> {
    pub(super) source: &'a str,
    pub(super) at: usize,
}

fn shown_character(c: Option<char>) -> String {
    match c {
        None => "EOF".to_owned(),
        Some(c) if (' '..'\x7f').contains(&c) => format!("\"{c}\""),
        Some(c) => format!("\"\\\\u{:04X}\"", u32::from(c)),
    }
}

impl Lexer<'_> {
    fn peek(&self) -> Option<char> {
        self.source[self.at..].chars().next()
    }

    pub(super) fn fault(&self, at: usize, what: &str) -> SyntaxError {
        SyntaxError::new(self.source, at, what)
    }

    fn blanks(&mut self) {
        while let Some(c) = self.peek() {
            match c {
                '\u{feff}' | ' ' | '\t' | '\n' | '\r' | ',' => self.at += c.len_utf8(),
                '#' => {
                    let rest = &self.source[self.at..];
                    self.at += rest.find(['\n', '\r']).unwrap_or(rest.len());
                }
                _ => return,
            }
        }
    }

    /// The next token and its position.
    pub(super) fn next(&mut self) -> Result<(Token, usize), SyntaxError> {
        const PUNCTUATION: [&str; 14] = [
            "...", "!", "$", "(", ")", ":", "=", "@", "[", "]", "{", "|", "}", "&",
        ];
        self.blanks();
        let start = self.at;
        let rest = &self.source[start..];
        let Some(c) = self.peek() else {
            return Ok((Token::End, start));
        };
        if let Some(it) = PUNCTUATION.iter().find(|it| rest.starts_with(**it)) {
            self.at += it.len();
            return Ok((Token::Punctuation(it), start));
        }
        let token = match c {
            'a'..='z' | 'A'..='Z' | '_' => {
                let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                self.at += end.unwrap_or(rest.len());
                Token::Name(self.source[start..self.at].to_owned())
            }
            '-' | '0'..='9' => self.number(start)?,
            '"' if rest.starts_with("\"\"\"") => self.block_string()?,
            '"' => self.string()?,
            c if c < ' ' => {
                return Err(self.fault(
                    start,
                    &format!("Invalid character {}.", shown_character(Some(c))),
                ));
            }
            c => {
                return Err(self.fault(
                    start,
                    &format!("Unexpected character {}.", shown_character(Some(c))),
                ));
            }
        };
        Ok((token, start))
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        if !self.peek().is_some_and(|c| c.is_ascii_digit()) {
            let what = format!(
                "Invalid number, expected digit but got: {}.",
                shown_character(self.peek())
            );
            return Err(self.fault(self.at, &what));
        }
        while self.peek().is_some_and(|c| c.is_ascii_digit()) {
            self.at += 1;
        }
        Ok(())
    }

    fn number(&mut self, start: usize) -> Result<Token, SyntaxError> {
        if self.peek() == Some('-') {
            self.at += 1;
        }
        if self.peek() == Some('0') {
            self.at += 1;
            if let Some(c) = self.peek().filter(char::is_ascii_digit) {
                let what = format!(
                    "Invalid number, unexpected digit after 0: {}.",
                    shown_character(Some(c))
                );
                return Err(self.fault(self.at, &what));
            }
        } else {
            self.digits()?;
        }
        let mut is_float = false;
        if self.peek() == Some('.') {
            is_float = true;
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.peek(), Some('e' | 'E')) {
            is_float = true;
            self.at += 1;
            if matches!(self.peek(), Some('+' | '-')) {
                self.at += 1;
            }
            self.digits()?;
        }
        let text = self.source[start..self.at].to_owned();
        Ok(if is_float {
            Token::Float(text)
        } else {
            Token::Int(text)
        })
    }

    fn string(&mut self) -> Result<Token, SyntaxError> {
        self.at += 1;
        let mut out = String::new();
        loop {
            let Some(c) = self.peek().filter(|c| !matches!(c, '\n' | '\r')) else {
                return Err(self.fault(self.at, "Unterminated string."));
            };
            let at = self.at;
            self.at += c.len_utf8();
            match c {
                '"' => return Ok(Token::String(out)),
                '\\' => {
                    let escape = self.peek();
                    self.at += escape.map_or(0, char::len_utf8);
                    out.push(match escape {
                        Some(c @ ('"' | '/' | '\\')) => c,
                        Some('b') => '\u{8}',
                        Some('f') => '\u{c}',
                        Some('n') => '\n',
                        Some('r') => '\r',
                        Some('t') => '\t',
                        Some('u') => {
                            let digits = self.source.get(self.at..self.at + 4).unwrap_or_default();
                            let Ok(code) = u32::from_str_radix(digits, 16) else {
                                let what =
                                    format!("Invalid character escape sequence: \\u{digits}");
                                return Err(self.fault(at + 1, &what));
                            };
                            self.at += 4;
                            char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
                        }
                        other => {
                            let shown = other.map(String::from).unwrap_or_default();
                            let what = format!("Invalid character escape sequence: \\\\{shown}.");
                            return Err(self.fault(at + 1, &what));
                        }
                    });
                }
                c if c < ' ' && c != '\t' => {
                    let what = format!(
                        "Invalid character within String: {}.",
                        shown_character(Some(c))
                    );
                    return Err(self.fault(at, &what));
                }
                c => out.push(c),
            }
        }
    }

    fn block_string(&mut self) -> Result<Token, SyntaxError> {
        self.at += 3;
        let mut raw = String::new();
        loop {
            let rest = &self.source[self.at..];
            if let Some(after) = rest.strip_prefix("\\\"\"\"") {
                raw.push_str("\"\"\"");
                self.at = self.source.len() - after.len();
            } else if rest.starts_with("\"\"\"") {
                self.at += 3;
                return Ok(Token::String(dedented(&raw)));
            } else if let Some(c) = rest.chars().next() {
                raw.push(c);
                self.at += c.len_utf8();
            } else {
                return Err(self.fault(self.at, "Unterminated string."));
            }
        }
    }
}

/// The value of a block string: without the common indentation of all lines except the first. The
/// first line loses as many characters although it is not indented (new-graphql-tree-arg-22).
fn dedented(raw: &str) -> String {
    let raw = raw.replace("\r\n", "\n").replace('\r', "\n");
    let mut lines: Vec<&str> = raw.split('\n').collect();
    let indent = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let is_blank = |line: &str| indent(line) == line.len();
    let common = lines
        .iter()
        .skip(1)
        .filter(|it| !is_blank(it))
        .map(|it| indent(it))
        .min();
    for line in &mut lines {
        // A shorter line stays as it is, and so does one that the cut would split within a
        // character.
        *line = line.get(common.unwrap_or(0)..).unwrap_or(line);
    }
    let first = lines.iter().position(|it| !is_blank(it));
    let last = lines.iter().rposition(|it| !is_blank(it));
    match (first, last) {
        (Some(first), Some(last)) => lines[first..=last].join("\n"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_strings_lose_indentation_and_blank_ends() {
        for (raw, shown) in [
            ("\n  \n    a\n\n      b\n  \n", "a\n\n  b"),
            ("a\r\n  b", "a\nb"),
            (" \n\t\n", ""),
            ("", ""),
        ] {
            assert_eq!(dedented(raw), shown, "{raw:?}");
        }
    }
}
