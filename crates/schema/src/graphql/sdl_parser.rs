//! Parses the schema of a GraphQL upstream from text (SDL) into what its introspection would return.

use std::collections::HashMap;
use std::fmt;

use super::ir::DeclaredValue;
use super::upstream::{
    Introspection, UpstreamField, UpstreamInput, UpstreamKind, UpstreamRef, UpstreamType,
};
use crate::location::Location;

/// Why a text is not SDL, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SdlError {
    /// The syntax error.
    pub message: String,
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

impl fmt::Display for SdlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for SdlError {}

/// Values nested deeper than this are refused.
const MAX_DEPTH: usize = 128;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    /// `{`, `}`, `!`, `...` and the like.
    Sign(&'static str),
    Text(String),
    Number,
    End,
}

const SIGNS: [&str; 15] = [
    "...", "{", "}", "(", ")", "[", "]", ":", "=", "|", "&", "!", "@", "$", ",",
];

impl Introspection {
    /// Parses a schema from text.
    ///
    /// # Errors
    ///
    /// The text is not a GraphQL schema.
    pub fn from_sdl(text: &str) -> Result<Self, SdlError> {
        let mut parser = Parser::new(text)?;
        let mut document = Document::default();
        while parser.peek() != &Token::End {
            parser.definition(&mut document)?;
        }
        Ok(document.into_introspection())
    }
}

#[derive(Default)]
struct Document {
    types: Vec<UpstreamType>,
    at: HashMap<String, usize>,
    /// Interfaces, and the object types that implement them.
    implementors: HashMap<String, Vec<String>>,
    interfaces: Vec<String>,
    roots: HashMap<String, String>,
    has_schema: bool,
}

impl Document {
    /// Adds a type, or an extension of one.
    fn add(&mut self, it: UpstreamType) {
        let Some(at) = self.at.get(&it.name).copied() else {
            self.at.insert(it.name.clone(), self.types.len());
            self.types.push(it);
            return;
        };
        let there = &mut self.types[at];
        if it.description.is_some() {
            there.description = it.description;
        }
        match (&mut there.kind, it.kind) {
            (UpstreamKind::Object(all), UpstreamKind::Object(more)) => all.extend(more),
            (UpstreamKind::Input(all), UpstreamKind::Input(more)) => all.extend(more),
            (UpstreamKind::Enum(all), UpstreamKind::Enum(more)) => all.extend(more),
            (UpstreamKind::Abstract(all), UpstreamKind::Abstract(more)) => all.extend(more),
            _ => {}
        }
    }

    fn into_introspection(mut self) -> Introspection {
        for interface in &self.interfaces {
            let members = self.implementors.remove(interface).unwrap_or_default();
            if let Some(at) = self.at.get(interface) {
                self.types[*at].kind = UpstreamKind::Abstract(members);
            }
        }
        let root = |keyword: &str, usual: &str| match self.has_schema {
            true => self.roots.get(keyword).cloned(),
            false => self.at.contains_key(usual).then(|| usual.to_owned()),
        };
        Introspection {
            query: root("query", "Query"),
            mutation: root("mutation", "Mutation"),
            subscription: root("subscription", "Subscription"),
            types: self.types,
        }
    }
}

struct Parser {
    tokens: Vec<(Token, usize, usize)>,
    at: usize,
}

/// The directives that gateways look at.
#[derive(Default)]
struct Directives {
    deprecated: Option<String>,
}

impl Parser {
    fn new(text: &str) -> Result<Self, SdlError> {
        Ok(Self {
            tokens: Lexer::new(text).tokens()?,
            at: 0,
        })
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.at.min(self.tokens.len() - 1)].0
    }

    fn location(&self) -> Location {
        let (_, line, column) = self.tokens[self.at.min(self.tokens.len() - 1)];
        Location::Text(line, column)
    }

    fn next(&mut self) -> Token {
        let token = self.peek().clone();
        self.at += 1;
        token
    }

    fn fault<T>(&self, wanted: &str) -> Result<T, SdlError> {
        let (found, line, column) = &self.tokens[self.at.min(self.tokens.len() - 1)];
        let found = match found {
            Token::Name(name) => format!("`{name}`"),
            Token::Sign(sign) => format!("`{sign}`"),
            Token::Text(_) => "a string".to_owned(),
            Token::Number => "a number".to_owned(),
            Token::End => "the end".to_owned(),
        };
        Err(SdlError {
            message: format!("expected {wanted}, found {found}"),
            line: *line,
            column: *column,
        })
    }

    fn takes(&mut self, sign: &str) -> bool {
        let is_there = matches!(self.peek(), Token::Sign(it) if *it == sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn expect(&mut self, sign: &str) -> Result<(), SdlError> {
        match self.takes(sign) {
            true => Ok(()),
            false => self.fault(&format!("`{sign}`")),
        }
    }

    fn name(&mut self) -> Result<String, SdlError> {
        match self.peek() {
            Token::Name(name) => {
                let name = name.clone();
                self.at += 1;
                Ok(name)
            }
            _ => self.fault("a name"),
        }
    }

    fn takes_word(&mut self, word: &str) -> bool {
        let is_there = matches!(self.peek(), Token::Name(name) if name == word);
        self.at += usize::from(is_there);
        is_there
    }

    fn description(&mut self) -> Option<String> {
        let Token::Text(text) = self.peek() else {
            return None;
        };
        let text = text.clone();
        self.at += 1;
        Some(text)
    }

    fn definition(&mut self, document: &mut Document) -> Result<(), SdlError> {
        let description = self.description();
        self.takes_word("extend");
        let location = self.location();
        let keyword = match self.peek() {
            Token::Name(word) => word.clone(),
            _ => return self.fault("a definition"),
        };
        self.at += 1;
        match keyword.as_str() {
            "schema" => {
                document.has_schema = true;
                self.directives()?;
                if self.takes("{") {
                    while !self.takes("}") {
                        let keyword = self.name()?;
                        self.expect(":")?;
                        let name = self.name()?;
                        document.roots.insert(keyword, name);
                    }
                }
                return Ok(());
            }
            "directive" => return self.directive_definition(),
            _ => {}
        }
        let location = match keyword.as_str() {
            "scalar" | "type" | "interface" | "union" | "enum" | "input" => self.location(),
            _ => {
                self.at -= 1;
                let _ = location;
                return self.fault("a definition of a type");
            }
        };
        let name = self.name()?;
        let kind = match keyword.as_str() {
            "scalar" => {
                self.directives()?;
                UpstreamKind::Scalar
            }
            "union" => {
                self.directives()?;
                let mut members = Vec::new();
                if self.takes("=") {
                    self.takes("|");
                    members.push(self.name()?);
                    while self.takes("|") {
                        members.push(self.name()?);
                    }
                }
                UpstreamKind::Abstract(members)
            }
            "enum" => {
                self.directives()?;
                UpstreamKind::Enum(self.block(Self::value_definition)?)
            }
            "input" => {
                self.directives()?;
                let fields = self.block(Self::input_definition)?;
                UpstreamKind::Input(fields.into_iter().flatten().collect())
            }
            // An object or an interface.
            keyword => {
                if self.takes_word("implements") {
                    self.takes("&");
                    let mut interfaces = vec![self.name()?];
                    while self.takes("&") {
                        interfaces.push(self.name()?);
                    }
                    if keyword == "type" {
                        for interface in interfaces {
                            let members = document.implementors.entry(interface).or_default();
                            members.push(name.clone());
                        }
                    }
                }
                self.directives()?;
                let fields = self.block(Self::field_definition)?;
                if keyword == "interface" {
                    document.interfaces.push(name.clone());
                    UpstreamKind::Abstract(Vec::new())
                } else {
                    UpstreamKind::Object(fields)
                }
            }
        };
        document.add(UpstreamType {
            kind,
            name,
            description,
            location,
        });
        Ok(())
    }

    fn block<T>(
        &mut self,
        read: impl Fn(&mut Self) -> Result<T, SdlError>,
    ) -> Result<Vec<T>, SdlError> {
        let mut items = Vec::new();
        if self.takes("{") {
            while !self.takes("}") {
                items.push(read(self)?);
            }
        }
        Ok(items)
    }

    fn field_definition(&mut self) -> Result<UpstreamField, SdlError> {
        let description = self.description();
        let location = self.location();
        let name = self.name()?;
        let mut arguments = Vec::new();
        if self.takes("(") {
            while !self.takes(")") {
                arguments.extend(self.input_definition()?);
            }
        }
        self.expect(":")?;
        let of = self.reference()?;
        let deprecated = self.directives()?.deprecated;
        Ok(UpstreamField {
            name,
            description,
            arguments,
            of,
            deprecated,
            location,
        })
    }

    /// `None` if it is deprecated: gateways do not ask for it.
    fn input_definition(&mut self) -> Result<Option<UpstreamInput>, SdlError> {
        let description = self.description();
        let location = self.location();
        let name = self.name()?;
        self.expect(":")?;
        let of = self.reference()?;
        if self.takes("=") {
            self.value()?;
        }
        let directives = self.directives()?;
        Ok(directives.deprecated.is_none().then_some(UpstreamInput {
            name,
            description,
            of,
            location,
        }))
    }

    fn value_definition(&mut self) -> Result<DeclaredValue, SdlError> {
        let description = self.description();
        let location = self.location();
        let name = self.name()?;
        let deprecated = self.directives()?.deprecated;
        Ok(DeclaredValue {
            name,
            description: description.and_then(|it| super::descriptions::description(&it)),
            deprecated,
            location,
        })
    }

    fn reference(&mut self) -> Result<UpstreamRef, SdlError> {
        let mut lists = 0;
        while self.takes("[") {
            lists += 1;
        }
        let name = self.name()?;
        // From the inside out.
        let mut wrappers = Vec::new();
        for number in 0..=lists {
            if number > 0 {
                self.expect("]")?;
                wrappers.push(false);
            }
            if self.takes("!") {
                wrappers.push(true);
            }
        }
        wrappers.reverse();
        Ok(UpstreamRef::new(name, &wrappers))
    }

    fn directives(&mut self) -> Result<Directives, SdlError> {
        let mut directives = Directives::default();
        while self.takes("@") {
            let name = self.name()?;
            let mut reason = None;
            if self.takes("(") {
                while !self.takes(")") {
                    let argument = self.name()?;
                    self.expect(":")?;
                    let value = self.value()?;
                    if argument == "reason" {
                        reason = value;
                    }
                }
            }
            if name == "deprecated" {
                let usual = || "No longer supported".to_owned();
                let reason = reason.unwrap_or_else(usual);
                directives.deprecated = Some(reason).filter(|it| !it.is_empty());
            }
        }
        Ok(directives)
    }

    fn directive_definition(&mut self) -> Result<(), SdlError> {
        self.expect("@")?;
        self.name()?;
        if self.takes("(") {
            while !self.takes(")") {
                self.input_definition()?;
            }
        }
        self.takes_word("repeatable");
        if !self.takes_word("on") {
            return self.fault("`on`");
        }
        self.takes("|");
        self.name()?;
        while self.takes("|") {
            self.name()?;
        }
        Ok(())
    }

    /// A value; returns the text of a string.
    fn value(&mut self) -> Result<Option<String>, SdlError> {
        // A stack of open lists and objects instead of recursion: values may be nested.
        let mut open: Vec<&'static str> = Vec::new();
        let mut text = None;
        loop {
            if let Some(close) = open.last() {
                if self.takes(close) {
                    open.pop();
                    if open.is_empty() {
                        return Ok(None);
                    }
                    continue;
                }
                if *close == "}" {
                    self.name()?;
                    self.expect(":")?;
                }
            }
            match self.next() {
                Token::Text(it) => text = Some(it),
                Token::Name(_) | Token::Number => {}
                Token::Sign("$") => {
                    self.name()?;
                }
                Token::Sign("[") if open.len() < MAX_DEPTH => {
                    open.push("]");
                    continue;
                }
                Token::Sign("{") if open.len() < MAX_DEPTH => {
                    open.push("}");
                    continue;
                }
                _ => {
                    self.at -= 1;
                    return self.fault("a value");
                }
            }
            if open.is_empty() {
                return Ok(text);
            }
        }
    }
}

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    line: usize,
    column: usize,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str) -> Self {
        Self {
            text: text.strip_prefix('\u{feff}').unwrap_or(text),
            at: 0,
            line: 1,
            column: 1,
        }
    }

    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, bytes: usize) {
        for c in self.text[self.at..self.at + bytes].chars() {
            if c == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
        }
        self.at += bytes;
    }

    fn tokens(mut self) -> Result<Vec<(Token, usize, usize)>, SdlError> {
        let mut tokens = Vec::new();
        loop {
            let rest = self.rest();
            let blank =
                rest.find(|c: char| !matches!(c, ' ' | '\t' | '\n' | '\r' | ',' | '\u{feff}'));
            self.skip(blank.unwrap_or(rest.len()));
            let rest = self.rest();
            if rest.starts_with('#') {
                self.skip(rest.find('\n').unwrap_or(rest.len()));
                continue;
            }
            let (line, column) = (self.line, self.column);
            let token = match rest.chars().next() {
                None => {
                    tokens.push((Token::End, line, column));
                    return Ok(tokens);
                }
                Some('"') => self.string()?,
                Some(c) if c == '_' || c.is_ascii_alphabetic() => {
                    let is_end = |c: char| c != '_' && !c.is_ascii_alphanumeric();
                    let end = rest.find(is_end).unwrap_or(rest.len());
                    self.skip(end);
                    Token::Name(rest[..end].to_owned())
                }
                Some(c) if c == '-' || c.is_ascii_digit() => {
                    let is_end =
                        |c: char| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '+' | '.');
                    let end = rest.find(is_end).unwrap_or(rest.len());
                    self.skip(end);
                    Token::Number
                }
                Some(c) => {
                    let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
                    let Some(sign) = sign else {
                        return Err(SdlError {
                            message: format!("a schema cannot contain `{c}`"),
                            line,
                            column,
                        });
                    };
                    self.skip(sign.len());
                    Token::Sign(sign)
                }
            };
            tokens.push((token, line, column));
        }
    }

    fn string(&mut self) -> Result<Token, SdlError> {
        let (line, column) = (self.line, self.column);
        let unended = || SdlError {
            message: "a string that is not closed".to_owned(),
            line,
            column,
        };
        let rest = self.rest();
        if let Some(inner) = rest.strip_prefix("\"\"\"") {
            let mut from = 0;
            let end = loop {
                let end = from
                    + inner
                        .get(from..)
                        .and_then(|it| it.find("\"\"\""))
                        .ok_or_else(unended)?;
                if !inner[..end].ends_with('\\') {
                    break end;
                }
                from = end + 3;
            };
            self.skip(end + 6);
            return Ok(Token::Text(block_value(&inner[..end])));
        }
        let mut value = String::new();
        let mut chars = rest[1..].char_indices();
        while let Some((at, c)) = chars.next() {
            match c {
                '"' => {
                    self.skip(at + 2);
                    return Ok(Token::Text(value));
                }
                '\n' => break,
                '\\' => match chars.next().ok_or_else(unended)?.1 {
                    'n' => value.push('\n'),
                    't' => value.push('\t'),
                    'r' => value.push('\r'),
                    'b' => value.push('\u{8}'),
                    'f' => value.push('\u{c}'),
                    'u' => {
                        let digits: String = chars.by_ref().take(4).map(|it| it.1).collect();
                        let code = u32::from_str_radix(&digits, 16).ok();
                        value.push(code.and_then(char::from_u32).unwrap_or('\u{fffd}'));
                    }
                    c => value.push(c),
                },
                c => value.push(c),
            }
        }
        Err(unended())
    }
}

/// The text of a block string, without the common indentation of its lines.
fn block_value(raw: &str) -> String {
    let raw = raw.replace("\\\"\"\"", "\"\"\"").replace("\r\n", "\n");
    let lines: Vec<&str> = raw.split('\n').collect();
    let blanks = |line: &str| line.len() - line.trim_start_matches([' ', '\t']).len();
    let indented = lines
        .iter()
        .skip(1)
        .filter(|line| blanks(line) < line.len());
    let common = indented.map(|line| blanks(line)).min().unwrap_or(0);
    let lines: Vec<&str> = lines
        .iter()
        .enumerate()
        .map(|(number, line)| match number {
            0 => line,
            _ => line.get(common..).unwrap_or_default(),
        })
        .collect();
    let has_text = |line: &&str| !line.trim_matches([' ', '\t']).is_empty();
    let first = lines.iter().position(has_text).unwrap_or(lines.len());
    let end = lines
        .iter()
        .rposition(has_text)
        .map_or(first, |last| last + 1);
    lines[first..end].join("\n")
}
