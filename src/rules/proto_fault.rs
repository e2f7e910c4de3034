//! What the compiler says of a proto source: every fault, its place, and whether a gateway's
//! compiler is sure to say the same.

use std::collections::HashMap;

use miette::{Diagnostic, LabeledSpan};

use super::lex::Source;
use super::spot::{Lines, Spot};

/// More are not told: one typing error often causes many.
const MOST_FAULTS: usize = 20;

/// One fault of a proto source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProtoFault {
    pub(crate) text: String,
    pub(crate) help: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) spot: Option<Spot>,
    /// Every compiler refuses it. Otherwise only the one used here is known to.
    pub(crate) is_certain: bool,
}

/// What compilers do not agree upon, or what this one knows only in part: custom options and their
/// text format, names that JSON gives to fields, limits, and rarely used characters.
const UNCERTAIN: [&str; 14] = [
    "option",
    "expected an extension to",
    "JSON name",
    "camel-case name",
    "recursion limit",
    "too large",
    "out of range",
    "invalid default value",
    "invalid string",
    "utf-8",
    "nested block comments",
    "invalid group name",
    "value to be",
    "default values",
];

/// Every fault that the error tells of.
pub(super) fn faults(error: &protox::Error, texts: &HashMap<String, String>) -> Vec<ProtoFault> {
    let file = error.file().map(str::to_owned);
    let source = file.as_ref().and_then(|file| texts.get(file));
    let lines = source.map(|text| Lines::of(text));
    let may_differ = texts.values().any(|text| uses_editions(text));
    let fault = |diagnostic: &dyn Diagnostic| {
        let text = diagnostic.to_string();
        let at_end = || Some((source?.trim_end().len().saturating_sub(1), 1));
        let place = match text.contains("reached end of file") {
            true => at_end(),
            false => place(diagnostic),
        };
        ProtoFault {
            is_certain: !may_differ && is_certain(&text),
            help: diagnostic.help().map(|help| help.to_string()),
            file: file.clone(),
            spot: place
                .and_then(|(start, length)| Some(lines.as_ref()?.at_bytes(start, start + length))),
            text,
        }
    };
    let mut found = vec![fault(error)];
    let related = error.related().into_iter().flatten();
    found.extend(related.take(MOST_FAULTS - 1).map(fault));
    found
}

fn is_certain(text: &str) -> bool {
    // A gateway's compiler has more files built in.
    let is_built_in = text.contains("google/protobuf/");
    !is_built_in && !UNCERTAIN.iter().any(|part| text.contains(part))
}

/// The byte offset and the length of what is at fault.
fn place(diagnostic: &dyn Diagnostic) -> Option<(usize, usize)> {
    let mut labels: Vec<LabeledSpan> = diagnostic.labels()?.collect();
    // Where one thing was first and where it is again, the latter is at fault.
    labels.sort_by_key(LabeledSpan::offset);
    let says = |label: &LabeledSpan, word: &str| label.label().is_some_and(|it| it.contains(word));
    let found = labels
        .iter()
        .find(|label| says(label, "found") || says(label, "used"));
    let label = found.or(labels.last())?;
    Some((label.offset(), label.len()))
}

/// Whether a source begins with `edition = …`, which this compiler does not know.
fn uses_editions(text: &str) -> bool {
    let source = Source::read(text);
    source
        .tokens
        .first()
        .is_some_and(|token| token.text == "edition")
}
