//! The HTTP ingress: `/api/ingress`, followed by the paths of all services.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, LOCATION};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use prost_reflect::{DynamicMessage, Kind};

use super::fatal_calls::Ingress;
use super::grpc::{self, Caller};
use super::json::{self, Value};
use super::message::{self, Deadly, Misfit};
use super::openapi_services::{Arguments, BodyKind, Content};
use super::piped_body::pipe;
use super::{Fault, multipart, openapi_services, paths};
use crate::http_port::HttpBody;
use crate::node::life::Life;
use crate::registry::routes::{GrpcRoute, HttpTarget};

/// How much of a body is read, in bytes.
const MAX_BODY: usize = 10 << 20;

/// The answer to a call whose connection a real gateway closes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HangUp;

/// Handles a request; `path` is what follows `/api/ingress`, as it was sent.
pub(crate) async fn call(life: &Arc<Life>, request: Request<Incoming>) -> Response<HttpBody> {
    let whole = request.uri().path();
    let cleaned = if whole == "/api/ingress" {
        "/api/ingress/".to_owned()
    } else {
        paths::clean(whole)
    };
    let cleaned = if cleaned == "/api/ingress" {
        "/api/ingress/".to_owned()
    } else {
        cleaned
    };
    if cleaned != whole {
        return redirect(&request, &cleaned);
    }
    let sent = whole.strip_prefix("/api/ingress").unwrap_or_default();
    let method = request.method().clone();
    let Some(path) = paths::unescape(sent.as_bytes(), false) else {
        return refused(StatusCode::BAD_REQUEST, "the path cannot be decoded");
    };
    let routes = life.routes();
    let Some((target, parameters)) = routes.http(method.as_str(), &path) else {
        let text = format!("no route for {method} {}", json::lossy(&path));
        return refused(StatusCode::NOT_FOUND, &text);
    };
    let target = target.clone();
    drop(routes);
    match target {
        HttpTarget::Grpc(route) if route.method.is_server_streaming() => {
            events(life, &route, &request).await
        }
        HttpTarget::Grpc(route) => unary(life, &route, request).await,
        HttpTarget::OpenApi(operation) => {
            let query = request.uri().query().unwrap_or_default();
            let query = paths::query(query);
            let (parts, body) = request.into_parts();
            if operation.body == BodyKind::None && !http_body::Body::is_end_stream(&body) {
                let what = "the service does not receive the body: the document declares neither \
                            JSON nor multipart";
                life.losses.note(&operation.name(), what);
            }
            let content = match content(operation.body, &parts.headers, body).await {
                Ok(content) => content,
                Err(text) => return refused(StatusCode::BAD_REQUEST, &text),
            };
            let arguments = Arguments {
                path: parameters,
                query,
                body: content,
            };
            let answer = openapi_services::call(life, &operation, arguments, &parts.headers).await;
            answered(answer.and_then(|body| openapi_services::rewritten(&body)))
        }
        HttpTarget::GraphQl(field) => {
            let values = paths::query(request.uri().query().unwrap_or_default());
            answered(field.call(life, values, request.headers()).await)
        }
    }
}

// === answers ===

fn redirect(request: &Request<Incoming>, path: &str) -> Response<HttpBody> {
    let query = request
        .uri()
        .query()
        .map(|query| format!("?{query}"))
        .unwrap_or_default();
    let to = format!("{path}{query}");
    let shown = to
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&#34;");
    let text = format!("<a href=\"{shown}\">Temporary Redirect</a>.\n\n");
    let has_text = matches!(*request.method(), Method::GET | Method::HEAD);
    let mut response = page(
        StatusCode::TEMPORARY_REDIRECT,
        if has_text { text } else { String::new() },
    );
    let headers = response.headers_mut();
    match has_text {
        true => drop(headers.insert(
            CONTENT_TYPE,
            HeaderValue::from_static("text/html; charset=utf-8"),
        )),
        false => drop(headers.remove(CONTENT_TYPE)),
    }
    if let Ok(to) = HeaderValue::from_str(&to) {
        headers.insert(LOCATION, to);
    }
    response
}

fn page(status: StatusCode, body: impl Into<Bytes>) -> Response<HttpBody> {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn refused(status: StatusCode, text: &str) -> Response<HttpBody> {
    page(status, json::error_body(text))
}

fn answered(answer: Result<String, Fault>) -> Response<HttpBody> {
    match answer {
        Ok(text) => page(StatusCode::OK, format!("{text}\n")),
        Err(fault) => refused(fault.http_status(), &fault.text),
    }
}

fn hang_up() -> Response<HttpBody> {
    let mut response = page(StatusCode::BAD_GATEWAY, "");
    response.extensions_mut().insert(HangUp);
    response
}

// === requests ===

/// The body up to the limit; a longer one is cut, so that it is no longer valid JSON.
async fn body_of(mut body: Incoming) -> Bytes {
    let mut bytes = BytesMut::new();
    while bytes.len() < MAX_BODY
        && let Some(Ok(frame)) = body.frame().await
    {
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
    }
    bytes.truncate(MAX_BODY);
    bytes.freeze()
}

async fn content(
    kind: BodyKind,
    headers: &http::HeaderMap,
    body: Incoming,
) -> Result<Option<Content>, String> {
    match kind {
        BodyKind::None => Ok(None),
        BodyKind::Json => {
            let value =
                json::first(&body_of(body).await).map_err(|why| format!("decode body: {why}"))?;
            Ok(value.map(Content::Json))
        }
        BodyKind::Multipart => {
            let kind = headers
                .get(CONTENT_TYPE)
                .map(|it| json::lossy(it.as_bytes()))
                .unwrap_or_default();
            multipart::read(&kind, &body_of(body).await)
                .map(|parts| Some(Content::Multipart(parts)))
        }
    }
}

// === proto services ===

async fn unary(
    life: &Arc<Life>,
    route: &GrpcRoute,
    request: Request<Incoming>,
) -> Response<HttpBody> {
    let (parts, body) = request.into_parts();
    let bytes = body_of(body).await;
    let values = match json::first(&bytes) {
        Ok(None | Some(Value::Null)) => BTreeMap::new(),
        Ok(Some(Value::Object(map))) => map,
        Ok(Some(other)) => {
            let what = match other {
                Value::Array(_) => "array",
                Value::String(_) => "string",
                Value::Bool(_) => "bool",
                _ => "number",
            };
            let text = format!(
                "decode body: json: cannot unmarshal {what} into Go value of type map[string]interface {{}}"
            );
            return refused(StatusCode::BAD_REQUEST, &text);
        }
        Err(why) => return refused(StatusCode::BAD_REQUEST, &format!("decode body: {why}")),
    };
    let bytes = match request_of(life, route, &values) {
        Ok(bytes) => bytes,
        Err(Misfit::Text(text)) => return refused(StatusCode::INTERNAL_SERVER_ERROR, &text),
        Err(Misfit::Deadly(_)) => return hang_up(),
    };
    let answer = grpc::unary(life, route, bytes, &Caller::of(&parts.headers)).await;
    let value = answer.and_then(|bytes| {
        DynamicMessage::decode(route.method.output(), bytes)
            .map_err(|error| tonic::Status::internal(error.to_string()))
    });
    match value {
        // The same for all 16 codes (http-proto-status-…).
        Err(status) => {
            let what = format!("the caller gets 500 for {:?} (over HTTP)", status.code());
            life.losses.note(&route.path, &what);
            refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                &grpc::status_text(&status),
            )
        }
        Ok(message) => match message::to_value(&message).map(|value| value.encode()) {
            Ok(Some(text)) => page(StatusCode::OK, format!("{text}\n")),
            // http-proto-answer-nan: 200 without a body.
            Ok(None) => {
                let what = "the caller gets 200 without a body: JSON has no NaN and no infinity";
                life.losses.note(&route.path, what);
                page(StatusCode::OK, "")
            }
            Err(Deadly(_)) => hang_up(),
        },
    }
}

/// The bytes of a request, or the error text.
pub(super) fn request_of(
    life: &Life,
    route: &GrpcRoute,
    values: &BTreeMap<String, Value>,
) -> Result<Bytes, Misfit> {
    let input = route.method.input();
    let known: BTreeSet<String> = input
        .fields()
        .map(|it| message::lower_camel(it.name()))
        .collect();
    for name in values.keys().filter(|name| !known.contains(*name)) {
        let what = format!(
            "the service does not receive `{name}`, which is not the lowerCamel name of a field"
        );
        life.losses.note(&route.path, &what);
    }
    let message = message::from_values(&route.method.input(), values)?;
    message::encode(&message).map_err(|missing| {
        let text = "rpc error: code = Internal desc = grpc: error while marshaling: proto";
        Misfit::Text(format!("{text}: {missing}"))
    })
}

/// Server-sent events: one for each message, and `complete` at the end, whatever the status was
/// (http-sse-status).
async fn events(
    life: &Arc<Life>,
    route: &GrpcRoute,
    request: &Request<Incoming>,
) -> Response<HttpBody> {
    let query = request.uri().query().unwrap_or_default();
    // new-sse-tree-query-9
    let no_text = paths::no_text(query);
    let input = route.method.input();
    let mut fields = input.fields();
    if let Some(field) = fields
        .find(|it| it.kind() == Kind::String && no_text.contains(&message::lower_camel(it.name())))
    {
        let text = format!(
            "rpc error: code = Internal desc = grpc: error while marshaling: proto: field {} contains \
             invalid UTF-8",
            field.full_name()
        );
        return refused(StatusCode::INTERNAL_SERVER_ERROR, &text);
    }
    let values = paths::query(query);
    let bytes = match request_of(life, route, &values) {
        Ok(bytes) => bytes,
        Err(Misfit::Text(text)) => return refused(StatusCode::INTERNAL_SERVER_ERROR, &text),
        Err(Misfit::Deadly(_)) => return hang_up(),
    };
    let mut messages = match grpc::stream(life, route, bytes, &Caller::of(request.headers())).await
    {
        Ok(messages) => messages,
        Err(status) => {
            return refused(
                StatusCode::INTERNAL_SERVER_ERROR,
                &grpc::status_text(&status),
            );
        }
    };
    let (writer, body) = pipe();
    let (task_life, route) = (Arc::clone(life), route.clone());
    life.tasks.spawn(async move {
        loop {
            let message = tokio::select! {
                message = messages.next() => message,
                () = writer.closed() => return,
            };
            let Some(message) = message.and_then(|it| grpc::readable(&route, it)) else {
                break;
            };
            match message::to_value(&message).map(|value| value.encode()) {
                Ok(Some(text)) => {
                    if !writer.data(format!("data: {text}\n\n")).await {
                        return;
                    }
                }
                // http-sse-nan
                Ok(None) => {
                    let what =
                        "a message of the stream is dropped: JSON has no NaN and no infinity";
                    task_life.losses.note(&route.path, what);
                }
                Err(Deadly(field)) => {
                    task_life
                        .fatal
                        .note(Ingress::Http, &route.path, &grpc::died_of(&field));
                    break;
                }
            }
        }
        writer.data("event: complete\ndata: {}\n\n").await;
    });
    let mut response = Response::new(body.boxed());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
