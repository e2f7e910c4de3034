//! What callers are told when what is still open is ended.

use http::{HeaderMap, HeaderValue};

/// The status of a gRPC call that is cut: callers may try another replica.
pub(super) fn unavailable() -> HeaderMap {
    let mut status = HeaderMap::new();
    status.insert("grpc-status", HeaderValue::from_static("14"));
    let message = HeaderValue::from_static("the server is leaving");
    status.insert("grpc-message", message);
    status
}
