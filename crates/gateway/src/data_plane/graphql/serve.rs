//! HTTP requests, and the steps that all transports share: from a text to an executable operation.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT, CONTENT_TYPE, UPGRADE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;

use super::super::fatal_calls::Ingress;
use super::super::http_ingress::HangUp;
use super::super::json::{self, Value};
use super::super::{multipart, paths};
use super::document::Document;
use super::execute::{Execution, error_json};
use super::parse::parse;
use super::validate::{Unfit, fits, validate};
use super::values::{Variables, given, variable};
use super::{document, upload, websocket};
use crate::http_port::HttpBody;
use crate::node::life::Life;

/// The largest request, in bytes.
const MAX_BODY: usize = 10 << 20;

/// The largest request with files, in bytes; a real gateway has no limit up to 40 MiB.
const MAX_UPLOAD: usize = 64 << 20;

/// Real gateways have no limit, and are busy for as long as it takes.
const TOO_LARGE: &str = "The document is too large, with its fragments expanded, for the embedded \
     gateway.";

/// A GraphQL request.
#[derive(Clone, Debug, Default)]
pub(super) struct Asked {
    pub(super) query: String,
    pub(super) variables: Variables,
    pub(super) operation: Option<String>,
}

/// Why a request fails: errors as JSON.
#[derive(Debug)]
pub(super) enum Refused {
    Errors(Vec<String>),
    /// The request would end a real gateway's process.
    Fatal,
}

impl Asked {
    pub(super) fn of(value: Value) -> Self {
        let Value::Object(mut members) = value else {
            return Self::default();
        };
        let text = |value: Option<Value>| match value {
            Some(Value::String(text)) => Some(text),
            _ => None,
        };
        Self {
            query: text(members.remove("query")).unwrap_or_default(),
            operation: text(members.remove("operationName")).filter(|it| !it.is_empty()),
            variables: given(members.remove("variables")),
        }
    }

    /// Prepares an operation for execution.
    pub(super) fn prepared(
        self,
        life: &Arc<Life>,
        headers: &HeaderMap,
    ) -> Result<Execution, Refused> {
        let source: Arc<str> = self.query.into();
        let errors = |all: Vec<String>| Refused::Errors(all);
        let one =
            |text: &str, places: &[usize]| Refused::Errors(vec![error_json(&source, text, places)]);
        let document = parse(&source).map_err(|fault| one(&fault.text, &[fault.at]))?;
        let Some(graph) = life.routes().graph() else {
            return Err(one("the gateway cannot make a schema of its services", &[]));
        };
        match fits(&document) {
            Ok(()) => {}
            Err(Unfit::Cycle(name)) => {
                let reason = format!(
                    "its validation does not end: the fragment {name} leads back to itself"
                );
                life.fatal.note(Ingress::GraphQl, "/api/graphql", &reason);
                return Err(Refused::Fatal);
            }
            Err(Unfit::TooLarge) => return Err(one(TOO_LARGE, &[])),
        }
        let invalid = validate(&graph.schema, &document);
        if !invalid.is_empty() {
            let all = invalid
                .iter()
                .map(|it| error_json(&source, &it.text, &it.places));
            return Err(errors(all.collect()));
        }
        if let Some(other) = document.other {
            let text = format!("GraphQL cannot execute a request containing a {other}");
            return Err(one(&text, &[]));
        }
        let number =
            chosen(&document, self.operation.as_deref()).map_err(|text| one(&text, &[]))?;
        let mut variables = Variables::new();
        for declared in &document.operations[number].variables {
            let value = variable(&graph.schema, declared, self.variables.get(&declared.name));
            match value {
                Ok(Some(value)) => drop(variables.insert(declared.name.clone(), value)),
                Ok(None) => {}
                Err(text) => return Err(one(&text, &[declared.at])),
            }
        }
        Ok(Execution {
            life: Arc::clone(life),
            graph,
            document: Arc::new(document),
            number,
            variables,
            headers: headers.clone(),
            source,
        })
    }
}

/// The operation with this name, or the only one.
fn chosen(document: &Document, name: Option<&str>) -> Result<usize, String> {
    let operations = &document.operations;
    match name {
        Some(name) => {
            let is_it =
                |it: &document::Operation| it.name.as_ref().is_some_and(|it| it.text == name);
            let found = operations.iter().position(is_it);
            found.ok_or_else(|| format!("Unknown operation named \"{name}\"."))
        }
        None => match operations.len() {
            0 => Err("Must provide an operation.".to_owned()),
            1 => Ok(0),
            _ => {
                Err("Must provide operation name if query contains multiple operations.".to_owned())
            }
        },
    }
}

/// Answers a request at `/api/graphql`.
pub(crate) async fn call(life: &Arc<Life>, request: Request<Incoming>) -> Response<HttpBody> {
    if request.headers().contains_key(UPGRADE) {
        return websocket::upgrade(life, request);
    }
    let (parts, body) = request.into_parts();
    let wants_page = parts
        .headers
        .get(ACCEPT)
        .is_some_and(|it| json::lossy(it.as_bytes()).contains("text/html"));
    if parts.method == Method::GET && wants_page && parts.uri.query().is_none() {
        return crate::http_port::console(life);
    }
    let query = paths::query(parts.uri.query().unwrap_or_default());
    let asked = match parts.method {
        Method::GET => Asked::of(Value::Object(query)),
        Method::POST => {
            let kind = kind_of(&parts.headers);
            let form = multipart::boundary(&kind);
            let most = if form.is_some() { MAX_UPLOAD } else { MAX_BODY };
            match (read(body, most).await, form) {
                (Ok(body), Some(boundary)) => match upload::read(&boundary, &body) {
                    Ok(asked) => asked,
                    Err(why) => return not_a_request(&why),
                },
                (Ok(body), None) => from_body(&kind, &body),
                (Err(()), _) => Asked::default(),
            }
        }
        _ => Asked::default(),
    };
    match asked.prepared(life, &parts.headers) {
        Ok(execution) => page(execution.run().await),
        Err(Refused::Errors(errors)) => page(format!(
            "{{\"data\":null,\"errors\":[{}]}}\n",
            errors.join(",")
        )),
        Err(Refused::Fatal) => {
            let mut response = page(String::new());
            response.extensions_mut().insert(HangUp);
            response
        }
    }
}

async fn read(mut body: Incoming, most: usize) -> Result<Bytes, ()> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(drop)?;
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if bytes.len() > most {
            return Err(());
        }
    }
    Ok(bytes.freeze())
}

fn kind_of(headers: &HeaderMap) -> String {
    let kind = headers.get(CONTENT_TYPE);
    kind.map(|it| json::lossy(it.as_bytes()))
        .unwrap_or_default()
}

fn from_body(kind: &str, body: &[u8]) -> Asked {
    match kind.split(';').next().unwrap_or_default().trim() {
        "application/graphql" => Asked {
            query: json::lossy(body),
            ..Asked::default()
        },
        "application/x-www-form-urlencoded" => {
            Asked::of(Value::Object(paths::query(&json::lossy(body))))
        }
        _ => json::whole(body).map(Asked::of).unwrap_or_default(),
    }
}

/// The answer to a form that is not a request.
fn not_a_request(why: &str) -> Response<HttpBody> {
    let error = error_json("", &format!("graphql multipart: {why}"), &[]);
    let mut response = page(format!("{{\"data\":null,\"errors\":[{error}]}}\n"));
    *response.status_mut() = StatusCode::BAD_REQUEST;
    response
}

fn page(text: String) -> Response<HttpBody> {
    let body = Full::new(Bytes::from(text)).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
