//! What a gateway's schema text shows: read piece by piece, because it may be long, with little of
//! it kept.
//!
//! A text that is not a GraphQL schema with a `type Query` (a login page, JSON, an error) is not
//! evidence (contract § 6).

use std::collections::{BTreeMap, BTreeSet};

/// The maximum size of the kept names in bytes: enough for many thousands of services.
const MOST_KEPT: usize = 2 * 1024 * 1024;
/// The memory that a name takes in addition to its bytes.
const NODE: usize = 64;
/// The longest name that is read.
const LONGEST_NAME: usize = 64 * 1024;

/// The namespaces of a schema and their versions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Served {
    /// The fields of Query and Mutation.
    roots: BTreeSet<String>,
    /// The version groups of a namespace's type, by the name of that type.
    groups: BTreeMap<String, BTreeSet<String>>,
    /// The fields of Subscription, which has no groups: `<namespace>_<operation>`.
    subscriptions: BTreeSet<String>,
    /// The listed namespaces: if `chat_room` is among them, `chat_room_said` does not belong to
    /// `chat`.
    listed: BTreeSet<String>,
}

/// Whether a schema shows a version of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    Yes,
    No,
    /// Only subscriptions show it, and their names do not include the version.
    Unclear,
}

/// What the text of `GET /api/schema/graphql` shows of services, for tools.
///
/// # Examples
///
/// ```
/// use tower_gwag::ServedSchema;
///
/// let text = b"type Query { pets: PetsQueryNamespace! } type PetsQueryNamespace { get: String }";
/// let served = ServedSchema::read(text).expect("a schema");
/// assert_eq!(served.shows("pets", "v1"), Some(true));
/// assert_eq!(served.shows("cars", "v1"), Some(false));
/// assert!(ServedSchema::read(b"<html>please log in</html>").is_none());
/// ```
#[derive(Clone, Debug)]
pub struct ServedSchema(Served);

// === impl ServedSchema ===

impl ServedSchema {
    /// Reads a schema text; `None` if it is not a schema with a `type Query`, such as a login page.
    #[must_use]
    pub fn read(text: &[u8]) -> Option<Self> {
        let mut reader = Reader::default();
        reader.feed(text);
        reader.finish().map(Self)
    }

    /// Whether the schema shows a version of a namespace; `None` if only subscriptions show the
    /// namespace, whose names do not include the version.
    #[must_use]
    pub fn shows(&self, namespace: &str, version: &str) -> Option<bool> {
        match self.0.shows(namespace, version) {
            Shown::Yes => Some(true),
            Shown::No => Some(false),
            Shown::Unclear => None,
        }
    }
}

// === impl Served ===

impl Served {
    pub(super) fn has_namespace(&self, namespace: &str) -> bool {
        self.roots.contains(namespace) || self.subscribes(namespace)
    }

    pub(super) fn shows(&self, namespace: &str, version: &str) -> Shown {
        let subscribes = self.subscribes(namespace);
        if !self.roots.contains(namespace) {
            return if subscribes {
                Shown::Unclear
            } else {
                Shown::No
            };
        }
        let mut groups = ["Query", "Mutation"]
            .into_iter()
            .filter_map(|kind| self.groups.get(&container(namespace, kind)))
            .peekable();
        // Without the types that gateways make for versions, only the namespace is known.
        if groups.peek().is_none() || groups.any(|it| it.contains(version)) {
            return Shown::Yes;
        }
        if subscribes {
            Shown::Unclear
        } else {
            Shown::No
        }
    }

    /// Sets the registered namespaces.
    pub(super) fn beside<'a>(&mut self, namespaces: impl Iterator<Item = &'a str>) {
        // Only names that begin like another name can be confused with it.
        let has_underscore = namespaces.filter(|it| it.contains('_'));
        self.listed.extend(has_underscore.map(str::to_owned));
    }

    fn subscribes(&self, namespace: &str) -> bool {
        let prefix = format!("{namespace}_");
        let of = |names: &BTreeSet<String>| {
            let from = names.range(prefix.clone()..);
            let with_prefix = from.take_while(|name| name.starts_with(&prefix));
            with_prefix.cloned().collect::<Vec<_>>()
        };
        let longer: Vec<String> = of(&self.listed).iter().map(|it| format!("{it}_")).collect();
        let mut fields = of(&self.subscriptions).into_iter();
        fields.any(|field| !longer.iter().any(|it| field.starts_with(it)))
    }
}

/// The type of a namespace: its first letter in upper case.
fn container(namespace: &str, kind: &str) -> String {
    let mut name = namespace.to_owned();
    if let Some(first) = name.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    name + kind + "Namespace"
}

/// Reads a schema text.
#[derive(Debug, Default)]
pub(super) struct Reader {
    lexer: Lexer,
    parser: Parser,
    is_broken: bool,
}

// === impl Reader ===

impl Reader {
    /// Processes the next piece of the text; false once it cannot be a schema.
    pub(super) fn feed(&mut self, piece: &[u8]) -> bool {
        for &byte in piece {
            if self.is_broken {
                break;
            }
            self.is_broken = !self.lexer.take(byte, &mut self.parser);
        }
        !self.is_broken
    }

    /// What the text shows, if it was a schema.
    pub(super) fn finish(mut self) -> Option<Served> {
        // Ends the last token.
        if !self.feed(b"\n") || !self.lexer.is_at_rest() {
            return None;
        }
        self.parser.finish()
    }

    #[cfg(test)]
    fn read(text: &str) -> Option<Served> {
        let mut reader = Self::default();
        reader.feed(text.as_bytes());
        reader.finish()
    }
}

/// The position within a token.
#[derive(Debug, Default)]
enum Lexer {
    #[default]
    Blank,
    Comment,
    Name(String),
    Number,
    /// One or two quotes: a string, an empty string, or the start of a block string.
    Quotes(u8),
    Text {
        is_escaped: bool,
    },
    Block(Block),
}

#[derive(Debug, Default)]
struct Block {
    quotes: u8,
    is_escape: bool,
    /// There is text on the line of the opening quotes.
    is_one_line: bool,
    is_begun: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Token {
    Name(String),
    Sign(u8),
    /// A string or a number.
    Value,
}

// === impl Lexer ===

impl Lexer {
    fn is_at_rest(&self) -> bool {
        matches!(self, Self::Blank)
    }

    /// False if this is not GraphQL.
    fn take(&mut self, byte: u8, parser: &mut Parser) -> bool {
        match self {
            Self::Blank => self.start(byte, parser),
            Self::Comment => {
                if matches!(byte, b'\n' | b'\r') {
                    *self = Self::Blank;
                }
                true
            }
            Self::Name(name) if is_in_name(byte) => {
                name.push(char::from(byte));
                name.len() <= LONGEST_NAME
            }
            Self::Name(name) => {
                let name = std::mem::take(name);
                *self = Self::Blank;
                parser.take(Token::Name(name)) && self.start(byte, parser)
            }
            Self::Number if is_in_name(byte) || matches!(byte, b'.' | b'+' | b'-') => true,
            Self::Number => {
                *self = Self::Blank;
                parser.take(Token::Value) && self.start(byte, parser)
            }
            Self::Quotes(count) => match (byte, *count) {
                (b'"', 1) => {
                    *count = 2;
                    true
                }
                (b'"', _) => {
                    *self = Self::Block(Block::default());
                    true
                }
                (_, 2) => {
                    *self = Self::Blank;
                    parser.take(Token::Value) && self.start(byte, parser)
                }
                _ => {
                    *self = Self::Text { is_escaped: false };
                    self.take(byte, parser)
                }
            },
            Self::Text { is_escaped } => match byte {
                _ if *is_escaped => {
                    *is_escaped = false;
                    true
                }
                b'\\' => {
                    *is_escaped = true;
                    true
                }
                b'"' => {
                    *self = Self::Blank;
                    parser.take(Token::Value)
                }
                b'\n' | b'\r' => false,
                _ => true,
            },
            Self::Block(block) => {
                if !block.ends_before(byte) {
                    return true;
                }
                *self = Self::Blank;
                parser.take(Token::Value) && self.start(byte, parser)
            }
        }
    }

    fn start(&mut self, byte: u8, parser: &mut Parser) -> bool {
        *self = match byte {
            b' ' | b'\t' | b'\n' | b'\r' | b',' | 0xef | 0xbb | 0xbf => Self::Blank,
            b'#' => Self::Comment,
            b'"' => Self::Quotes(1),
            b'0'..=b'9' | b'-' => Self::Number,
            _ if is_in_name(byte) => Self::Name(char::from(byte).into()),
            b'!' | b'$' | b'&' | b'(' | b')' | b'.' | b':' | b'=' | b'@' | b'[' | b']' | b'{'
            | b'|' | b'}' => return parser.take(Token::Sign(byte)),
            _ => return false,
        };
        true
    }
}

impl Block {
    /// Whether the block string ended before this byte. Gateways do not escape a quote or a
    /// backslash at the end of a description: all quotes of a run belong to it, and a run that ends
    /// a one-line description closes it, escaped or not.
    fn ends_before(&mut self, byte: u8) -> bool {
        if byte == b'"' {
            self.quotes = self.quotes.saturating_add(1);
            return false;
        }
        let is_line_end = matches!(byte, b'\n' | b'\r');
        let quotes = std::mem::take(&mut self.quotes);
        if quotes >= 3 && (!self.is_escape || self.is_one_line && is_line_end) {
            return true;
        }
        if !std::mem::replace(&mut self.is_begun, true) {
            self.is_one_line = !is_line_end;
        }
        if is_line_end {
            self.is_one_line = false;
        }
        self.is_escape = byte == b'\\';
        false
    }
}

fn is_in_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Follows definitions and their fields.
#[derive(Debug, Default)]
struct Parser {
    served: Served,
    has_query: bool,
    kept: usize,
    /// The last two tokens, the latest one second.
    last: [Option<Token>; 2],
    /// The keyword and the name of the definition.
    definition: Option<(String, String)>,
    braces: usize,
    parentheses: usize,
    has_body: bool,
}

const KEYWORDS: [&str; 9] = [
    "schema",
    "scalar",
    "type",
    "interface",
    "union",
    "enum",
    "input",
    "directive",
    "extend",
];

// === impl Parser ===

impl Parser {
    /// False if this is not a schema.
    fn take(&mut self, token: Token) -> bool {
        let is_fine = match &token {
            Token::Name(name) if self.braces == 0 && self.parentheses == 0 => self.at_top(name),
            Token::Name(_) | Token::Value => self.definition.is_some() || token == Token::Value,
            Token::Sign(b'{') if self.parentheses == 0 => {
                let opens = self.braces > 0 || self.definition.is_some() && !self.has_body;
                self.has_body = true;
                self.braces += 1;
                opens && self.braces == 1
            }
            Token::Sign(b'}') if self.parentheses == 0 => {
                let closes = self.braces > 0;
                self.braces = self.braces.saturating_sub(1);
                closes
            }
            Token::Sign(b'(') => {
                let fits = self.parentheses > 0 || self.field();
                self.parentheses += 1;
                fits && self.parentheses == 1
            }
            Token::Sign(b')') => {
                let closes = self.parentheses > 0;
                self.parentheses = self.parentheses.saturating_sub(1);
                closes
            }
            Token::Sign(b':') if self.parentheses == 0 => self.field(),
            Token::Sign(_) => self.definition.is_some(),
        };
        self.last.swap(0, 1);
        self.last[1] = Some(token);
        is_fine && self.kept <= MOST_KEPT
    }

    /// A name outside braces: a keyword, the name that follows it, or another name of the
    /// definition's head.
    fn at_top(&mut self, name: &str) -> bool {
        if let Some((keyword, of)) = &mut self.definition {
            let follows_keyword = of.is_empty() && !self.has_body && keyword != "schema";
            if follows_keyword && keyword == "extend" {
                // The actual keyword.
                name.clone_into(keyword);
                return KEYWORDS.contains(&name);
            }
            if follows_keyword {
                name.clone_into(of);
                self.has_query |= of == "Query" && keyword == "type";
                return true;
            }
            let is_operand = match &self.last[1] {
                Some(Token::Sign(sign)) => matches!(sign, b'=' | b'|' | b'&' | b'@'),
                Some(Token::Name(last)) => last == "on" || last == "implements",
                _ => false,
            };
            if !self.has_body && (is_operand || matches!(name, "on" | "implements" | "repeatable"))
            {
                return true;
            }
        }
        self.definition = Some((name.to_owned(), String::new()));
        self.has_body = false;
        KEYWORDS.contains(&name)
    }

    /// The last name is that of a field, an argument or a directive.
    fn field(&mut self) -> bool {
        let Some((keyword, of)) = &self.definition else {
            return false;
        };
        let name = match &self.last {
            [Some(Token::Sign(b'@')), _] => return true,
            _ if self.braces == 0 => return false,
            [_, Some(Token::Name(name))] => name,
            // After arguments; their parenthesis was decisive.
            _ => return true,
        };
        if keyword != "type" {
            return true;
        }
        let names = match of.as_str() {
            "Query" | "Mutation" => &mut self.served.roots,
            "Subscription" => &mut self.served.subscriptions,
            of if of.ends_with("QueryNamespace") || of.ends_with("MutationNamespace") => {
                if !is_version(name) {
                    return true;
                }
                self.kept += of.len() + NODE;
                self.served.groups.entry(of.to_owned()).or_default()
            }
            _ => return true,
        };
        self.kept += name.len() + NODE;
        names.insert(name.clone());
        true
    }

    fn finish(self) -> Option<Served> {
        let is_whole = self.braces == 0 && self.parentheses == 0;
        (is_whole && self.has_query).then_some(self.served)
    }
}

fn is_version(name: &str) -> bool {
    name == "unstable"
        || name
            .strip_prefix('v')
            .is_some_and(|digits| digits.parse::<u64>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: &str = r#"schema {
  query: Query
}

directive @auth(role: String) on FIELD_DEFINITION | OBJECT

"""One line."""
type GreeterQueryNamespace {
  """ Ends in a quote""""
  hello(name: String, at: [Int!] = [1, -2]): greeter_Reply @deprecated(reason: "v2 \" is } current")
  v1: GreeterV1QueryNamespace! @deprecated(reason: "v2 is current")
  """
   type Mutation { shop: X }
  """
  v2: GreeterV2QueryNamespace!
}

""" Ends in a backslash\"""
union Either = greeter_A | greeter_B

enum Color {
  RED
  """Green."""
  GREEN
}

type Query {
  """ "greeter" {"""
  greeter: GreeterQueryNamespace!
}

input pets_In { pets: Int }

type Subscription {
  chat_ticks(
    """
     How many.
    """
    count: Int
  ): chat_Tick
}

scalar Upload
"#;

    #[test]
    fn namespaces_and_versions_are_read_in_pieces_of_any_size() {
        let whole = Reader::read(SCHEMA).expect("a schema");
        for size in [1, 3, 64] {
            let mut reader = Reader::default();
            for piece in SCHEMA.as_bytes().chunks(size) {
                assert!(reader.feed(piece));
            }
            assert_eq!(reader.finish().as_ref(), Some(&whole));
        }
        for (namespace, version, shown) in [
            ("greeter", "v1", Shown::Yes),
            ("greeter", "v2", Shown::Yes),
            ("greeter", "v3", Shown::No),
            ("greeter", "unstable", Shown::No),
            ("chat", "v1", Shown::Unclear),
            ("pets", "v1", Shown::No),
            ("shop", "v1", Shown::No),
        ] {
            assert_eq!(
                whole.shows(namespace, version),
                shown,
                "{namespace}/{version}"
            );
        }
    }

    #[test]
    fn a_subscription_of_a_longer_namespace_is_not_of_the_shorter_one() {
        let text = "type Query { a: Int } type Subscription { chat_room_said: Int }";
        let mut served = Reader::read(text).expect("a schema");
        assert_eq!(served.shows("chat", "v1"), Shown::Unclear);
        served.beside(["chat", "chat_room"].into_iter());
        assert_eq!(served.shows("chat", "v1"), Shown::No);
        assert_eq!(served.shows("chat_room", "v1"), Shown::Unclear);
        let text =
            "type Query { a: Int } type Subscription { chat_room_said: Int chat_roomSaid: Int }";
        let mut served = Reader::read(text).expect("a schema");
        served.beside(["chat_room"].into_iter());
        assert_eq!(served.shows("chat", "v1"), Shown::Unclear);
    }

    #[test]
    fn small_schemas_are_schemas() {
        for text in [
            "type Query",
            "type Query { _status: String }",
            "type Query{greeter:Greeter}",
            "extend type Query { a: Int }",
            "\u{feff}# nothing\ntype Query implements A & B @x { a: Int }",
        ] {
            assert!(Reader::read(text).is_some(), "{text}");
        }
        let plain = Reader::read("type Query{greeter:Greeter}").unwrap();
        assert_eq!(plain.shows("greeter", "v1"), Shown::Yes);
    }

    #[test]
    fn an_answer_that_is_not_a_schema_is_not_evidence() {
        for text in [
            "",
            "{\"data\":null,\"errors\":[{\"message\":\"Must provide an operation.\"}]}",
            "<!doctype html><html><body>type Query { a: Int }</body></html>",
            "type Query { a: Int",
            "type Mutation { a: Int }",
            "please log in",
            "type Query { a: Int } or so",
            "\"\"\" type Query { a: Int }",
            "<type Query>",
            "type Query { a: Int }}",
            "{ type Query }",
            "404 page not found",
            "type: Query",
        ] {
            assert_eq!(Reader::read(text), None, "{text}");
        }
    }
}
