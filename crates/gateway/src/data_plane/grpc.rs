//! gRPC: the ingress on the control plane's port, and the calls to proto services from all
//! ingresses.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use http::header::{CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body::Body;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use prost_reflect::DynamicMessage;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;
use tonic::{Code, Status};

use super::changed_calls::Changes;
use super::fatal_calls::Ingress;
use super::message::{self, Deadly, Misfit};
use super::piped_body::{PipedBody, Writer, pipe};
use super::{changed_calls, headers, over_grpc, wire};
use crate::node::life::Life;
use crate::proxy::connections::{CallFault, OneMessage, Upstream};
use crate::proxy::{AGENT, MAX_MESSAGE, status_of};
use crate::registry::routes::{GrpcRoute, OperationRoute};
use crate::registry::slot::Chosen;

/// The length of the prefix of a message: the flag and the length.
const PREFIX: usize = 5;

/// What a call inherits from its caller.
#[derive(Clone, Debug, Default)]
pub(super) struct Caller {
    /// Tracing headers.
    pub(super) headers: HeaderMap,
    pub(super) deadline: Option<Instant>,
    /// The names of its headers that are not forwarded.
    lost: BTreeSet<String>,
}

impl Caller {
    /// For an HTTP caller, which has no deadline (http-proto-headers).
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let tracing = headers::tracing(headers);
        Self {
            lost: changed_calls::lost(headers, &tracing),
            headers: tracing,
            deadline: None,
        }
    }
}

// === the ingress ===

/// Handles one call of the gRPC ingress.
pub(crate) async fn call<B>(life: &Arc<Life>, request: Request<B>) -> Response<tonic::body::Body>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Send,
{
    match answer(life, request).await {
        Ok(response) => response.map(tonic::body::Body::new),
        Err(status) => refusal(&status),
    }
}

async fn answer<B>(life: &Arc<Life>, request: Request<B>) -> Result<Response<PipedBody>, Status>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Send,
{
    let (parts, body) = request.into_parts();
    let path = parts.uri.path();
    let routes = life.routes();
    let Some(route) = routes.grpc(path) else {
        if let Some(route) = routes.operation(path) {
            let route = route.clone();
            drop(routes);
            return operation(life, &route, &parts.headers, body).await;
        }
        return Err(Status::unimplemented(format!(
            "ingress: no route for {path}"
        )));
    };
    if let Some(encoding) = parts.headers.get("grpc-encoding")
        && encoding != "identity"
    {
        // grpc-unary-gzip-request
        return Err(Status::unimplemented(no_decompressor(encoding)));
    }
    let deadline = deadline(&parts.headers);
    let caller = Caller {
        deadline,
        ..Caller::of(&parts.headers)
    };
    let (writer, body_out) = pipe();
    let answered = within(deadline, async {
        let message = read_request(body).await?;
        let input = route.method.input();
        wire::check(&input, &message).map_err(|fault| Status::internal(unreadable(&fault)))?;
        if !route.method.is_server_streaming() {
            let message = wire::unknown_last(&input, message);
            return unary(life, route, message, &caller)
                .await
                .map(Answered::One);
        }
        let message = rebuilt(life, route, decode(&input, message)?)?;
        stream(life, route, message.into(), &caller)
            .await
            .map(|messages| Answered::Many(Box::new(messages)))
    })
    .await?;
    let (task_life, route) = (Arc::clone(life), route.clone());
    life.tasks.spawn(async move {
        match answered {
            Answered::One(message) => {
                if writer.data(framed(&message)).await {
                    let end = Status::new(Code::Ok, "");
                    writer.trailers(trailers_of(&end)).await;
                }
            }
            Answered::Many(messages) => {
                let end = pass_on(&task_life, &route, *messages, &writer, deadline).await;
                if let Some(end) = end {
                    writer.trailers(trailers_of(&end)).await;
                }
            }
        }
    });
    Ok(grpc_response(body_out))
}

/// Passes on the messages of a stream; returns the status at its end, or `None` if the caller is gone.
async fn pass_on(
    life: &Life,
    route: &GrpcRoute,
    mut messages: Messages,
    writer: &Writer,
    deadline: Option<Instant>,
) -> Option<Status> {
    loop {
        let next = tokio::select! {
            next = within(deadline, async { Ok(messages.next().await) }) => next,
            () = writer.closed() => return None,
        };
        // OK, whatever the service sends (grpc-stream-status-after-two).
        let end = Some(Status::new(Code::Ok, ""));
        let message = match next {
            Ok(Some(message)) => message,
            Ok(None) => return end,
            Err(status) => return Some(status),
        };
        let Some(message) = readable(route, message) else {
            return end;
        };
        match message::rebuild(&message, false) {
            Ok(()) => {}
            // grpc-stream-answer-f_uint32: this message is lost, the others are not.
            Err(Misfit::Text(why)) => {
                let what = format!("a message of the stream is dropped: {why}");
                life.losses.note(&route.path, &what);
                continue;
            }
            Err(Misfit::Deadly(Deadly(field))) => {
                let why = died_of(&field);
                return Some(life.fatal.note(Ingress::Grpc, &route.path, &why));
            }
        }
        if !writer.data(framed(&known_bytes(message))).await {
            return None;
        }
    }
}

/// Handles a gRPC call of an OpenAPI operation (grpc-oasbase-get).
async fn operation<B>(
    life: &Arc<Life>,
    route: &OperationRoute,
    headers: &HeaderMap,
    body: B,
) -> Result<Response<PipedBody>, Status>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static> + Send,
{
    if let Some(encoding) = headers.get("grpc-encoding")
        && encoding != "identity"
    {
        return Err(Status::unimplemented(no_decompressor(encoding)));
    }
    let message = within(deadline(headers), async {
        let request = decode(&route.method.input(), read_request(body).await?)?;
        let answer = over_grpc::call(life, route, &request).await?;
        Ok(prost::Message::encode_to_vec(&answer))
    })
    .await?;
    let (writer, body_out) = pipe();
    life.tasks.spawn(async move {
        if writer.data(framed(&message)).await {
            let end = Status::new(Code::Ok, "");
            writer.trailers(trailers_of(&end)).await;
        }
    });
    Ok(grpc_response(body_out))
}

fn grpc_response(body: PipedBody) -> Response<PipedBody> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

enum Answered {
    One(Bytes),
    Many(Box<Messages>),
}

/// An answer without a body, with the status in the headers.
fn refusal(status: &Status) -> Response<tonic::body::Body> {
    let mut response = Response::new(tonic::body::Body::empty());
    let mut headers = trailers_of(status);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    *response.headers_mut() = headers;
    response
}

fn trailers_of(status: &Status) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    // A status that is not valid in a header is a bug here: send the code alone.
    if status.add_header(&mut trailers).is_err() {
        trailers.insert("grpc-status", HeaderValue::from(status.code() as i32));
    }
    trailers
}

fn no_decompressor(encoding: &HeaderValue) -> String {
    format!("grpc: Decompressor is not installed for grpc-encoding {encoding:?}")
}

fn unreadable(fault: &str) -> String {
    format!("grpc: failed to unmarshal the received message: proto: {fault}")
}

/// Why a stream ends a gateway's process.
pub(super) fn died_of(field: &str) -> String {
    format!(
        "gateways cannot stream {field}: use a signed number or a string, or make the method unary"
    )
}

/// The refusal of a message above [`MAX_MESSAGE`].
fn too_large(length: usize) -> Status {
    let text = format!("grpc: received message larger than max ({length} vs. {MAX_MESSAGE})");
    Status::resource_exhausted(text)
}

/// The one message of a request, without its prefix.
async fn read_request<B>(body: B) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes, Error: std::error::Error + Send + Sync + 'static>,
{
    let mut body = std::pin::pin!(Limited::new(body, MAX_MESSAGE + PREFIX));
    let mut bytes = BytesMut::new();
    loop {
        let frame = match body.frame().await {
            None => break,
            Some(Ok(frame)) => frame,
            Some(Err(error)) if error.is::<http_body_util::LengthLimitError>() => {
                return Err(too_large(length_of(&bytes).unwrap_or(MAX_MESSAGE + 1)));
            }
            Some(Err(error)) => return Err(Status::cancelled(error.to_string())),
        };
        if let Ok(data) = frame.into_data() {
            bytes.extend_from_slice(&data);
        }
        if let Some(length) = length_of(&bytes)
            && length > MAX_MESSAGE
        {
            return Err(too_large(length));
        }
    }
    let Some(length) = length_of(&bytes) else {
        return Err(Status::internal(
            "cardinality violation: received no request message from non-client-streaming RPC",
        ));
    };
    if bytes[0] != 0 {
        return Err(Status::internal(
            "grpc: compressed flag set with identity or empty encoding",
        ));
    }
    bytes.advance(PREFIX);
    if bytes.len() < length {
        return Err(Status::internal("unexpected EOF"));
    }
    bytes.truncate(length);
    Ok(bytes.freeze())
}

fn length_of(bytes: &[u8]) -> Option<usize> {
    let [_, a, b, c, d] = *bytes.first_chunk::<PREFIX>()?;
    Some(u32::from_be_bytes([a, b, c, d]) as usize)
}

fn framed(message: &[u8]) -> Bytes {
    let mut out = BytesMut::with_capacity(message.len() + PREFIX);
    out.put_u8(0);
    // A message that was read is shorter than 4 GiB.
    out.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
    out.put_slice(message);
    out.freeze()
}

// === deadlines ===

/// The caller's deadline, from `grpc-timeout`: up to 8 digits and a unit.
fn deadline(headers: &HeaderMap) -> Option<Instant> {
    let text = headers.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let number: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(number.checked_mul(3600)?),
        "M" => Duration::from_secs(number.checked_mul(60)?),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

async fn within<T>(
    deadline: Option<Instant>,
    work: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    match deadline {
        None => work.await,
        Some(deadline) => match tokio::time::timeout_at(deadline, work).await {
            Ok(done) => done,
            Err(_) => Err(Status::deadline_exceeded("context deadline exceeded")),
        },
    }
}

/// The remaining time, as a header.
fn timeout_header(deadline: Instant) -> HeaderValue {
    let left = deadline.saturating_duration_since(Instant::now());
    let (micros, millis) = (left.as_micros(), left.as_millis());
    let text = match micros {
        0..=99_999_999 => format!("{micros}u"),
        _ if millis <= 99_999_999 => format!("{millis}m"),
        _ => format!("{}S", left.as_secs().min(99_999_999)),
    };
    // Digits and a letter are a valid header.
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("0n"))
}

// === calls ===

fn decode(
    descriptor: &prost_reflect::MessageDescriptor,
    bytes: Bytes,
) -> Result<DynamicMessage, Status> {
    wire::check(descriptor, &bytes).map_err(|fault| Status::internal(unreadable(&fault)))?;
    DynamicMessage::decode(descriptor.clone(), bytes)
        .map_err(|error| Status::internal(unreadable(&error.to_string())))
}

fn known_bytes(mut message: DynamicMessage) -> Vec<u8> {
    message::forget_unknown(&mut message);
    prost::Message::encode_to_vec(&message)
}

/// A message of a stream; an unreadable one ends it.
pub(super) fn readable(route: &GrpcRoute, message: Bytes) -> Option<DynamicMessage> {
    decode(&route.method.output(), message).ok()
}

/// The request of a stream, decoded and encoded again.
fn rebuilt(life: &Life, route: &GrpcRoute, message: DynamicMessage) -> Result<Vec<u8>, Status> {
    match message::rebuild(&message, true) {
        Ok(()) => Ok(known_bytes(message)),
        // grpc-stream-request-f_uint32
        Err(Misfit::Text(text)) => Err(Status::internal(text)),
        Err(Misfit::Deadly(Deadly(field))) => {
            Err(life
                .fatal
                .note(Ingress::Grpc, &route.path, &died_of(&field)))
        }
    }
}

/// The resources that a call holds while it is in flight.
#[derive(Debug)]
pub(super) struct InFlight {
    losses: Arc<Changes>,
    path: String,
    is_stream: bool,
    upstream: Arc<Upstream>,
    _chosen: Chosen,
    _permits: Vec<OwnedSemaphorePermit>,
}

/// Makes a unary call and returns the one message of the answer, if it is valid.
pub(super) async fn unary(
    life: &Life,
    route: &GrpcRoute,
    message: Bytes,
    caller: &Caller,
) -> Result<Bytes, Status> {
    let mut messages = begin(life, route, &message, caller).await?;
    let Some(message) = messages.read().await? else {
        let text =
            "cardinality violation: received no response message from non-server-streaming RPC";
        return Err(messages.status().unwrap_or_else(|| Status::internal(text)));
    };
    let output = route.method.output();
    wire::check(&output, &message).map_err(|fault| Status::internal(unreadable(&fault)))?;
    if messages.read().await?.is_some() {
        let text = "cardinality violation: expected <EOF> for non server-streaming RPCs, but received another message";
        return Err(Status::internal(text));
    }
    match messages.status() {
        None => Ok(wire::unknown_last(&output, message)),
        Some(status) => Err(status),
    }
}

/// A server stream that has begun.
pub(super) async fn stream(
    life: &Life,
    route: &GrpcRoute,
    message: Bytes,
    caller: &Caller,
) -> Result<Messages, Status> {
    begin(life, route, &message, caller).await
}

async fn begin(
    life: &Life,
    route: &GrpcRoute,
    message: &[u8],
    caller: &Caller,
) -> Result<Messages, Status> {
    life.losses.request_headers(&route.path, &caller.lost);
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
        losses: Arc::clone(&life.losses),
        path: route.path.clone(),
        is_stream: route.method.is_server_streaming(),
        upstream: Arc::clone(&upstream),
        _chosen: chosen,
        _permits: permits,
    };
    let request = outgoing(&upstream, &route.path, message, caller)?;
    let answered = tokio::select! {
        biased;
        answered = upstream.call(request) => answered,
        () = upstream.closed() => Err(CallFault::NotSent(Upstream::closing())),
    };
    let is_stream = in_flight.is_stream;
    match answered {
        Ok(response) => Messages::of(response, in_flight, is_stream),
        // An error after the call was sent ends the stream, and that with OK.
        Err(CallFault::Lost(status)) if is_stream => {
            in_flight.hides(&status);
            Ok(Messages::ended(in_flight))
        }
        Err(CallFault::Lost(status) | CallFault::NotSent(status)) => Err(status),
    }
}

/// Waits for a permit of a cap: the call queues in the gateway, after the replica was chosen.
async fn admit(room: Option<Arc<Semaphore>>) -> Option<OwnedSemaphorePermit> {
    room?.acquire_owned().await.ok()
}

fn outgoing(
    upstream: &Upstream,
    path: &str,
    message: &[u8],
    caller: &Caller,
) -> Result<Request<OneMessage>, Status> {
    let target = upstream.target()?;
    let uri = Uri::builder()
        .scheme("http")
        .authority(target.authority.as_str())
        .path_and_query(path)
        .build()
        .map_err(|error| Status::unavailable(format!("connection error: desc = \"{error}\"")))?;
    let mut request = Request::post(uri)
        .version(http::Version::HTTP_2)
        .body(OneMessage::new(framed(message)))
        .map_err(|error| Status::internal(error.to_string()))?;
    let out = request.headers_mut();
    *out = caller.headers.clone();
    out.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    out.insert(TE, HeaderValue::from_static("trailers"));
    out.insert(USER_AGENT, HeaderValue::from_static(AGENT));
    if let Some(deadline) = caller.deadline {
        out.insert("grpc-timeout", timeout_header(deadline));
    }
    Ok(request)
}

impl InFlight {
    /// A stream ends with OK, whatever its end was.
    fn hides(&self, status: &Status) {
        let code = status.code();
        let what = format!("the stream ends with OK for the caller, though it ended with {code:?}");
        self.losses.note(&self.path, &what);
    }
}

/// The messages of an answer.
#[derive(Debug)]
pub(super) struct Messages {
    body: Option<Incoming>,
    buffer: BytesMut,
    /// The compression that the service names.
    encoding: Option<HeaderValue>,
    /// The status that ended it.
    end: Option<HeaderMap>,
    in_flight: InFlight,
}

impl Messages {
    fn ended(in_flight: InFlight) -> Self {
        Self {
            body: None,
            buffer: BytesMut::new(),
            encoding: None,
            end: None,
            in_flight,
        }
    }

    fn of(
        response: Response<Incoming>,
        in_flight: InFlight,
        is_stream: bool,
    ) -> Result<Self, Status> {
        let (parts, body) = response.into_parts();
        let kind = parts.headers.get(CONTENT_TYPE);
        let is_grpc = kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
        let fault = match parts.status {
            StatusCode::OK if is_grpc => None,
            StatusCode::OK => Some(Status::unknown(
                "unexpected content-type: the service does not answer in gRPC",
            )),
            status => Some(of_http_status(status)),
        };
        let mut messages = Self::ended(in_flight);
        messages
            .in_flight
            .losses
            .answer_headers(&messages.in_flight.path, &parts.headers);
        match fault {
            Some(status) if is_stream => {
                messages.in_flight.hides(&status);
                return Ok(messages);
            }
            Some(status) => return Err(status),
            None => {}
        }
        messages.encoding = parts.headers.get("grpc-encoding").cloned();
        messages.body = Some(body);
        if parts.headers.contains_key("grpc-status") {
            messages.end = Some(parts.headers);
        }
        Ok(messages)
    }

    /// The next message of a stream; any error ends it.
    pub(super) async fn next(&mut self) -> Option<Bytes> {
        let was_open = self.body.is_some();
        let next = self.read().await;
        if was_open && self.in_flight.is_stream {
            let end = match &next {
                Ok(Some(_)) => None,
                Ok(None) => self.status(),
                Err(status) => Some(status.clone()),
            };
            if let Some(status) = end {
                self.in_flight.hides(&status);
            }
        }
        next.ok().flatten()
    }

    async fn read(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            if let Some(length) = length_of(&self.buffer) {
                if self.buffer[0] != 0 {
                    let identity = "grpc: compressed flag set with identity or empty encoding";
                    let text = match &self.encoding {
                        Some(encoding) if encoding != "identity" => no_decompressor(encoding),
                        _ => identity.to_owned(),
                    };
                    return Err(Status::internal(text));
                }
                if length > MAX_MESSAGE {
                    return Err(too_large(length));
                }
                if self.buffer.len() >= PREFIX + length {
                    self.buffer.advance(PREFIX);
                    return Ok(Some(self.buffer.split_to(length).freeze()));
                }
            }
            let Some(body) = &mut self.body else {
                return Ok(None);
            };
            let frame = tokio::select! {
                biased;
                frame = body.frame() => frame,
                () = self.in_flight.upstream.closed() => return Err(Upstream::closing()),
            };
            match frame {
                None => {
                    self.body = None;
                    if self.end.is_none() {
                        let text = "server closed the stream without sending trailers";
                        return Err(Status::internal(text));
                    }
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => self.buffer.extend_from_slice(&data),
                    Err(frame) => {
                        self.end = frame.into_trailers().ok();
                        if let Some(trailers) = &self.end {
                            let in_flight = &self.in_flight;
                            in_flight.losses.answer_headers(&in_flight.path, trailers);
                        }
                    }
                },
                Some(Err(error)) => {
                    let closed = self.in_flight.upstream.is_closed();
                    return Err(if closed {
                        Upstream::closing()
                    } else {
                        status_of(error)
                    });
                }
            }
        }
    }

    /// The final status, unless it is OK: code, text and details, no other trailers
    /// (grpc-unary-status-details).
    fn status(&self) -> Option<Status> {
        let status = Status::from_header_map(self.end.as_ref()?)?;
        let details = Bytes::copy_from_slice(status.details());
        (status.code() != Code::Ok)
            .then(|| Status::with_details(status.code(), status.message(), details))
    }
}

/// The status for an answer that is not gRPC, by its HTTP status.
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

/// A status as Go's gRPC library prints it.
pub(super) fn status_text(status: &Status) -> String {
    let code = match status.code() {
        Code::Cancelled => "Canceled".to_owned(),
        other => format!("{other:?}"),
    };
    format!("rpc error: code = {code} desc = {}", status.message())
}
