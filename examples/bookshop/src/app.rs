//! What the process serves: the GraphQL endpoint, and the last answer to an introspection.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::{Arc, Mutex};

use async_graphql::Request;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::post;
use axum::{Json, Router};
use serde_json::value::RawValue;
use tower_gwag::{Rule, Service};

use crate::BoxError;
use crate::shop::{Shop, shop};

/// The last answer to an introspection query.
#[derive(Clone, Default)]
pub(crate) struct Introspection(Arc<Mutex<String>>);

impl Introspection {
    /// The hash by which gateways list the service: SHA-256 of `data`, exactly as it was sent.
    pub(crate) fn hash(&self) -> Result<String, BoxError> {
        let answer = self.0.lock().map_err(|_| "a handler panicked")?;
        let members: BTreeMap<String, &RawValue> = serde_json::from_str(&answer)?;
        let data = members.get("data").ok_or("nobody has introspected it")?;
        let mut hash = String::new();
        for byte in hmac_sha256::Hash::hash(data.get().as_bytes()) {
            write!(hash, "{byte:02x}")?;
        }
        Ok(hash)
    }
}

/// What is registered: a path on this server, which the gateway introspects, and the schema, so that
/// it is checked before it runs.
pub(crate) fn service() -> Service {
    let service = Service::graphql("/graphql").namespace("shop");
    let service = service.schema(shop().sdl());
    // Gateways do not offer `price(currency:)`; their callers get Euros.
    service.allow(Rule::CallsUpstream)
}

pub(crate) fn router(introspection: Introspection) -> Router {
    Router::new()
        .route("/graphql", post(graphql))
        .with_state((shop(), introspection))
}

async fn graphql(
    State((shop, introspection)): State<(Shop, Introspection)>,
    Json(request): Json<Request>,
) -> impl IntoResponse {
    let is_introspection = request.query.contains("__schema");
    let answer = shop.execute(request).await;
    // A Response holds nothing that JSON cannot express.
    let text = serde_json::to_string(&answer).unwrap_or_default();
    if is_introspection && let Ok(mut last) = introspection.0.lock() {
        last.clone_from(&text);
    }
    ([(CONTENT_TYPE, "application/json")], text)
}
