//! The services behind the gateway: they answer as the case says, and note what they are sent.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_tungstenite::tungstenite::Message;

use crate::gateway::{binding, proto::ServiceBinding};
use crate::messages::{self, Methods};

const INTROSPECTION: &str = include_str!("../data/data-plane-introspection.json");

/// Headers that say nothing of the call.
const UNTOLD: [&str; 6] = [
    "date",
    "content-length",
    "user-agent",
    "accept-encoding",
    "host",
    "connection",
];

pub(crate) struct Services {
    pub(crate) methods: Arc<Methods>,
    schemas: Value,
    grpc: SocketAddr,
    http: SocketAddr,
    graphql: SocketAddr,
    played: Arc<Played>,
}

/// The case that is played.
struct Played {
    case: Mutex<Case>,
    /// How many calls the services are at.
    busy: watch::Sender<usize>,
}

#[derive(Default)]
struct Case {
    answer: Value,
    recorded: Value,
    show_raw: bool,
    saw: Vec<Value>,
}

impl Played {
    fn case(&self) -> MutexGuard<'_, Case> {
        self.case.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(self: &Arc<Self>, entry: Value) -> Noted {
        let mut case = self.case();
        case.saw.push(entry);
        Noted {
            busy: self.busy(),
            at: case.saw.len() - 1,
            done: false,
        }
    }

    fn busy(self: &Arc<Self>) -> Busy {
        self.busy.send_modify(|busy| *busy += 1);
        Busy(Arc::clone(self))
    }
}

/// The case is not over while this exists.
struct Busy(Arc<Played>);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.busy.send_modify(|busy| *busy -= 1);
    }
}

/// A call that a service works on; dropped before it is done, it was cancelled.
struct Noted {
    busy: Busy,
    at: usize,
    done: bool,
}

impl Noted {
    fn finish(mut self) {
        self.done = true;
    }
}

impl Drop for Noted {
    fn drop(&mut self) {
        if !self.done
            && let Some(entry) = self.busy.0.case().saw.get_mut(self.at)
        {
            entry["cancelled"] = json!(true);
        }
    }
}

impl Services {
    pub(crate) async fn start(schemas: &Value) -> Self {
        let played = Arc::new(Played {
            case: Mutex::default(),
            busy: watch::Sender::new(0),
        });
        let mut methods = Methods::default();
        for (name, schema) in schemas.as_object().expect("schemas") {
            if schema["kind"] == "proto" {
                methods.add(name, schema["source"].as_str().expect("a source"));
            }
        }
        let methods = Arc::new(methods);
        let (grpc_listener, grpc) = listen().await;
        let (http_listener, http) = listen().await;
        let (graphql_listener, graphql) = listen().await;
        let (state, known) = (Arc::clone(&played), Arc::clone(&methods));
        tokio::spawn(accept(grpc_listener, move |stream| {
            let (state, known) = (Arc::clone(&state), Arc::clone(&known));
            let service = service_fn(move |request| {
                let (state, known) = (Arc::clone(&state), Arc::clone(&known));
                async move { Ok::<_, Infallible>(answer_grpc(state, &known, request).await) }
            });
            async move {
                let server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            }
        }));
        let state = Arc::clone(&played);
        tokio::spawn(accept(http_listener, move |stream| {
            let state = Arc::clone(&state);
            let service = service_fn(move |request| {
                let state = Arc::clone(&state);
                async move { Ok::<_, Infallible>(answer_http(&state, request, http).await) }
            });
            async move {
                let server = hyper::server::conn::http1::Builder::new();
                let _ = server.serve_connection(TokioIo::new(stream), service).await;
            }
        }));
        let state = Arc::clone(&played);
        tokio::spawn(accept(graphql_listener, move |stream| {
            serve_graphql(Arc::clone(&state), stream)
        }));
        Self {
            methods,
            schemas: schemas.clone(),
            grpc,
            http,
            graphql,
            played,
        }
    }

    /// Address and binding of every schema.
    pub(crate) fn bindings(&self) -> Vec<(String, ServiceBinding)> {
        let schemas = self.schemas.as_object().expect("schemas");
        let bindings = schemas.values().map(|schema| {
            let away = schema["address"].as_str();
            let suffix = schema["address_suffix"].as_str().unwrap_or_default();
            let addr = match schema["kind"].as_str() {
                Some("proto") => self.grpc.to_string(),
                Some("openapi") => format!("http://{}{suffix}", self.http),
                _ => self.graphql.to_string(),
            };
            let addr = away.map(str::to_owned).unwrap_or(addr);
            let mut schema = schema.clone();
            if std::env::var("GWAG_GATEWAY_RELEASE").is_ok_and(|it| it.starts_with("1.1"))
                && let Some(source) = schema["source"].as_str()
            {
                let tenant = "{\"name\": \"X-Tenant-Id\", \"in\": \"header\", \"schema\": {\"type\": \"string\"}}, ";
                schema["source"] = source.replace(tenant, "").into();
            }
            (addr, binding(&schema, &self.graphql.to_string()))
        });
        bindings.collect()
    }

    /// A text with names instead of addresses.
    pub(crate) fn anonymous(&self, text: &str) -> String {
        text.replace(&self.grpc.to_string(), "UPSTREAM0")
            .replace(&self.http.to_string(), "UPSTREAM1")
            .replace(&self.graphql.to_string(), "UPSTREAM3")
    }

    pub(crate) fn begin(&self, case: &Value) {
        *self.played.case() = Case {
            answer: case["answer"].clone(),
            recorded: case["upstream_saw"].clone(),
            show_raw: case["call"]["show_raw"] == true,
            saw: Vec::new(),
        };
    }

    /// What the services saw, once they are at rest.
    pub(crate) async fn end(&self) -> Value {
        let mut busy = self.played.busy.subscribe();
        let rest = busy.wait_for(|busy| *busy == 0);
        let _ = tokio::time::timeout(Duration::from_secs(5), rest).await;
        Value::Array(std::mem::take(&mut self.played.case().saw))
    }
}

async fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    (listener, address)
}

async fn accept<F: Future<Output = ()> + Send + 'static>(
    listener: TcpListener,
    serve: impl Fn(TcpStream) -> F,
) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        tokio::spawn(serve(stream));
    }
}

async fn wait(answer: &Value, key: &str) {
    if let Some(seconds) = answer[key].as_f64() {
        tokio::time::sleep(Duration::from_secs_f64(seconds)).await;
    }
}

fn told(headers: &HeaderMap, untold: impl Fn(&str) -> bool) -> Value {
    let mut all: Vec<(String, String)> = headers
        .iter()
        .filter(|(name, _)| !untold(name.as_str()))
        .map(|(name, value)| {
            (
                name.to_string(),
                String::from_utf8_lossy(value.as_bytes()).into(),
            )
        })
        .collect();
    all.sort();
    json!(all)
}

fn add_headers(headers: &mut HeaderMap, from: &Value) {
    for pair in from.as_array().into_iter().flatten() {
        let (name, value) = (
            pair[0].as_str().expect("a name"),
            pair[1].as_str().expect("a value"),
        );
        let value = match name.ends_with("-bin") {
            true => base64::Engine::encode(
                &base64::engine::general_purpose::STANDARD_NO_PAD,
                messages::unhex(value),
            ),
            false => value.to_owned(),
        };
        let name: HeaderName = name.parse().expect("a header");
        headers.append(name, HeaderValue::from_str(&value).expect("a header"));
    }
}

// === gRPC ===

type Frames = http_body_util::combinators::BoxBody<Bytes, Infallible>;

async fn answer_grpc(
    played: Arc<Played>,
    methods: &Methods,
    request: Request<Incoming>,
) -> Response<Frames> {
    // From its head on: a message that comes late would take the next case's answer.
    let _busy = played.busy();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let method = methods.get(&path);
    // A call that is taken back before its message has come is none.
    let Ok(body) = body.collect().await else {
        return Response::new(BodyExt::boxed(Full::default()));
    };
    let body = body.to_bytes();
    let message = body.get(5..).unwrap_or_default();
    let (answer, show_raw) = {
        let case = played.case();
        (case.answer.clone(), case.show_raw)
    };
    let untold = |name: &str| {
        matches!(
            name,
            "content-type" | "te" | "user-agent" | "grpc-timeout" | "grpc-accept-encoding"
        )
    };
    let mut entry = json!({
        "method": path,
        "message": messages::decode(method.map(prost_reflect::MethodDescriptor::input).as_ref(), message),
        "metadata": told(&parts.headers, untold),
        "deadline_s": parts.headers.get("grpc-timeout").map(|it| seconds(it).round() as u64),
    });
    if show_raw && !message.is_empty() {
        entry["raw"] = messages::raw(message)["$raw"].clone();
    }
    let noted = played.note(entry);
    wait(&answer, "wait_s").await;
    let is_packed = answer["compress"] == true;
    let texts: Vec<Bytes> = answer["messages"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|message| {
            framed(
                &messages::encode(&method.expect("known").output(), message),
                is_packed,
            )
        })
        .collect();
    let (sender, frames) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let mut response = Response::new(BodyExt::boxed(StreamBody::new(ReceiverStream::new(frames))));
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/grpc"));
    if is_packed {
        response
            .headers_mut()
            .insert("grpc-encoding", HeaderValue::from_static("gzip"));
    }
    add_headers(response.headers_mut(), &answer["headers"]);
    tokio::spawn(async move {
        for text in texts {
            if sender.send(Ok(Frame::data(text))).await.is_err() {
                return;
            }
        }
        tokio::select! {
            () = wait(&answer, "then_wait_s") => {}
            () = sender.closed() => return,
        }
        if answer["cut"] == true {
            // Ends without trailers, as a service that is killed.
            return noted.finish();
        }
        if sender
            .send(Ok(Frame::trailers(trailers(&answer))))
            .await
            .is_ok()
        {
            noted.finish();
        }
    });
    response
}

fn trailers(answer: &Value) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    add_headers(&mut trailers, &answer["trailers"]);
    let code = code(answer["code"].as_str().unwrap_or("OK"));
    let message = answer["message"].as_str().unwrap_or_default();
    let details = answer["details_hex"]
        .as_str()
        .map(messages::unhex)
        .unwrap_or_default();
    let status = tonic::Status::with_details(code, message, details.into());
    status.add_header(&mut trailers).expect("headers");
    trailers
}

/// What `grpc-timeout` means.
fn seconds(value: &HeaderValue) -> f64 {
    let text = value.to_str().expect("text");
    let (digits, unit) = text.split_at(text.len() - 1);
    let number: f64 = digits.parse().expect("digits");
    number
        * match unit {
            "H" => 3600.0,
            "M" => 60.0,
            "S" => 1.0,
            "m" => 1e-3,
            "u" => 1e-6,
            _ => 1e-9,
        }
}

pub(crate) const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

fn code(name: &str) -> tonic::Code {
    let at = CODES.iter().position(|code| *code == name).expect("a code");
    tonic::Code::from_i32(i32::try_from(at).expect("small"))
}

pub(crate) fn framed(message: &[u8], is_packed: bool) -> Bytes {
    let mut out = BytesMut::with_capacity(message.len() + 5);
    out.put_u8(is_packed.into());
    out.put_u32(u32::try_from(message.len()).expect("small"));
    out.put_slice(message);
    out.freeze()
}

// === HTTP ===

async fn answer_http(
    played: &Arc<Played>,
    request: Request<Incoming>,
    address: SocketAddr,
) -> Response<Full<Bytes>> {
    let _busy = played.busy();
    let answer = played.case().answer.clone();
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let kept: Vec<&str> = answer["keep_headers"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let untold = |name: &str| UNTOLD.contains(&name) && !kept.contains(&name);
    let mut headers = told(&parts.headers, untold);
    let kind = parts
        .headers
        .get("content-type")
        .and_then(|it| it.to_str().ok())
        .unwrap_or_default();
    let text = match kind.split_once("boundary=") {
        Some((before, boundary)) => {
            for pair in headers.as_array_mut().into_iter().flatten() {
                if pair[0] == "content-type" {
                    pair[1] = format!("{before}boundary=*").into();
                }
            }
            let body = String::from_utf8_lossy(&body);
            let mut all: Vec<&str> = body.split(&format!("--{boundary}")).collect();
            all.retain(|part| !part.is_empty() && *part != "--\r\n");
            let mut all: Vec<&str> = all
                .into_iter()
                .map(|part| part.trim_matches(['\r', '\n']))
                .collect();
            all.sort_unstable();
            json!(all)
        }
        None => messages::body_text(&body),
    };
    let path = parts.uri.path_and_query().map_or("/", |it| it.as_str());
    if answer.is_array() {
        // The case is one of the GraphQL service.
        return Response::new(Full::default());
    }
    let entry =
        json!({ "method": parts.method.as_str(), "path": path, "headers": headers, "body": text });
    let noted = played.note(entry);
    wait(&answer, "wait_s").await;
    noted.finish();
    if answer["hop"] == true && parts.uri.path() == "/elsewhere" {
        let mut response = Response::new(Full::from("{\"id\":2,\"name\":\"elsewhere\"}"));
        response
            .headers_mut()
            .insert("content-type", HeaderValue::from_static("application/json"));
        return response;
    }
    let mut response = Response::new(Full::from(messages::body(&answer["body"])));
    let status = answer["status"]
        .as_u64()
        .and_then(|it| u16::try_from(it).ok())
        .unwrap_or(200);
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    if status == 418 {
        // As the recording's service said it.
        let reason = hyper::ext::ReasonPhrase::from_static(b"I'm a Teapot");
        response.extensions_mut().insert(reason);
    }
    let mut own = answer["headers"].clone();
    for pair in own.as_array_mut().into_iter().flatten() {
        if let Some(text) = pair[1].as_str() {
            pair[1] = text.replace("UPSTREAM1", &address.to_string()).into();
        }
    }
    add_headers(response.headers_mut(), &own);
    response
}

// === GraphQL ===

async fn serve_graphql(played: Arc<Played>, stream: TcpStream) {
    let mut start = [0; 2048];
    let Ok(length) = stream.peek(&mut start).await else {
        return;
    };
    let start = String::from_utf8_lossy(&start[..length]).to_ascii_lowercase();
    if start.contains("upgrade: websocket") {
        return serve_subscriptions(&played, stream).await;
    }
    let service = service_fn(move |request| {
        let played = Arc::clone(&played);
        async move { Ok::<_, Infallible>(answer_graphql(&played, request).await) }
    });
    let server = hyper::server::conn::http1::Builder::new();
    let _ = server.serve_connection(TokioIo::new(stream), service).await;
}

/// With one blank where there are several.
fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

async fn answer_graphql(played: &Arc<Played>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let _busy = played.busy();
    let (parts, body) = request.into_parts();
    let body = body
        .collect()
        .await
        .map(http_body_util::Collected::to_bytes)
        .unwrap_or_default();
    let asked: Value = serde_json::from_slice(&body).unwrap_or_default();
    let query = asked["query"].as_str().unwrap_or_default();
    let answer = if query.contains("__schema") {
        let all: Value = serde_json::from_str(INTROSPECTION).expect("JSON");
        let name = if parts.uri.path() == "/me" {
            "gqlme"
        } else {
            "gql"
        };
        json!({ "status": 200, "body": { "data": all[name] } })
    } else {
        let entry = json!({
            "method": "POST",
            "path": parts.uri.path(),
            "headers": told(&parts.headers, |name| UNTOLD.contains(&name)),
            "query": on_one_line(query),
            "variables": asked["variables"],
            "operationName": asked["operationName"],
        });
        let query = entry["query"].clone();
        played.note(entry).finish();
        let case = played.case();
        let recorded = case.recorded.as_array().cloned().unwrap_or_default();
        // The answer that was given to this query, else the next one.
        let at = recorded
            .iter()
            .position(|it| it["query"] == query)
            .unwrap_or(case.saw.len() - 1);
        let answer = case.answer[at].clone();
        drop(case);
        answer
    };
    let body = match &answer["body"] {
        Value::String(text) => text.clone(),
        // As Python writes it, whose texts are in the recording.
        body => spaced(body),
    };
    let mut response = Response::new(Full::from(body));
    let status = answer["status"]
        .as_u64()
        .and_then(|it| u16::try_from(it).ok())
        .unwrap_or(200);
    *response.status_mut() = http::StatusCode::from_u16(status).expect("a status");
    response
        .headers_mut()
        .insert("content-type", HeaderValue::from_static("application/json"));
    response
}

/// JSON with a blank behind `:` and `,`, and with the keys of errors in their usual order.
fn spaced(value: &Value) -> String {
    const ORDER: [&str; 7] = [
        "data",
        "errors",
        "message",
        "locations",
        "line",
        "column",
        "path",
    ];
    match value {
        Value::Object(map) => {
            let mut keys: Vec<&String> = map.keys().collect();
            keys.sort_by_key(|key| ORDER.iter().position(|it| it == key).unwrap_or(ORDER.len()));
            let members: Vec<String> = keys
                .into_iter()
                .map(|key| format!("{}: {}", json!(key), spaced(&map[key])))
                .collect();
            format!("{{{}}}", members.join(", "))
        }
        Value::Array(all) => format!(
            "[{}]",
            all.iter().map(spaced).collect::<Vec<_>>().join(", ")
        ),
        other => other.to_string(),
    }
}

/// `ticks(n:)` counts from 0, `broken` fails at its second event.
async fn serve_subscriptions(played: &Arc<Played>, stream: TcpStream) {
    use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
    // The type is the library's.
    #[allow(clippy::result_large_err)]
    let protocol = |_: &Request, mut response: Response| {
        let value = HeaderValue::from_static("graphql-transport-ws");
        response
            .headers_mut()
            .insert("sec-websocket-protocol", value);
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(stream, protocol).await else {
        return;
    };
    let mut events: Vec<Value> = Vec::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    let mut id = Value::Null;
    loop {
        tokio::select! {
            message = socket.next() => {
                let Some(Ok(Message::Text(text))) = message else { return };
                let message: Value = serde_json::from_str(&text).unwrap_or_default();
                let payload = &message["payload"];
                match message["type"].as_str() {
                    Some("connection_init") => {
                        played.note(json!({ "ws": "connection_init", "payload": payload })).finish();
                        let ack = json!({ "type": "connection_ack" }).to_string();
                        let _ = socket.send(Message::text(ack)).await;
                    }
                    Some("subscribe") => {
                        let query = on_one_line(payload["query"].as_str().unwrap_or_default());
                        events = events_of(&query, &payload["variables"]);
                        id = message["id"].clone();
                        let entry = json!({ "ws": "subscribe", "query": query, "variables": payload["variables"] });
                        played.note(entry).finish();
                    }
                    Some("complete") => {
                        played.note(json!({ "ws": "complete" })).finish();
                        events.clear();
                    }
                    _ => {}
                }
            }
            _ = ticks.tick(), if !events.is_empty() => {
                let mut event = events.remove(0);
                event["id"] = id.clone();
                let _ = socket.send(Message::text(event.to_string())).await;
            }
        }
    }
}

fn events_of(query: &str, variables: &Value) -> Vec<Value> {
    let next = |payload: Value| json!({ "type": "next", "payload": payload });
    let mut events = Vec::new();
    if query.contains("ticks") {
        let literal = query
            .split("n: ")
            .nth(1)
            .and_then(|it| it.split(')').next()?.parse().ok());
        let count: u64 = literal.or(variables["n"].as_u64()).unwrap_or_default();
        events.extend((0..count).map(|n| next(json!({ "data": { "ticks": n } }))));
    } else if query.contains("broken") {
        events.push(next(json!({ "data": { "broken": 1 } })));
        let errors = json!([{ "message": "broken", "locations": [{ "line": 1, "column": 16 }], "path": ["broken"] }]);
        events.push(next(
            json!({ "data": { "broken": null }, "errors": errors }),
        ));
    }
    events.push(json!({ "type": "complete" }));
    events
}
