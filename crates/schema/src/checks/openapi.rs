//! Checks an OpenAPI document before it is sent.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use crate::json::Value;

use crate::calls;
use crate::finding::MOST_FINDINGS;
use crate::finding::Rule;
use crate::finding::{Finding, Severity};
use crate::gateway::GatewayRelease;
use crate::location::Location;
use crate::openapi::keywords;
use crate::openapi::locate::excerpts;
use crate::openapi::validate;
use crate::openapi::{Document, Fault};
use crate::renderable::{self, Effect, Judged, Unrenderable};

/// The file name of the document in findings.
const FILE: &str = "openapi";

/// The result of checking a document.
pub(crate) struct Checked {
    pub(crate) found: Vec<Finding>,
    /// Whether a gateway's schema shows an operation of it.
    pub(crate) has_operations: bool,
    /// `None` if it cannot be read.
    pub(crate) document: Option<Document>,
}

/// Checks a document. `given` is the user's text, from which a repair may have produced the checked
/// document; `allowed` has the rules that the user allows.
pub(crate) fn check(
    namespace: &str,
    version: &str,
    document: Result<Document, Fault>,
    given: &[u8],
    allowed: &[Rule],
    release: GatewayRelease,
) -> Checked {
    let (found, has_operations, document) = match document {
        Err(fault) => (vec![of_fault(&fault)], false, None),
        Ok(document) => {
            let judged = renderable::judge_openapi(namespace, version, document.as_json(), release);
            let Few {
                mut found, more, ..
            } = of_document(&document, &judged, version);
            if !judged.has_operations && found.is_empty() {
                found.push(no_operations());
            }
            found.extend(shared_parameters(&document));
            // Findings about calls would only be counted behind so many errors.
            let counts = |it: &&(Finding, Location)| {
                it.0.is_error() && !(it.0.rule().is_allowable() && allowed.contains(&it.0.rule()))
            };
            if found.iter().filter(counts).count() < MOST_FINDINGS {
                let of = (namespace, version);
                let operations = calls::of_openapi(of, &document, &judged.schema, release);
                found.extend(calls::findings(&operations));
            }
            // A parameter that many operations share is reported once.
            let mut told = HashSet::new();
            found.retain(|(finding, location)| {
                told.insert((finding.message().to_owned(), location.clone()))
            });
            found.extend(more.into_iter().map(|((rule, severity), count)| {
                (Finding::more(rule, severity, count), Location::Nowhere)
            }));
            (found, judged.has_operations, Some(document))
        }
    };
    Checked {
        found: placed(found, &String::from_utf8_lossy(given)),
        has_operations,
        document,
    }
}

/// The faults of a document, and of the schema made of it.
fn of_document(document: &Document, judged: &Judged, version: &str) -> Few {
    let mut few = Few::default();
    for fault in document.lost() {
        few.add(fault.rule, Severity::Error, || of_repeated(fault));
    }
    let faults = document.faults();
    let faults: Vec<_> = faults
        .unreadable
        .into_iter()
        .chain(faults.invalid)
        .collect();
    for fault in &faults {
        let severity = match fault.rule {
            Rule::OpenApiUnverified => Severity::Warning,
            _ => Severity::Error,
        };
        few.add(fault.rule, severity, || of_fault(fault));
    }
    // A component whose name is refused for this reason is reported once.
    let told = document.lost().iter().chain(&faults);
    let told: HashSet<_> = told.map(|it| (it.rule, &it.location)).collect();
    for it in &judged.found {
        if !told.contains(&(it.rule, &it.location)) {
            let severity = match it.effect {
                Effect::Loses => Severity::Warning,
                Effect::Blocks | Effect::BreaksText => Severity::Error,
            };
            few.add(it.rule, severity, || explain(it, version, document));
        }
    }
    few
}

/// Gives the findings their places in the text; those beyond the first are only counted.
fn placed(found: Vec<(Finding, Location)>, text: &str) -> Vec<Finding> {
    let locations = found.iter().take(MOST_FINDINGS);
    let locations: Vec<_> = locations.map(|(_, location)| location.clone()).collect();
    let excerpts = excerpts(text, &locations);
    let excerpts = excerpts.into_iter().chain(std::iter::repeat(None));
    let placed = found
        .into_iter()
        .zip(excerpts)
        .map(|((finding, location), excerpt)| {
            let file = match (&excerpt, &location) {
                // Without a line, show at least the path in the document.
                (None, Location::OpenApi(pointer)) => format!("{FILE}#{pointer}"),
                _ => FILE.to_owned(),
            };
            let finding = finding.at(file, excerpt);
            match &location {
                Location::OpenApi(pointer) => finding.with_pointer(&pointer.to_string()),
                _ => finding,
            }
        });
    placed.collect()
}

/// Findings, of which only the first few of each rule get a text: there may be one for each
/// operation.
#[derive(Default)]
struct Few {
    found: Vec<(Finding, Location)>,
    counts: HashMap<(Rule, Severity), usize>,
    more: BTreeMap<(Rule, Severity), usize>,
}

impl Few {
    fn add(&mut self, rule: Rule, severity: Severity, word: impl FnOnce() -> (Finding, Location)) {
        let count = self.counts.entry((rule, severity)).or_default();
        *count += 1;
        if *count <= MOST_FINDINGS {
            self.found.push(word());
        } else {
            *self.more.entry((rule, severity)).or_default() += 1;
        }
    }
}

fn no_operations() -> (Finding, Location) {
    let message = "the document has no operation that gateways serve (GET, POST, PUT, PATCH or \
                   DELETE)";
    let finding = Finding::warning(Rule::OpenApiNoOperations, message);
    let help = "describe the paths; a registered service without operations cannot be called";
    (finding.help(help), Location::in_document("/paths"))
}

/// Path parameters that an operation needs, although gateways ignore them.
fn shared_parameters(document: &Document) -> Vec<(Finding, Location)> {
    let root = document.as_json();
    let paths = root.get("paths").and_then(Value::as_object);
    let mut found = Vec::new();
    for (path, item) in paths.into_iter().flatten() {
        let (item, pointer) = keywords::path_item(root, path, item);
        let shared = item.get("parameters").and_then(Value::as_array);
        let shared = shared
            .into_iter()
            .flatten()
            .filter_map(|it| parameter(root, it));
        let shared: BTreeSet<_> = shared
            .filter(|(place, _)| ARGUMENTS.contains(place))
            .collect();
        if shared.is_empty() {
            continue;
        }
        let operations = SERVED.iter().filter_map(|it| item.get(it));
        let lacking: BTreeSet<_> = operations
            .flat_map(|operation| {
                let own = operation.get("parameters").and_then(Value::as_array);
                let own = own
                    .into_iter()
                    .flatten()
                    .filter_map(|it| parameter(root, it));
                let own: BTreeSet<_> = own.collect();
                shared.difference(&own).copied().collect::<Vec<_>>()
            })
            .collect();
        let Some((place, name)) = lacking.first() else {
            continue;
        };
        let more = match lacking.len() {
            1 => String::new(),
            count => format!(" and {} more", count - 1),
        };
        let message = format!(
            "callers cannot set the {place} parameter `{name}`{more} of the path `{path}`: \
             gateways read only the parameters of operations"
        );
        let finding = Finding::warning(Rule::OpenApiPathItemParameters, message);
        let finding = finding.help(format!("write it in each operation, {REPAIR}"));
        found.push((
            finding,
            Location::in_document(format!("{pointer}/parameters")),
        ));
    }
    found
}

/// Locations of parameters that become arguments for callers.
const ARGUMENTS: [&str; 2] = ["path", "query"];

/// The methods that gateways serve.
const SERVED: [&str; 5] = ["get", "put", "post", "delete", "patch"];

/// The location and the name of a parameter.
fn parameter<'a>(root: &'a Value, parameter: &'a Value) -> Option<(&'a str, &'a str)> {
    let reference = parameter.get("$ref").and_then(Value::as_str);
    let parameter = match reference {
        Some(reference) => keywords::target(root, reference)?.0,
        None => parameter,
    };
    Some((
        parameter.get("in")?.as_str()?,
        parameter.get("name")?.as_str()?,
    ))
}

/// The offer to repair what can change without changing HTTP; without it, findings would ask for
/// unnecessary work.
const REPAIR: &str = "or let `Service::repair` do it";

fn of_repeated(fault: &Fault) -> (Finding, Location) {
    let finding = Finding::error(fault.rule, &fault.text);
    let finding = finding.help(fault.help.as_deref().unwrap_or("keep one of them"));
    (finding, fault.location.clone())
}

fn of_fault(fault: &Fault) -> (Finding, Location) {
    let text = &fault.text;
    let finding = match fault.rule {
        Rule::OpenApiUnverified => {
            let message = format!("not checked, because of a limit of this check: {text}");
            Finding::warning(fault.rule, message)
        }
        rule => Finding::error(rule, text).help(match (rule, &fault.location) {
            (Rule::OpenApiExternalReference, _) => {
                "gateways load no other files: put it under `components`, and refer to it as `#/…`"
                    .to_owned()
            }
            (Rule::OpenApiShape, Location::OpenApi(pointer))
                if matches!(&*pointer.to_string(), "/info/version" | "/openapi") =>
            {
                format!(
                    "quote it, because YAML reads `1.0` as a number: `version: \"1.0\"`, {REPAIR}"
                )
            }
            (Rule::OpenApiRequired, _) if text == validate::NO_DESCRIPTION => {
                format!("write `description`, which may be empty, {REPAIR}")
            }
            (Rule::OpenApiExample, _) if text.contains("a valid `date") => format!(
                "correct it; YAML needs quotes around a date, such as `\"2026-01-31\"`, {REPAIR}"
            ),
            (Rule::OpenApiComponentName, Location::OpenApi(pointer))
                if pointer.to_string().starts_with("/components/schemas/") =>
            {
                let name = fault.help.clone().unwrap_or_default();
                format!("{name}, {REPAIR}")
            }
            (Rule::OpenApiOperationIdDuplicate, _) => {
                format!("give each operation its own operationId, {REPAIR}")
            }
            _ => match &fault.help {
                Some(help) => help.clone(),
                None => "give an OpenAPI 3.x document as JSON or YAML".to_owned(),
            },
        }),
    };
    (finding, fault.location.clone())
}

fn explain(found: &Unrenderable, version: &str, document: &Document) -> (Finding, Location) {
    let name = &found.name;
    let names = "names must match [_A-Za-z][_0-9A-Za-z]*";
    let suggestion = crate::name::suggest(name);
    let (message, help) = match found.rule {
        Rule::OpenApiOperationIdMissing => (
            "an operation has no operationId, so gateways cannot name it".to_owned(),
            format!("give every operation an operationId, such as `list_pets`, {REPAIR}"),
        ),
        Rule::OpenApiOperationIdName => (
            format!("the operationId `{name}` is not a valid name: {names}"),
            format!("write `\"operationId\": \"{suggestion}\"`, {REPAIR}"),
        ),
        Rule::OpenApiOperationIdCollision => (
            format!(
                "an operation is called `{name}`, which gateways use for the version `{version}` or \
                 its alias `stable`"
            ),
            format!("rename it, {REPAIR}"),
        ),
        Rule::CallsHeaderName => (
            format!(
                "the header or cookie parameter `{name}` is not a valid name: {names}; gateways of \
                 release 1.1 cannot make a schema of it, and then serve no change of any service \
                 (1.4 leaves it out)"
            ),
            "remove it from the document, because gateways never send header and cookie \
             parameters, or register with release 1.4 or later only"
                .to_owned(),
        ),
        Rule::OpenApiParameterName if is_in_path(document, &found.location) => (
            format!("the path parameter `{name}` is not a valid name: {names}"),
            format!(
                "write `\"name\": \"{suggestion}\"`, and `{{{suggestion}}}` in the path, {REPAIR}"
            ),
        ),
        Rule::OpenApiParameterName => (
            format!("the query parameter `{name}` is not a valid name: {names}"),
            format!(
                "HTTP requests carry the name: let the service accept `{suggestion}`, too, or \
                 remove the parameter from the document; headers and cookies may have any name"
            ),
        ),
        Rule::OpenApiEnumValue if found.effect == Effect::Loses => (
            format!(
                "the enum value `{name}` is not a valid name: {names}; gateways leave it, and \
                 perhaps others of its enum, out of their schema, so that callers cannot send them"
            ),
            format!("remove the `enum` and describe the values, {REPAIR}"),
        ),
        Rule::OpenApiEnumValue => (
            format!("the enum value `{name}` is not a valid name: {names}"),
            format!(
                "HTTP bodies carry the values: remove the `enum` and describe them, {REPAIR}"
            ),
        ),
        Rule::OpenApiUnionInput => (
            format!(
                "a parameter or body is `{name}`, a union of objects (`oneOf`, `anyOf`), which \
                 GraphQL does not allow as an input"
            ),
            "describe one object whose properties are all optional, or remove the schema: the body \
             is then any JSON"
                .to_owned(),
        ),
        Rule::OpenApiTypeName => (
            format!(
                "two types are called `{name}` in the schema that gateways make: schemas of bodies \
                 and parameters get the suffix `Input`, inline schemas the name of their operation \
                 and property"
            ),
            "rename the component or operation".to_owned(),
        ),
        Rule::SchemaText => return (renderable::broken_text(found), found.location.clone()),
        _ if found.effect == Effect::BreaksText => (
            format!(
                "the component `{name}` is not a valid name: {names}; gateways serve it, but tools \
                 can no longer parse the gateway's schema"
            ),
            format!("rename it, {REPAIR}"),
        ),
        _ => (
            format!("the component `{name}` is not a valid name: {names}"),
            format!("rename it, for example to `{suggestion}`, {REPAIR}"),
        ),
    };
    let finding = match found.effect {
        Effect::Loses => Finding::warning(found.rule, message),
        Effect::Blocks | Effect::BreaksText => Finding::error(found.rule, message),
    };
    (finding.help(help), found.location.clone())
}

/// Whether the location is the name of a path parameter.
fn is_in_path(document: &Document, location: &Location) -> bool {
    let Location::OpenApi(pointer) = location else {
        return false;
    };
    let pointer = pointer.to_string();
    let holder = pointer.strip_suffix("/name");
    let parameter = holder.and_then(|it| document.as_json().pointer(it));
    parameter.is_some_and(|it| it.get("in").is_some_and(|place| place == "path"))
}
