//! `doctor`: what is wrong with a gateway, and what to do about it.
//!
//! `gather` asks, `judge` draws conclusions from the answers and is pure.

mod addresses;
mod gather;
mod judge;
mod paths;
mod streams;

use std::process::ExitCode;

use serde_json::{Value, json};

use self::gather::Evidence;
use crate::access::on_a_runtime;
use crate::cli::Doctor;
use crate::exit_codes::{FAULTY, FINE, Fault, GATEWAY};
use crate::output::{self, Style, count, paint, plain};

/// How much a finding matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Severity {
    /// For information.
    Warning,
    /// Calls fail, or will fail.
    Fault,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    pub(crate) severity: Severity,
    /// A stable id, such as `ghosts`.
    pub(crate) id: &'static str,
    /// A service, an address or a node.
    pub(crate) subject: String,
    pub(crate) message: String,
    pub(crate) help: String,
}

/// What could not be judged, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Unjudged {
    pub(crate) what: &'static str,
    pub(crate) why: String,
}

impl Finding {
    pub(crate) fn fault(
        id: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Fault,
            id,
            subject: subject.into(),
            message: message.into(),
            help: help.into(),
        }
    }

    pub(crate) fn warning(
        id: &'static str,
        subject: impl Into<String>,
        message: impl Into<String>,
        help: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Warning,
            ..Self::fault(id, subject, message, help)
        }
    }
}

pub(crate) fn run(args: &Doctor) -> Result<ExitCode, Fault> {
    let evidence = on_a_runtime(gather::gather(args))??;
    let is_away = evidence.nodes.is_empty();
    let (mut found, unjudged) = judge::judge(&evidence);
    found.sort_by(|a, b| {
        b.severity
            .cmp(&a.severity)
            .then_with(|| (a.id, &a.subject).cmp(&(b.id, &b.subject)))
    });
    found.dedup();
    match args.json {
        true => output::json(&as_json(&evidence, &found, &unjudged)),
        false => show(&evidence, &found, &unjudged),
    }
    let has_faults = found.iter().any(|it| it.severity == Severity::Fault);
    Ok(ExitCode::from(match (is_away, has_faults) {
        (true, _) => GATEWAY,
        (false, true) => FAULTY,
        (false, false) => FINE,
    }))
}

fn as_json(evidence: &Evidence, found: &[Finding], unjudged: &[Unjudged]) -> Value {
    let found: Vec<Value> = found
        .iter()
        .map(|it| {
            let severity = match it.severity {
                Severity::Fault => "fault",
                Severity::Warning => "warning",
            };
            json!({ "severity": severity, "id": it.id, "subject": it.subject, "message": it.message, "help": it.help })
        })
        .collect();
    let unjudged: Vec<Value> = unjudged
        .iter()
        .map(|it| json!({ "what": it.what, "why": it.why }))
        .collect();
    let nodes: Vec<&str> = evidence.nodes.iter().map(|it| it.target.as_str()).collect();
    json!({ "nodes": nodes, "findings": found, "not_judged": unjudged })
}

fn show(evidence: &Evidence, found: &[Finding], unjudged: &[Unjudged]) {
    let mut text = String::new();
    for it in found {
        let head = match it.severity {
            Severity::Fault => paint(Style::Bad, &format!("fault[{}]", it.id)),
            Severity::Warning => paint(Style::Notice, &format!("warning[{}]", it.id)),
        };
        text.push_str(&format!(
            "{head} {}: {}\n  = help: {}\n\n",
            plain(&it.subject),
            escaped(&it.message),
            it.help
        ));
    }
    for it in unjudged {
        let line = format!("not checked: {}: {}", it.what, plain(&it.why));
        text.push_str(&format!("{}\n", paint(Style::Faint, &line)));
    }
    let faults = found
        .iter()
        .filter(|it| it.severity == Severity::Fault)
        .count();
    let warnings = found.len() - faults;
    let looked = format!(
        "looked at {}, {} and {}",
        count(evidence.nodes.len(), "node"),
        count(evidence.services().count(), "service"),
        count(evidence.registrations().count(), "registration")
    );
    let end = match found.len() {
        0 => paint(Style::Good, &format!("nothing wrong was found: {looked}")),
        _ => format!(
            "{}, {}: {looked}",
            count(faults, "fault"),
            count(warnings, "warning")
        ),
    };
    output::print(&format!("{text}{end}\n"));
}

/// Keeps line breaks.
fn escaped(text: &str) -> String {
    text.lines().map(plain).collect::<Vec<_>>().join("\n")
}
