//! Locates values in the text of a document, JSON and YAML alike.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, Span};

use crate::finding::excerpt::{Excerpt, Lines};
use crate::location::{Location, unescaped};

/// Deeper values are not located: findings show their pointers instead.
const MAX_DEPTH: usize = 256;

/// The excerpt of each location: of the value itself or, if the text does not have it, because a repair created
/// or renamed it, of the nearest one around it.
pub(crate) fn excerpts(text: &str, locations: &[Location]) -> Vec<Option<Excerpt>> {
    let mut wanted = Wanted::default();
    let nodes: Vec<Option<usize>> = locations
        .iter()
        .map(|location| match location {
            Location::OpenApi(pointer) => Some(wanted.add(&pointer.to_string())),
            _ => None,
        })
        .collect();
    if nodes.iter().any(Option::is_some) {
        search(text, &mut wanted);
    }
    let lines = Lines::of(text);
    let excerpt = |(location, node): (&Location, Option<usize>)| match location {
        Location::OpenApi(_) => wanted.excerpt(node?),
        Location::Text(line, column) => Some(lines.at_mark(*line, *column, 1)),
        Location::Nowhere | Location::Proto(..) => None,
    };
    locations.iter().zip(nodes).map(excerpt).collect()
}

/// The wanted values and those around them, as a tree of keys: only these are followed.
#[derive(Default)]
struct Wanted {
    nodes: Vec<Node>,
}

#[derive(Default)]
struct Node {
    parent: Option<usize>,
    inner: HashMap<String, usize>,
    excerpt: Option<Excerpt>,
    /// How many of the wanted values in it, itself included, are still to be found.
    left: usize,
    is_wanted: bool,
}

impl Wanted {
    fn add(&mut self, pointer: &str) -> usize {
        if self.nodes.is_empty() {
            self.nodes.push(Node::default());
        }
        let mut at = 0;
        for step in pointer.split('/').skip(1) {
            let step = unescaped(step).into_owned();
            let new = self.nodes.len();
            let next = *self.nodes[at].inner.entry(step).or_insert(new);
            if next == new {
                self.nodes.push(Node {
                    parent: Some(at),
                    ..Node::default()
                });
            }
            at = next;
        }
        if !self.nodes[at].is_wanted {
            self.nodes[at].is_wanted = true;
            self.forget(at, None);
        }
        at
    }

    /// Adjusts the number of values still to be found in a node and those around it.
    fn forget(&mut self, at: usize, met: Option<usize>) {
        let mut next = Some(at);
        while let Some(at) = next {
            let node = &mut self.nodes[at];
            node.left = match met {
                None => node.left + 1,
                Some(met) => node.left.saturating_sub(met),
            };
            next = node.parent;
        }
    }

    fn inner(&self, at: usize, key: &str) -> Option<usize> {
        self.nodes[at].inner.get(key).copied()
    }

    fn meet(&mut self, at: usize, excerpt: Excerpt) {
        let node = &mut self.nodes[at];
        if node.excerpt.is_none() {
            node.excerpt = Some(excerpt);
            if node.is_wanted {
                self.forget(at, Some(1));
            }
        }
    }

    /// The end of a value: wanted values that it lacks have no place.
    fn end(&mut self, at: usize) {
        let left = self.nodes[at].left;
        self.forget(at, Some(left));
    }

    /// Forgets what was found.
    fn reset(&mut self) {
        for node in &mut self.nodes {
            (node.excerpt, node.left) = (None, 0);
        }
        for at in 0..self.nodes.len() {
            if self.nodes[at].is_wanted {
                self.forget(at, None);
            }
        }
    }

    fn is_done(&self) -> bool {
        self.nodes.first().is_none_or(|it| it.left == 0)
    }

    /// The place of a value, or of the nearest one around it, except for the document itself.
    fn excerpt(&self, at: usize) -> Option<Excerpt> {
        let own = self.nodes[at].excerpt.clone();
        let mut around = self.nodes[at].parent;
        let mut found = own;
        while let (None, Some(at)) = (&found, around) {
            let node = &self.nodes[at];
            around = node.parent;
            found = node.excerpt.clone().filter(|_| around.is_some());
        }
        found
    }
}

/// A collection being read.
#[derive(Default)]
struct Open {
    /// Its node, if anything in it is wanted.
    node: Option<usize>,
    /// The index of the next item; `None` in a mapping.
    next: Option<usize>,
    /// In a mapping, the node and the place of the next value.
    key: Option<(Option<usize>, At)>,
}

/// A part of the text.
#[derive(Clone, Copy)]
enum At {
    Bytes(usize, usize),
    Span(Span),
}

/// An event from a reader of the text.
enum Told<'a> {
    /// A string, number or the like; the key of an entry, where one is expected.
    Scalar(Cow<'a, str>),
    /// A place that refers to another.
    Alias,
    List,
    Mapping,
    /// The end of a list or mapping.
    End,
}

/// Why a search ends.
struct Done;

/// Follows the text, and records the places of the wanted values.
struct Search<'a> {
    lines: Lines<'a>,
    wanted: &'a mut Wanted,
    open: Vec<Open>,
}

fn search(text: &str, wanted: &mut Wanted) {
    // JSON may be one long line, which a reader of YAML keeps in memory as a whole.
    let mut search = Search {
        lines: Lines::of(text),
        wanted,
        open: Vec::new(),
    };
    if search.json(text).is_some() {
        return;
    }
    search.open.clear();
    search.wanted.reset();
    for event in Parser::new_from_str(text) {
        // Everything found so far is still valid.
        let Ok((event, span)) = event else { return };
        let told = match event {
            Event::Scalar(text, ..) => Told::Scalar(text),
            Event::Alias(_) => Told::Alias,
            Event::SequenceStart(..) => Told::List,
            Event::MappingStart(..) => Told::Mapping,
            Event::SequenceEnd | Event::MappingEnd => Told::End,
            _ => continue,
        };
        if search.take(&told, At::Span(span)).is_err() {
            return;
        }
    }
}

impl Search<'_> {
    fn take(&mut self, told: &Told<'_>, at: At) -> Result<(), Done> {
        if self.wanted.is_done() || self.open.len() > MAX_DEPTH {
            return Err(Done);
        }
        if let Told::End = told {
            if let Some(node) = self.open.pop().and_then(|it| it.node) {
                self.wanted.end(node);
            }
            return Ok(());
        }
        let mut place = at;
        let node = match self.open.last_mut() {
            None => Some(0),
            Some(Open {
                node,
                next: Some(next),
                ..
            }) => {
                *next += 1;
                let number = *next - 1;
                node.and_then(|it| self.wanted.inner(it, &number.to_string()))
            }
            Some(Open { node, key, .. }) => match (key.take(), told) {
                (Some((node, at)), _) => {
                    // A collection is shown by its key, which is on one line.
                    if !matches!(told, Told::Scalar(_)) {
                        place = at;
                    }
                    node
                }
                (None, Told::Scalar(name)) => {
                    let inner = node.and_then(|it| self.wanted.inner(it, name));
                    *key = Some((inner, at));
                    return Ok(());
                }
                // A collection as a key: such documents are never read.
                (None, _) => return Err(Done),
            },
        };
        if let Some(node) = node {
            let excerpt = shown(&self.lines, place);
            self.wanted.meet(node, excerpt);
        }
        match told {
            Told::List | Told::Mapping => self.open.push(Open {
                node,
                next: matches!(told, Told::List).then_some(0),
                key: None,
            }),
            _ => {
                if let Some(node) = node {
                    self.wanted.end(node);
                }
            }
        }
        Ok(())
    }

    /// Whether a byte may come after another one in JSON, blanks left out. In YAML a value may be
    /// empty, or go on with another word: whoever took the next text for its own would be off by one.
    fn may_follow(&self, before: u8, next: u8) -> bool {
        let begins = matches!(before, b'{' | b'[' | b',');
        match (next, self.open.last()) {
            (b' ' | b'\t' | b'\n' | b'\r', _) => true,
            (b',', open) => open.is_some_and(|it| it.key.is_none()) && !begins,
            (b':', open) => open.is_some_and(|it| it.key.is_some()) && before == b'"',
            (b'}', open) => {
                open.is_some_and(|it| it.next.is_none() && it.key.is_none()) && before != b','
            }
            (b']', open) => open.is_some_and(|it| it.next.is_some()) && before != b',',
            (_, None) => begins,
            (_, Some(Open { next: Some(_), .. })) => begins,
            (_, Some(Open { key: Some(_), .. })) => before == b':',
            // A key.
            (_, Some(_)) => begins && next == b'"',
        }
    }

    /// Reads JSON; `None` if the text, as far as it was read, is not JSON.
    fn json(&mut self, text: &str) -> Option<()> {
        let bytes = text.as_bytes();
        let unmarked = text.trim_start_matches('\u{feff}');
        // To YAML, quoted keys and `---` may be the start of something longer.
        if !unmarked.trim_start().starts_with(['{', '[']) {
            return None;
        }
        let mut at = text.len() - unmarked.len();
        let mut before = b'{';
        while let Some(first) = bytes.get(at) {
            let start = at;
            if !self.may_follow(before, *first) {
                return None;
            }
            if !first.is_ascii_whitespace() {
                before = *first;
            }
            let told = match first {
                b' ' | b'\t' | b'\n' | b'\r' | b',' | b':' => {
                    at += 1;
                    continue;
                }
                b'{' => Told::Mapping,
                b'[' => Told::List,
                b'}' | b']' => Told::End,
                b'"' => {
                    let rest = &bytes[start + 1..];
                    let mut is_escaped = false;
                    let end = rest.iter().position(|b| {
                        let is_end = *b == b'"' && !is_escaped;
                        is_escaped = *b == b'\\' && !is_escaped;
                        is_end
                    });
                    at += end? + 1;
                    let inside = &text[start + 1..at];
                    Told::Scalar(match inside.contains('\\') {
                        true => serde_json::from_str::<String>(&text[start..=at])
                            .ok()?
                            .into(),
                        false => inside.into(),
                    })
                }
                b'-' | b'0'..=b'9' | b't' | b'f' | b'n' => {
                    let is_word = |b: &u8| b.is_ascii_alphanumeric() || b"+-.".contains(b);
                    let length = bytes[start..].iter().take_while(|it| is_word(it)).count();
                    at += length - 1;
                    let word = &text[start..=at];
                    // YAML's values may have several words.
                    let mut rest = bytes[at + 1..].iter();
                    if rest
                        .find(|it| !it.is_ascii_whitespace())
                        .is_some_and(|it| !b",}]".contains(it))
                    {
                        return None;
                    }
                    let is_name = !word.starts_with(|c: char| c == '-' || c.is_ascii_digit());
                    if is_name && !matches!(word, "true" | "false" | "null") {
                        return None;
                    }
                    Told::Scalar(word.into())
                }
                _ => return None,
            };
            at += 1;
            if self.take(&told, At::Bytes(start, at)).is_err() {
                break;
            }
        }
        Some(())
    }
}

fn shown(lines: &Lines<'_>, at: At) -> Excerpt {
    match at {
        At::Bytes(start, end) => lines.at_bytes(start, end),
        At::Span(span) => {
            let (start, end) = (span.start, span.end);
            let width = match start.line() == end.line() {
                true => end.col().saturating_sub(start.col()),
                false => 1,
            };
            lines.at_mark(start.line(), start.col() + 1, width)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_found_however_the_text_starts() {
        for (text, line, column) in [
            ("---\nopenapi: 3.0.3\ninfo:\n  title: t\n", 4, 10),
            ("\"openapi\": \"3.0.3\"\n\"info\":\n  \"title\": t\n", 3, 12),
            ("# c\n- a\n", 2, 3),
            ("-\n  a\n", 2, 3),
            ("{\"openapi\": 1,\n \"info\": {\"title\": 2}}", 2, 20),
            ("\u{feff}\n{\"info\": {\"title\": 2}}", 2, 20),
            ("[1, 2]", 1, 2),
            // JSON at first.
            ("{\"info\": {\"a\": 1, b: 2,\n  \"title\": 2}}", 2, 12),
            ("[ 1,\n x]", 1, 3),
        ] {
            let locations = ["/info/title", "/0"].map(Location::in_document);
            let found = excerpts(text, &locations)
                .into_iter()
                .flatten()
                .next()
                .unwrap();
            assert_eq!((found.line, found.column), (line, column), "{text}");
        }
    }

    #[test]
    fn places_in_yaml_that_resembles_json_are_right_or_absent() {
        for (text, pointer, expected) in [
            ("{a: 1 2, b: 3}", "/b", Some("3")),
            ("{\"a\": 1 2, \"b\": 3 4, \"c\": 5}", "/c", Some("5")),
            ("{\"a\": 1 2}", "/a", Some("1 2")),
            ("{\"a\": 1\n 2, \"2\": 3, \"3\": 4}", "/2", Some("3")),
            ("{\"a\": , \"b\": 1, \"c\": 2}", "/c", Some("2")),
            ("{\"a\":, \"b\": \"c\", \"c\": \"x\"}", "/c", Some("\"x\"")),
            ("{\"a\": , b, \"c\": 2}", "/c", Some("2")),
            ("{\"a\", \"b\": \"c\", \"c\": \"x\"}", "/c", Some("\"x\"")),
            ("[1 2, 3 4, 5]", "/1", Some("3 4")),
            ("[1 2, 3 4, 5]", "/3", None),
            ("[\"a\": 1, 2]", "/1", Some("2")),
            ("[1, 2, ]", "/1", Some("2")),
            ("{true: 1, \"b\": 2}", "/b", Some("2")),
            ("{\"a\": true false, \"b\": 2}", "/b", Some("2")),
            ("{\"a\": 1 # \"b\": 7\n, \"b\": 2}", "/b", Some("2")),
            (
                "{\"a\": [1, {\"x\": -1.5e3}], \"b\": {}, \"c\": 2}",
                "/c",
                Some("2"),
            ),
            ("{\"a\": [[], [1, 2]], \"b\": 2}", "/a/1/1", Some("2")),
        ] {
            let found = excerpts(text, &[Location::in_document(pointer)]);
            let shown = found[0].as_ref().map(|it| {
                let line = text.lines().nth(it.line - 1).unwrap();
                &line[it.column - 1..]
            });
            let is_right = match (shown, expected) {
                (Some(shown), Some(expected)) => shown.starts_with(expected),
                (shown, expected) => shown == expected,
            };
            assert!(is_right, "{text} {pointer}: {shown:?}");
        }
    }
}
