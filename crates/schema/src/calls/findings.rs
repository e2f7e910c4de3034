//! Findings of the rules `calls-…`: one for each field that can end a gateway, otherwise one per service
//! and rule, however many operations it covers.

use std::collections::BTreeMap;

use super::feature::Feature;
use super::{Operation, Subject};
use crate::finding::{Finding, Rule};
use crate::location::Location;

/// How many names are listed for each feature.
const MOST_NAMES: usize = 2;

/// All findings about the operations of a service, each with its place.
pub(crate) fn findings(operations: &[Operation]) -> Vec<(Finding, Location)> {
    let mut found = fatal(operations);
    let mut by_rule: BTreeMap<Rule, BTreeMap<Feature, Vec<&Subject>>> = BTreeMap::new();
    for operation in operations {
        for seen in &operation.seen {
            let rule = seen.feature.facts().rule;
            let Some(rule) = rule.filter(|it| *it != Rule::CallsFatalStream) else {
                continue;
            };
            let features = by_rule.entry(rule).or_default();
            features
                .entry(seen.feature)
                .or_default()
                .extend(&seen.subjects);
        }
    }
    for (rule, features) in by_rule {
        let location = features
            .values()
            .flatten()
            .next()
            .map(|it| it.location.clone());
        let parts = features.into_iter().map(|(feature, subjects)| {
            let summary = feature.facts().summary;
            summary.replace("{}", &names(&subjects))
        });
        let parts: Vec<_> = parts.collect();
        let (lead, help) = words(rule);
        let message = format!("{lead}{}", parts.join("; "));
        let finding = Finding::warning(rule, message).help(help);
        found.push((finding, location.unwrap_or(Location::Nowhere)));
    }
    found
}

/// One finding for each field that lets one call end the gateway.
fn fatal(operations: &[Operation]) -> Vec<(Finding, Location)> {
    let mut found = Vec::new();
    for operation in operations {
        let seen = operation.seen.iter();
        for it in seen.filter(|it| it.feature.facts().rule == Some(Rule::CallsFatalStream)) {
            let facts = it.feature.facts();
            let summary = facts.summary;
            let fatal = facts
                .effects
                .iter()
                .filter(|it| it.1 == super::Fate::EndsGateway);
            let ways: Vec<_> = fatal.map(|it| it.0.to_string()).collect();
            let help = match it.feature {
                Feature::MapToStream => "write a repeated message with a key and a value",
                _ => "make it int64, or a string",
            };
            for subject in &it.subjects {
                let (name, stream) = (&subject.name, &operation.name);
                let message = format!(
                    "`{name}` {summary} `{stream}`: a call with it set ends the gateway's process, \
                     for everybody ({}; releases 1.1 and 1.4)",
                    ways.join(", ")
                );
                let finding = Finding::error(Rule::CallsFatalStream, message).help(help);
                found.push((finding, subject.location.clone()));
            }
        }
    }
    found
}

/// `a`, `b` and 3 more.
fn names(subjects: &[&Subject]) -> String {
    let mut distinct: Vec<&str> = Vec::new();
    let mut known = std::collections::HashSet::new();
    for subject in subjects {
        if known.insert(&*subject.name) {
            distinct.push(&subject.name);
        }
    }
    let shown: Vec<_> = distinct
        .iter()
        .take(MOST_NAMES)
        .map(|it| format!("`{it}`"))
        .collect();
    match distinct.len().saturating_sub(MOST_NAMES) {
        0 => shown.join(" and "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// The beginning of a warning, and its remedy.
fn words(rule: Rule) -> (&'static str, &'static str) {
    match rule {
        Rule::CallsFatalMap => (
            "gateways (1.4, not 1.1) also give each operation a gRPC method, and one call of it \
             with a free-form object in its body or answer ends the gateway's process, for \
             everybody: ",
            "declare the properties, or make sure that nobody calls it over gRPC; HTTP and GraphQL \
             carry such objects",
        ),
        Rule::CallsStreamUnsigned => (
            "gateways (1.1 and 1.4) lose uint32 and fixed32 in streams: ",
            "make them int32, int64 or strings",
        ),
        Rule::CallsStreamStatus => (
            "callers of gateways (1.1 and 1.4) see a stream end with OK, even after an error, or \
             when the service dies midway: ",
            "mark the end with a last message, and let callers check for it",
        ),
        Rule::CallsHttpValues => (
            "gateways (1.1 and 1.4) lose values over HTTP: ",
            "for HTTP callers, replace bytes by a base64 string, uint64 by int64, and a map by a \
             repeated message",
        ),
        Rule::CallsProto2Defaults => (
            "gateways (1.1 and 1.4) lose proto2 defaults over HTTP and GraphQL: ",
            "set the fields in each answer",
        ),
        Rule::CallsGraphQlFields => (
            "gateways (1.1 and 1.4) lose fields over GraphQL: ",
            "name them in one word or in lowerCamel, and wrap a list of the request in a message",
        ),
        Rule::CallsUnreachable => (
            "gateways (1.1 and 1.4) do not route some operations over HTTP: ",
            "offer them by GET or POST, with parameters that are whole segments of the path",
        ),
        Rule::CallsBasePath => (
            "gateways (1.1 and 1.4) ignore `servers`, and append the declared paths to the \
             advertised address: ",
            "advertise that path, too: `.advertise_path(\"/v1\")`, or a base URL with it",
        ),
        Rule::CallsRequests => (
            "gateways (1.1 and 1.4) do not forward all of a request: ",
            "take it in the path, as a single value in the query, or in a JSON body",
        ),
        Rule::CallsAnswerTypes => (
            "gateways (1.1 and 1.4) fail on answers that are not JSON, over HTTP with 500: ",
            "answer with JSON that contains the text, or the bytes in base64",
        ),
        Rule::CallsAnswers => (
            "gateways (1.1 and 1.4) change answers: ",
            "put what callers need into a JSON body, and large integers into strings",
        ),
        Rule::CallsUpstream => (
            "callers of gateways (1.1 and 1.4) cannot query parts of this schema: ",
            "use arguments only on root fields",
        ),
        _ => ("", ""),
    }
}
