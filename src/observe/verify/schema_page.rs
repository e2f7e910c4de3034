//! The schema pages of a gateway's HTTP port.

use std::time::Duration;

use ::http::{StatusCode, Uri};
use tokio::time::timeout;

use super::served::{Reader, Served};
use crate::control::escaped;
use crate::observe::http;

/// How much of a refusal is reported.
const LONGEST_REASON: usize = 1_000;
/// A longer schema is not evidence: a thousand services make a few megabytes.
const LONGEST_PAGE: usize = 32 * 1024 * 1024;
/// How gateways' errors begin when they cannot render (contract, What cannot be rendered).
const REFUSALS: [&str; 2] = ["graphql.NewSchema:", "runtime render:"];

/// The answer for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Page {
    Schema(Served),
    /// It cannot be rendered, for this reason.
    Refused(String),
    /// Anything else, which says nothing about a gateway.
    Unknown,
}

/// The location of a gateway's schema pages.
#[derive(Clone, Debug)]
pub(super) struct SchemaPages {
    base: String,
}

// === impl SchemaPages ===

impl SchemaPages {
    pub(super) fn new(base: &Uri) -> Self {
        let base = base.to_string();
        Self {
            base: format!("{}/api/schema/graphql", base.trim_end_matches('/')),
        }
    }

    /// The served schema; while something blocks the gateway, the one from before.
    pub(super) async fn whole(&self, deadline: Duration) -> Page {
        self.read(&self.base, deadline).await
    }

    /// What the gateway currently makes of these services: `namespace` or `namespace:version`,
    /// separated by commas.
    pub(super) async fn selection(&self, services: &str, deadline: Duration) -> Page {
        let url = format!("{}?service={services}", self.base);
        self.read(&url, deadline).await
    }

    async fn read(&self, url: &str, deadline: Duration) -> Page {
        let Ok(uri) = url.parse::<Uri>() else {
            return Page::Unknown;
        };
        let mut reader = Reader::default();
        let mut reason = Vec::new();
        let mut length = 0;
        let answer = http::get_pieces(&uri, |status, piece| {
            length += piece.len();
            match status {
                StatusCode::OK => length <= LONGEST_PAGE && reader.feed(piece),
                StatusCode::INTERNAL_SERVER_ERROR => {
                    let room = LONGEST_REASON - reason.len();
                    reason.extend_from_slice(&piece[..piece.len().min(room)]);
                    reason.len() < LONGEST_REASON
                }
                _ => false,
            }
        });
        match timeout(deadline, answer).await {
            Ok(Ok(StatusCode::OK)) if length <= LONGEST_PAGE => {
                reader.finish().map_or(Page::Unknown, Page::Schema)
            }
            Ok(Ok(StatusCode::INTERNAL_SERVER_ERROR)) => {
                let reason = String::from_utf8_lossy(&reason);
                let reason = reason.trim();
                if REFUSALS.iter().any(|it| reason.contains(it)) {
                    Page::Refused(escaped(reason))
                } else {
                    Page::Unknown
                }
            }
            _ => Page::Unknown,
        }
    }
}

/// One version of a namespace, as selections name it.
pub(super) fn name_of(namespace: &str, version: &str) -> String {
    format!("{namespace}:{version}")
}
