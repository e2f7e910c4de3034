//! `explain`: a rule, or what callers get from a service.

use std::process::ExitCode;

use tower_gwag::Rule;

use crate::check::faulty;
use crate::cli::Explain;
use crate::exit_codes::{FILE, FINE, Fault};
use crate::output::{self, Style, line, paint};
use crate::sources::{Sources, extension};

pub(crate) fn run(args: &Explain) -> Result<ExitCode, Fault> {
    let rules: Vec<Option<Rule>> = args
        .what
        .iter()
        .map(|it| it.to_str().and_then(|id| id.parse().ok()))
        .collect();
    if rules.iter().all(Option::is_some) {
        for rule in rules.into_iter().flatten() {
            explain_rule(rule);
        }
        return Ok(ExitCode::from(FINE));
    }
    for (what, rule) in args.what.iter().zip(&rules) {
        let is_a_name = extension(what).is_empty() && !what.exists();
        if let (None, true, Some(text)) = (rule, is_a_name, what.to_str()) {
            return Err(no_rule(text));
        }
    }
    let sources = Sources::read(&args.what, &args.how)?;
    explain_calls(&sources)
}

fn no_rule(text: &str) -> Fault {
    let mut near: Vec<&str> = Rule::ALL
        .iter()
        .map(|it| it.id())
        .filter(|id| {
            let words = text.split('-').filter(|it| it.len() > 3);
            words.clone().count() > 0 && words.clone().any(|word| id.contains(word))
        })
        .collect();
    near.truncate(5);
    let message = format!("`{}` is neither a file nor a rule", output::plain(text));
    let help = match near.as_slice() {
        [] => "findings show their rule in brackets, such as proto-two-services".to_owned(),
        some => format!("is it one of {}?", some.join(", ")),
    };
    Fault::new(FILE, message).help(help)
}

fn explain_rule(rule: Rule) {
    let mut text = format!("{}\n\n", paint(Style::Bold, rule.id()));
    let section = rule.explanation();
    let (head, rest) = section.split_once('\n').unwrap_or((section, ""));
    let body = if head.trim_start_matches('#').trim() == rule.id() {
        rest
    } else {
        section
    };
    let mut fence: Option<bool> = None;
    for part in body.trim().lines() {
        if let Some(kind) = part.strip_prefix("```") {
            match fence {
                Some(_) => fence = None,
                None => {
                    let is_bad = kind.contains("bad");
                    fence = Some(is_bad);
                    let (style, title) = if is_bad {
                        (Style::Bad, "bad")
                    } else {
                        (Style::Good, "good")
                    };
                    let gap = if text.ends_with("\n\n") { "" } else { "\n" };
                    text.push_str(&format!("{gap}{}:\n", paint(style, title)));
                }
            }
            continue;
        }
        match fence {
            Some(_) => text.push_str(&format!("    {part}\n")),
            None => text.push_str(&format!("{part}\n")),
        }
    }
    let end = match rule.is_allowable() {
        true => format!(
            "\nA false alarm? `--allow {rule}` lets it pass, or `allow = [\"{rule}\"]` in a gwag.toml.\n\n"
        ),
        false => "\nEvery gateway enforces it: it cannot be allowed.\n\n".to_owned(),
    };
    text.push_str(&end);
    output::print(&text);
}

/// What happens to calls, by operation and ingress.
fn explain_calls(sources: &Sources) -> Result<ExitCode, Fault> {
    for source in &sources.all {
        let calls = source.service.calls();
        let calls = calls.map_err(|error| faulty(sources, error))?;
        line(calls);
    }
    Ok(ExitCode::from(FINE))
}
