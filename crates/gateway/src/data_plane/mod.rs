//! The data plane: each ingress treats a call as a real gateway does.
//!
//! Surprising behaviour is commented with the id of the recorded call that shows it;
//! `tests/data_plane` replays them all.

pub(crate) mod changed_calls;
pub(crate) mod fatal_calls;
pub(crate) mod graphql;
pub(crate) mod graphql_services;
pub(crate) mod grpc;
mod headers;
pub(crate) mod http_client;
pub(crate) mod http_ingress;
mod json;
mod message;
mod multipart;
pub(crate) mod openapi_services;
mod over_grpc;
pub(crate) mod paths;
mod piped_body;
mod wire;

use std::sync::Arc;

use http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;

use crate::registry::slot::{Chosen, Pool};

/// Why a call to a service failed, as HTTP and GraphQL callers see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) text: String,
    /// The `extensions.code` of GraphQL.
    pub(super) code: Option<&'static str>,
}

impl Fault {
    fn plain(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: None,
        }
    }

    fn of(code: &'static str, text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            code: Some(code),
        }
    }

    /// The status of the HTTP ingress, which keeps few of them (http-oas-error-402-json).
    fn http_status(&self) -> StatusCode {
        match self.code {
            Some("INVALID_ARGUMENT") => StatusCode::BAD_REQUEST,
            Some("UNAUTHENTICATED") => StatusCode::UNAUTHORIZED,
            Some("PERMISSION_DENIED") => StatusCode::FORBIDDEN,
            Some("NOT_FOUND") => StatusCode::NOT_FOUND,
            Some("RESOURCE_EXHAUSTED") => StatusCode::TOO_MANY_REQUESTS,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

/// A replica, and permits of the caps; the call queues in the gateway, after the replica was
/// chosen.
async fn admitted(pool: &Arc<Pool>) -> Option<(Chosen, Vec<OwnedSemaphorePermit>)> {
    let chosen = pool.choose()?;
    let mut permits = Vec::new();
    for room in [chosen.replica().room(), pool.room()].into_iter().flatten() {
        permits.extend(room.acquire_owned().await.ok());
    }
    Some((chosen, permits))
}
