//! How much a document is with its fragments expanded: a few hundred bytes may be billions of fields,
//! which the rules, and the execution, would all visit.

use super::super::document::{Document, Selection};

/// The most selections, arguments and variables of a document, and of an operation with its
/// fragments expanded. What is in an argument is data, and not counted.
const MAX_PARTS: usize = 20_000;

/// How deep selections may be nested with fragments expanded: as deep as a text may have them.
const MAX_DEPTH: usize = 200;

/// Why a document is neither validated nor executed.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum Unfit<'d> {
    /// A fragment that spreads itself, directly or through others.
    Cycle(&'d str),
    TooLarge,
}

/// The size of selections with fragments expanded.
#[derive(Clone, Copy, Default)]
struct Extent {
    parts: usize,
    depth: usize,
}

/// Selections as they are written.
#[derive(Default)]
struct Written {
    own: Extent,
    /// The fragments that they spread, and how deep.
    spreads: Vec<(usize, usize)>,
}

#[derive(Clone, Copy)]
enum State {
    New,
    Open,
    Known(Extent),
}

/// Finds fragments in a cycle, and documents that are too large.
///
/// # Errors
///
/// The first of these.
pub(in super::super) fn fits(document: &Document) -> Result<(), Unfit<'_>> {
    let mut all = 0;
    let mut fragments = Vec::new();
    for fragment in &document.fragments {
        let written = Written::of(document, &fragment.selections);
        all += written.own.parts + 1;
        fragments.push(written);
    }
    let extents = expanded(document, &fragments).map_err(Unfit::Cycle)?;
    for operation in &document.operations {
        let written = Written::of(document, &operation.selections);
        let variables = operation.variables.len();
        all += written.own.parts + variables + 1;
        if !written.with(&extents).fits() {
            return Err(Unfit::TooLarge);
        }
    }
    match all <= MAX_PARTS && extents.iter().all(Extent::fits) {
        true => Ok(()),
        false => Err(Unfit::TooLarge),
    }
}

/// Without recursion: a chain of fragments may be as long as the document.
fn expanded<'d>(document: &'d Document, fragments: &[Written]) -> Result<Vec<Extent>, &'d str> {
    let mut states = vec![State::New; fragments.len()];
    for first in 0..fragments.len() {
        // Each with its next spread.
        let mut open = vec![(first, 0)];
        if !matches!(states[first], State::New) {
            continue;
        }
        while let Some((at, next)) = open.last_mut() {
            states[*at] = State::Open;
            let Some(&(inner, _)) = fragments[*at].spreads.get(*next) else {
                let extent = fragments[*at].sum(|it| match states[it] {
                    State::Known(extent) => extent,
                    State::New | State::Open => Extent::default(),
                });
                states[*at] = State::Known(extent);
                open.pop();
                continue;
            };
            *next += 1;
            match states[inner] {
                State::New => open.push((inner, 0)),
                State::Open => return Err(&document.fragments[inner].name.text),
                State::Known(_) => {}
            }
        }
    }
    let known = states.into_iter().map(|it| match it {
        State::Known(extent) => extent,
        State::New | State::Open => Extent::default(),
    });
    Ok(known.collect())
}

// === impl Extent ===

impl Extent {
    fn fits(&self) -> bool {
        self.parts <= MAX_PARTS && self.depth <= MAX_DEPTH
    }
}

// === impl Written ===

impl Written {
    fn of(document: &Document, selections: &[Selection]) -> Self {
        let mut written = Self::default();
        written.add(document, selections, 1);
        written
    }

    fn add(&mut self, document: &Document, selections: &[Selection], depth: usize) {
        self.own.depth = self.own.depth.max(depth);
        for it in selections {
            self.own.parts += 1;
            match it {
                Selection::Field(field) => {
                    self.own.parts += field.arguments.len();
                    self.add(document, field.inner(), depth + 1);
                }
                Selection::Inline { selections, .. } => {
                    self.add(document, selections, depth + 1);
                }
                Selection::Spread { name, .. } => {
                    if let Some(number) = document.number_of(&name.text) {
                        self.spreads.push((number, depth));
                    }
                }
            }
        }
    }

    fn with(&self, extents: &[Extent]) -> Extent {
        self.sum(|it| extents[it])
    }

    fn sum(&self, extent: impl Fn(usize) -> Extent) -> Extent {
        self.spreads.iter().fold(self.own, |sum, (inner, depth)| {
            let inner = extent(*inner);
            Extent {
                parts: sum.parts.saturating_add(inner.parts),
                depth: sum.depth.max(depth.saturating_add(inner.depth)),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::parse::parse;
    use super::*;

    #[test]
    fn documents_are_measured_with_their_fragments_expanded() {
        let chain = |length: usize, spread: &str| {
            let mut text = "{...F0}".to_owned();
            for n in 1..=length {
                let next = spread.replace('N', &n.to_string());
                text.push_str(&format!("fragment F{} on Q{{{next}}}", n - 1));
            }
            text + &format!("fragment F{length} on Q{{x}}")
        };
        for (text, expected) in [
            ("{a{b ...F}} fragment F on Q{c}".to_owned(), Ok(())),
            ("{a ...Unknown}".to_owned(), Ok(())),
            (chain(10, "...FN ...FN"), Ok(())),
            (chain(60, "...FN ...FN"), Err(Unfit::TooLarge)),
            (chain(150, "...FN"), Ok(())),
            (chain(10_000, "...FN"), Err(Unfit::TooLarge)),
            (chain(150, "a{...FN}"), Err(Unfit::TooLarge)),
            (format!("{{{}}}", "a ".repeat(30_000)), Err(Unfit::TooLarge)),
            (format!("{{a(b:[{}])}}", "1 ".repeat(30_000)), Ok(())),
            (
                format!("query({}){{a}}", "$a:A ".repeat(30_000)),
                Err(Unfit::TooLarge),
            ),
            (
                "{...F} fragment F on Q{...G} fragment G on Q{...G}".to_owned(),
                Err(Unfit::Cycle("G")),
            ),
            (
                "{a} fragment F on Q{a{...G}} fragment G on Q{... on Q{...F}}".to_owned(),
                Err(Unfit::Cycle("F")),
            ),
        ] {
            let document = parse(&text).unwrap();
            assert_eq!(fits(&document), expected, "{}", &text[..text.len().min(99)]);
        }
    }
}
