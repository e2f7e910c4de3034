//! Splits proto sources into one per service: gateways serve only one per entry file.
//!
//! Everything that remains keeps its line and column, and every comment its declaration, because both
//! are part of the canonical hash. No compiler is needed.

mod blank;
#[cfg(test)]
#[cfg(feature = "preflight")]
mod tests;

use crate::proto::lex::{Source, Token};

/// The services of a proto source.
#[derive(Debug)]
pub(crate) struct Services<'a> {
    text: &'a str,
    source: Source<'a>,
    blocks: Vec<Block<'a>>,
}

/// A service in a source, by token index.
#[derive(Clone, Copy, Debug)]
struct Block<'a> {
    name: &'a str,
    /// The token `service`.
    first: usize,
    /// Its closing brace, or the last `;` after it.
    last: usize,
}

// === impl Services ===

impl<'a> Services<'a> {
    /// The services of a source; empty if its braces do not match.
    pub(crate) fn of(text: &'a str) -> Self {
        let source = Source::read(text);
        let blocks = blocks(&source.tokens).unwrap_or_default();
        Self {
            text,
            source,
            blocks,
        }
    }

    /// Their names, in the order of the source.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.blocks.iter().map(|block| block.name)
    }

    /// The source with only one of its services. The others, and the comments that belong to them, become
    /// white space.
    pub(crate) fn alone(&self, kept: usize) -> String {
        let others: Vec<Block<'_>> = (self.blocks.iter().zip(0..))
            .filter(|(_, at)| *at != kept)
            .map(|(block, _)| *block)
            .collect();
        let blanked = blank::blank(self.text, &self.source, &others);
        if blank::keeps_comments(&self.source, &others, &blanked) {
            return blanked;
        }
        blank::hollow(self.text, &self.source, &others)
    }
}

fn blocks<'a>(tokens: &[Token<'a>]) -> Option<Vec<Block<'a>>> {
    let mut found: Vec<Block<'_>> = Vec::new();
    let mut depth = 0_usize;
    let mut starts_statement = true;
    let mut is_in_service = false;
    for (at, token) in tokens.iter().enumerate() {
        let is_first = starts_statement && depth == 0;
        starts_statement = false;
        match token.text {
            "service" if is_first => {
                let name = tokens.get(at + 1)?.text;
                is_in_service = tokens.get(at + 2)?.text == "{";
                if is_in_service {
                    let (first, last) = (at, at);
                    found.push(Block { name, first, last });
                }
            }
            "{" => depth += 1,
            "}" => {
                depth = depth.checked_sub(1)?;
                starts_statement = true;
                if depth == 0 && is_in_service {
                    is_in_service = false;
                    found.last_mut()?.last = at;
                }
            }
            ";" => {
                starts_statement = true;
                // It ends nothing; a comment after it belongs to the service.
                let block = found.last_mut();
                if let Some(block) = block.filter(|it| !is_in_service && it.last + 1 == at) {
                    block.last = at;
                }
            }
            _ => {}
        }
    }
    (depth == 0).then_some(found)
}
