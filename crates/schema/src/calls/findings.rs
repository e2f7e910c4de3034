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
                    "`{name}` {summary} `{stream}`: any caller who has it set ends a gateway's \
                     process, for everybody, by {} (releases 1.1 and 1.4)",
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
            "gateways (1.4, not 1.1) give each operation a gRPC method, too, and one call of it with an object of \
             free properties in its body or answer ends their process, for everybody: ",
            "name the properties, or make sure that nobody calls it by gRPC: HTTP and GraphQL carry it",
        ),
        Rule::CallsStreamUnsigned => (
            "gateways (1.1 and 1.4) lose uint32 and fixed32 in streams: ",
            "make them int32, int64 or strings",
        ),
        Rule::CallsStreamStatus => (
            "callers of gateways (1.1 and 1.4) see a stream end with OK, even after an error, or when the \
             service dies in the middle: ",
            "let a last message say that all is there, and callers look for it",
        ),
        Rule::CallsHttpValues => (
            "by HTTP through gateways (1.1 and 1.4) values are lost: ",
            "for callers by HTTP make bytes a string of base64, uint64 an int64, and a map a repeated \
             message",
        ),
        Rule::CallsProto2Defaults => (
            "by HTTP and GraphQL through gateways (1.1 and 1.4) defaults of proto2 are lost: ",
            "set them in each answer",
        ),
        Rule::CallsGraphQlFields => (
            "by GraphQL through gateways (1.1 and 1.4) fields are lost: ",
            "name them in one word or in lowerCamel, and put a list into a message of its own within \
             the request",
        ),
        Rule::CallsUnreachable => (
            "gateways (1.1 and 1.4) do not reach some operations by HTTP: ",
            "offer them by GET or POST, under a path of whole segments",
        ),
        Rule::CallsBasePath => (
            "gateways (1.1 and 1.4) ignore `servers`, and call the declared paths right behind the \
             advertised address: ",
            "advertise that path, too: `.advertise_path(\"/v1\")`, or a base URL with it",
        ),
        Rule::CallsRequests => (
            "gateways (1.1 and 1.4) do not pass on all of a request: ",
            "take it in the path, as a single value in the query, or in a JSON body",
        ),
        Rule::CallsAnswerTypes => (
            "through gateways (1.1 and 1.4) answers that are not JSON fail, by HTTP with 500: ",
            "answer with JSON, and put a text or base64 in it",
        ),
        Rule::CallsAnswers => (
            "gateways (1.1 and 1.4) change answers: ",
            "put what callers need into a JSON body, big integers as strings",
        ),
        Rule::CallsUpstream => (
            "through gateways (1.1 and 1.4) callers cannot query parts of this schema: ",
            "give arguments to root fields only",
        ),
        _ => ("", ""),
    }
}
