//! What happens to calls of the operations of an OpenAPI document.

use std::collections::{HashMap, HashSet};

use crate::json::Value;
use prost_reflect::{Kind, MessageDescriptor};

use super::feature::Feature;
use super::{Operation, Subject, graphql_addresses, reach};
use crate::gateway::GatewayRelease;
use crate::graphql::{
    self, Destination, FieldSource, GrpcMethod, OperationKind, Schema, Target, TypeId, TypeKind,
    grpc_methods,
};
use crate::location::{Location, step};
use crate::openapi::keywords::{followed, is_data, is_map, path_item};
use crate::openapi::{Document, keywords};

/// The methods that gateways serve.
const SERVED: [&str; 5] = ["GET", "POST", "PUT", "PATCH", "DELETE"];

/// Headers that reach the service, or that OpenAPI says to ignore as parameters.
const KEPT_HEADERS: [&str; 10] = [
    "authorization",
    "accept",
    "content-type",
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-request-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
];

/// Schemas below this depth are not inspected.
const MAX_DEPTH: usize = 128;

pub(crate) fn is_served(method: &str) -> bool {
    SERVED.contains(&method)
}

pub(crate) fn operations(
    (namespace, version): (&str, &str),
    document: &Document,
    schema: &Schema,
    release: GatewayRelease,
) -> Vec<Operation> {
    let mut methods = grpc_methods(namespace, version, document.as_json());
    let maps = maps(&methods);
    // 1.1 makes no valid descriptor of a document with a map, so that none of its operations has a route.
    if release < GatewayRelease::V1_4 && !maps.is_empty() {
        methods.clear();
    }
    let methods = methods.into_iter();
    let reader = Reader {
        root: document.as_json(),
        methods: methods
            .map(|it| ((it.http_method.to_owned(), it.path.clone()), it))
            .collect(),
        maps,
        big_numbers: big_numbers(document.as_json()),
        renamed: renamed(schema),
        addresses: graphql_addresses(schema),
    };
    let operations = document.operations();
    operations
        .iter()
        .filter_map(|it| reader.operation(it))
        .collect()
}

struct Reader<'a> {
    root: &'a Value,
    /// The operations that gateways turn into gRPC methods.
    methods: HashMap<(String, String), GrpcMethod>,
    /// The maps reachable from a message.
    maps: HashMap<String, Vec<Subject>>,
    /// The big numbers of each component schema.
    big_numbers: HashMap<String, Vec<Subject>>,
    /// Properties whose GraphQL names differ, by the types that lead to them.
    renamed: HashMap<TypeId, Vec<Subject>>,
    addresses: HashMap<(OperationKind, Target), (String, &'a graphql::Field)>,
}

/// A value of the document and its JSON pointer.
type At<'a> = (&'a Value, String);

impl Reader<'_> {
    fn follow<'a>(&'a self, at: At<'a>) -> At<'a> {
        followed(self.root, at.0).unwrap_or(at)
    }

    fn operation(&self, found: &crate::openapi::Operation) -> Option<Operation> {
        let value = self.root.pointer(&found.pointer)?;
        let (method, path) = (found.method.as_str(), found.path.as_str());
        let mut operation = Operation {
            name: format!("{method} {path}"),
            location: Location::in_document(found.pointer.clone()),
            grpc: None,
            http: None,
            graphql: None,
            seen: Vec::new(),
        };
        if !is_served(method) {
            operation.see_itself(Feature::UnservedMethod);
            return Some(operation);
        }
        self.over_grpc(&mut operation, method, path);
        let kind = match method {
            "GET" => OperationKind::Query,
            _ => OperationKind::Mutation,
        };
        // Taken from the table, where it is `'static`.
        let method = SERVED.into_iter().find(|it| *it == method)?;
        let key = Target::Http {
            method,
            path: path.to_owned(),
        };
        let address = self.addresses.get(&(kind, key));
        operation.graphql = address.map(|it| it.0.clone());
        if path.split('/').any(is_partial) {
            operation.see_itself(Feature::PartialTemplate);
        } else {
            operation.http = Some(format!("{method} /api/ingress{path}"));
        }
        self.base_path(&mut operation, path, value);
        let item = self.root.pointer("/paths").and_then(|it| it.get(path))?;
        let item = path_item(self.root, path, item);
        let at = (value, found.pointer.clone());
        self.parameters(&mut operation, &at, &item);
        self.body(&mut operation, &at);
        self.answers(&mut operation, &at);
        if let Some((_, field)) = address {
            operation.see(Feature::SnakeInAnswer, self.renamed_below(field.of.id));
            let bodies = field.arguments.values();
            let bodies = bodies.filter(|it| it.destination == Destination::Body);
            let renamed = bodies.flat_map(|it| self.renamed_below(it.of.id));
            operation.see(Feature::SnakeInBody, renamed.collect());
        }
        Some(operation)
    }

    /// The address for gRPC callers, and the maps that end the gateway when called there.
    fn over_grpc(&self, operation: &mut Operation, method: &str, path: &str) {
        let found = self.methods.get(&(method.to_owned(), path.to_owned()));
        let Some(found) = found else {
            operation.see_itself(Feature::NotOverGrpc);
            return;
        };
        let service = found.method.parent_service();
        operation.grpc = Some(format!("/{}/{}", service.full_name(), found.method.name()));
        let of = |message: &MessageDescriptor| {
            let maps = self.maps.get(message.full_name());
            let maps = maps.into_iter().flatten();
            let here = |it: &Subject| Subject {
                name: it.name.clone(),
                location: operation.location.clone(),
            };
            maps.map(here).collect::<Vec<_>>()
        };
        let (asked, answered) = (of(&found.method.input()), of(&found.method.output()));
        operation.see(Feature::MapOverGrpc, [answered, asked].concat());
    }

    fn renamed_below(&self, of: TypeId) -> Vec<Subject> {
        self.renamed.get(&of).cloned().unwrap_or_default()
    }

    /// The base path in `servers`, if every server has one.
    fn base_path(&self, operation: &mut Operation, path: &str, value: &Value) {
        let item = self.root.pointer("/paths").and_then(|it| it.get(path));
        let holders = [
            (Some(value), None),
            (item, None),
            (Some(self.root), Some("/servers".to_owned())),
        ];
        let found = holders.into_iter().find_map(|(holder, at)| {
            let servers = holder?.get("servers")?.as_array()?;
            (!servers.is_empty()).then_some((servers, at))
        });
        let Some((servers, at)) = found else { return };
        let paths: Vec<String> = servers.iter().map(path_of_server).collect();
        if let Some(path) = paths
            .first()
            .filter(|_| paths.iter().all(|it| !it.is_empty()))
        {
            let location = at.map_or_else(|| operation.location.clone(), Location::in_document);
            let name = path.clone();
            operation.see(Feature::BasePath, vec![Subject { name, location }]);
        }
    }

    fn parameters(&self, operation: &mut Operation, at: &At<'_>, item: &At<'_>) {
        let own = self.parameters_of(at);
        let known: HashSet<(&str, &str)> = own.iter().map(|it| (it.place, it.name)).collect();
        let of_path = self.parameters_of(item);
        let inherited: Vec<_> = of_path
            .iter()
            .filter(|it| !known.contains(&(it.place, it.name)))
            .collect();
        let mut by_feature: Vec<(Feature, Vec<Subject>)> = Vec::new();
        let mut see = |feature: Feature, it: &Parameter<'_>| {
            let subject = it.subject();
            match by_feature.iter_mut().find(|(known, _)| *known == feature) {
                Some((_, subjects)) => subjects.push(subject),
                None => by_feature.push((feature, vec![subject])),
            }
        };
        for it in &own {
            match it.place {
                "header" | "cookie" => see(it.sent_as(), it),
                "query" => {
                    if let Some(feature) = self.in_query(it) {
                        see(feature, it);
                    }
                }
                _ => {}
            }
        }
        for it in inherited {
            match it.place {
                "header" | "cookie" => see(it.sent_as(), it),
                _ => see(Feature::PathParameter, it),
            }
        }
        for (feature, mut subjects) in by_feature {
            subjects.retain(|it| !KEPT_HEADERS.contains(&&*it.name.to_ascii_lowercase()));
            operation.see(feature, subjects);
        }
        let queried = own.iter().filter(|it| it.place == "query");
        let queried: Vec<_> = queried.map(|it| it.name).collect();
        operation.see(Feature::ApiKey, self.api_keys(at.0, &queried));
    }

    fn parameters_of<'a>(&'a self, holder: &'a At<'a>) -> Vec<Parameter<'a>> {
        let list = holder.0.get("parameters").and_then(Value::as_array);
        let list = list.into_iter().flatten().enumerate();
        list.filter_map(|(number, value)| {
            let (value, referred) = match value.get("$ref") {
                Some(_) => {
                    let (value, pointer) = self.follow((value, String::new()));
                    (value, Some(pointer))
                }
                None => (value, None),
            };
            Some(Parameter {
                value,
                referred,
                holder: &holder.1,
                number,
                place: value.get("in")?.as_str()?,
                name: value.get("name")?.as_str()?,
            })
        })
        .collect()
    }

    /// What happens to a query parameter that is not a single value.
    fn in_query(&self, parameter: &Parameter<'_>) -> Option<Feature> {
        let schema = parameter.value.get("schema")?;
        let (schema, _) = self.follow((schema, String::new()));
        let is_deep = parameter
            .value
            .get("style")
            .is_some_and(|it| it == "deepObject");
        match () {
            () if is_deep || has_type(schema, "object") => Some(Feature::ObjectInQuery),
            () if has_type(schema, "array") => Some(Feature::ArrayInQuery),
            () => None,
        }
    }

    /// API keys that an operation requires, but gateways do not send.
    fn api_keys(&self, operation: &Value, queried: &[&str]) -> Vec<Subject> {
        let own = operation.get("security");
        let (security, at) = match own {
            Some(own) => (Some(own), None),
            None => (self.root.get("security"), Some("/security")),
        };
        let alternatives = security.and_then(Value::as_array);
        let Some(alternatives) = alternatives.filter(|it| !it.is_empty()) else {
            return Vec::new();
        };
        let lost: Vec<Option<Subject>> = alternatives
            .iter()
            .map(|alternative| {
                let names = alternative.as_object()?.keys();
                names.into_iter().find_map(|name| {
                    let pointer = step("/components/securitySchemes", name);
                    let scheme = self.root.pointer(&pointer)?;
                    let (scheme, _) = self.follow((scheme, String::new()));
                    let text = |key: &str| scheme.get(key).and_then(Value::as_str);
                    let (place, key) = (text("in")?, text("name")?);
                    let is_sent = match place {
                        "header" => KEPT_HEADERS.contains(&&*key.to_ascii_lowercase()),
                        "query" => queried.contains(&key),
                        _ => false,
                    };
                    let is_lost = text("type") == Some("apiKey") && !is_sent;
                    let location = Location::in_document(at.map_or(pointer, str::to_owned));
                    let name = key.to_owned();
                    is_lost.then_some(Subject { name, location })
                })
            })
            .collect();
        // If one alternative works, the others do not matter.
        match lost.iter().all(Option::is_some) {
            true => lost.into_iter().flatten().take(1).collect(),
            false => Vec::new(),
        }
    }

    fn body(&self, operation: &mut Operation, at: &At<'_>) {
        let Some(body) = at.0.get("requestBody") else {
            return;
        };
        let (body, pointer) = self.follow((body, format!("{}/requestBody", at.1)));
        let content = body.get("content").and_then(Value::as_object);
        let Some(content) = content.filter(|it| !it.is_empty()) else {
            return;
        };
        // Exactly these: with `application/merge-patch+json` the service receives nothing.
        let carried = ["application/json", "multipart/form-data"];
        if carried.iter().any(|it| content.contains_key(it)) {
            return;
        }
        let location = Location::in_document(format!("{pointer}/content"));
        let names = content.keys().map(|it| Subject {
            name: it.clone(),
            location: location.clone(),
        });
        operation.see(Feature::Body, names.collect());
    }

    fn answers(&self, operation: &mut Operation, at: &At<'_>) {
        let responses = at.0.get("responses").and_then(Value::as_object);
        let Some(responses) = responses else { return };
        let at = format!("{}/responses", at.1);
        let mut statuses: Vec<(&str, At<'_>)> = responses
            .iter()
            .map(|(status, it)| (&**status, self.follow((it, step(&at, status)))))
            .collect();
        statuses.sort_by(|a, b| a.0.cmp(b.0));
        let has_success = statuses.iter().any(|(status, _)| status.starts_with('2'));
        let (mut changed, mut errors, mut redirects) = (Vec::new(), Vec::new(), Vec::new());
        let (mut types, mut headers, mut numbers) = (Vec::new(), Vec::new(), Vec::new());
        for (status, (response, pointer)) in &statuses {
            let here = |name: &str| Subject {
                name: name.to_owned(),
                location: Location::in_document(step(&at, status)),
            };
            for name in entries(response, "headers") {
                // The media type describes it.
                if !name.eq_ignore_ascii_case("content-type") {
                    let location = Location::in_document(step(&format!("{pointer}/headers"), name));
                    let name = name.to_owned();
                    headers.push(Subject { name, location });
                }
            }
            match status.as_bytes() {
                b"200" | b"2XX" | b"2xx" => {}
                [b'2', ..] => changed.push(here(status)),
                [b'3', ..] if *status != "304" => redirects.push(here(status)),
                b"304" => changed.push(here(status)),
                b"400" | b"401" | b"403" | b"404" | b"429" | b"500" => {}
                [b'4' | b'5', b'0'..=b'9', ..] => errors.push(here(status)),
                _ => {}
            }
            if !status.starts_with('2') && (has_success || *status != "default") {
                continue;
            }
            let media: Vec<&str> = entries(response, "content").collect();
            let Some(json) = media.iter().find(|it| is_json(it)) else {
                let location = Location::in_document(format!("{pointer}/content"));
                types.extend(media.first().map(|name| Subject {
                    name: format!("{} of {}", name, operation.name),
                    location,
                }));
                continue;
            };
            let schema = response.get("content").and_then(|it| it.get(json));
            if let Some(schema) = schema.and_then(|it| it.get("schema")) {
                let pointer = step(&format!("{pointer}/content"), json) + "/schema";
                for subject in self.big_numbers_of(schema, &pointer) {
                    if !numbers.contains(&subject) {
                        numbers.push(subject);
                    }
                }
            }
        }
        operation.see(Feature::Status, changed);
        operation.see(Feature::ErrorStatus, errors);
        operation.see(Feature::Redirect, redirects);
        operation.see(Feature::AnswerType, types);
        operation.see(Feature::Header, headers);
        operation.see(Feature::BigNumber, numbers);
    }

    fn big_numbers_of(&self, schema: &Value, pointer: &str) -> Vec<Subject> {
        let scan = Scan::of(schema, pointer, "");
        let of_components = scan
            .references
            .iter()
            .filter_map(|it| self.big_numbers.get(it));
        let of_components = of_components.flatten().cloned();
        scan.big_numbers.into_iter().chain(of_components).collect()
    }
}

struct Parameter<'a> {
    value: &'a Value,
    /// Its component, if it is a reference.
    referred: Option<String>,
    /// The pointer to the owner, and the index there: joined only when a finding needs it, because a path
    /// may be as long as the document.
    holder: &'a str,
    number: usize,
    place: &'a str,
    name: &'a str,
}

impl Parameter<'_> {
    fn subject(&self) -> Subject {
        let own = || format!("{}/parameters/{}", self.holder, self.number);
        Subject {
            name: self.name.to_owned(),
            location: Location::in_document(self.referred.clone().unwrap_or_else(own)),
        }
    }

    fn sent_as(&self) -> Feature {
        match self.value.get("required") {
            Some(Value::Bool(true)) => Feature::RequiredParameter,
            _ => Feature::OptionalParameter,
        }
    }
}

fn entries<'a>(of: &'a Value, key: &str) -> impl Iterator<Item = &'a str> {
    let map = of.get(key).and_then(Value::as_object);
    map.into_iter().flatten().map(|(name, _)| &**name)
}

fn has_type(schema: &Value, wanted: &str) -> bool {
    keywords::types(schema).any(|it| it == wanted)
}

/// Gateways read every response as JSON: this is about what services send.
fn is_json(media: &str) -> bool {
    let kind = media.split(';').next().unwrap_or_default().trim();
    let kind = kind.to_ascii_lowercase();
    kind == "application/json" || kind.ends_with("+json") || kind == "*/*" || kind == "text/json"
}

/// Whether a template is only part of a segment, such as `{name}.json`.
fn is_partial(segment: &str) -> bool {
    let is_whole =
        segment.starts_with('{') && segment.find('}') == Some(segment.len().saturating_sub(1));
    segment.contains('{') && !is_whole
}

/// The path of a server's URL, empty for `/`; variables take their defaults.
fn path_of_server(server: &Value) -> String {
    let mut url = server
        .get("url")
        .and_then(Value::as_str)
        .unwrap_or_default()
        .to_owned();
    let variables = server.get("variables").and_then(Value::as_object);
    for (name, variable) in variables.into_iter().flatten() {
        let default = variable.get("default").and_then(Value::as_str);
        url = url.replace(&format!("{{{name}}}"), default.unwrap_or_default());
    }
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("", |at| &rest[at..]),
        None => &url,
    };
    path.trim_end_matches('/').to_owned()
}

// === big numbers ===

/// The big numbers and references in a schema itself.
#[derive(Default)]
struct Scan {
    big_numbers: Vec<Subject>,
    /// The pointers of its references.
    references: Vec<String>,
}

impl Scan {
    /// `name` is the name of the schema.
    fn of(schema: &Value, pointer: &str, name: &str) -> Self {
        let mut scan = Self::default();
        scan.schema(schema, pointer, name, name, 0);
        scan
    }

    fn schema(&mut self, schema: &Value, pointer: &str, root: &str, name: &str, depth: usize) {
        let Some(map) = schema.as_object().filter(|_| depth < MAX_DEPTH) else {
            return;
        };
        if let Some(reference) = map.get("$ref").and_then(Value::as_str) {
            let fragment = reference.strip_prefix('#');
            let decoded = fragment.and_then(crate::openapi::keywords::decoded);
            self.references.extend(decoded);
        }
        if is_big(schema) {
            self.big_numbers.push(Subject {
                name: name.trim_start_matches('.').to_owned(),
                location: Location::in_document(pointer.to_owned()),
            });
        }
        for (key, value) in map.iter().filter(|(key, _)| !is_data(key)) {
            let pointer = step(pointer, key);
            match value {
                Value::Object(entries) if is_map(key) => {
                    for (entry, value) in entries {
                        let name = format!("{root}.{entry}");
                        self.schema(value, &step(&pointer, entry), root, &name, depth + 1);
                    }
                }
                Value::Object(_) if key != "not" => {
                    self.schema(value, &pointer, root, name, depth + 1);
                }
                Value::Array(items) => {
                    for (number, value) in items.iter().enumerate() {
                        let pointer = format!("{pointer}/{number}");
                        self.schema(value, &pointer, root, name, depth + 1);
                    }
                }
                _ => {}
            }
        }
    }
}

/// An integer that may be above 2^53.
fn is_big(schema: &Value) -> bool {
    let is_wide = schema
        .get("format")
        .and_then(Value::as_str)
        .is_some_and(|it| matches!(it, "int64" | "uint64"));
    let maximum = schema.get("maximum").and_then(Value::as_f64);
    is_wide
        && has_type(schema, "integer")
        && maximum.is_none_or(|it| it > 9_007_199_254_740_992.0)
        && schema.get("enum").is_none()
}

/// The integers above 2^53 reachable from each component schema, by its pointer.
fn big_numbers(root: &Value) -> HashMap<String, Vec<Subject>> {
    let schemas = root
        .pointer("/components/schemas")
        .and_then(Value::as_object);
    let mut names: Vec<_> = schemas.into_iter().flatten().collect();
    names.sort_by(|a, b| a.0.cmp(b.0));
    let (mut having, mut users) = (Vec::new(), HashMap::<String, Vec<String>>::new());
    for (name, schema) in names {
        let pointer = step("/components/schemas", name);
        let scan = Scan::of(schema, &pointer, name);
        having.extend(scan.big_numbers.into_iter().map(|it| (pointer.clone(), it)));
        for reference in scan.references {
            users.entry(reference).or_default().push(pointer.clone());
        }
    }
    reach(having, &users)
}

// === maps ===

/// The maps reachable from each message of the methods, by its full name.
fn maps(methods: &[GrpcMethod]) -> HashMap<String, Vec<Subject>> {
    let (mut having, mut users) = (Vec::new(), HashMap::<String, Vec<String>>::new());
    let Some(first) = methods.first() else {
        return HashMap::new();
    };
    let pool = first.method.parent_pool().clone();
    for message in pool.all_messages() {
        for field in message.fields() {
            let name = message.full_name().to_owned();
            match field.kind() {
                _ if field.is_map() => {
                    let package = format!("{}.", message.package_name());
                    let shown = field.full_name();
                    let shown = shown.strip_prefix(&package).unwrap_or(shown).to_owned();
                    let location = Location::Nowhere;
                    having.push((
                        name,
                        Subject {
                            name: shown,
                            location,
                        },
                    ));
                }
                Kind::Message(of) => {
                    let users = users.entry(of.full_name().to_owned()).or_default();
                    users.push(name);
                }
                _ => {}
            }
        }
    }
    reach(having, &users)
}

// === names ===

/// The properties whose GraphQL names differ from the document's, by the types that lead to them.
fn renamed(schema: &Schema) -> HashMap<TypeId, Vec<Subject>> {
    let (mut having, mut users) = (Vec::new(), HashMap::<TypeId, Vec<TypeId>>::new());
    for (id, of) in schema.types_with_ids() {
        let mut has = |source: &str, location: &Location| {
            let subject = Subject {
                name: source.to_owned(),
                location: location.clone(),
            };
            having.push((id, subject));
        };
        match &of.kind {
            TypeKind::Object(fields) => {
                for (name, field) in fields {
                    if let FieldSource::Property(source) = &field.source {
                        if source != name {
                            has(source, &field.location);
                        }
                        users.entry(field.of.id).or_default().push(id);
                    }
                }
            }
            TypeKind::Input(fields) => {
                for (name, field) in fields {
                    if field.source != *name && !field.source.is_empty() {
                        has(&field.source, &field.location);
                    }
                    users.entry(field.of.id).or_default().push(id);
                }
            }
            TypeKind::Union(members) => {
                for member in members {
                    users.entry(*member).or_default().push(id);
                }
            }
            TypeKind::Enum(_) | TypeKind::Scalar => {}
        }
    }
    reach(having, &users)
}
