//! Executes operations: each root field of a namespace is a separate call, one after another.
//!
//! Answers are cut to the selection as the gateway cuts them: without named fragments
//! (graphql-proto-fragment-named), without regard to directives, and without merging fields.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;

use http::HeaderMap;
use prost_reflect::DynamicMessage;
use tower_gwag_schema::graphql::{
    Destination, Field as SchemaField, FieldSource, Operation as Call, Target, Type,
};

use super::super::grpc::{self, Caller};
use super::super::json::{self, Value};
use super::super::message::{Deadly, Misfit};
use super::super::openapi_services::{self, Arguments, BodyKind, Content, FormPart};
use super::super::{Fault, http_ingress};
use super::document::{
    Directive, Document, Field, LiteralValue, Operation, OperationKind, Selection, place,
    print_request,
};
use super::graph::{Graph, Service};
use super::introspect::Introspected;
use super::project::project_message;
use super::types::{self, Named, Wrapped};
use super::upload;
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
    pub(super) fn gather<'a>(
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
                    http_ingress::request_of(&self.life, route, &values).map_err(|misfit| {
                        match misfit {
                            Misfit::Text(text) => Fault::plain(text),
                            Misfit::Deadly(Deadly(field)) => Fault::plain(format!(
                                "proto: {field}: assigning invalid type *dynamicpb.Message"
                            )),
                        }
                    })?;
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
                let arguments = self.http_arguments(operation.body, declared, field)?;
                let body =
                    openapi_services::call(&self.life, operation, arguments, &self.headers).await?;
                let text = json::lossy(&body);
                let of = self.graph.schema.get(declared.of.id);
                self.project_answer(&text, of, field)
            }
            Target::GraphQl { .. } => self.remote(service, &call.name, field).await,
        }
    }

    fn http_arguments(
        &self,
        body: BodyKind,
        declared: &SchemaField,
        field: &Field,
    ) -> Result<Arguments, Fault> {
        let mut out = Arguments::default();
        let mut form = Vec::new();
        for (name, value) in self.arguments(declared, field) {
            let Some(argument) = declared.arguments.get(&name) else {
                continue;
            };
            let source = argument.source.clone();
            match argument.destination {
                Destination::Path => drop(out.path.insert(source, value.plain().into_bytes())),
                Destination::Query => drop(out.query.insert(source, value)),
                Destination::Body => out.body = Some(Content::Json(value)),
                Destination::Form => {
                    let of = Wrapped::of(&self.graph.schema, argument.of);
                    let is_upload = of.named.name() == "Upload";
                    let values = match value {
                        // new-graphql-upload-var-list: not the items, where one file is wanted.
                        Value::Array(all) if of.is_list || !is_upload => all,
                        one => vec![one],
                    };
                    for it in values {
                        form.push(match is_upload {
                            true => upload::part(&source, &it)?,
                            false => FormPart {
                                name: source.clone(),
                                file: None,
                                data: it.plain().into(),
                            },
                        });
                    }
                }
                // graphql-oas-header-cookie-args: in the schema, but never sent.
                Destination::Header | Destination::Cookie | Destination::Message => {}
            }
        }
        if !form.is_empty() || body == BodyKind::Multipart {
            out.body = Some(Content::Multipart(form));
        }
        Ok(out)
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
