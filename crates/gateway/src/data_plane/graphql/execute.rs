//! Executes operations: each root field of a namespace is a separate call, one after another.
//!
//! Answers are cut to the selection as the gateway cuts them: without named fragments
//! (graphql-proto-fragment-named), without regard to directives, and without merging fields.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use ::http::HeaderMap;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, ReflectMessage};
use tower_gwag_schema::graphql::{
    Field as SchemaField, FieldSource, Location, Operation as Call, Target, Type, TypeKind,
};

use super::super::grpc::{self, Caller};
use super::super::json::{self, Raw, Value};
use super::super::message::{Deadly, Misfit, lower_camel};
use super::super::openapi::{self, Arguments, Content, FormPart};
use super::super::{Fault, http};
use super::document::{
    Directive, Document, Field, LiteralValue, Operation, OperationKind, Selection, place,
    print_request,
};
use super::graph::{Graph, Service};
use super::introspect::Introspected;
use super::types::{self, Named, Wrapped};
use super::values::{Variables, value_of};
use crate::node::life::Life;

/// One operation and its context.
#[derive(Clone, Debug)]
pub(super) struct Execution {
    pub(super) life: Arc<Life>,
    pub(super) graph: Arc<Graph>,
    pub(super) source: Arc<str>,
    pub(super) document: Arc<Document>,
    /// The index of the operation in the document.
    pub(super) number: usize,
    pub(super) variables: Variables,
    pub(super) headers: HeaderMap,
}

/// A value that must not be `null` is: the enclosing value becomes `null` instead.
#[derive(Debug)]
struct Null;

type Resolved<'a> = Pin<Box<dyn Future<Output = Result<String, Null>> + Send + 'a>>;

/// An error of an answer, as JSON.
pub(super) fn error_json(source: &str, text: &str, places: &[usize]) -> String {
    error_with(source, text, places, &[], None)
}

fn error_with(
    source: &str,
    text: &str,
    places: &[usize],
    path: &[String],
    code: Option<&str>,
) -> String {
    let quoted = |text: &str| {
        let mut out = String::new();
        json::quote_with(text, false, &mut out);
        out
    };
    let mut out = format!("{{\"message\":{}", quoted(text));
    if !places.is_empty() {
        let places: Vec<String> = places
            .iter()
            .map(|at| {
                let (line, column) = place(source, *at);
                format!("{{\"line\":{line},\"column\":{column}}}")
            })
            .collect();
        out.push_str(&format!(",\"locations\":[{}]", places.join(",")));
    }
    if !path.is_empty() {
        let path: Vec<String> = path.iter().map(|it| quoted(it)).collect();
        out.push_str(&format!(",\"path\":[{}]", path.join(",")));
    }
    if let Some(code) = code {
        out.push_str(&format!(",\"extensions\":{{\"code\":{}}}", quoted(code)));
    }
    out.push('}');
    out
}

impl Execution {
    pub(super) fn operation(&self) -> &Operation {
        &self.document.operations[self.number]
    }

    /// The answer to the operation, `data` and errors.
    pub(super) async fn run(&self) -> String {
        let schema = &self.graph.schema;
        let operation = self.operation();
        let mut errors = Vec::new();
        let root = match operation.kind {
            OperationKind::Query => Some(schema.query()),
            OperationKind::Mutation => schema.mutation(),
            OperationKind::Subscription => schema.subscription(),
        };
        let data = match root {
            None => "null".to_owned(),
            // more-graphql-query-51: without an event every field is empty.
            Some(root) if operation.kind == OperationKind::Subscription => {
                let value = self.standard_object(root, &operation.selections, &|_| None, None);
                value.encode().unwrap_or_default()
            }
            Some(root) => {
                let selections = [operation.selections.as_slice()];
                let resolved = self.container(root, &selections, &[], &mut errors).await;
                resolved.unwrap_or_else(|Null| "null".to_owned())
            }
        };
        match errors.is_empty() {
            true => format!("{{\"data\":{data}}}"),
            false => format!("{{\"data\":{data},\"errors\":[{}]}}", errors.join(",")),
        }
    }

    /// Whether `@skip` and `@include` let a selection pass.
    fn is_included(&self, directives: &[Directive]) -> bool {
        directives.iter().all(|directive| {
            let condition = directive.arguments.iter().find(|it| it.name.text == "if");
            let holds = match condition.map(|it| &it.value.value) {
                Some(LiteralValue::Bool(it)) => *it,
                Some(LiteralValue::Variable(name)) => {
                    self.variables.get(name) == Some(&Value::Bool(true))
                }
                _ => false,
            };
            match directive.name.as_str() {
                "skip" => !holds,
                "include" => holds,
                _ => true,
            }
        })
    }

    /// The fields of an object by their keys, with fragments expanded.
    fn gather<'a>(
        &'a self,
        of: &Type,
        selections: &'a [Selection],
        out: &mut Vec<(&'a str, Vec<&'a Field>)>,
    ) {
        for it in selections {
            match it {
                Selection::Field(field) if self.is_included(&field.directives) => {
                    match out.iter_mut().find(|(key, _)| *key == field.key()) {
                        Some((_, fields)) => fields.push(field),
                        None => out.push((field.key(), vec![field])),
                    }
                }
                Selection::Inline {
                    on,
                    directives,
                    selections,
                    ..
                } if self.is_included(directives)
                    && on.as_ref().is_none_or(|it| it.text == of.name) =>
                {
                    self.gather(of, selections, out);
                }
                Selection::Spread {
                    name, directives, ..
                } if self.is_included(directives) => {
                    if let Some(fragment) = self.document.fragment(&name.text)
                        && fragment.on.text == of.name
                    {
                        self.gather(of, &fragment.selections, out);
                    }
                }
                _ => {}
            }
        }
    }

    /// A root type, a namespace, a version or a group of a proto or OpenAPI service.
    fn container<'a>(
        &'a self,
        of: &'a Type,
        selections: &'a [&'a [Selection]],
        path: &'a [String],
        errors: &'a mut Vec<String>,
    ) -> Resolved<'a> {
        Box::pin(async move {
            let mut fields = Vec::new();
            for selections in selections {
                self.gather(of, selections, &mut fields);
            }
            let mut out = "{".to_owned();
            for (n, (key, merged)) in fields.into_iter().enumerate() {
                let Some(field) = merged.first() else {
                    continue;
                };
                let mut path = path.to_vec();
                path.push(key.to_owned());
                if n > 0 {
                    out.push(',');
                }
                json::quote_with(key, false, &mut out);
                out.push(':');
                if field.name.starts_with("__") {
                    out.push_str(&self.meta(of, field));
                    continue;
                }
                let Some(declared) = of.fields().and_then(|it| it.get(&field.name)) else {
                    out.push_str("null");
                    continue;
                };
                let value = match &declared.source {
                    FieldSource::Container => {
                        let inner = self.graph.schema.get(declared.of.id);
                        match group_of(&self.graph, inner, &field.name, path.len()) {
                            Some(call) => self.group(call, field).await.map_err(Some),
                            None => {
                                let all: Vec<&[Selection]> =
                                    merged.iter().map(|it| it.inner()).collect();
                                self.container(inner, &all, &path, errors)
                                    .await
                                    .map_err(|Null| None)
                            }
                        }
                    }
                    // Of several fields with one key only the first is called.
                    FieldSource::Operation(call) => {
                        self.call(call, declared, field).await.map_err(Some)
                    }
                    _ => Ok("null".to_owned()),
                };
                match value {
                    Ok(text) => out.push_str(&text),
                    Err(fault) => {
                        if let Some(Fault { text, code }) = fault {
                            let places: Vec<usize> = merged.iter().map(|it| it.at).collect();
                            errors.push(error_with(&self.source, &text, &places, &path, code));
                        }
                        if declared.of.non_null {
                            return Err(Null);
                        }
                        out.push_str("null");
                    }
                }
            }
            out.push('}');
            Ok(out)
        })
    }

    /// `__typename`, `__schema` and `__type`.
    fn meta(&self, of: &Type, field: &Field) -> String {
        let introspected = match field.name.as_str() {
            "__typename" => return Value::String(of.name.clone()).encode().unwrap_or_default(),
            "__type" => {
                let name = field.arguments.iter().find(|it| it.name.text == "name");
                let name = match name.map(|it| &it.value.value) {
                    Some(LiteralValue::String(name)) => Some(name.clone()),
                    Some(LiteralValue::Variable(name)) => match self.variables.get(name) {
                        Some(Value::String(name)) => Some(name.clone()),
                        _ => None,
                    },
                    _ => None,
                };
                name.and_then(|name| types::named(&self.graph.schema, &name))
                    .map(|named| match named {
                        Named::Known(of) => Introspected::Type(of),
                        Named::Meta(of) => Introspected::Meta(of),
                    })
            }
            _ => Some(Introspected::Schema),
        };
        let value = introspected.map(|it| self.introspected(it, field.inner()));
        value.unwrap_or(Value::Null).encode().unwrap_or_default()
    }

    pub(super) fn introspected(&self, of: Introspected<'_>, selections: &[Selection]) -> Value {
        let mut out = BTreeMap::new();
        self.introspect(of, selections, &mut out);
        Value::Object(out)
    }

    fn introspect(
        &self,
        of: Introspected<'_>,
        selections: &[Selection],
        out: &mut BTreeMap<String, Value>,
    ) {
        for it in selections {
            match it {
                Selection::Field(field) if self.is_included(&field.directives) => {
                    let value = of.field(self, field);
                    out.insert(field.key().to_owned(), value);
                }
                Selection::Inline {
                    directives,
                    selections,
                    ..
                } if self.is_included(directives) => {
                    self.introspect(of, selections, out);
                }
                Selection::Spread {
                    name, directives, ..
                } if self.is_included(directives) => {
                    if let Some(fragment) = self.document.fragment(&name.text) {
                        self.introspect(of, &fragment.selections, out);
                    }
                }
                _ => {}
            }
        }
    }

    // === calls ===

    /// The arguments of a field that have a value, by name.
    pub(super) fn arguments(
        &self,
        declared: &SchemaField,
        field: &Field,
    ) -> BTreeMap<String, Value> {
        let schema = &self.graph.schema;
        let given = field.arguments.iter().filter_map(|it| {
            let of = declared.arguments.get(&it.name.text)?.of;
            let value = value_of(schema, Wrapped::of(schema, of), &it.value, &self.variables)?;
            Some((it.name.text.clone(), value))
        });
        given.collect()
    }

    async fn call(
        &self,
        call: &Call,
        declared: &SchemaField,
        field: &Field,
    ) -> Result<String, Fault> {
        let service = self.graph.service(&call.namespace, call.version);
        let service = service.ok_or_else(|| no_dispatcher(call))?;
        match &call.target {
            Target::Grpc { path, .. } => {
                let route = service.grpc.get(path).ok_or_else(|| no_dispatcher(call))?;
                let values = self.arguments(declared, field);
                // Arguments have proto names, but requests are built from lowerCamel ones
                // (graphql-proto-arg-snake-case).
                let bytes =
                    http::request_of(&self.life, route, &values).map_err(
                        |misfit| match misfit {
                            Misfit::Text(text) => Fault::plain(text),
                            Misfit::Deadly(Deadly(field)) => Fault::plain(format!(
                                "proto: {field}: assigning invalid type *dynamicpb.Message"
                            )),
                        },
                    )?;
                let answer =
                    grpc::unary(&self.life, route, bytes, &Caller::of(&self.headers)).await;
                let answer = answer.map_err(|status| Fault::plain(grpc::status_text(&status)))?;
                let message = DynamicMessage::decode(route.method.output(), answer);
                let message = message.map_err(|error| Fault::plain(error.to_string()))?;
                let mut out = String::new();
                project_message(&message, field.inner(), &mut out);
                Ok(out)
            }
            Target::Http { method, path } => {
                let key = ((*method).to_owned(), path.clone());
                let operation = service.http.get(&key).ok_or_else(|| no_dispatcher(call))?;
                let arguments = self.http_arguments(declared, field);
                let body = openapi::call(&self.life, operation, arguments, &self.headers).await?;
                let text = json::lossy(&body);
                let of = self.graph.schema.get(declared.of.id);
                self.project_answer(&text, of, field)
            }
            Target::GraphQl { .. } => self.remote(service, &call.name, field).await,
        }
    }

    fn http_arguments(&self, declared: &SchemaField, field: &Field) -> Arguments {
        let mut out = Arguments::default();
        let mut form = Vec::new();
        for (name, value) in self.arguments(declared, field) {
            let Some(argument) = declared.arguments.get(&name) else {
                continue;
            };
            let source = argument.source.clone();
            match argument.location {
                Location::Path => drop(out.path.insert(source, value.plain().into_bytes())),
                Location::Query => drop(out.query.insert(source, value)),
                Location::Body => out.body = Some(Content::Json(value)),
                Location::Form => {
                    let values = match value {
                        Value::Array(all) => all,
                        one => vec![one],
                    };
                    form.extend(values.into_iter().map(|it| FormPart {
                        name: source.clone(),
                        file: None,
                        data: it.plain().into(),
                    }));
                }
                // graphql-oas-header-cookie-args: in the schema, but never sent.
                Location::Header | Location::Cookie | Location::Message => {}
            }
        }
        if !form.is_empty() {
            out.body = Some(Content::Multipart(form));
        }
        out
    }

    /// A whole group of a GraphQL service is one request.
    async fn group(&self, call: &Call, field: &Field) -> Result<String, Fault> {
        let service = self.graph.service(&call.namespace, call.version);
        let service = service.ok_or_else(|| no_dispatcher(call))?;
        self.remote(service, &field.name, field).await
    }

    async fn remote(&self, service: &Service, name: &str, field: &Field) -> Result<String, Fault> {
        let Some(remote) = &service.remote else {
            return Ok("null".to_owned());
        };
        let query = self.request(service, name, field);
        let variables = self.variables_sent();
        // The request asks for the alias, but the gateway looks for the name (graphql-gql-aliases).
        let text = remote
            .ask(&self.life, &query, variables.as_ref(), name, &self.headers)
            .await?;
        Ok(service.with_own_names(&text))
    }

    pub(super) fn request(&self, service: &Service, name: &str, field: &Field) -> String {
        print_request(self.operation(), field, name, &|it| {
            service.upstream_name(it)
        })
    }

    pub(super) fn variables_sent(&self) -> Option<Value> {
        let has = !self.operation().variables.is_empty();
        has.then(|| Value::Object(self.variables.clone()))
    }

    // === answers of OpenAPI services ===

    fn project_answer(&self, text: &str, of: &Type, field: &Field) -> Result<String, Fault> {
        let trimmed = text.trim();
        if trimmed.is_empty() {
            return Ok("null".to_owned());
        }
        // The gateway passes text through, which makes the whole answer invalid JSON
        // (graphql-oas-answer-text).
        if field.selections.is_none() || !trimmed.starts_with(['{', '[']) {
            return Ok(text.to_owned());
        }
        json::whole(trimmed.as_bytes()).map_err(Fault::plain)?;
        let mut out = String::with_capacity(trimmed.len());
        self.project(trimmed, of, field.inner(), &mut out);
        Ok(out)
    }

    /// The selected parts of a value, each leaf as it is written.
    fn project(&self, text: &str, of: &Type, selections: &[Selection], out: &mut String) {
        match json::apart(text) {
            Ok(Raw::Array(items)) => {
                out.push('[');
                for (n, item) in items.into_iter().enumerate() {
                    if n > 0 {
                        out.push(',');
                    }
                    self.project(item, of, selections, out);
                }
                out.push(']');
            }
            Ok(Raw::Object(members)) => {
                let concrete = self.concrete(of, &members);
                out.push('{');
                let mut is_first = true;
                self.project_members(&members, concrete, selections, &mut is_first, out);
                out.push('}');
            }
            _ => out.push_str(text),
        }
    }

    fn concrete<'a>(&'a self, of: &'a Type, members: &BTreeMap<String, &str>) -> Option<&'a Type> {
        let TypeKind::Union(ids) = &of.kind else {
            return Some(of);
        };
        let all: Vec<&Type> = ids.iter().map(|id| self.graph.schema.get(*id)).collect();
        let has = |name: &str| members.contains_key(name);
        let text = |name: &str| match json::whole(members.get(name)?.as_bytes()) {
            Ok(Value::String(text)) => Some(text),
            _ => None,
        };
        let at = self.graph.member(of, &all, &has, &text)?;
        all.get(at).copied()
    }

    fn project_members(
        &self,
        members: &BTreeMap<String, &str>,
        of: Option<&Type>,
        selections: &[Selection],
        is_first: &mut bool,
        out: &mut String,
    ) {
        for it in selections {
            match it {
                Selection::Field(field) => {
                    begin_member(field, is_first, out);
                    if field.name == "__typename" {
                        match of {
                            Some(of) => json::quote_with(&of.name, false, out),
                            None => out.push_str("null"),
                        }
                        continue;
                    }
                    let declared = of.and_then(Type::fields).and_then(|it| it.get(&field.name));
                    // The gateway looks for the GraphQL name: `snakeName` of `snake_name` is
                    // missing.
                    match (members.get(&field.name), declared) {
                        (Some(text), Some(declared)) if field.selections.is_some() => {
                            let of = self.graph.schema.get(declared.of.id);
                            self.project(text, of, field.inner(), out);
                        }
                        (Some(text), _) => out.push_str(text),
                        (None, _) => out.push_str("null"),
                    }
                }
                Selection::Inline { on, selections, .. } => {
                    let fits = match (on, of) {
                        (None, _) => true,
                        (Some(on), Some(of)) => on.text == of.name,
                        (Some(_), None) => false,
                    };
                    if fits {
                        self.project_members(members, of, selections, is_first, out);
                    }
                }
                // graphql-oas-fragment-named
                Selection::Spread { .. } => {}
            }
        }
    }

    // === events ===

    /// An object as in subscriptions: fragments and directives count; missing values, and numbers
    /// that are not an `Int`, are `null`.
    pub(super) fn standard_object(
        &self,
        of: &Type,
        selections: &[Selection],
        member: &dyn Fn(&str) -> Option<Value>,
        enums: Option<&prost_reflect::DescriptorPool>,
    ) -> Value {
        let mut fields = Vec::new();
        self.gather(of, selections, &mut fields);
        let mut out = BTreeMap::new();
        for (key, merged) in fields {
            let Some(field) = merged.first() else {
                continue;
            };
            let value = match of.fields().and_then(|it| it.get(&field.name)) {
                None if field.name == "__typename" => Value::String(of.name.clone()),
                None => Value::Null,
                Some(declared) => {
                    let inner: Vec<Selection> =
                        merged.iter().flat_map(|it| it.inner().to_vec()).collect();
                    let inner_of = self.graph.schema.get(declared.of.id);
                    match (member(&field.name), declared.source.clone()) {
                        // The root of a subscription without an event.
                        (None, FieldSource::Operation(_)) if inner_of.fields().is_some() => {
                            self.standard_object(inner_of, &inner, &|_| None, enums)
                        }
                        (None, _) => Value::Null,
                        (Some(value), _) => self.standard(inner_of, &inner, value, enums),
                    }
                }
            };
            out.insert(key.to_owned(), value);
        }
        Value::Object(out)
    }

    fn standard(
        &self,
        of: &Type,
        selections: &[Selection],
        value: Value,
        enums: Option<&prost_reflect::DescriptorPool>,
    ) -> Value {
        match value {
            Value::Array(all) => Value::Array(
                all.into_iter()
                    .map(|it| self.standard(of, selections, it, enums))
                    .collect(),
            ),
            Value::Object(map) if of.fields().is_some() => {
                self.standard_object(of, selections, &|name| map.get(name).cloned(), enums)
            }
            Value::Int(number) if matches!(of.kind, TypeKind::Enum(_)) => {
                use tower_gwag_schema::graphql::Origin;
                let Origin::Proto(name) = &of.origin else {
                    return Value::Null;
                };
                let found = enums.and_then(|pool| pool.get_enum_by_name(name));
                // Of several names for one number, the last (new-ws-lots).
                let number = i32::try_from(number).ok();
                let named = found.and_then(|it| {
                    let mut values = it.enum_descriptor_proto().value.iter();
                    let named = values.rfind(|it| it.number == number);
                    named.map(|it| it.name().to_owned())
                });
                named.map_or(Value::Null, Value::String)
            }
            // graphql-ws-proto-types: beyond 32 bits it is not an Int.
            Value::Unsigned(number) => {
                i32::try_from(number).map_or(Value::Null, |it| Value::Int(it.into()))
            }
            Value::Float(number) if !number.is_finite() => Value::Null,
            other => other,
        }
    }
}

fn no_dispatcher(call: &Call) -> Fault {
    let name = match &call.target {
        Target::Grpc { path, .. } => path.rsplit('/').next().unwrap_or_default(),
        _ => &call.name,
    };
    Fault::plain(format!(
        "gateway: no dispatcher for {}/{}/{name}",
        call.namespace, call.version
    ))
}

/// The first call within a group of a GraphQL service; `None` for other containers.
fn group_of<'a>(graph: &'a Graph, of: &'a Type, name: &str, depth: usize) -> Option<&'a Call> {
    if depth < 2 {
        return None;
    }
    let mut open = vec![of];
    while let Some(of) = open.pop() {
        for field in of.fields().into_iter().flatten().map(|(_, field)| field) {
            match &field.source {
                FieldSource::Operation(call) => {
                    let is_group = matches!(&call.target, Target::GraphQl { path }
                        if path.len() > 1 && path.first().is_some_and(|it| it == name));
                    return is_group.then_some(call);
                }
                FieldSource::Container => open.push(graph.schema.get(field.of.id)),
                _ => {}
            }
        }
    }
    None
}

// === answers of proto services ===

fn project_message(message: &DynamicMessage, selections: &[Selection], out: &mut String) {
    out.push('{');
    let mut is_first = true;
    project_fields(message, selections, &mut is_first, out);
    out.push('}');
}

/// Writes a comma, unless first, and the key of the field in the answer.
fn begin_member(field: &Field, is_first: &mut bool, out: &mut String) {
    if !std::mem::take(is_first) {
        out.push(',');
    }
    json::quote_with(field.key(), false, out);
    out.push(':');
}

fn project_fields(
    message: &DynamicMessage,
    selections: &[Selection],
    is_first: &mut bool,
    out: &mut String,
) {
    for it in selections {
        match it {
            // What is not a field is not a member (new-graphql-void-void).
            Selection::Field(field) if field.name == "_void" => {}
            Selection::Field(field) => {
                begin_member(field, is_first, out);
                if field.name == "__typename" {
                    // The name of the message, not of its GraphQL type
                    // (graphql-proto-fragment-inline).
                    json::quote_with(message.descriptor().name(), false, out);
                    continue;
                }
                let descriptor = message.descriptor();
                let found = descriptor
                    .fields()
                    .filter(|it| lower_camel(it.name()) == field.name)
                    .last();
                match found {
                    Some(found) => project_field(message, &found, field.inner(), out),
                    None => out.push_str("null"),
                }
            }
            Selection::Inline { selections, .. } => {
                project_fields(message, selections, is_first, out);
            }
            // graphql-proto-fragment-named
            Selection::Spread { .. } => {}
        }
    }
}

fn project_field(
    message: &DynamicMessage,
    field: &FieldDescriptor,
    inner: &[Selection],
    out: &mut String,
) {
    // An unset field is zero; defaults of proto2 are ignored (graphql-proto2-defaults).
    if !message.has_field(field) && !field.is_list() && !field.is_map() {
        match field.kind() {
            Kind::Message(_) => out.push_str("null"),
            Kind::Enum(of) => match of.get_value(0) {
                Some(it) => json::quote_with(it.name(), false, out),
                None => out.push('0'),
            },
            Kind::Bool => out.push_str("false"),
            Kind::String | Kind::Bytes => out.push_str("\"\""),
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                out.push_str("\"0\"");
            }
            _ => out.push('0'),
        }
        return;
    }
    match &*message.get_field(field) {
        prost_reflect::Value::List(all) => {
            out.push('[');
            for (n, it) in all.iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                project_value(field, it, inner, out);
            }
            out.push(']');
        }
        prost_reflect::Value::Map(map) => {
            let mut all: Vec<(String, &prost_reflect::Value)> =
                map.iter().map(|(key, it)| (map_key(key), it)).collect();
            all.sort_by(|a, b| a.0.cmp(&b.0));
            out.push('{');
            for (n, (key, it)) in all.into_iter().enumerate() {
                if n > 0 {
                    out.push(',');
                }
                json::quote_with(&key, false, out);
                out.push(':');
                project_value(field, it, inner, out);
            }
            out.push('}');
        }
        one => project_value(field, one, inner, out),
    }
}

fn map_key(key: &prost_reflect::MapKey) -> String {
    match key {
        prost_reflect::MapKey::Bool(it) => it.to_string(),
        prost_reflect::MapKey::I32(it) => it.to_string(),
        prost_reflect::MapKey::I64(it) => it.to_string(),
        prost_reflect::MapKey::U32(it) => it.to_string(),
        prost_reflect::MapKey::U64(it) => it.to_string(),
        prost_reflect::MapKey::String(it) => it.clone(),
    }
}

fn project_value(
    field: &FieldDescriptor,
    value: &prost_reflect::Value,
    inner: &[Selection],
    out: &mut String,
) {
    use base64::Engine;
    let float = |number: f64| {
        if number.is_finite() {
            json::general(number)
        } else {
            "null".to_owned()
        }
    };
    match value {
        prost_reflect::Value::Bool(it) => out.push_str(if *it { "true" } else { "false" }),
        prost_reflect::Value::I32(it) => out.push_str(&it.to_string()),
        prost_reflect::Value::U32(it) => out.push_str(&it.to_string()),
        prost_reflect::Value::I64(it) => out.push_str(&format!("\"{it}\"")),
        prost_reflect::Value::U64(it) => out.push_str(&format!("\"{it}\"")),
        prost_reflect::Value::F32(it) => out.push_str(&float((*it).into())),
        prost_reflect::Value::F64(it) => out.push_str(&float(*it)),
        prost_reflect::Value::String(it) => json::quote_with(it, false, out),
        prost_reflect::Value::Bytes(it) => {
            let text = base64::engine::general_purpose::STANDARD.encode(it);
            json::quote_with(&text, false, out);
        }
        prost_reflect::Value::EnumNumber(number) => {
            let of = match field.kind() {
                Kind::Enum(of) => Some(of),
                _ => None,
            };
            match of.and_then(|of| of.get_value(*number)) {
                Some(it) => json::quote_with(it.name(), false, out),
                None => out.push_str(&number.to_string()),
            }
        }
        prost_reflect::Value::Message(it) => project_message(it, inner, out),
        prost_reflect::Value::List(_) | prost_reflect::Value::Map(_) => out.push_str("null"),
    }
}
