//! GraphQL documents: parsed as the gateway does, and printed for services.
//!
//! There is no literal `null`, and errors have the gateway's texts.

use std::fmt::Write;

/// How deep selections, lists and objects may be nested.
const MAX_DEPTH: usize = 200;

/// A document: operations and fragments.
#[derive(Clone, Debug, Default)]
pub(super) struct Document {
    pub(super) operations: Vec<Operation>,
    pub(super) fragments: Vec<Fragment>,
    /// The kind of any other definition, such as `ObjectDefinition`.
    pub(super) other: Option<&'static str>,
    /// Whether each definition, in order, is an operation.
    pub(super) order: Vec<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OperationKind {
    Query,
    Mutation,
    Subscription,
}

#[derive(Clone, Debug)]
pub(super) struct Operation {
    pub(super) kind: OperationKind,
    pub(super) at: usize,
    pub(super) name: Option<Name>,
    pub(super) variables: Vec<Variable>,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
}

#[derive(Clone, Debug)]
pub(super) struct Fragment {
    pub(super) at: usize,
    pub(super) name: Name,
    pub(super) on: Name,
    pub(super) directives: Vec<Directive>,
    pub(super) selections: Vec<Selection>,
}

/// A name and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) text: String,
    pub(super) at: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Variable {
    /// The position of the `$`.
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) of: TypeText,
    pub(super) default: Option<Literal>,
}

/// A type as a document writes it.
#[derive(Clone, Debug)]
pub(super) enum TypeText {
    Named(Name),
    List(Box<TypeText>),
    NonNull(Box<TypeText>),
}

#[derive(Clone, Debug)]
pub(super) struct Directive {
    pub(super) at: usize,
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
}

#[derive(Clone, Debug)]
pub(super) struct Argument {
    pub(super) name: Name,
    pub(super) value: Literal,
}

#[derive(Clone, Debug)]
pub(super) struct Literal {
    pub(super) at: usize,
    pub(super) value: LiteralValue,
}

#[derive(Clone, Debug)]
pub(super) enum LiteralValue {
    Variable(String),
    Int(String),
    Float(String),
    String(String),
    Bool(bool),
    Enum(String),
    List(Vec<Literal>),
    Object(Vec<Argument>),
}

#[derive(Clone, Debug)]
pub(super) enum Selection {
    Field(Field),
    Spread {
        at: usize,
        name: Name,
        directives: Vec<Directive>,
    },
    Inline {
        at: usize,
        on: Option<Name>,
        directives: Vec<Directive>,
        selections: Vec<Selection>,
    },
}

#[derive(Clone, Debug)]
pub(super) struct Field {
    pub(super) at: usize,
    pub(super) alias: Option<String>,
    pub(super) name: String,
    pub(super) arguments: Vec<Argument>,
    pub(super) directives: Vec<Directive>,
    /// The position of the braces, and the fields in them.
    pub(super) selections: Option<(usize, Vec<Selection>)>,
}

impl Field {
    /// The key of the value in the answer.
    pub(super) fn key(&self) -> &str {
        self.alias.as_deref().unwrap_or(&self.name)
    }

    pub(super) fn inner(&self) -> &[Selection] {
        self.selections
            .as_ref()
            .map_or(&[], |(_, selections)| selections)
    }
}

impl Document {
    pub(super) fn fragment(&self, name: &str) -> Option<&Fragment> {
        self.fragments.iter().find(|it| it.name.text == name)
    }
}

impl TypeText {
    pub(super) fn named(&self) -> &Name {
        match self {
            Self::Named(name) => name,
            Self::List(inner) | Self::NonNull(inner) => inner.named(),
        }
    }
}

/// Line and column, from 1.
pub(super) fn place(text: &str, at: usize) -> (usize, usize) {
    let before = &text.as_bytes()[..at.min(text.len())];
    let (mut line, mut start, mut n) = (1, 0, 0);
    while n < before.len() {
        if before[n] == b'\r' && before.get(n + 1) == Some(&b'\n') {
            n += 1;
        }
        if matches!(before[n], b'\n' | b'\r') {
            line += 1;
            start = n + 1;
        }
        n += 1;
    }
    (line, at - start + 1)
}

/// A syntax error: the gateway's text, and its position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) text: String,
    pub(super) at: usize,
}

impl SyntaxError {
    fn new(source: &str, at: usize, what: &str) -> Self {
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

// === tokens ===

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    End,
    Punctuation(&'static str),
    Name(String),
    Int(String),
    Float(String),
    String(String),
}

impl Token {
    fn shown(&self) -> String {
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

struct Lexer<'a> {
    source: &'a str,
    at: usize,
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

    fn fault(&self, at: usize, what: &str) -> SyntaxError {
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
    fn next(&mut self) -> Result<(Token, usize), SyntaxError> {
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
    while lines.first().is_some_and(|it| is_blank(it)) {
        lines.remove(0);
    }
    while lines.last().is_some_and(|it| is_blank(it)) {
        lines.pop();
    }
    lines.join("\n")
}

// === parsing ===

/// Parses a document.
pub(super) fn parse(source: &str) -> Result<Document, SyntaxError> {
    let mut lexer = Lexer { source, at: 0 };
    let (token, at) = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        at,
        depth: 0,
    };
    let mut document = Document::default();
    while parser.token != Token::End {
        parser.definition(&mut document)?;
        if document.other.is_some() {
            break;
        }
    }
    Ok(document)
}

struct Parser<'a> {
    lexer: Lexer<'a>,
    token: Token,
    at: usize,
    depth: usize,
}

type Parsed<T> = Result<T, SyntaxError>;

impl Parser<'_> {
    fn advance(&mut self) -> Parsed<Token> {
        let (token, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, token))
    }

    fn unexpected<T>(&self) -> Parsed<T> {
        Err(self
            .lexer
            .fault(self.at, &format!("Unexpected {}", self.token.shown())))
    }

    fn skip(&mut self, it: &'static str) -> Parsed<bool> {
        let is_it = self.token == Token::Punctuation(it);
        if is_it {
            self.advance()?;
        }
        Ok(is_it)
    }

    fn expect(&mut self, it: &'static str) -> Parsed<()> {
        if self.skip(it)? {
            return Ok(());
        }
        let what = format!("Expected {it}, found {}", self.token.shown());
        Err(self.lexer.fault(self.at, &what))
    }

    fn name(&mut self) -> Parsed<Name> {
        let at = self.at;
        match &self.token {
            Token::Name(_) => match self.advance()? {
                Token::Name(text) => Ok(Name { text, at }),
                _ => self.unexpected(),
            },
            other => {
                let what = format!("Expected Name, found {}", other.shown());
                Err(self.lexer.fault(at, &what))
            }
        }
    }

    /// The items between two brackets, at least one.
    fn many<T>(
        &mut self,
        open: &'static str,
        close: &'static str,
        mut item: impl FnMut(&mut Self) -> Parsed<T>,
    ) -> Parsed<Vec<T>> {
        let at = self.at;
        self.expect(open)?;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.lexer.fault(at, "nested too deeply"));
        }
        let mut all = Vec::new();
        while !self.skip(close)? {
            all.push(item(self)?);
        }
        self.depth -= 1;
        if all.is_empty() {
            return Err(self
                .lexer
                .fault(at, &format!("Unexpected empty IN {open}{close}")));
        }
        Ok(all)
    }

    fn definition(&mut self, document: &mut Document) -> Parsed<()> {
        let at = self.at;
        let word = match &self.token {
            Token::Punctuation("{") => {
                let selections = self.selections()?;
                let (kind, name) = (OperationKind::Query, None);
                let (variables, directives) = (Vec::new(), Vec::new());
                document.operations.push(Operation {
                    kind,
                    at,
                    name,
                    variables,
                    directives,
                    selections,
                });
                document.order.push(true);
                return Ok(());
            }
            Token::Name(word) => word.clone(),
            _ => return self.unexpected(),
        };
        let kind = match word.as_str() {
            "query" => OperationKind::Query,
            "mutation" => OperationKind::Mutation,
            "subscription" => OperationKind::Subscription,
            "fragment" => {
                self.advance()?;
                if self.token == Token::Name("on".to_owned()) {
                    return self.unexpected();
                }
                let name = self.name()?;
                if self.token != Token::Name("on".to_owned()) {
                    let what = format!("Expected \"on\", found {}", self.token.shown());
                    return Err(self.lexer.fault(self.at, &what));
                }
                self.advance()?;
                let on = self.name()?;
                let directives = self.directives()?;
                let selections = self.selections()?;
                document.fragments.push(Fragment {
                    at,
                    name,
                    on,
                    directives,
                    selections,
                });
                document.order.push(false);
                return Ok(());
            }
            other => {
                document.other = Some(match other {
                    "type" => "ObjectDefinition",
                    "schema" => "SchemaDefinition",
                    "scalar" => "ScalarDefinition",
                    "interface" => "InterfaceDefinition",
                    "union" => "UnionDefinition",
                    "enum" => "EnumDefinition",
                    "input" => "InputObjectDefinition",
                    "extend" => "TypeExtensionDefinition",
                    "directive" => "DirectiveDefinition",
                    _ => return self.unexpected(),
                });
                return Ok(());
            }
        };
        self.advance()?;
        let name = match self.token {
            Token::Name(_) => Some(self.name()?),
            _ => None,
        };
        let variables = match self.token {
            Token::Punctuation("(") => self.many("(", ")", Self::variable)?,
            _ => Vec::new(),
        };
        let directives = self.directives()?;
        let selections = self.selections()?;
        document.operations.push(Operation {
            kind,
            at,
            name,
            variables,
            directives,
            selections,
        });
        document.order.push(true);
        Ok(())
    }

    fn variable(&mut self) -> Parsed<Variable> {
        let at = self.at;
        self.expect("$")?;
        let name = self.name()?.text;
        self.expect(":")?;
        let of = self.type_text()?;
        let default = match self.skip("=")? {
            true => Some(self.value(true)?),
            false => None,
        };
        Ok(Variable {
            at,
            name,
            of,
            default,
        })
    }

    fn type_text(&mut self) -> Parsed<TypeText> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.lexer.fault(self.at, "nested too deeply"));
        }
        let of = if self.skip("[")? {
            let inner = self.type_text()?;
            self.expect("]")?;
            TypeText::List(Box::new(inner))
        } else {
            TypeText::Named(self.name()?)
        };
        self.depth -= 1;
        Ok(if self.skip("!")? {
            TypeText::NonNull(Box::new(of))
        } else {
            of
        })
    }

    fn directives(&mut self) -> Parsed<Vec<Directive>> {
        let mut all = Vec::new();
        while self.token == Token::Punctuation("@") {
            let at = self.at;
            self.advance()?;
            let name = self.name()?.text;
            all.push(Directive {
                at,
                name,
                arguments: self.arguments()?,
            });
        }
        Ok(all)
    }

    fn arguments(&mut self) -> Parsed<Vec<Argument>> {
        match self.token {
            Token::Punctuation("(") => self.many("(", ")", |parser| parser.argument(false)),
            _ => Ok(Vec::new()),
        }
    }

    fn argument(&mut self, is_constant: bool) -> Parsed<Argument> {
        let name = self.name()?;
        self.expect(":")?;
        Ok(Argument {
            name,
            value: self.value(is_constant)?,
        })
    }

    fn value(&mut self, is_constant: bool) -> Parsed<Literal> {
        let at = self.at;
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.lexer.fault(at, "nested too deeply"));
        }
        let value = match &self.token {
            Token::Punctuation("[") => {
                self.advance()?;
                let mut all = Vec::new();
                while !self.skip("]")? {
                    all.push(self.value(is_constant)?);
                }
                LiteralValue::List(all)
            }
            Token::Punctuation("{") => {
                self.advance()?;
                let mut all = Vec::new();
                while !self.skip("}")? {
                    all.push(self.argument(is_constant)?);
                }
                LiteralValue::Object(all)
            }
            Token::Punctuation("$") if !is_constant => {
                self.advance()?;
                LiteralValue::Variable(self.name()?.text)
            }
            // graphql-syntax: there is no literal null.
            Token::Name(name) if name == "null" => return self.unexpected(),
            Token::Int(_) | Token::Float(_) | Token::String(_) | Token::Name(_) => {
                match self.advance()? {
                    Token::Int(it) => LiteralValue::Int(it),
                    Token::Float(it) => LiteralValue::Float(it),
                    Token::String(it) => LiteralValue::String(it),
                    Token::Name(it) if it == "true" || it == "false" => {
                        LiteralValue::Bool(it == "true")
                    }
                    Token::Name(it) => LiteralValue::Enum(it),
                    _ => return self.unexpected(),
                }
            }
            _ => return self.unexpected(),
        };
        self.depth -= 1;
        Ok(Literal { at, value })
    }

    fn selections(&mut self) -> Parsed<Vec<Selection>> {
        self.many("{", "}", Self::selection)
    }

    fn selection(&mut self) -> Parsed<Selection> {
        let at = self.at;
        if self.skip("...")? {
            let is_on = self.token == Token::Name("on".to_owned());
            if let (Token::Name(_), false) = (&self.token, is_on) {
                let name = self.name()?;
                return Ok(Selection::Spread {
                    at,
                    name,
                    directives: self.directives()?,
                });
            }
            let on = match is_on {
                true => {
                    self.advance()?;
                    Some(self.name()?)
                }
                false => None,
            };
            let directives = self.directives()?;
            return Ok(Selection::Inline {
                at,
                on,
                directives,
                selections: self.selections()?,
            });
        }
        let first = self.name()?.text;
        let (alias, name) = match self.skip(":")? {
            true => (Some(first), self.name()?.text),
            false => (None, first),
        };
        let arguments = self.arguments()?;
        let directives = self.directives()?;
        let selections = match self.token {
            Token::Punctuation("{") => Some((self.at, self.selections()?)),
            _ => None,
        };
        Ok(Selection::Field(Field {
            at,
            alias,
            name,
            arguments,
            directives,
            selections,
        }))
    }
}

// === printing ===

/// A value as a document writes it.
pub(super) fn print_value(value: &LiteralValue) -> String {
    match value {
        LiteralValue::Variable(name) => format!("${name}"),
        LiteralValue::Int(it) | LiteralValue::Float(it) | LiteralValue::Enum(it) => it.clone(),
        LiteralValue::Bool(it) => it.to_string(),
        LiteralValue::String(it) => {
            let mut out = String::new();
            super::super::json::quote_with(it, false, &mut out);
            out
        }
        LiteralValue::List(all) => {
            let all: Vec<String> = all.iter().map(|it| print_value(&it.value)).collect();
            format!("[{}]", all.join(", "))
        }
        LiteralValue::Object(all) => format!("{{{}}}", print_arguments(all)),
    }
}

fn print_arguments(arguments: &[Argument]) -> String {
    let all = arguments
        .iter()
        .map(|it| format!("{}: {}", it.name.text, print_value(&it.value.value)));
    all.collect::<Vec<_>>().join(", ")
}

pub(super) fn print_type(of: &TypeText) -> String {
    match of {
        TypeText::Named(name) => name.text.clone(),
        TypeText::List(inner) => format!("[{}]", print_type(inner)),
        TypeText::NonNull(inner) => format!("{}!", print_type(inner)),
    }
}

/// The request for one root field: all variables of the operation with the gateway's names of
/// types, and types of fragments with the names that `rename` returns.
pub(super) fn print_request(
    operation: &Operation,
    field: &Field,
    name: &str,
    rename: &dyn Fn(&str) -> String,
) -> String {
    let variables = operation.variables.iter().map(|it| {
        let default = it
            .default
            .as_ref()
            .map(|it| format!(" = {}", print_value(&it.value)));
        format!(
            "${}: {}{}",
            it.name,
            print_type(&it.of),
            default.unwrap_or_default()
        )
    });
    let variables: Vec<String> = variables.collect();
    let word = match operation.kind {
        OperationKind::Query => "query",
        OperationKind::Mutation => "mutation",
        OperationKind::Subscription => "subscription",
    };
    let mut out = match (operation.kind, variables.is_empty()) {
        (OperationKind::Query, true) => String::new(),
        (_, true) => format!("{word} "),
        (_, false) => format!("{word} ({}) ", variables.join(", ")),
    };
    out.push_str("{\n");
    let renamed = Field {
        name: name.to_owned(),
        ..field.clone()
    };
    print_selection(&Selection::Field(renamed), 1, rename, &mut out);
    out.push_str("}\n");
    out
}

fn print_selection(
    it: &Selection,
    depth: usize,
    rename: &dyn Fn(&str) -> String,
    out: &mut String,
) {
    out.push_str(&"  ".repeat(depth));
    let (directives, inner) = match it {
        Selection::Field(field) => {
            if let Some(alias) = &field.alias {
                out.push_str(alias);
                out.push_str(": ");
            }
            out.push_str(&field.name);
            if !field.arguments.is_empty() {
                let _ = write!(out, "({})", print_arguments(&field.arguments));
            }
            (&field.directives, field.inner())
        }
        Selection::Spread {
            name, directives, ..
        } => {
            out.push_str("...");
            out.push_str(&name.text);
            (directives, &[][..])
        }
        Selection::Inline {
            on,
            directives,
            selections,
            ..
        } => {
            out.push_str("...");
            if let Some(on) = on {
                out.push_str(" on ");
                out.push_str(&rename(&on.text));
            }
            (directives, &selections[..])
        }
    };
    for directive in directives {
        let _ = write!(out, " @{}", directive.name);
        if !directive.arguments.is_empty() {
            let _ = write!(out, "({})", print_arguments(&directive.arguments));
        }
    }
    if !inner.is_empty() {
        out.push_str(" {\n");
        for it in inner {
            print_selection(it, depth + 1, rename, out);
        }
        out.push_str(&"  ".repeat(depth));
        out.push('}');
    }
    out.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_told_as_the_gateway_tells_them() {
        for (source, text) in [
            (
                "{ gql { ",
                "Syntax Error GraphQL request (1:9) Expected Name, found EOF\n\n1: { gql { \n           ^\n",
            ),
            (
                "{ }",
                "Syntax Error GraphQL request (1:1) Unexpected empty IN {}\n\n1: { }\n   ^\n",
            ),
            (
                "{ a(b: null) }",
                "Syntax Error GraphQL request (1:8) Unexpected Name \"null\"\n\n1: { a(b: null) }\n          ^\n",
            ),
            (
                "{\n a ?\n}",
                "Syntax Error GraphQL request (2:4) Unexpected character \"?\".\n\n1: {\n2:  a ?\n      ^\n3: }\n",
            ),
        ] {
            assert_eq!(parse(source).unwrap_err().text, text);
        }
        let deep = "{a".repeat(10_000);
        assert!(parse(&deep).unwrap_err().text.contains("nested too deeply"));
    }

    #[test]
    fn requests_are_printed_for_services() {
        let source = "query Q($n: Int = 3) { x: a(b: {c: [1, E, \"\\n\"]}) { ... on ns_T @skip(if: $n) { d } ...F } }";
        let document = parse(source).unwrap();
        let Selection::Field(field) = &document.operations[0].selections[0] else {
            panic!("a field")
        };
        let text = print_request(&document.operations[0], field, "a", &|it| {
            it.replace("ns_", "")
        });
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(
            text,
            "query ($n: Int = 3) { x: a(b: {c: [1, E, \"\\n\"]}) { ... on T @skip(if: $n) { d } ...F } }"
        );
    }
}
