//! Schemas that a gateway cannot turn into GraphQL (contract § 2, What cannot be rendered), and schemas
//! that it serves with defects: findings from the model in `graphql`.
//!
//! A standalone gateway refuses the former; a clustered one accepts it and then serves no schema
//! changes of any service until it is removed.

use std::fmt;

use crate::finding::Finding;
use crate::finding::Rule;
use crate::gateway::GatewayRelease;
use crate::graphql::{
    Failure, FailureKind, Flaw, FlawKind, Introspection, Schema, Selection, Source, Sources,
};
use crate::json::Value;
use crate::location::{Location, Pointer, unescaped};
use crate::name::{is_name, suggest};
use crate::openapi::Document;
use crate::proto::Compiled;
use crate::version::Version;

/// One defect of the GraphQL schema generated from a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unrenderable {
    pub rule: Rule,
    /// The name at fault, or the subject of the rule.
    pub name: String,
    pub location: Location,
    pub effect: Effect,
    /// The error text of a standalone gateway.
    pub(crate) text: String,
}

/// The effect of a defect on the schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Effect {
    /// The schema cannot be built.
    Blocks,
    /// The schema is served, but its text is not valid GraphQL.
    BreaksText,
    /// The schema is served with something missing.
    Loses,
}

/// The schema generated from a source, and all its defects.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) found: Vec<Unrenderable>,
    pub(crate) has_operations: bool,
    pub(crate) schema: Schema,
}

impl fmt::Display for Unrenderable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Defects of the namespace itself.
#[must_use]
pub fn namespace(namespace: &str) -> Option<Unrenderable> {
    (!is_name(namespace)).then(|| Unrenderable {
        rule: Rule::NamespaceName,
        name: namespace.to_owned(),
        location: Location::Nowhere,
        effect: Effect::Blocks,
        text: format!(
            "graphql.NewSchema: Names must match /^[_a-zA-Z][_a-zA-Z0-9]*$/ but {namespace:?} does \
             not."
        ),
    })
}

/// Defects of a proto that block gateways.
#[must_use]
pub fn proto(namespace: &str, version: &str, compiled: &Compiled) -> Vec<Unrenderable> {
    let judged = judge_proto(namespace, version, compiled, GatewayRelease::default());
    blocking(judged.found)
}

/// Defects of an OpenAPI document that block gateways.
#[must_use]
pub fn openapi(namespace: &str, version: &str, document: &Document) -> Vec<Unrenderable> {
    let root = document.as_json();
    let judged = judge_openapi(namespace, version, root, GatewayRelease::default());
    blocking(judged.found)
}

fn blocking(mut found: Vec<Unrenderable>) -> Vec<Unrenderable> {
    found.retain(|it| it.effect == Effect::Blocks);
    found
}

/// All defects of a proto's schema.
pub(crate) fn judge_proto(
    namespace: &str,
    version: &str,
    compiled: &Compiled,
    release: GatewayRelease,
) -> Judged {
    let (schema, failures) = judge(namespace, version, Source::Proto(compiled), release);
    let mut found = Vec::new();
    for failure in failures.iter().chain(&schema.blocks()) {
        let location = location_of(failure);
        let (rule, name, location) = match failure.kind {
            FailureKind::TwoServices => {
                found.extend(more_services(compiled, Effect::Blocks, &failure.text));
                continue;
            }
            FailureKind::GroupCollision | FailureKind::OperationCollision => (
                Rule::ProtoMethodName,
                method_at(compiled, location),
                location.clone(),
            ),
            FailureKind::Name if *location == Location::Nowhere => continue,
            FailureKind::Name => (
                Rule::ProtoMethodName,
                failure.name.clone(),
                location.clone(),
            ),
            FailureKind::FreeJson => {
                for (name, location) in schema.free_json() {
                    found.push(Unrenderable::new(
                        Rule::ProtoFreeJson,
                        name,
                        location,
                        failure,
                    ));
                }
                continue;
            }
            FailureKind::TypeCollision | FailureKind::UnionAsInput => {
                (Rule::ProtoTypeName, failure.name.clone(), location.clone())
            }
        };
        found.push(Unrenderable::new(rule, name, location, failure));
    }
    let has_two = compiled
        .entry()
        .is_some_and(|entry| entry.services().count() > 1);
    if has_two
        && !failures
            .iter()
            .any(|it| it.kind == FailureKind::TwoServices)
    {
        found.extend(more_services(compiled, Effect::Loses, ""));
    }
    found.extend(schema.flaws().iter().map(of_flaw));
    Judged::of(schema, found)
}

/// Every service after the first: its operations collide with those of the first.
fn more_services(compiled: &Compiled, effect: Effect, text: &str) -> Vec<Unrenderable> {
    let Some(entry) = compiled.entry() else {
        return Vec::new();
    };
    let more = entry.services().skip(1).map(|service| {
        let path = service.path().iter().copied().chain([1]).collect();
        Unrenderable {
            rule: Rule::ProtoTwoServices,
            name: service.name().to_owned(),
            location: Location::Proto(entry.name().into(), path),
            effect,
            text: text.to_owned(),
        }
    });
    more.collect()
}

/// The finding about a schema whose text is not valid GraphQL.
pub(crate) fn broken_text(found: &Unrenderable) -> Finding {
    let name = &found.name;
    let (message, help) = match name.as_str() {
        "true" | "false" | "null" => (
            format!(
                "the enum value `{name}` is reserved in GraphQL: gateways serve it, but tools can \
                 no longer parse the gateway's schema"
            ),
            "rename the value".to_owned(),
        ),
        _ => (
            format!(
                "the description of `{name}` ends with `\"` or `\\`: gateways serve it, but tools \
                 can no longer parse the gateway's schema, because its quotes do not end there"
            ),
            "end the description with a full stop".to_owned(),
        ),
    };
    Finding::error(Rule::SchemaText, message).help(help)
}

/// The most bytes of JSON pointers to build.
const MOST_TOLD: usize = 16 << 20;

/// All defects of an OpenAPI document's schema.
pub(crate) fn judge_openapi(
    namespace: &str,
    version: &str,
    root: &Value,
    release: GatewayRelease,
) -> Judged {
    let source = Source::OpenApi(root);
    let (schema, failures) = judge(namespace, version, source, release);
    let (mut found, mut told) = (Vec::new(), 0);
    for failure in failures.iter().chain(&schema.blocks()) {
        let location = location_of(failure);
        let name = failure.name.clone();
        let rule = match (failure.kind, location) {
            (FailureKind::Name, Location::OpenApi(pointer)) if is_header(root, pointer) => {
                Rule::CallsHeaderName
            }
            (FailureKind::Name, Location::OpenApi(pointer)) => rule_of_name(pointer),
            (FailureKind::Name, _) => continue,
            (FailureKind::UnionAsInput, _) => Rule::OpenApiUnionInput,
            (FailureKind::TypeCollision | FailureKind::FreeJson, _) => Rule::OpenApiTypeName,
            _ => Rule::OpenApiOperationIdCollision,
        };
        let name = component_at(rule, location).unwrap_or(name);
        if let Location::OpenApi(pointer) = location {
            told += pointer.len();
        }
        found.push(Unrenderable::new(rule, name, location.clone(), failure));
        // A pointer may be as long as the document.
        if told > MOST_TOLD {
            break;
        }
    }
    found.extend(schema.flaws().iter().map(of_flaw));
    Judged::of(schema, found)
}

/// Components are reported under their own names.
fn component_at(rule: Rule, location: &Location) -> Option<String> {
    let (Rule::OpenApiComponentName, Location::OpenApi(pointer)) = (rule, location) else {
        return None;
    };
    let pointer = pointer.to_string();
    let name = pointer.strip_prefix("/components/schemas/")?;
    Some(unescaped(name).into_owned())
}

/// Harmful names in a document that are not GraphQL names.
pub(crate) fn names(root: &Value) -> Vec<Unrenderable> {
    judge_openapi("s", "v1", root, GatewayRelease::default()).found
}

/// Whether a name is that of a header or cookie; only release 1.1 turns those into arguments.
fn is_header(root: &Value, pointer: &Pointer) -> bool {
    let pointer = pointer.to_string();
    let holder = pointer.strip_suffix("/name");
    let parameter = holder.and_then(|it| root.pointer(it));
    let location = parameter.and_then(|it| it.get("in")?.as_str());
    matches!(location, Some("header" | "cookie"))
}

/// The rule for a name at a JSON pointer.
fn rule_of_name(pointer: &Pointer) -> Rule {
    let before = pointer.parent().map(Pointer::last);
    match (&*pointer.last(), before.as_deref()) {
        ("operationId", _) => Rule::OpenApiOperationIdName,
        ("name", _) => Rule::OpenApiParameterName,
        (_, Some("enum")) => Rule::OpenApiEnumValue,
        (_, Some("schemas")) => Rule::OpenApiComponentName,
        // A part of a multipart form.
        (_, Some("properties")) => Rule::OpenApiParameterName,
        _ => Rule::OpenApiOperationIdMissing,
    }
}

/// All defects of a GraphQL endpoint's schema.
pub(crate) fn judge_graphql(
    namespace: &str,
    version: &str,
    introspection: &Introspection,
    release: GatewayRelease,
) -> Judged {
    let source = Source::GraphQl(introspection);
    let (schema, failures) = judge(namespace, version, source, release);
    let blocks = schema.blocks();
    let told = failures.iter().chain(&blocks).filter_map(|failure| {
        let rule = match failure.kind {
            FailureKind::Name => return None,
            FailureKind::TypeCollision | FailureKind::FreeJson => Rule::GraphQlTypeName,
            _ => Rule::GraphQlFieldName,
        };
        let location = in_text(location_of(failure));
        Some(Unrenderable::new(
            rule,
            failure.name.clone(),
            location,
            failure,
        ))
    });
    let mut found: Vec<_> = told.collect();
    found.extend(schema.flaws().iter().map(of_flaw));
    Judged::of(schema, found)
}

fn judge(
    namespace: &str,
    version: &str,
    source: Source<'_>,
    release: GatewayRelease,
) -> (Schema, Vec<Failure>) {
    let mut sources = Sources::of(release);
    // A hidden namespace is not in the schema, and an invalid one is reported separately.
    let mut namespace = suggest(namespace);
    if namespace.starts_with('_') {
        namespace.insert(0, 'h');
    }
    // An invalid version is reported separately.
    let version = Version::parse(version).unwrap_or_default();
    sources.add(&namespace, version, source);
    sources.judge(&Selection::ALL)
}

fn of_flaw(flaw: &Flaw) -> Unrenderable {
    let (rule, effect) = match flaw.kind {
        FlawKind::NamelessType | FlawKind::InputTypeName => {
            (Rule::OpenApiComponentName, Effect::BreaksText)
        }
        FlawKind::EmptyEnum => (Rule::OpenApiEnumValue, Effect::BreaksText),
        FlawKind::EnumLosesValues => (Rule::OpenApiEnumValue, Effect::Loses),
        FlawKind::TwoDefinitions => (Rule::TypesTogether, Effect::Loses),
        FlawKind::Description | FlawKind::ReservedEnumValue | FlawKind::DirectiveName => {
            (Rule::SchemaText, Effect::BreaksText)
        }
    };
    let name = component_at(rule, &flaw.location);
    Unrenderable {
        rule,
        name: name.unwrap_or_else(|| flaw.name.clone()),
        location: in_text(&flaw.location),
        effect,
        text: String::new(),
    }
}

/// An introspection reply has no source text.
fn in_text(location: &Location) -> Location {
    match location {
        Location::Text(0, _) => Location::Nowhere,
        location => location.clone(),
    }
}

/// The location to show: of two, the later one.
fn location_of(failure: &Failure) -> &Location {
    failure.locations.iter().max().unwrap_or(&Location::Nowhere)
}

fn method_at(compiled: &Compiled, location: &Location) -> String {
    let found = || {
        let Location::Proto(_, path) = location else {
            return None;
        };
        let [6, service, 2, method, ..] = path[..] else {
            return None;
        };
        let service = compiled
            .entry()?
            .services()
            .nth(usize::try_from(service).ok()?)?;
        let method = service.methods().nth(usize::try_from(method).ok()?)?;
        Some(method.name().to_owned())
    };
    found().unwrap_or_default()
}

// === impl Judged ===

impl Judged {
    fn of(schema: Schema, mut found: Vec<Unrenderable>) -> Self {
        let is_same = |a: &Unrenderable, b: &Unrenderable| {
            a.rule == b.rule && a.name == b.name && a.location == b.location
        };
        // There may be one for each operation, so that nothing of them is copied.
        let mut order: Vec<usize> = (0..found.len()).collect();
        order.sort_by(|a, b| {
            let (a, b) = (&found[*a], &found[*b]);
            (a.rule, &a.name, &a.location).cmp(&(b.rule, &b.name, &b.location))
        });
        let mut stays = vec![true; found.len()];
        for pair in order.windows(2) {
            stays[pair[1]] = !is_same(&found[pair[0]], &found[pair[1]]);
        }
        let mut stays = stays.into_iter();
        found.retain(|_| stays.next().unwrap_or(true));
        let has_operations = schema.mutation().is_some()
            || schema.subscription().is_some()
            || schema
                .query()
                .fields()
                .is_some_and(|fields| !fields.contains_key("_status"));
        Self {
            found,
            has_operations,
            schema,
        }
    }
}

// === impl Unrenderable ===

impl Unrenderable {
    /// The JSON pointer into an OpenAPI document.
    pub(crate) fn pointer(&self) -> Option<&Pointer> {
        match &self.location {
            Location::OpenApi(pointer) => Some(pointer),
            _ => None,
        }
    }

    fn new(rule: Rule, name: String, location: Location, failure: &Failure) -> Self {
        Self {
            rule,
            name,
            location,
            effect: Effect::Blocks,
            text: failure.text.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::openapi;
    use crate::proto::compile;
    use crate::recorded::render_cases;

    #[test]
    fn exactly_what_is_not_served_is_found() {
        let cases = render_cases();
        let (mut wrong, mut text_broken) = (Vec::new(), Vec::new());
        for case in &cases {
            let source = case.source.as_bytes();
            let release = GatewayRelease::default();
            let (valid, judged) = if case.kind == "proto" {
                let compiled = compile("s", source, &HashMap::new()).unwrap();
                (true, judge_proto("s", "v1", &compiled, release))
            } else {
                let document = openapi::parse(source).unwrap();
                let judged = judge_openapi("s", "v1", document.as_json(), release);
                (document.faults().invalid.is_empty(), judged)
            };
            let blocks = judged.found.iter().any(|it| it.effect == Effect::Blocks);
            let is_served = valid && !blocks && judged.has_operations;
            if is_served != case.served || (valid && blocks) != case.blocks_others {
                wrong.push((&case.id, judged.found));
            } else if judged
                .found
                .iter()
                .any(|it| it.effect == Effect::BreaksText)
            {
                text_broken.push(&case.id);
            }
        }
        println!(
            "{} cases; served with a broken text: {text_broken:?}",
            cases.len()
        );
        assert!(wrong.is_empty(), "{wrong:#?}");
        assert!(cases.len() >= 133);
    }
}
