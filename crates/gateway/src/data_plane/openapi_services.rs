//! OpenAPI services: requests are rebuilt from what the document declares, answers are parsed and
//! written again.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use tower_gwag_schema::json::Value as Json;

use super::http_client::Asked;
use super::json::Value;
use super::paths::{escape_part, escape_path, escape_query};
use super::{Fault, admitted, changed_calls, headers, json};
use crate::node::life::Life;
use crate::registry::slot::Pool;

/// The body of an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyKind {
    /// None, or one that gateways cannot send (http-oas-form): they call the service without a
    /// body.
    None,
    Json,
    Multipart,
}

/// An operation of a document.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    /// `namespace/version`, for messages.
    service: String,
    pool: Arc<Pool>,
    pub(crate) method: String,
    pub(crate) path: String,
    /// Declared at the operation; gateways ignore what the path declares
    /// (http-oas-path-level-parameters).
    path_parameters: BTreeSet<String>,
    query_parameters: BTreeSet<String>,
    pub(super) body: BodyKind,
}

/// The values for a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Arguments {
    pub(super) path: BTreeMap<String, Vec<u8>>,
    pub(super) query: BTreeMap<String, Value>,
    pub(super) body: Option<Content>,
}

/// A body to send.
#[derive(Clone, Debug)]
pub(super) enum Content {
    Json(Value),
    Multipart(Vec<FormPart>),
}

/// A part of a form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FormPart {
    pub(super) name: String,
    /// The name and the type of a file.
    pub(super) file: Option<(String, String)>,
    pub(super) data: Bytes,
}

fn resolved<'a>(root: &'a Json, it: &'a Json) -> &'a Json {
    let reference = it.get("$ref").and_then(Json::as_str);
    let target = reference
        .and_then(|it| it.strip_prefix('#'))
        .and_then(|it| root.pointer(it));
    target.unwrap_or(it)
}

impl Operation {
    /// `declared` is the operation's own object; returns `None` for methods that are not routed.
    pub(crate) fn new(
        service: &str,
        pool: &Arc<Pool>,
        root: &Json,
        method: &str,
        path: &str,
        declared: &Json,
    ) -> Option<Self> {
        // http-oas-head, http-oas-options
        if !matches!(method, "GET" | "POST" | "PUT" | "PATCH" | "DELETE") {
            return None;
        }
        let (mut path_parameters, mut query_parameters) = (BTreeSet::new(), BTreeSet::new());
        for parameter in declared
            .get("parameters")
            .and_then(Json::as_array)
            .into_iter()
            .flatten()
        {
            let parameter = resolved(root, parameter);
            let Some(name) = parameter.get("name").and_then(Json::as_str) else {
                continue;
            };
            match parameter.get("in").and_then(Json::as_str) {
                Some("path") => drop(path_parameters.insert(name.to_owned())),
                Some("query") => drop(query_parameters.insert(name.to_owned())),
                // http-oas-request-headers: header and cookie parameters are never sent.
                _ => {}
            }
        }
        let body = declared.get("requestBody").map(|it| resolved(root, it));
        let content = body
            .and_then(|it| it.get("content"))
            .and_then(Json::as_object);
        let has = |kind: &str| content.is_some_and(|it| it.contains_key(kind));
        let body = match (has("multipart/form-data"), has("application/json")) {
            (true, _) => BodyKind::Multipart,
            (false, true) => BodyKind::Json,
            (false, false) => BodyKind::None,
        };
        Some(Self {
            service: service.to_owned(),
            pool: Arc::clone(pool),
            method: method.to_owned(),
            path: path.to_owned(),
            path_parameters,
            query_parameters,
            body,
        })
    }

    /// `GET /pets/{id}`.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    pub(super) fn path_names(&self) -> impl Iterator<Item = &str> {
        self.path_parameters.iter().map(String::as_str)
    }

    pub(super) fn query_names(&self) -> impl Iterator<Item = &str> {
        self.query_parameters.iter().map(String::as_str)
    }

    /// The path with its parameters filled in; unknown ones stay as written.
    fn path_of(&self, arguments: &Arguments) -> String {
        let mut path = self.path.clone();
        for name in &self.path_parameters {
            if let Some(value) = arguments.path.get(name) {
                path = path.replace(&format!("{{{name}}}"), &escape_part(value));
            }
        }
        escape_path(&path)
    }

    fn query_of(&self, arguments: &Arguments) -> String {
        let known = arguments
            .query
            .iter()
            .filter(|(name, _)| self.query_parameters.contains(*name));
        // A list is one value, `[a b]` (http-oas-query-array-two).
        let pairs = known.map(|(name, value)| {
            format!("{}={}", escape_query(name), escape_query(&value.plain()))
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

/// Calls a service and returns the text of its answer, empty if there is none.
pub(super) async fn call(
    life: &Life,
    operation: &Operation,
    arguments: Arguments,
    caller: &HeaderMap,
) -> Result<Bytes, Fault> {
    let Some((chosen, _permits)) = admitted(&operation.pool).await else {
        return Err(Fault::plain(format!(
            "no live replicas for {}",
            operation.service
        )));
    };
    let base = match &chosen.replica().addr {
        addr if addr.contains("://") => addr.clone(),
        addr => format!("http://{addr}"),
    };
    let mut url = format!(
        "{}{}",
        base.trim_end_matches('/'),
        operation.path_of(&arguments)
    );
    let query = operation.query_of(&arguments);
    if !query.is_empty() {
        url = format!("{url}?{query}");
    }
    let mut headers = headers::with_credentials(caller);
    let name = operation.name();
    for query in arguments.query.keys() {
        if !operation.query_parameters.contains(query) {
            let what = format!(
                "the service does not receive `{query}`, which its operation does not declare"
            );
            life.losses.note(&name, &what);
        }
    }
    life.losses
        .request_headers(&name, &changed_calls::lost(caller, &headers));
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let body = match arguments.body {
        None | Some(Content::Json(Value::Null)) => Bytes::new(),
        Some(Content::Json(value)) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            let body = value.encode().ok_or_else(|| {
                let number = value.first_unfit().unwrap_or_default();
                let text = format!("openapi: marshal body: json: unsupported value: {number}");
                Fault::of("INVALID_ARGUMENT", text)
            })?;
            body.into()
        }
        Some(Content::Multipart(parts)) => {
            let boundary = format!(
                "{:016x}{:016x}",
                crate::proxy::random_u64(),
                crate::proxy::random_u64()
            );
            let kind = format!("multipart/form-data; boundary={boundary}");
            if let Ok(kind) = HeaderValue::from_str(&kind) {
                headers.insert(CONTENT_TYPE, kind);
            }
            super::multipart::write(&boundary, &parts)
        }
    };
    let method = &operation.method;
    let asked = Asked {
        method: Method::from_bytes(method.as_bytes()).unwrap_or_default(),
        url: url.clone(),
        headers,
        body,
    };
    let fetched = life.forwarder.fetch(asked).await;
    let fetched =
        fetched.map_err(|why| Fault::of("INTERNAL", format!("openapi: {method} {url}: {why}")))?;
    life.losses.answer_headers(&name, &fetched.headers);
    if fetched.status < 400 {
        life.losses.status(&name, fetched.status, 200);
        return Ok(fetched.body);
    }
    let text = json::raw_text(&fetched.body);
    let fault = Fault::of(
        code_of(fetched.status),
        format!(
            "openapi: {method} {url}: {}: {}",
            fetched.status_line,
            text.trim()
        ),
    );
    let seen = fault.http_status().as_u16();
    life.losses.status(&name, fetched.status, seen);
    Err(fault)
}

/// The code for an HTTP status in GraphQL errors.
pub(super) fn code_of(status: u16) -> &'static str {
    match status {
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        400..=499 => "INVALID_ARGUMENT",
        _ => "INTERNAL",
    }
}

/// An answer as the HTTP ingress writes it: numbers are doubles, keys in order.
pub(super) fn rewritten(body: &[u8]) -> Result<String, Fault> {
    // http-oas-answer-204-body-schema
    if body.is_empty() {
        return Ok("null".to_owned());
    }
    let value = json::whole(body).and_then(Value::with_doubles);
    let value = value.map_err(|why| Fault::plain(format!("openapi: decode response: {why}")))?;
    Ok(value.encode().unwrap_or_default())
}
