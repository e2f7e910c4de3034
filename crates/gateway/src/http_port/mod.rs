//! The HTTP port: the ingress of OpenAPI and GraphQL services, and the gateway's own pages.

mod pages;
mod schema;
mod visitor;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use serde_json::json;

use super::data_plane;
use super::node::life::Life;

pub(super) type HttpBody = BoxBody<Bytes, std::io::Error>;

/// The schema for people; both profiles serve it here.
const SCHEMA: &str = "/schema.graphql";

/// Answers one request of the HTTP port.
pub(super) async fn serve(life: &Arc<Life>, request: Request<Incoming>) -> Response<HttpBody> {
    let is_page = is_our_own(&request);
    if visitor::is_foreign(request.headers(), life.is_local, is_page) {
        let why = "pages of other sites may not call the embedded gateway";
        return text(StatusCode::FORBIDDEN, why);
    }
    let path = request.uri().path().to_owned();
    let is_ingress = path == "/api/ingress" || path.starts_with("/api/ingress/");
    // A standalone gateway answers every path with GraphQL.
    let is_standalone = life.membership.is_none() && !is_page;
    if is_standalone && is_ingress {
        tracing::warn!(
            path,
            "a standalone gateway has no HTTP ingress and answers with GraphQL: start the embedded one \
             with `Profile::Clustered`"
        );
    }
    if is_standalone || path == "/api/graphql" {
        return data_plane::graphql::call(life, request).await;
    }
    if is_ingress {
        return data_plane::http_ingress::call(life, request).await;
    }
    if let Some(form) = path.strip_prefix("/api/schema/") {
        return schema::answer(life, form, request.uri().query().unwrap_or_default());
    }
    match (request.method(), path.as_str()) {
        (&Method::GET, "/") => console(life),
        (&Method::GET, SCHEMA) => schema::whole(life),
        (&Method::GET, "/api/health") => {
            let node_id = life.membership.as_ref().map(|it| &it.node_id);
            let health = json!({ "active_streams": 0, "node_id": node_id, "status": "serving" });
            page(StatusCode::OK, "application/json", health.to_string())
        }
        (&Method::GET, "/api/admin/services") if life.membership.is_some() => page(
            StatusCode::OK,
            "application/json",
            pages::admin_services(life).to_string(),
        ),
        (&Method::GET, "/api/services") => page(
            StatusCode::OK,
            "application/json",
            pages::json(life).to_string(),
        ),
        _ if path.starts_with("/api/") => {
            let body = json!({ "error": "not found", "path": path });
            page(StatusCode::NOT_FOUND, "application/json", body.to_string())
        }
        _ => text(
            StatusCode::NOT_FOUND,
            "not found: this gateway has /, /api/health, /api/services, /api/schema/{graphql,proto,openapi}?service=…, /api/graphql and /api/ingress/…",
        ),
    }
}

/// Whether a request is for one of the embedded gateway's own pages, which calls nothing.
fn is_our_own<B>(request: &Request<B>) -> bool {
    let is_plain = request.method() == Method::GET && request.uri().query().is_none();
    is_plain && matches!(request.uri().path(), "/" | SCHEMA | "/api/services")
}

/// The page with the services and a console; it loads nothing from other hosts.
pub(super) fn console(life: &Life) -> Response<HttpBody> {
    const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                          connect-src 'self'; frame-ancestors 'none'";
    let kind = "text/html; charset=utf-8";
    let mut response = page(StatusCode::OK, kind, pages::html(life));
    let policy = HeaderValue::from_static(POLICY);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}

fn text(status: StatusCode, text: impl Into<String>) -> Response<HttpBody> {
    let mut text = text.into();
    text.push('\n');
    page(status, "text/plain; charset=utf-8", text)
}

fn page(status: StatusCode, kind: &'static str, body: impl Into<Bytes>) -> Response<HttpBody> {
    let body = Full::new(body.into()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
