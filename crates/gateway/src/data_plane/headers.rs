//! The caller's headers that reach a service.

use http::{HeaderMap, HeaderName};

/// Tracing headers, which every ingress forwards; the first of several values.
const TRACING: [&str; 12] = [
    "traceparent",
    "tracestate",
    "baggage",
    "b3",
    "x-b3-traceid",
    "x-b3-spanid",
    "x-b3-parentspanid",
    "x-b3-sampled",
    "x-b3-flags",
    "x-request-id",
    "x-amzn-trace-id",
    "x-cloud-trace-context",
];

fn is_tracing(name: &HeaderName) -> bool {
    TRACING.contains(&name.as_str())
}

/// Headers for gRPC services (grpc-unary-metadata).
pub(super) fn tracing(headers: &HeaderMap) -> HeaderMap {
    picked(headers, is_tracing)
}

/// Headers for HTTP services: the caller's credentials, too (http-oas-request-headers).
pub(super) fn with_credentials(headers: &HeaderMap) -> HeaderMap {
    picked(headers, |name| {
        *name == http::header::AUTHORIZATION || is_tracing(name)
    })
}

fn picked(headers: &HeaderMap, is_wanted: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut out = HeaderMap::new();
    for name in headers.keys().filter(|name| is_wanted(name)) {
        if let Some(value) = headers.get(name) {
            out.insert(name.clone(), value.clone());
        }
    }
    out
}
