//! What becomes of a call: each ingress does to it what a real gateway does.
//!
//! Where something is done in a way that nobody would expect, the id of the recorded call that
//! shows it stands beside it; `tests/data_plane` plays them all.

pub(crate) mod client;
pub(crate) mod fatal;
pub(crate) mod graphql;
pub(crate) mod grpc;
mod headers;
pub(crate) mod http;
mod json;
mod message;
mod multipart;
pub(crate) mod openapi;
mod over_grpc;
pub(crate) mod paths;
mod piped;
pub(crate) mod remote;
mod wire;

use std::sync::Arc;

use ::http::StatusCode;
use tokio::sync::OwnedSemaphorePermit;

use crate::registry::slot::{Chosen, Pool};

/// Why a call of a service failed, as callers by HTTP and GraphQL are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) text: String,
    /// What GraphQL has as `extensions.code`.
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

    /// The status of the HTTP ingress: few are kept (http-oas-error-402-json).
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

/// A replica, and room under the caps; it queues in the gateway, after the replica was chosen.
async fn admitted(pool: &Arc<Pool>) -> Option<(Chosen, Vec<OwnedSemaphorePermit>)> {
    let chosen = pool.choose()?;
    let mut permits = Vec::new();
    for room in [chosen.replica().room(), pool.room()].into_iter().flatten() {
        permits.extend(room.acquire_owned().await.ok());
    }
    Some((chosen, permits))
}
