//! What calls silently lose on their way through a gateway, for developers to watch.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use http::HeaderMap;

/// The number of different changes kept; further ones are counted nowhere.
const MOST: usize = 500;
const LONGEST_TEXT: usize = 300;

/// Headers of the transport or of browsers, whose loss does not matter.
const OF_THE_TRANSPORT: [&str; 24] = [
    "accept",
    "accept-encoding",
    "accept-language",
    "cache-control",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "date",
    "dnt",
    "expect",
    "host",
    "keep-alive",
    "origin",
    "pragma",
    "priority",
    "referer",
    "server",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "upgrade-insecure-requests",
    "user-agent",
];

/// What a gateway changed in calls of one method, as a real one does.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChangedCall {
    /// `/package.Service/Method`, or `GET /pets/{id}`.
    pub method: String,
    /// What was lost, or changed.
    pub what: String,
    /// How often.
    pub times: u64,
}

impl fmt::Display for ChangedCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.method, self.what)
    }
}

/// The changes of a node, by method and text.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<BTreeMap<(String, String), u64>>);

// === impl Changes ===

impl Changes {
    pub(crate) fn all(&self) -> Vec<ChangedCall> {
        let changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = changes.iter();
        changes
            .map(|((method, what), times)| ChangedCall {
                method: method.clone(),
                what: what.clone(),
                times: *times,
            })
            .collect()
    }

    pub(super) fn note(&self, method: &str, what: &str) {
        let cut = |text: &str| text.chars().take(LONGEST_TEXT).collect::<String>();
        let key = (cut(method), cut(what));
        let mut changes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if changes.len() < MOST || changes.contains_key(&key) {
            *changes.entry(key).or_default() += 1;
        }
    }

    /// Headers of a caller that the service does not receive.
    pub(super) fn request_headers(&self, method: &str, lost: &BTreeSet<String>) {
        for name in lost {
            self.note(
                method,
                &format!("the service does not receive the header `{name}`"),
            );
        }
    }

    /// Headers or trailers of a service that its caller does not receive.
    pub(super) fn answer_headers(&self, method: &str, answered: &HeaderMap) {
        for name in lost(answered, &HeaderMap::new()) {
            self.note(
                method,
                &format!("the caller does not receive the header `{name}`"),
            );
        }
    }

    /// An HTTP status that HTTP callers do not receive.
    pub(super) fn status(&self, method: &str, said: u16, seen: u16) {
        if said != seen {
            self.note(
                method,
                &format!("the caller gets {seen} for the service's {said} (over HTTP)"),
            );
        }
    }
}

/// The names of headers that matter and are not forwarded.
pub(super) fn lost(sent: &HeaderMap, passed: &HeaderMap) -> BTreeSet<String> {
    let is_lost = |name: &&str| {
        !passed.contains_key(*name)
            && !OF_THE_TRANSPORT.contains(name)
            && !["grpc-", "sec-", ":"].iter().any(|it| name.starts_with(it))
    };
    let names = sent.keys().map(http::HeaderName::as_str);
    names.filter(is_lost).map(str::to_owned).collect()
}
