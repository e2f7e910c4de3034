//! What of an OpenAPI document is found before it is sent.

use std::collections::HashSet;

use crate::finding::Rule;
use crate::finding::{Finding, Place};
use crate::openapi::locate::spots;
use crate::openapi::validate;
use crate::openapi::{self, Document, Fault};
use crate::render::{self, Site, Unrenderable};

/// What findings call the document.
const FILE: &str = "openapi";

/// More of one document are not told.
const MOST_FINDINGS: usize = 100;

/// Everything to say about a document; the document, if it can be read.
pub(crate) fn check(version: &str, bytes: &[u8]) -> (Vec<Finding>, Option<Document>) {
    let (found, document) = match openapi::read(bytes) {
        Err(fault) => (vec![of_fault(&fault)], None),
        Ok(document) => {
            let lost = document.lost().iter().map(of_repeated);
            let faults = document.faults();
            let faults = faults.unreadable.into_iter().chain(faults.invalid);
            let mut found: Vec<_> = lost.chain(faults.map(|fault| of_fault(&fault))).collect();
            let unrenderable = render::openapi(version, &document);
            // A component whose name is refused as such is told once.
            let is_told = |it: &&Unrenderable| {
                let mut told = found.iter();
                told.any(|(finding, site)| finding.rule() == it.rule && *site == it.site)
            };
            let explained = unrenderable.iter().filter(|it| !is_told(it));
            let explained: Vec<_> = explained
                .map(|it| explain(it, version, &document))
                .collect();
            found.extend(explained);
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

/// What repairs a document where HTTP stays as it is; without the word, findings would send
/// people to work that need not be done.
const REPAIR: &str = "or let `Service::repair` do it";

fn of_repeated(fault: &Fault) -> (Finding, Site) {
    let finding = Finding::error(fault.rule, &fault.text);
    let finding = finding.help(fault.help.as_deref().unwrap_or("leave one of them"));
    (finding, fault.site.clone())
}

fn of_fault(fault: &Fault) -> (Finding, Site) {
    let text = &fault.text;
    let finding = match fault.rule {
        Rule::OpenApiUnverified => {
            let message = format!("not checked, because of a limit here: {text}");
            Finding::warning(fault.rule, message)
        }
        rule => Finding::error(rule, text).help(match (rule, &fault.site) {
            (Rule::OpenApiExternalReference, _) => {
                "gateways read no other files: put it under `components`, and refer to it by `#/…`"
                    .to_owned()
            }
            (Rule::OpenApiShape, Site::OpenApi(pointer))
                if matches!(pointer.as_str(), "/info/version" | "/openapi") =>
            {
                format!(
                    "write it in quotes, because YAML takes `1.0` for a number: `version: \"1.0\"`, \
                     {REPAIR}"
                )
            }
            (Rule::OpenApiRequired, _) if text == validate::NO_DESCRIPTION => {
                format!("write `description`, which may be empty, {REPAIR}")
            }
            (Rule::OpenApiExample, _) if text.contains("is no `date") => format!(
                "correct it; in YAML a date stands in quotes, such as `\"2026-01-31\"`, {REPAIR}"
            ),
            (Rule::OpenApiComponentName, Site::OpenApi(pointer))
                if pointer.starts_with("/components/schemas/") =>
            {
                let name = fault.help.clone().unwrap_or_default();
                format!("{name}, {REPAIR}")
            }
            (Rule::OpenApiOperationIdDuplicate, _) => {
                format!("give each operation an operationId of its own, {REPAIR}")
            }
            _ => match &fault.help {
                Some(help) => help.clone(),
                None => "give an OpenAPI 3.x document as JSON or YAML".to_owned(),
            },
        }),
    };
    (finding, fault.site.clone())
}

fn explain(found: &Unrenderable, version: &str, document: &Document) -> (Finding, Site) {
    let name = &found.name;
    let names = "names are [_A-Za-z][_0-9A-Za-z]*";
    let suggestion = crate::name::suggest(name);
    let (message, help) = match found.rule {
        Rule::OpenApiOperationIdMissing => (
            "an operation has no operationId, and gateways cannot name it".to_owned(),
            format!("give every operation an operationId, such as `list_pets`, {REPAIR}"),
        ),
        Rule::OpenApiOperationIdName => (
            format!("the operationId `{name}` is no name: {names}"),
            format!("`{suggestion}` would do, {REPAIR}"),
        ),
        Rule::OpenApiOperationIdCollision => (
            format!(
                "the operationId `{name}` collides in lowerCamel with another one, with the \
                 version `{version}` or with its alias `stable`"
            ),
            format!("rename it, {REPAIR}"),
        ),
        Rule::OpenApiParameterName if is_in_path(document, &found.site) => (
            format!("the path parameter `{name}` is no name: {names}"),
            format!("`{suggestion}` would do, {REPAIR}"),
        ),
        Rule::OpenApiParameterName => (
            format!("the query parameter `{name}` is no name: {names}"),
            format!(
                "its name goes over HTTP: let the service take `{suggestion}`, too, or leave it \
                 out of the document; headers and cookies may be called as they like"
            ),
        ),
        Rule::OpenApiEnumValue => (
            format!("the enum value `{name}` of a body is no name: {names}"),
            format!(
                "its values go over HTTP: leave the `enum` out and describe the values, {REPAIR}"
            ),
        ),
        _ => (
            format!("the component `{name}` is no name: {names}"),
            format!("`{suggestion}` would do, {REPAIR}"),
        ),
    };
    let finding = Finding::error(found.rule, message).help(help);
    (finding, found.site.clone())
}

/// Whether the site is the name of a path parameter.
fn is_in_path(document: &Document, site: &Site) -> bool {
    let Site::OpenApi(pointer) = site else {
        return false;
    };
    let holder = pointer.strip_suffix("/name");
    let parameter = holder.and_then(|it| document.as_json().pointer(it));
    parameter.is_some_and(|it| it.get("in").is_some_and(|place| place == "path"))
}
