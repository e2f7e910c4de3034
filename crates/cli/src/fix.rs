//! `check --fix`: repairs OpenAPI documents in place.

use similar::{ChangeTag, TextDiff};
use tower_gwag::{OpenApiDocument, Version};

use crate::cli::{Check, Format};
use crate::edit::edited;
use crate::exit_codes::Fault;
use crate::output::{self, Style, paint};
use crate::sources::{Kind, Sources, bytes_of, write};

/// Repairs the documents; returns whether a file was written.
pub(crate) fn fix(sources: &Sources, args: &Check) -> Result<bool, Fault> {
    let mut is_written = false;
    for source in sources.all.iter().filter(|it| it.kind == Kind::OpenApi) {
        // The check reports unreadable files.
        let Ok(text) = String::from_utf8(bytes_of(&source.path)?) else {
            continue;
        };
        let version: Version = source.version.parse().unwrap_or_default();
        let Some((new, changes)) = OpenApiDocument::from(text.as_str()).repaired(version) else {
            continue;
        };
        // Quotes do not change the value, so a comparison of values would miss them.
        let quotes_times = changes
            .iter()
            .any(|it| it.message().starts_with("dates and times"));
        let (new, is_whole) = edited(&text, &new, quotes_times);
        let shown = source.shown();
        let diff = unified(&shown, &text, &new);
        // Readers of stdout expect the findings, and nothing else.
        match args.format {
            Format::Human => output::print(&diff),
            _ => output::say(diff.trim_end()),
        }
        for change in &changes {
            output::say(&format!("{shown}: {}", change.message()));
        }
        if !is_whole {
            let note = "the document has aliases, or parts that cannot be changed in place: it is \
                        rewritten, without its comments and order";
            output::say(&format!("{shown}: {note}"));
        }
        if !args.dry_run {
            write(&source.path, &new)?;
            is_written = true;
        }
    }
    Ok(is_written)
}

/// The changes, as `diff -u` shows them.
pub(crate) fn unified(name: &str, old: &str, new: &str) -> String {
    let diff = TextDiff::from_lines(old, new);
    let mut text = format!("--- {name}\n+++ {name}\n");
    for hunk in diff.unified_diff().context_radius(2).iter_hunks() {
        text.push_str(&format!(
            "{}\n",
            paint(Style::Faint, &hunk.header().to_string())
        ));
        for change in hunk.iter_changes() {
            let line = change.value().trim_end_matches(['\n', '\r']);
            let line = match change.tag() {
                ChangeTag::Delete => paint(Style::Bad, &format!("-{line}")),
                ChangeTag::Insert => paint(Style::Good, &format!("+{line}")),
                ChangeTag::Equal => format!(" {line}"),
            };
            text.push_str(&line);
            text.push('\n');
        }
    }
    text
}
