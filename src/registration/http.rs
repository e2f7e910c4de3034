//! One plain HTTP request and its answer, for endpoints that a gateway or this server has.

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

pub(super) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Posts JSON.
pub(super) async fn post(uri: &Uri, body: &'static str) -> Result<(StatusCode, Bytes), BoxError> {
    let request = Request::post(path_of(uri)).header(header::CONTENT_TYPE, "application/json");
    exchange(uri, request, Bytes::from_static(body.as_bytes())).await
}

pub(super) async fn get(uri: &Uri) -> Result<(StatusCode, Bytes), BoxError> {
    exchange(uri, Request::get(path_of(uri)), Bytes::new()).await
}

fn path_of(uri: &Uri) -> &str {
    uri.path_and_query().map_or("/", |path| path.as_str())
}

async fn exchange(
    uri: &Uri,
    request: http::request::Builder,
    body: Bytes,
) -> Result<(StatusCode, Bytes), BoxError> {
    let authority = uri.authority().ok_or("the URL names no host")?;
    let host = authority.host().trim_matches(['[', ']']);
    let port = authority.port_u16().unwrap_or(80);
    let stream = TcpStream::connect((host, port)).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = request
        .header(header::HOST, authority.as_str())
        .header(header::ACCEPT, "*/*")
        .body(Full::new(body))?;
    let exchange = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES);
        Ok::<_, BoxError>((status, body.collect().await?.to_bytes()))
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
