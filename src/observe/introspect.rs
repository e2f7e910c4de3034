//! Asks a GraphQL endpoint for its schema before a gateway does: the gateway introspects during
//! Register and refuses, or hangs, when the endpoint does not answer.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ::http::{StatusCode, Uri};
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};
use crate::observe::http;

const TIMEOUT: Duration = Duration::from_secs(3);
const QUERY: &str = r#"{"query":"{ __schema { queryType { name } } }"}"#;

/// Whether an endpoint answers an introspection query: `path` on the server that is bound to
/// `bound`, where it is one, or else `url`, which the gateway will ask. A host need not be able to
/// reach itself from outside, and what is advertised need not be what is bound.
pub(crate) async fn check(path: &str, url: &str, bound: Option<SocketAddr>) -> Result<(), Error> {
    if let (true, Some(bound)) = (path.starts_with('/'), bound) {
        let inside = format!("http://{}{path}", from_here(bound));
        if check_url(&inside).await.is_ok() {
            return Ok(());
        }
    }
    check_url(url).await
}

/// An `https` URL is left to the gateway.
async fn check_url(endpoint: &str) -> Result<(), Error> {
    let fault = |why: &str| {
        Error::new(
            ErrorKind::IntrospectionFailed,
            format!(
                "the GraphQL endpoint `{endpoint}` {why}; the service is registered as soon as it \
                 answers an introspection query"
            ),
        )
    };
    let uri: Uri = endpoint
        .parse()
        .map_err(|cause: ::http::uri::InvalidUri| fault("is not a URL").caused_by(cause))?;
    if uri.scheme_str() != Some("http") {
        return Ok(());
    }
    match timeout(TIMEOUT, http::post(&uri, QUERY)).await {
        Ok(Ok((StatusCode::OK, body))) => {
            let answer: serde_json::Value = serde_json::from_slice(&body)
                .map_err(|cause| fault("does not answer with JSON").caused_by(cause))?;
            if answer["data"]["__schema"].is_object() {
                Ok(())
            } else {
                Err(fault("does not answer introspection; switch it on"))
            }
        }
        Ok(Ok((status, _))) => Err(fault(&format!("answers {status}"))),
        Ok(Err(cause)) => Err(fault("cannot be reached").caused_by(cause)),
        Err(elapsed) => Err(fault("does not answer in time").caused_by(elapsed)),
    }
}

/// Where this host reaches a server that is bound to `bound`.
fn from_here(bound: SocketAddr) -> SocketAddr {
    match bound {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            (Ipv4Addr::LOCALHOST, bound.port()).into()
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            (Ipv6Addr::LOCALHOST, bound.port()).into()
        }
        _ => bound,
    }
}
