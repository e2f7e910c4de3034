//! Asks a GraphQL endpoint for its schema before a gateway does: the gateway introspects during
//! Register and refuses, or hangs, when the endpoint does not answer.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::error::{Error, ErrorKind};

const TIMEOUT: Duration = Duration::from_secs(3);
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;
const QUERY: &str = r#"{"query":"{ __schema { queryType { name } } }"}"#;

/// Whether `endpoint` answers an introspection query; none, and an `https` one, which is left to
/// the gateway, are fine.
pub(super) async fn check(endpoint: &str) -> Result<(), Error> {
    if endpoint.is_empty() {
        return Ok(());
    }
    let fault = |why: &str| {
        Error::new(
            ErrorKind::IntrospectionFailed,
            format!(
                "the GraphQL endpoint {endpoint} {why}; it is registered as soon as it answers an \
                 introspection query"
            ),
        )
    };
    let uri: Uri = endpoint
        .parse()
        .map_err(|cause: http::uri::InvalidUri| fault("is not a URL").caused_by(cause))?;
    if uri.scheme_str() != Some("http") {
        return Ok(());
    }
    match timeout(TIMEOUT, ask(uri)).await {
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

type BoxError = Box<dyn std::error::Error + Send + Sync>;

async fn ask(uri: Uri) -> Result<(StatusCode, Bytes), BoxError> {
    let authority = uri.authority().ok_or("the URL names no host")?.clone();
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host, port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let request = Request::post(path)
        .header(header::HOST, authority.as_str())
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::ACCEPT, "application/json")
        .body(Full::new(Bytes::from_static(QUERY.as_bytes())))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        Ok::<_, BoxError>((status, body.collect().await?.to_bytes()))
    };
    tokio::pin!(exchange);
    // The connection is driven here, so that nothing outlives the deadline.
    tokio::select! {
        answer = &mut exchange => answer,
        ended = connection => {
            ended?;
            exchange.await
        }
    }
}
