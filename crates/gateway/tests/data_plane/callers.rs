//! Those who call: by gRPC, HTTP, GraphQL and graphql-transport-ws, with nothing of their own added.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use http::{HeaderMap, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use crate::gateway::Gateway;
use crate::messages;
use crate::services::{CODES, Services, framed};

/// How long a call may take that sets no deadline.
const DEADLINE_S: f64 = 8.0;

/// Makes the call of a case; what came of it.
pub(crate) async fn call(gateway: &Gateway, services: &Services, case: &Value) -> Value {
    let call = &case["call"];
    match case["ingress"].as_str().expect("an ingress") {
        "grpc" => grpc(&gateway.control, services, call).await,
        "http" => http(&gateway.http, call).await,
        "graphql" => graphql(&gateway.http, call).await,
        _ => graphql_ws(&gateway.http, call).await,
    }
}

/// A GET; the status and the text.
pub(crate) async fn get(authority: &str, path: &str) -> (u16, String) {
    let answer = exchange(authority, "GET", path, &[], Bytes::new()).await;
    let (status, _, body) = answer.expect("an answer");
    (status, String::from_utf8_lossy(&body).into())
}

fn pairs(from: &Value) -> Vec<(String, String)> {
    let all = from.as_array().into_iter().flatten();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.map(|pair| (text(&pair[0]), text(&pair[1]))).collect()
}

fn told(headers: &HeaderMap, untold: impl Fn(&str) -> bool) -> Value {
    let mut all: Vec<Value> = headers
        .iter()
        .filter(|(name, _)| !untold(name.as_str()))
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    all.sort_by_key(Value::to_string);
    all.into()
}

// === gRPC ===

#[derive(Default)]
struct Answered {
    headers: HeaderMap,
    trailers: HeaderMap,
    body: BytesMut,
}

async fn grpc(authority: &str, services: &Services, call: &Value) -> Value {
    let path = call["method"].as_str().expect("a method");
    let method = services.methods.get(path);
    let message = match (&call["dynamic"], method) {
        (Value::String(raw), _) => messages::encode_raw(raw),
        (_, Some(method)) => messages::encode(&method.input(), &call["message"]),
        (_, None) => Vec::new(),
    };
    let timeout = call["timeout_s"].as_f64().unwrap_or(DEADLINE_S);
    let mut request = Request::post(format!("http://{authority}{path}"))
        .version(http::Version::HTTP_2)
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    if timeout > 0.0 {
        request = request.header("grpc-timeout", format!("{}m", (timeout * 1000.0) as u64));
    }
    for (name, value) in pairs(&call["metadata"]) {
        let value = match name.ends_with("-bin") {
            true => messages::base64(&messages::unhex(&value)),
            false => value,
        };
        request = request.header(name, value);
    }
    let is_packed = call["compress"] == true;
    if is_packed {
        request = request.header("grpc-encoding", "gzip");
    }
    let body = framed(&message, is_packed);
    let request = request.body(Full::new(body)).expect("a request");
    let mut answered = Answered::default();
    let (timeout, patience) = if timeout > 0.0 {
        (timeout, timeout + 0.5)
    } else {
        (DEADLINE_S, DEADLINE_S)
    };
    let patience = Duration::from_secs_f64(call["cancel_after_s"].as_f64().unwrap_or(patience));
    let begun = tokio::time::Instant::now();
    let ended =
        tokio::time::timeout(patience, grpc_exchange(authority, request, &mut answered)).await;
    let show_raw = call["show_raw"] == true;
    let output = method.map(prost_reflect::MethodDescriptor::output);
    let mut list = Vec::new();
    let mut rest = &answered.body[..];
    while let Some((prefix, after)) = rest.split_first_chunk::<5>() {
        let length = u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]) as usize;
        let Some((message, after)) = after.split_at_checked(length) else {
            break;
        };
        list.push(match show_raw {
            true => messages::raw(message),
            false => messages::decode(output.as_ref(), message),
        });
        rest = after;
    }
    let status = match (&ended, call["cancel_after_s"].is_null()) {
        (Err(_), false) => tonic::Status::cancelled(""),
        (Err(_), true) => tonic::Status::deadline_exceeded(""),
        // A gateway resets the call then; callers know by their own clocks.
        (Ok(Err(_)), _) if begun.elapsed().as_secs_f64() >= timeout => {
            tonic::Status::deadline_exceeded("")
        }
        (Ok(Err(error)), _) => tonic::Status::unavailable(error.clone()),
        (Ok(Ok(())), _) => tonic::Status::from_header_map(&answered.trailers)
            .or_else(|| tonic::Status::from_header_map(&answered.headers))
            .unwrap_or_else(|| tonic::Status::unknown("no status")),
    };
    let untold = |name: &str| {
        matches!(
            name,
            "content-type" | "date" | "grpc-status" | "grpc-message" | "grpc-accept-encoding"
        )
    };
    let (mut headers, mut trailers) = (answered.headers, answered.trailers);
    if headers.contains_key("grpc-status") {
        trailers = std::mem::take(&mut headers);
    }
    let mut trailers = told(&trailers, untold);
    for pair in trailers.as_array_mut().into_iter().flatten() {
        if pair[0].as_str().is_some_and(|name| name.ends_with("-bin")) {
            let padded =
                messages::base64(&messages::encode_raw(pair[1].as_str().unwrap_or_default()));
            pair[1] = json!({ "$base64": padded });
        }
    }
    json!({
        "messages": list,
        "code": CODES[status.code() as usize],
        "message": status.message(),
        "headers": told(&headers, untold),
        "trailers": trailers,
    })
}

async fn grpc_exchange(
    authority: &str,
    request: Request<Full<Bytes>>,
    into: &mut Answered,
) -> Result<(), String> {
    let text = |error: hyper::Error| error.to_string();
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| error.to_string())?;
    let io = TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io)
        .await
        .map_err(text)?;
    let _connection = AbortOnDrop(tokio::spawn(async move { drop(connection.await) }));
    let (parts, mut body) = sender
        .send_request(request)
        .await
        .map_err(text)?
        .into_parts();
    into.headers = parts.headers;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(text)?;
        match frame.into_data() {
            Ok(data) => into.body.extend_from_slice(&data),
            Err(frame) => into.trailers = frame.into_trailers().unwrap_or_default(),
        }
    }
    Ok(())
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

// === HTTP ===

type Answer = (u16, HeaderMap, Bytes);

async fn exchange(
    authority: &str,
    method: &str,
    path: &str,
    headers: &[(String, String)],
    body: Bytes,
) -> Result<Answer, String> {
    let stream = TcpStream::connect(authority)
        .await
        .map_err(|error| error.to_string())?;
    let io = TokioIo::new(stream);
    let text = |error: hyper::Error| error.to_string();
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(text)?;
    let _connection = AbortOnDrop(tokio::spawn(async move { drop(connection.await) }));
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(body)).expect("a request");
    let answer = sender.send_request(request).await.map_err(text)?;
    let (parts, body): (_, Incoming) = answer.into_parts();
    let body = body.collect().await.map_err(text)?.to_bytes();
    Ok((parts.status.as_u16(), parts.headers, body))
}

async fn http(authority: &str, call: &Value) -> Value {
    let method = call["method"].as_str().expect("a method");
    let path = call["path"].as_str().expect("a path");
    let body = messages::body(&call["body"]);
    let headers = pairs(&call["headers"]);
    let patience = Duration::from_secs_f64(call["cancel_after_s"].as_f64().unwrap_or(30.0));
    let answer = exchange(authority, method, path, &headers, body.into());
    match tokio::time::timeout(patience, answer).await {
        Err(_) => json!({ "cancelled": true }),
        Ok(Err(_)) => json!({ "status": null, "error": "connection closed without an answer" }),
        Ok(Ok((status, headers, body))) => {
            let untold = |name: &str| {
                matches!(
                    name,
                    "date" | "content-length" | "connection" | "transfer-encoding"
                )
            };
            json!({ "status": status, "headers": told(&headers, untold), "body": messages::body_text(&body) })
        }
    }
}

// === GraphQL ===

async fn graphql(authority: &str, call: &Value) -> Value {
    let mut headers = pairs(&call["headers"]);
    if !headers.iter().any(|(name, _)| name == "content-type") {
        headers.push(("content-type".to_owned(), "application/json".to_owned()));
    }
    let body = match &call["body"] {
        Value::Null => asked(call).to_string().into_bytes(),
        body => messages::body(body),
    };
    let method = call["method"].as_str().unwrap_or("POST");
    let path = call["path"].as_str().unwrap_or("/api/graphql");
    match exchange(authority, method, path, &headers, body.into()).await {
        Err(error) => json!({ "status": null, "error": error }),
        Ok((status, headers, body)) => {
            let parsed =
                serde_json::from_slice(&body).unwrap_or_else(|_| messages::body_text(&body));
            match call["show_raw"] == true {
                true => {
                    json!({ "status": status, "body": messages::body_text(&body), "headers": told(&headers, |name|
                    matches!(name, "date" | "content-length" | "connection" | "transfer-encoding")) })
                }
                false => json!({ "status": status, "body": messages::shortened(parsed) }),
            }
        }
    }
}

fn asked(call: &Value) -> Value {
    let mut asked = json!({ "query": call["query"] });
    for key in ["variables", "operationName"] {
        if !call[key].is_null() {
            asked[key] = call[key].clone();
        }
    }
    asked
}

async fn graphql_ws(authority: &str, call: &Value) -> Value {
    let mut request = format!("ws://{authority}/api/graphql")
        .into_client_request()
        .expect("a request");
    let protocol = http::HeaderValue::from_static("graphql-transport-ws");
    request
        .headers_mut()
        .insert("sec-websocket-protocol", protocol);
    for (name, value) in pairs(&call["headers"]) {
        let name: http::HeaderName = name.parse().expect("a name");
        request
            .headers_mut()
            .insert(name, value.parse().expect("a value"));
    }
    let stream = TcpStream::connect(authority).await.expect("a gateway");
    let (mut socket, _) = match tokio_tungstenite::client_async(request, stream).await {
        Ok(connected) => connected,
        Err(error) => return json!({ "refused": error.to_string() }),
    };
    let init = json!({ "type": "connection_init" }).to_string();
    socket.send(Message::text(init)).await.expect("sent");
    let mut ack = Value::Null;
    let mut frames = Vec::new();
    let most = call["cancel_after_messages"].as_u64();
    let deadline = tokio::time::Instant::now() + Duration::from_secs_f64(DEADLINE_S);
    while let Ok(Some(Ok(message))) = tokio::time::timeout_at(deadline, socket.next()).await {
        let text = match message {
            Message::Text(text) => text,
            Message::Close(frame) => {
                frames.push(
                    json!({ "close": frame.map(|it| (u16::from(it.code), it.reason.to_string())) }),
                );
                break;
            }
            _ => continue,
        };
        let mut frame: Value = serde_json::from_str(&text).expect("JSON");
        let kind = frame["type"].as_str().unwrap_or_default().to_owned();
        if kind == "connection_ack" {
            ack = frame["type"].clone();
            let subscribe =
                json!({ "id": "1", "type": "subscribe", "payload": asked(call) }).to_string();
            socket.send(Message::text(subscribe)).await.expect("sent");
            continue;
        }
        if let Some(frame) = frame.as_object_mut() {
            frame.remove("id");
        }
        frames.push(messages::shortened(frame));
        if most.is_some_and(|most| frames.len() as u64 >= most) {
            let complete = json!({ "id": "1", "type": "complete" }).to_string();
            let _ = socket.send(Message::text(complete)).await;
            break;
        }
        if matches!(kind.as_str(), "complete" | "error") {
            break;
        }
    }
    // The service hears of a cancelled subscription while the connection is open.
    if most.is_some() {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    let _ = socket.close(None).await;
    json!({ "frames": frames, "ack": ack })
}
