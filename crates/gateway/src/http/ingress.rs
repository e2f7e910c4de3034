//! The HTTP ingress: the paths of a service's OpenAPI document, under `/api/ingress`.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{ACCEPT, CONNECTION, HOST, TE, TRANSFER_ENCODING, UPGRADE, USER_AGENT};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;
use pin_project_lite::pin_project;
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tower_service::Service;

use super::{HttpBody, text};
use crate::gate::{Gate, Gated};
use crate::node::life::Life;
use crate::proxy::upstream::Tasks;
use crate::registry::slot::Chosen;

/// Calls OpenAPI services, with connections that are used again.
#[derive(Clone, Debug)]
pub(crate) struct Forwarder(pub(super) Client<Dialer, HttpBody>);

impl Forwarder {
    pub(crate) fn new(tasks: Tasks, gate: Gate) -> Self {
        Self(Client::builder(tasks).build(Dialer(gate)))
    }
}

/// Forwards a request; `path` is what follows `/api/ingress`.
pub(super) async fn call(
    life: &Life,
    path: &str,
    request: Request<Incoming>,
) -> Response<HttpBody> {
    let routes = life.routes();
    let Some(route) = routes.http(request.method().as_str(), path) else {
        return if routes.has_http_path(path) {
            text(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("ingress: no {} for {path}", request.method()),
            )
        } else {
            text(
                StatusCode::NOT_FOUND,
                format!("ingress: no route for {path}"),
            )
        };
    };
    let Some(chosen) = route.pool.choose() else {
        return text(
            StatusCode::SERVICE_UNAVAILABLE,
            format!("no live replicas for {}", route.service),
        );
    };
    let mut permits = Vec::new();
    for room in [chosen.replica().room(), route.pool.room()] {
        if let Some(room) = room
            && let Ok(permit) = room.acquire_owned().await
        {
            permits.push(permit);
        }
    }
    let query = request.uri().query();
    let uri = match upstream_uri(&chosen.replica().addr, path, query) {
        Ok(uri) => uri,
        Err(reason) => return text(StatusCode::BAD_GATEWAY, reason),
    };
    match life.forwarder.0.request(outgoing(request, uri)).await {
        Ok(mut response) => {
            strip(response.headers_mut());
            response.map(|body| {
                let held = Held {
                    _chosen: chosen,
                    _permits: permits,
                };
                Counted { body, held }.boxed()
            })
        }
        Err(error) => text(
            StatusCode::BAD_GATEWAY,
            format!("upstream {}: {error}", chosen.replica().addr),
        ),
    }
}

/// The base URL of a replica with the path behind it; without a scheme it is `http://`.
fn upstream_uri(addr: &str, path: &str, query: Option<&str>) -> Result<Uri, String> {
    let base = if addr.contains("://") {
        addr.to_owned()
    } else {
        format!("http://{addr}")
    };
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    let uri: Uri = format!("{}{path}{query}", base.trim_end_matches('/'))
        .parse()
        .map_err(|error| format!("the address {addr:?} is no base URL: {error}"))?;
    match uri.scheme_str() {
        Some("http") if uri.host().is_some() => Ok(uri),
        _ => Err(format!(
            "the address {addr:?} is no http:// base URL; this gateway has no TLS"
        )),
    }
}

/// How a real gateway calls itself towards HTTP services.
pub(super) const AGENT: &str = "Go-http-client/1.1";

fn outgoing(request: Request<Incoming>, uri: Uri) -> Request<HttpBody> {
    let (mut parts, body) = request.into_parts();
    parts.uri = uri;
    parts.version = http::Version::HTTP_11;
    parts.extensions = http::Extensions::new();
    parts.headers.remove(HOST);
    strip(&mut parts.headers);
    // What a real gateway says of itself.
    let agent = HeaderValue::from_static(AGENT);
    parts.headers.insert(USER_AGENT, agent);
    let json = HeaderValue::from_static("application/json");
    parts.headers.insert(ACCEPT, json);
    Request::from_parts(parts, body.boxed())
}

/// Takes away what concerns one connection only.
fn strip(headers: &mut http::HeaderMap) {
    const HOP: [HeaderName; 4] = [CONNECTION, TE, TRANSFER_ENCODING, UPGRADE];
    for name in HOP {
        headers.remove(name);
    }
    headers.remove("keep-alive");
}

/// What a call holds while it is in flight.
#[derive(Debug)]
struct Held {
    _chosen: Chosen,
    _permits: Vec<OwnedSemaphorePermit>,
}

pin_project! {
    /// The body of an answer; its call is in flight until it ends.
    struct Counted {
        #[pin]
        body: Incoming,
        held: Held,
    }
}

impl Body for Counted {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Connects to services through the gate.
#[derive(Clone, Debug)]
pub(super) struct Dialer(Gate);

impl Service<Uri> for Dialer {
    type Response = TokioIo<Gated<TcpStream>>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, io::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let gate = self.0.clone();
        Box::pin(async move {
            gate.open().await;
            let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
            // A port with leading zeros is a port: Go's resolver takes it.
            let port = uri
                .port()
                .and_then(|port| port.as_str().parse::<u16>().ok())
                .unwrap_or(80);
            let stream = TcpStream::connect((host, port)).await?;
            let _ = stream.set_nodelay(true);
            Ok(TokioIo::new(Gated::new(stream, gate)))
        })
    }
}

impl Connection for Gated<TcpStream> {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
