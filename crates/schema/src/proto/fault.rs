//! The compiler's faults of a proto source: each with its place, and whether a gateway's compiler is
//! certain to report it, too.

use std::collections::HashMap;
use std::fmt;

use miette::{Diagnostic, LabeledSpan};

use crate::finding::excerpt::{Excerpt, Lines};
use crate::proto::lex;

/// Further faults are only counted: one typing error often causes many.
const MOST_FAULTS: usize = 100;

/// One fault of a proto source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ProtoFault {
    pub(crate) text: String,
    pub(crate) help: Option<String>,
    pub(crate) file: Option<String>,
    pub(crate) excerpt: Option<Excerpt>,
    /// Whether every compiler refuses it; otherwise only the one used here is known to.
    pub(crate) is_certain: bool,
}

/// Errors that compilers disagree on: limits, unusual characters, numbers slightly too large, and names
/// of options that are newer than this compiler.
const UNCERTAIN: [&str; 8] = [
    "compiler's own limit",
    "recursion limit",
    "too large",
    "64-bit integer, but the value",
    "may not be negative",
    "utf-8",
    "nested block comments",
    "feature",
];

// === impl ProtoFault ===

impl fmt::Display for ProtoFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (Some(file), Some(excerpt)) = (&self.file, &self.excerpt) {
            write!(f, "{file}:{}:{}: ", excerpt.line, excerpt.column)?;
        }
        f.write_str(&self.text)
    }
}

/// Every fault in the error.
pub(crate) fn faults(error: &protox::Error, texts: &HashMap<&str, &str>) -> Vec<ProtoFault> {
    let file = error.file().map(str::to_owned);
    let source = file.as_ref().and_then(|file| texts.get(file.as_str()));
    let lines = source.map(|text| Lines::of(text));
    let may_differ = texts.values().any(|text| uses_editions(text));
    let is_proto3 = source.is_some_and(|text| is_proto3(text));
    let fault = |diagnostic: &dyn Diagnostic| {
        let text = diagnostic.to_string();
        let at_end = || Some((source?.trim_end().len().saturating_sub(1), 1));
        let place = match text.contains("reached end of file") {
            true => at_end(),
            false => place(diagnostic),
        };
        ProtoFault {
            is_certain: !may_differ && is_certain(&text, is_proto3),
            help: diagnostic.help().map(|help| help.to_string()),
            file: file.clone(),
            excerpt: place
                .and_then(|(start, length)| Some(lines.as_ref()?.at_bytes(start, start + length))),
            text,
        }
    };
    let mut found = vec![fault(error)];
    let mut related = error.related().into_iter().flatten();
    found.extend(related.by_ref().take(MOST_FAULTS - 1).map(fault));
    let more = related.count();
    if more > 0 {
        found.push(ProtoFault {
            text: format!("{more} more faults are not shown"),
            help: None,
            file,
            excerpt: None,
            is_certain: found.iter().all(|it| it.is_certain),
        });
    }
    found
}

fn is_certain(text: &str, is_proto3: bool) -> bool {
    let names: Vec<&str> = text.split('\'').skip(1).step_by(2).collect();
    // Named numbers, and bytes that are not text.
    let is_rare = |name: &&str| matches!(*name, "inf" | "nan") || name.contains('\\');
    match &names[..] {
        _ if text.contains("was listed twice") => true,
        // A gateway's compiler has more files built in.
        _ if text.contains("google/protobuf/") => false,
        _ if UNCERTAIN.iter().any(|part| text.contains(part)) => false,
        // Only proto3 requires the default JSON names to differ.
        [first, second] if text.starts_with("camel-case name") => {
            is_proto3 && default_json_name(first) == default_json_name(second)
        }
        [""] if text.contains("JSON name") => is_proto3,
        // The synthetic oneof of an optional field, which other compilers name differently.
        [name] if text.contains("defined twice") => !name
            .rsplit('.')
            .next()
            .is_some_and(|it| it.starts_with('_')),
        names => !(text.contains("for option") && names.iter().any(is_rare)),
    }
}

/// The default JSON name of a field.
pub(crate) fn default_json_name(name: &str) -> String {
    let mut after_underscore = false;
    let mut json_name = String::new();
    for c in name.chars() {
        if c != '_' {
            json_name.push(if after_underscore {
                c.to_ascii_uppercase()
            } else {
                c
            });
        }
        after_underscore = c == '_';
    }
    json_name
}

fn is_proto3(text: &str) -> bool {
    let words: Vec<&str> = lex::tokens(text).take(3).collect();
    matches!(words[..], ["syntax", "=", version] if version.contains("proto3"))
}

/// The byte offset and the length of the text at fault.
fn place(diagnostic: &dyn Diagnostic) -> Option<(usize, usize)> {
    let mut labels: Vec<LabeledSpan> = diagnostic.labels()?.collect();
    // For a duplicate, the second place is at fault.
    labels.sort_by_key(LabeledSpan::offset);
    let says = |label: &LabeledSpan, word: &str| label.label().is_some_and(|it| it.contains(word));
    let found = labels
        .iter()
        .find(|label| says(label, "found") || says(label, "used"));
    let label = found.or(labels.last())?;
    Some((label.offset(), label.len()))
}

/// Whether a source starts with `edition = …`, which this compiler does not support.
fn uses_editions(text: &str) -> bool {
    lex::tokens(text).next() == Some("edition")
}
