//! The gRPC ingress: `/package.Service/Method` of a registered service goes to one of its replicas.

mod backoff;
mod body;
pub(super) mod target;
pub(super) mod upstream;

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Full, Limited};
use prost_reflect::DynamicMessage;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

pub(super) use self::backoff::random_u64;
use self::body::{InFlight, ProxiedBody};
use self::upstream::Upstream;
use super::registry::routes::GrpcRoute;

/// The largest message that a gateway takes, in bytes.
pub(super) const MAX_MESSAGE: usize = 4 << 20;

/// How a real gateway calls itself towards services.
const AGENT: &str = "grpc-go/1.80.0";

/// Proxies one call; `route` is what its path leads to.
pub(super) async fn call<B>(
    route: Option<&GrpcRoute>,
    request: Request<B>,
) -> Response<tonic::body::Body>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Send,
{
    let answer = match route {
        Some(route) => forward(route, request).await,
        None => Err(no_route(request.uri().path())),
    };
    answer
        .unwrap_or_else(|status| refusal(&status))
        .map(tonic::body::Body::new)
}

/// A gRPC call of an OpenAPI operation: a gateway decodes the request first. What can be decoded is
/// not passed on here; a real gateway calls the handler.
pub(super) async fn call_operation<B>(request: Request<B>) -> Response<tonic::body::Body>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Send,
{
    let status = match read_message(request.into_body()).await {
        Ok(message) if message.slice(PREFIX..) == UNDECODABLE => {
            Status::internal("grpc: error unmarshalling request: invalid wire type")
        }
        Ok(_) => Status::unimplemented(
            "the embedded gateway calls OpenAPI services over HTTP only, at /api/ingress",
        ),
        Err(status) => status,
    };
    refusal(&status).map(tonic::body::Body::new)
}

/// No message of any type.
const UNDECODABLE: &[u8] = &[0xff, 0xff, 0xff];

fn no_route(path: &str) -> Status {
    Status::unimplemented(format!("ingress: no route for {path}"))
}

/// An answer without a body: the status is in the headers.
fn refusal(status: &Status) -> Response<ProxiedBody> {
    let mut response = Response::new(ProxiedBody::empty());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if status.add_header(headers).is_err() {
        headers.insert("grpc-status", HeaderValue::from(status.code() as i32));
    }
    response
}

async fn forward<B>(route: &GrpcRoute, request: Request<B>) -> Result<Response<ProxiedBody>, Status>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Send,
{
    let (parts, body) = request.into_parts();
    if let Some(encoding) = parts.headers.get("grpc-encoding")
        && encoding != "identity"
    {
        return Err(Status::unimplemented(format!(
            "grpc: Decompressor is not installed for grpc-encoding {encoding:?}"
        )));
    }
    let message = read_message(body).await?;
    // A gateway decodes the request before it chooses a replica.
    let payload = message.slice(PREFIX..);
    DynamicMessage::decode(route.input.clone(), payload)
        .map_err(|error| Status::internal(format!("grpc: error unmarshalling request: {error}")))?;

    let chosen = route
        .pool
        .choose()
        .ok_or_else(|| Status::unavailable(format!("no live replicas for {}", route.service)))?;
    let mut permits = Vec::new();
    permits.extend(admit(chosen.replica().room()).await);
    permits.extend(admit(route.pool.room()).await);
    let Some(upstream) = chosen.replica().upstream.clone() else {
        return Err(Status::unavailable("the replica cannot be dialled"));
    };
    let in_flight = InFlight {
        upstream: Arc::clone(&upstream),
        _chosen: chosen,
        _permits: permits,
    };
    let outgoing = outgoing(&upstream, parts.uri.path(), &parts.headers, message)?;
    let response = tokio::select! {
        biased;
        response = upstream.call(outgoing) => response?,
        () = upstream.closed() => return Err(Upstream::closing()),
    };
    incoming(response, in_flight)
}

/// Waits for room under a cap: the call queues in the gateway, after it chose the replica.
async fn admit(room: Option<Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    room?.acquire_owned().await.ok()
}

/// The flag and the length in front of a message.
const PREFIX: usize = 5;

/// The one message of a unary or server-streaming request, prefix included.
async fn read_message<B>(body: B) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static>,
{
    let bytes = Limited::new(body, MAX_MESSAGE + PREFIX)
        .collect()
        .await
        .map_err(|error| {
            if error.is::<http_body_util::LengthLimitError>() {
                too_large()
            } else {
                Status::cancelled(error.to_string())
            }
        })?
        .to_bytes();
    let Some(&[flag, a, b, c, d]) = bytes.first_chunk::<PREFIX>() else {
        return Err(Status::internal("the request has no message"));
    };
    if flag != 0 {
        return Err(Status::internal(
            "grpc: compressed flag set with identity or empty encoding",
        ));
    }
    let length = u32::from_be_bytes([a, b, c, d]) as usize;
    if length > MAX_MESSAGE {
        return Err(too_large());
    }
    if bytes.len() - PREFIX < length {
        return Err(Status::internal("unexpected EOF"));
    }
    Ok(bytes.slice(..PREFIX + length))
}

/// The refusal of a message above [`MAX_MESSAGE`].
pub(super) fn too_large() -> Status {
    Status::resource_exhausted(format!(
        "grpc: received message larger than max ({MAX_MESSAGE} bytes)"
    ))
}

fn outgoing(
    upstream: &Upstream,
    path: &str,
    headers: &HeaderMap,
    message: Bytes,
) -> Result<Request<Full<Bytes>>, Status> {
    let target = upstream.target()?;
    let uri = Uri::builder()
        .scheme("http")
        .authority(target.authority.as_str())
        .path_and_query(path)
        .build()
        .map_err(|error| Status::unavailable(format!("connection error: desc = \"{error}\"")))?;
    let mut request = Request::post(uri)
        .version(http::Version::HTTP_2)
        .body(Full::new(message))
        .map_err(|error| Status::internal(error.to_string()))?;
    let out = request.headers_mut();
    for (name, value) in headers {
        if !belongs_to_the_hop(name) {
            out.append(name.clone(), value.clone());
        }
    }
    out.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    out.insert(TE, HeaderValue::from_static("trailers"));
    out.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    Ok(request)
}

/// Headers that are said anew on every connection.
fn belongs_to_the_hop(name: &HeaderName) -> bool {
    [
        CONTENT_TYPE,
        TE,
        USER_AGENT,
        CONTENT_LENGTH,
        http::header::HOST,
    ]
    .contains(name)
        || matches!(name.as_str(), "grpc-encoding" | "grpc-accept-encoding")
}

/// The answer of the service as the caller gets it.
fn incoming(
    response: Response<hyper::body::Incoming>,
    in_flight: InFlight,
) -> Result<Response<ProxiedBody>, Status> {
    let status = response.status();
    if status != StatusCode::OK {
        return Err(of_http_status(status));
    }
    let is_grpc = response
        .headers()
        .get(CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    if !is_grpc {
        return Err(Status::unknown(
            "unexpected content-type: the service does not answer gRPC",
        ));
    }
    let saw_status = response.headers().contains_key("grpc-status");
    Ok(response.map(|body| ProxiedBody::streaming(body, in_flight, saw_status)))
}

/// What an answer without gRPC means, by its HTTP status.
fn of_http_status(status: StatusCode) -> Status {
    let text = format!("unexpected HTTP status code received from server: {status}");
    match status.as_u16() {
        400 => Status::internal(text),
        401 => Status::unauthenticated(text),
        403 => Status::permission_denied(text),
        404 => Status::unimplemented(text),
        429 | 502..=504 => Status::unavailable(text),
        _ => Status::unknown(text),
    }
}
