//! One plain HTTP request and its answer, for endpoints that a gateway or this server has.
//!
//! Redirects are not followed: an answer counts only from where it was asked for. Whoever asks sets a
//! deadline, and says how much of an answer is wanted.

use bytes::{Bytes, BytesMut};
use http::{Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::control::resolve;

/// For an answer that is wanted whole.
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

/// Gets an answer piece by piece, for as long as `take` wants more of it; nothing is kept here.
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

/// Whoever calls is not sent to anybody in plaintext.
fn host_and_port(authority: &str) -> &str {
    authority.rsplit('@').next().unwrap_or(authority)
}

async fn exchange<T>(
    uri: &Uri,
    request: http::request::Builder,
    body: Bytes,
    read: impl AsyncFnOnce(Response<Incoming>) -> Result<T, BoxError>,
) -> Result<T, BoxError> {
    let authority = uri.authority().ok_or("the URL names no host")?;
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(80);
    // Not tokio's own look-up: it would hold the end of the runtime.
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
