//! Plain HTTP requests: to a gateway's HTTP port, and to GraphQL endpoints. Endpoints are asked for
//! their schema before a gateway asks, because a gateway introspects during Register and refuses,
//! or hangs, when the endpoint does not answer.
//!
//! Redirects are not followed: a response counts only from the address that was asked. The caller sets
//! the deadline, and says how much of a response it wants.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::control::resolve;
use crate::error::{Error, ErrorKind};

/// For a response that is read whole.
const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Posts JSON.
pub(crate) async fn post(uri: &Uri, body: &'static str) -> Result<(StatusCode, Bytes), BoxError> {
    let request = Request::post(path_of(uri)).header(header::CONTENT_TYPE, "application/json");
    whole(uri, request, Bytes::from_static(body.as_bytes())).await
}

#[cfg_attr(
    not(feature = "preflight"),
    allow(dead_code, reason = "for differences between schemas")
)]
pub(crate) async fn get(uri: &Uri) -> Result<(StatusCode, Bytes), BoxError> {
    whole(uri, Request::get(path_of(uri)), Bytes::new()).await
}

/// Passes a response on piece by piece for as long as `take` wants more; nothing is kept here.
pub(crate) async fn get_pieces(
    uri: &Uri,
    mut take: impl FnMut(StatusCode, &[u8]) -> bool,
) -> Result<StatusCode, BoxError> {
    let request = Request::get(path_of(uri));
    exchange(uri, request, Bytes::new(), async |response| {
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            if let Some(piece) = frame?.data_ref()
                && !take(status, piece)
            {
                break;
            }
        }
        Ok(status)
    })
    .await
}

async fn whole(
    uri: &Uri,
    request: http::request::Builder,
    body: Bytes,
) -> Result<(StatusCode, Bytes), BoxError> {
    exchange(uri, request, body, async |response| {
        let status = response.status();
        let mut body = response.into_body();
        let mut all = BytesMut::new();
        while let Some(frame) = body.frame().await {
            if let Some(piece) = frame?.data_ref() {
                if all.len() + piece.len() > MAX_ANSWER_BYTES {
                    return Err("the answer is too long".into());
                }
                all.extend_from_slice(piece);
            }
        }
        Ok((status, all.freeze()))
    })
    .await
}

fn path_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

/// Strips user information, which must not be sent in plaintext.
fn host_and_port(authority: &str) -> &str {
    authority.rsplit('@').next().unwrap_or(authority)
}

async fn exchange<T>(
    uri: &Uri,
    request: http::request::Builder,
    body: Bytes,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, BoxError>,
) -> Result<T, BoxError> {
    let authority = uri.authority().ok_or("the URL has no host")?;
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(80);
    // Not tokio's own lookup: it would delay the end of the runtime.
    let addresses = resolve(host, port).await?;
    let stream = TcpStream::connect(&*addresses).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = request
        .header(header::HOST, host_and_port(authority.as_str()))
        .header(header::ACCEPT, "*/*")
        .body(Full::new(body))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        read(response).await
    };
    tokio::pin!(exchange);
    // The connection is driven here, so that nothing outlives the caller's deadline.
    tokio::select! {
        answer = &mut exchange => answer,
        ended = connection => {
            ended?;
            exchange.await
        }
    }
}

/// The timeout for an endpoint's response.
const INTROSPECTION_TIMEOUT: Duration = Duration::from_secs(3);
const QUERY: &str = r#"{"query":"{ __schema { queryType { name } } }"}"#;

/// Whether an endpoint answers an introspection query: `path` on the server bound to `bound`, if
/// the endpoint is a path, otherwise `url`, which the gateway will ask. A host may be unable to
/// reach itself from outside, and the advertised address may differ from the bound one.
pub(crate) async fn introspect(
    path: &str,
    url: &str,
    bound: Option<SocketAddr>,
) -> Result<(), Error> {
    if let (true, Some(bound)) = (path.starts_with('/'), bound) {
        let inside = format!("http://{}{path}", from_here(bound));
        if check_url(&inside).await.is_ok() {
            return Ok(());
        }
    }
    check_url(url).await
}

/// Does not check `https` URLs; the gateway will.
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
        .map_err(|cause: http::uri::InvalidUri| fault("is not a URL").caused_by(cause))?;
    if uri.scheme_str() != Some("http") {
        return Ok(());
    }
    match timeout(INTROSPECTION_TIMEOUT, post(&uri, QUERY)).await {
        Ok(Ok((StatusCode::OK, body))) => {
            let answer: serde_json::Value = serde_json::from_slice(&body)
                .map_err(|cause| fault("does not answer with JSON").caused_by(cause))?;
            if answer["data"]["__schema"].is_object() {
                Ok(())
            } else {
                Err(fault("does not answer introspection queries: enable them"))
            }
        }
        Ok(Ok((status, _))) => Err(fault(&format!("answers {status}"))),
        Ok(Err(cause)) => Err(fault("cannot be reached").caused_by(cause)),
        Err(elapsed) => Err(fault("does not answer in time").caused_by(elapsed)),
    }
}

/// The address at which this host reaches a server bound to `bound`.
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
