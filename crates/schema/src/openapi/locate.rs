//! Locates values in the text of a document, JSON and YAML alike.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, Span};

use crate::finding::location::{Lines, Spot};
use crate::openapi::step;
use crate::render::Site;

/// Deeper values are not located: findings show their pointers instead.
const MAX_DEPTH: usize = 256;

/// The place of each site, if found.
pub(crate) fn spots(text: &str, sites: &[Site]) -> Vec<Option<Spot>> {
    let lines = Lines::of(text);
    let mut wanted: HashMap<&str, Option<Spot>> = HashMap::new();
    for site in sites {
        if let Site::OpenApi(pointer) = site {
            wanted.insert(pointer, None);
        }
    }
    if !wanted.is_empty() {
        search(text, &lines, &mut wanted);
    }
    let spot = |site: &Site| match site {
        Site::OpenApi(pointer) => wanted.get(pointer.as_str()).cloned().flatten(),
        Site::Mark(line, column) => Some(lines.at_mark(*line, *column, 1)),
        Site::Nowhere | Site::Proto(..) => None,
    };
    sites.iter().map(spot).collect()
}

/// A collection being read, and its place.
struct Open {
    pointer: String,
    /// The index of the next item; `None` in a mapping.
    next: Option<usize>,
    /// In a mapping, the key of the next value.
    key: Option<(String, Span)>,
}

fn search(text: &str, lines: &Lines<'_>, wanted: &mut HashMap<&str, Option<Spot>>) {
    let mut open: Vec<Open> = Vec::new();
    let mut left = wanted.len();
    for event in Parser::new_from_str(text) {
        // Everything found so far is still valid.
        let Ok((event, span)) = event else { return };
        if left == 0 || open.len() > MAX_DEPTH {
            return;
        }
        let scalar = match &event {
            Event::Scalar(text, ..) => Some(text.to_string()),
            Event::Alias(_) | Event::SequenceStart(..) | Event::MappingStart(..) => None,
            Event::SequenceEnd | Event::MappingEnd => {
                open.pop();
                continue;
            }
            _ => continue,
        };
        let mut place = span;
        let pointer = match open.last_mut() {
            None => String::new(),
            Some(Open {
                pointer,
                next: Some(next),
                ..
            }) => {
                *next += 1;
                format!("{pointer}/{}", *next - 1)
            }
            Some(Open { pointer, key, .. }) => match (key.take(), &scalar) {
                (Some((name, at)), _) => {
                    // A collection is shown by its key, which is on one line.
                    if scalar.is_none() {
                        place = at;
                    }
                    step(pointer, &name)
                }
                (None, Some(name)) => {
                    *key = Some((name.clone(), span));
                    continue;
                }
                // A collection as a key: such documents are never read.
                (None, None) => return,
            },
        };
        if let Some(spot @ None) = wanted.get_mut(pointer.as_str()) {
            *spot = Some(shown(lines, &place));
            left -= 1;
        }
        match event {
            Event::SequenceStart(..) => open.push(Open {
                pointer,
                next: Some(0),
                key: None,
            }),
            Event::MappingStart(..) => open.push(Open {
                pointer,
                next: None,
                key: None,
            }),
            _ => {}
        }
    }
}

fn shown(lines: &Lines<'_>, span: &Span) -> Spot {
    let (start, end) = (span.start, span.end);
    let width = match start.line() == end.line() {
        true => end.col().saturating_sub(start.col()),
        false => 1,
    };
    lines.at_mark(start.line(), start.col() + 1, width)
}
