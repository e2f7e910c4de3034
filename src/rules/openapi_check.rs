//! What of an OpenAPI document is found before it is sent.

use std::collections::HashSet;

use super::finding::{Finding, Place};
use super::openapi::{self, Document, Fault};
use super::openapi_spots::spots;
use super::render::{self, Site, Unrenderable};
use super::rule::Rule;

/// What findings call the document.
const FILE: &str = "openapi";

/// More of one document are not told.
const MOST_FINDINGS: usize = 100;

/// Everything to say about a document; the document, if it can be read.
pub(crate) fn check(version: &str, bytes: &[u8]) -> (Vec<Finding>, Option<Document>) {
    let (found, document) = match openapi::read(bytes) {
        Err(fault) => (vec![of_fault(&fault)], None),
        Ok(document) => {
            let faults = document.references().into_iter().chain(document.faults());
            let mut found: Vec<_> = faults.map(|fault| of_fault(&fault)).collect();
            let unrenderable = render::openapi(version, &document);
            found.extend(unrenderable.iter().map(|it| explain(it, version)));
            // A parameter that many operations share is told once.
            let mut told = HashSet::new();
            found.retain(|(finding, site)| {
                told.insert((finding.message().to_owned(), site.clone()))
            });
            (found, Some(document))
        }
    };
    let found: Vec<_> = found.into_iter().take(MOST_FINDINGS).collect();
    let sites: Vec<_> = found.iter().map(|(_, site)| site.clone()).collect();
    let places = spots(&String::from_utf8_lossy(bytes), &sites);
    let placed = found.into_iter().zip(places).map(|((finding, site), at)| {
        let file = match (&at, site) {
            // Without a line at least the way through the document.
            (None, Site::OpenApi(pointer)) => format!("{FILE}#{pointer}"),
            _ => FILE.to_owned(),
        };
        finding.at(Some(Place { file, at }))
    });
    (placed.collect(), document)
}

fn of_fault(fault: &Fault) -> (Finding, Site) {
    let text = &fault.text;
    let finding = match fault.rule {
        Rule::OpenApiUnverified => {
            let message = format!("not checked, because of a limit here: {text}");
            Finding::warning(fault.rule, message)
        }
        rule => Finding::error(rule, text).help(match rule {
            Rule::OpenApiExternalReference => {
                "gateways read no other files: put it under `components`, and refer to it by `#/…`"
            }
            Rule::OpenApiRequired => {
                "write it; in YAML quote what looks like a number, such as `version: \"1.0\"`"
            }
            Rule::OpenApiOperationIdDuplicate => "give each operation an operationId of its own",
            _ => "give an OpenAPI 3.x document as JSON or YAML",
        }),
    };
    (finding, fault.site.clone())
}

fn explain(found: &Unrenderable, version: &str) -> (Finding, Site) {
    let name = &found.name;
    let names = "names are [_A-Za-z][_0-9A-Za-z]*";
    let suggestion = super::name::suggest(name);
    let (message, help) = match found.rule {
        Rule::OpenApiOperationIdMissing => (
            "an operation has no operationId, and gateways cannot name it".to_owned(),
            "give every operation an operationId, such as `list_pets`".to_owned(),
        ),
        Rule::OpenApiOperationIdName => (
            format!("the operationId `{name}` is no name: {names}"),
            format!("`{suggestion}` would do"),
        ),
        Rule::OpenApiOperationIdCollision => (
            format!(
                "the operationId `{name}` collides in lowerCamel with another one, with the \
                 version `{version}` or with its alias `stable`"
            ),
            "rename it".to_owned(),
        ),
        Rule::OpenApiParameterName => (
            format!("the parameter `{name}` is no name: {names}"),
            format!("`{suggestion}` would do; headers and cookies may be called as they like"),
        ),
        Rule::OpenApiEnumValue => (
            format!("the enum value `{name}` of a body is no name: {names}"),
            format!("`{suggestion}` would do, or leave the `enum` out and describe the values"),
        ),
        _ => (
            format!("the component `{name}` is no name: {names}"),
            format!("`{suggestion}` would do"),
        ),
    };
    let finding = Finding::error(found.rule, message).help(help);
    (finding, found.site.clone())
}
