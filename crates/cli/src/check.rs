//! `check`: checks schemas, for people and for CI.

use std::process::ExitCode;

use serde_json::{Value, json};
use tower_gwag::{CheckError, Finding, Findings, Rule, Service, Severity};
use tower_gwag_schema::check_for;

use crate::cli::{Check, Format};
use crate::exit_codes::{FAULTY, FINE, Fault};
use crate::output::{self, Style, count, paint};
use crate::sources::{Kind, Source, Sources};
use crate::{fix, registered};

/// A finding and its source: none if the finding is about all of them together.
pub(crate) struct Found<'a> {
    pub(crate) finding: Finding,
    pub(crate) source: Option<&'a Source>,
}

impl Found<'_> {
    /// As people read it: with the file also where the finding has no place in it.
    pub(crate) fn shown(&self) -> String {
        let text = self.finding.to_string();
        match self.source.filter(|_| self.finding.file().is_none()) {
            None => text,
            Some(source) => {
                let (head, rest) = text.split_once('\n').unwrap_or((&text, ""));
                let end = if rest.is_empty() { "" } else { "\n" };
                format!("{head}\n  --> {}{end}{rest}", source.shown())
            }
        }
    }
}

pub(crate) fn run(args: &Check) -> Result<ExitCode, Fault> {
    let mut sources = Sources::read(&args.schemas.paths, &args.schemas.how)?;
    if args.fix && fix::fix(&sources, args)? {
        sources = Sources::read(&args.schemas.paths, &args.schemas.how)?;
    }
    let mut found = check(&sources);
    if let Some(gateway) = &args.gateway.gateway {
        let conflicts = registered::conflicts(&sources, gateway, &args.gateway)?;
        found.extend(conflicts);
    }
    let errors = found.iter().filter(|it| it.finding.is_error()).count();
    let warnings = found.len() - errors;
    match args.format {
        Format::Human => human(&sources, &found, errors, warnings),
        Format::Json => output::json(&as_json(&sources, &found)),
        Format::Sarif => output::json(&sarif(&found)),
        Format::Github => github(&sources, &found),
    }
    let is_faulty = errors > 0 || (args.deny_warnings && warnings > 0);
    Ok(ExitCode::from(if is_faulty { FAULTY } else { FINE }))
}

/// Checks each source by itself, then all of them together.
pub(crate) fn check(sources: &Sources) -> Vec<Found<'_>> {
    let mut found: Vec<Found<'_>> = Vec::new();
    let look = |services: &[Service]| {
        let findings = check_for(services, sources.release);
        findings.unwrap_or_else(CheckError::into_findings)
    };
    let mut said = Findings::default();
    for source in &sources.all {
        let findings = look(std::slice::from_ref(&source.service));
        for finding in findings {
            said.add(finding.clone());
            found.push(Found {
                finding: source.told(finding),
                source: Some(source),
            });
        }
    }
    if sources.all.len() > 1 {
        let is_new = |it: &Finding| !said.iter().any(|other| other.says_the_same_as(it));
        let together = look(&sources.services()).into_iter().filter(is_new);
        // A long list of findings is cut with a count, which differs when sources are checked
        // together.
        let about_all = [
            Rule::TypesTogether,
            Rule::DuplicateService,
            Rule::RequestSize,
        ];
        let together = together.filter(|it| about_all.contains(&it.rule()));
        found.extend(together.map(|finding| Found {
            finding: finding.for_command_line(|_| None),
            source: None,
        }));
    }
    found.sort_by_key(|it| std::cmp::Reverse(it.finding.severity()));
    found
}

fn human(sources: &Sources, found: &[Found<'_>], errors: usize, warnings: usize) {
    let mut text = String::new();
    for it in found {
        let shown = it.shown();
        let style = match it.finding.severity() {
            Severity::Error => Style::Bad,
            _ => Style::Notice,
        };
        let (head, rest) = shown.split_once(':').unwrap_or((&shown, ""));
        text.push_str(&format!("{}:{rest}\n\n", paint(style, head)));
    }
    let all = sources.counted();
    let end = match (errors, warnings) {
        (0, 0) => paint(Style::Good, &format!("{all}: fine")),
        (errors, warnings) => {
            let found = format!("{}, {}", count(errors, "error"), count(warnings, "warning"));
            format!("{all}: {found}")
        }
    };
    output::print(&format!("{text}{end}\n"));
}

fn as_json(sources: &Sources, found: &[Found<'_>]) -> Value {
    let services: Vec<Value> = sources
        .all
        .iter()
        .map(|it| {
            json!({ "path": it.shown(), "kind": it.kind.to_string(), "namespace": it.name, "version": it.version })
        })
        .collect();
    let findings: Vec<Value> = found
        .iter()
        .map(|it| {
            let finding = &it.finding;
            json!({
                "severity": finding.severity().to_string(),
                "rule": finding.rule().id(),
                "service": finding.service(),
                "file": place(it).0,
                "line": finding.line(),
                "column": finding.column(),
                "pointer": finding.pointer(),
                "message": finding.message(),
                "help": finding.remedy(),
                "allowable": finding.rule().is_allowable(),
            })
        })
        .collect();
    json!({ "services": services, "findings": findings })
}

/// The findings of a check, as the error of a command.
pub(crate) fn faulty(sources: &Sources, error: CheckError) -> Fault {
    // Checks again source by source, because only that shows whose file is at fault.
    let found = check(sources);
    let of_sources = found.iter().filter(|it| it.finding.is_error());
    let mut shown: Vec<String> = of_sources.map(Found::shown).collect();
    if shown.is_empty() {
        let others = error.into_findings().into_iter();
        let others = others.map(|it| it.for_command_line(|_| None));
        shown.extend(others.filter(Finding::is_error).map(|it| it.to_string()));
    }
    let message = format!("a gateway cannot serve this\n\n{}\n", shown.join("\n\n"));
    Fault::new(FAULTY, message).help("run `tower-gwag check` for details")
}

/// The file and line of a finding, or the file of the service.
fn place(found: &Found<'_>) -> (Option<String>, Option<usize>) {
    let finding = &found.finding;
    match (finding.file(), found.source) {
        (Some(file), _) => (Some(file.to_owned()), finding.line()),
        (None, Some(source)) => (Some(source.on_disk(&entry(source))), finding.line()),
        (None, None) => (None, None),
    }
}

fn entry(source: &Source) -> String {
    match source.kind {
        Kind::Proto => source.shown(),
        _ => String::new(),
    }
}

/// Annotations name a file and a line, so that GitHub shows them in place.
fn github(sources: &Sources, found: &[Found<'_>]) {
    let data = |text: &str| {
        text.replace('%', "%25")
            .replace('\r', "%0D")
            .replace('\n', "%0A")
    };
    let property = |text: &str| data(text).replace(':', "%3A").replace(',', "%2C");
    let mut text = String::new();
    for it in found {
        let finding = &it.finding;
        let (file, line) = place(it);
        let file = file
            .or_else(|| sources.all.first().map(Source::shown))
            .unwrap_or_default();
        let mut message = finding.message().to_owned();
        if let Some(help) = finding.remedy() {
            message.push_str(&format!("\nhelp: {help}"));
        }
        let severity = finding.severity();
        let column = finding
            .column()
            .map_or_else(String::new, |it| format!(",col={it}"));
        text.push_str(&format!(
            "::{severity} file={},line={}{column},title={}::{}\n",
            property(&file),
            line.unwrap_or(1),
            property(finding.rule().id()),
            data(&message)
        ));
    }
    output::print(&text);
}

/// SARIF 2.1.0.
fn sarif(found: &[Found<'_>]) -> Value {
    let mut rules: Vec<Rule> = found.iter().map(|it| it.finding.rule()).collect();
    rules.sort_unstable();
    rules.dedup();
    let descriptors: Vec<Value> = rules
        .iter()
        .map(|rule| {
            json!({
                "id": rule.id(),
                "shortDescription": { "text": summary(*rule) },
                "help": { "text": format!("tower-gwag explain {rule}") },
            })
        })
        .collect();
    let results: Vec<Value> = found
        .iter()
        .map(|it| {
            let finding = &it.finding;
            let mut text = finding.message().to_owned();
            if let Some(help) = finding.remedy() {
                text.push_str(&format!("\nhelp: {help}"));
            }
            let index = rules.iter().position(|rule| *rule == finding.rule());
            let mut result = json!({
                "ruleId": finding.rule().id(),
                "ruleIndex": index,
                "level": finding.severity().to_string(),
                "message": { "text": text },
            });
            if let (Some(file), line) = place(it) {
                let mut physical = json!({ "artifactLocation": { "uri": uri(&file) } });
                if let Some(line) = line {
                    let mut region = json!({ "startLine": line });
                    if let Some(column) = finding.column() {
                        region["startColumn"] = column.into();
                    }
                    physical["region"] = region;
                }
                let mut location = json!({ "physicalLocation": physical });
                if let Some(service) = finding.service() {
                    location["logicalLocations"] =
                        json!([{ "name": service, "kind": "namespace" }]);
                }
                result["locations"] = json!([location]);
            }
            result
        })
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "tower-gwag",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": descriptors,
            } },
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

/// A path as a URI reference: relative paths stay relative.
fn uri(path: &str) -> String {
    let mut uri = String::new();
    if path.starts_with('/') {
        uri.push_str("file://");
    }
    for byte in path.replace('\\', "/").bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' | b'~' => {
                uri.push(char::from(byte));
            }
            _ => uri.push_str(&format!("%{byte:02X}")),
        }
    }
    uri
}

/// The first paragraph of a rule's explanation.
fn summary(rule: Rule) -> String {
    let section = rule.explanation();
    let mut paragraphs = section.split("\n\n").map(str::trim);
    let first = paragraphs.find(|it| !it.is_empty() && !it.starts_with('#') && *it != rule.id());
    let first = first.map_or_else(|| rule.id().to_owned(), |it| it.replace('\n', " "));
    first
        .strip_prefix(rule.id())
        .map(str::trim_start)
        .unwrap_or(&first)
        .to_owned()
}
