//! The gateway's schemas: of all services, as last rendered, and of selections.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::Value;

use super::{HttpBody, page, text};
use crate::data_plane::graphql::graph::schema_of;
use crate::node::life::Life;
use crate::registry::binding::{Binding, Key, Schema};
use tower_gwag_schema::Rule;
use tower_gwag_schema::graphql::Selection;
use tower_gwag_schema::hash;
use tower_gwag_schema::version::Version;

/// Answers `/api/schema/<form>?service=<namespace>`.
pub(super) fn answer(life: &Life, form: &str, query: &str) -> Response<HttpBody> {
    let selection = query
        .split('&')
        .find_map(|pair| pair.strip_prefix("service="))
        .unwrap_or_default();
    if form == "graphql" {
        return match selection.is_empty() {
            true => whole(life),
            false => selected(life, selection),
        };
    }
    match form {
        "proto" => proto(&bindings(life, selection)),
        "openapi" => openapi(life, selection),
        _ => text(
            StatusCode::NOT_FOUND,
            "not found: this gateway has /api/schema/graphql, /api/schema/proto and \
             /api/schema/openapi",
        ),
    }
}

/// The registered descriptor set, including source info; of the last version.
fn proto<B: AsRef<Binding>>(bindings: &[B]) -> Response<HttpBody> {
    let last = bindings
        .iter()
        .rev()
        .find_map(|it| match &it.as_ref().schema {
            Schema::Proto(compiled) => Some(compiled),
            _ => None,
        });
    match last {
        Some(compiled) => {
            let (set, _) = hash::descriptor_set(compiled);
            page(StatusCode::OK, "application/octet-stream", set)
        }
        None => text(StatusCode::NOT_FOUND, "no proto is registered there"),
    }
}

/// The registered documents as JSON, by namespace and version; all of them without a selection.
fn openapi(life: &Life, selection: &str) -> Response<HttpBody> {
    let bindings = bindings(life, selection);
    let mut all = serde_json::Map::new();
    for it in &bindings {
        if let Schema::OpenApi(document) = &it.schema {
            let (namespace, version) = &it.key;
            let versions = all
                .entry(namespace.clone())
                .or_insert_with(|| Value::Object(serde_json::Map::new()));
            versions[version.as_str()] = document.as_json().to_serde();
        }
    }
    page(
        StatusCode::OK,
        "application/json",
        Value::Object(all).to_string(),
    )
}

/// The selected services; all of them without a selection.
fn bindings(life: &Life, selection: &str) -> Vec<Arc<Binding>> {
    let parts = selected_parts(selection);
    let is_wanted = |(namespace, version): &Key| {
        let mut parts = parts.iter();
        parts.any(|(of, only)| of == namespace && only.is_none_or(|it| it == version))
    };
    life.registry()
        .bindings(|key| selection.is_empty() || is_wanted(key))
}

/// `a,b:v2`
fn selected_parts(selection: &str) -> Vec<(&str, Option<&str>)> {
    let parts = selection
        .split(',')
        .map(|part| match part.trim().split_once(':') {
            Some((namespace, version)) => (namespace, Some(version)),
            None => (part.trim(), None),
        });
    parts.collect()
}

/// The GraphQL schema of some services: `a,b:v2`. It is rendered on request, even while a service
/// blocks the gateway.
fn selected(life: &Life, selection: &str) -> Response<HttpBody> {
    let selection = match Selection::parse(selection) {
        Ok(selection) => selection,
        Err(why) => return text(StatusCode::BAD_REQUEST, why),
    };
    let (mounted, stable) = life.registry().mounted();
    let has_admin = selection.has("admin", Version::V1);
    // A selection fails if it includes a service that cannot be rendered by itself.
    let guilty = mounted.iter().find_map(|it| {
        let (namespace, version) = &it.binding.key;
        let version = Version::parse(version).ok()?;
        let reason = it.binding.unrenderable.as_ref()?;
        let is_chosen = selection.has(namespace, version);
        // A proto's free JSON is a fault only beside that of an OpenAPI document: the model knows
        // the registered documents, and gateways have `admin` themselves.
        let is_fault = reason.rule != Rule::ProtoFreeJson || has_admin;
        (is_chosen && is_fault).then(|| reason.to_string())
    });
    let made = match guilty {
        Some(reason) => Err(reason),
        None => schema_of(&mounted, &stable, &selection),
    };
    match made {
        Ok(schema) => sdl(schema.to_string()),
        Err(reason) => text(StatusCode::INTERNAL_SERVER_ERROR, reason),
    }
}

/// The GraphQL schema of all services, as served: the previous one while a service blocks the
/// gateway.
pub(super) fn whole(life: &Life) -> Response<HttpBody> {
    match life.routes().graph() {
        Some(graph) => sdl(graph.sdl()),
        None => {
            let why = "the registered services cannot be made into one GraphQL schema; the log \
                       says why";
            text(StatusCode::INTERNAL_SERVER_ERROR, why)
        }
    }
}

fn sdl(schema: String) -> Response<HttpBody> {
    let kind = "application/graphql; charset=utf-8";
    page(StatusCode::OK, kind, schema)
}
