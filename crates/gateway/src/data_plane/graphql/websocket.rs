//! graphql-transport-ws: subscriptions over a WebSocket.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use http::header::{
    CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use tokio::sync::mpsc;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_util::sync::CancellationToken;

use super::super::json::{self, Value};
use super::serve::{Asked, Refused};
use super::subscribe::Event;
use crate::http_port::HttpBody;
use crate::node::life::Life;

const PROTOCOL: &str = "graphql-transport-ws";

/// The most subscriptions of one socket.
const MAX_SUBSCRIPTIONS: usize = 100;

/// The largest message of a caller, in bytes.
const MAX_MESSAGE: usize = 1 << 20;

/// How long a caller may take to begin.
const INIT: Duration = Duration::from_secs(10);

fn empty(status: StatusCode) -> Response<HttpBody> {
    let body = Full::new(Bytes::new()).map_err(|never| match never {});
    let mut response = Response::new(body.boxed());
    *response.status_mut() = status;
    response
}

/// Answers a request that asks for a WebSocket.
pub(super) fn upgrade(life: &Arc<Life>, mut request: Request<Incoming>) -> Response<HttpBody> {
    let offered = request
        .headers()
        .get(SEC_WEBSOCKET_PROTOCOL)
        .map(|it| json::lossy(it.as_bytes()));
    let speaks = offered.is_some_and(|it| it.split(',').any(|it| it.trim() == PROTOCOL));
    let Some(key) = request
        .headers()
        .get(SEC_WEBSOCKET_KEY)
        .cloned()
        .filter(|_| speaks)
    else {
        return empty(StatusCode::BAD_REQUEST);
    };
    let headers = request.headers().clone();
    let upgraded = hyper::upgrade::on(&mut request);
    let task_life = Arc::clone(life);
    life.tasks.spawn(async move {
        // Fails if the caller has disconnected.
        let Ok(upgraded) = upgraded.await else { return };
        let config = WebSocketConfig::default()
            .max_message_size(Some(MAX_MESSAGE))
            .max_frame_size(Some(MAX_MESSAGE));
        let io = TokioIo::new(upgraded);
        let socket = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        serve(&task_life, socket, &headers).await;
    });
    let mut response = empty(StatusCode::SWITCHING_PROTOCOLS);
    let out = response.headers_mut();
    out.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    out.insert(UPGRADE, HeaderValue::from_static("websocket"));
    out.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(PROTOCOL));
    if let Ok(accept) = HeaderValue::from_str(&derive_accept_key(key.as_bytes())) {
        out.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    response
}

/// A message of a subscription; `None` ends the connection.
type Told = Option<(String, String)>;

async fn serve<S>(life: &Arc<Life>, socket: WebSocketStream<S>, headers: &HeaderMap)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let (mut out, mut incoming) = socket.split();
    let (told, mut telling) = mpsc::channel::<Told>(16);
    let mut running: HashMap<String, CancellationToken> = HashMap::new();
    // Ends every subscription when the socket ends.
    let all = CancellationToken::new();
    let _all = all.clone().drop_guard();
    let mut is_open = false;
    let init = tokio::time::sleep(INIT);
    tokio::pin!(init);
    loop {
        tokio::select! {
            () = &mut init, if !is_open => {
                let _ = out.send(closing(4408, "Connection initialisation timeout")).await;
                return;
            }
            message = telling.recv() => {
                // The sender kept here keeps it open.
                let Some(Some((id, text))) = message else { return };
                let is_end = text.contains("\"type\":\"complete\"") || text.contains("\"type\":\"error\"");
                if is_end {
                    running.remove(&id);
                }
                if out.send(Message::text(text)).await.is_err() {
                    return;
                }
            }
            message = incoming.next() => {
                let text = match message {
                    Some(Ok(Message::Text(text))) => text,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                    Some(Ok(_)) => continue,
                };
                let Ok(Value::Object(mut message)) = json::whole(text.as_bytes()) else {
                    let _ = out.send(closing(4400, "Invalid message")).await;
                    return;
                };
                let mut word = |key: &str| match message.remove(key) {
                    Some(Value::String(text)) => Some(text),
                    _ => None,
                };
                let (kind, id) = (word("type").unwrap_or_default(), word("id").unwrap_or_default());
                let reply = match kind.as_str() {
                    "connection_init" => {
                        is_open = true;
                        Some(r#"{"type":"connection_ack"}"#)
                    }
                    "ping" => Some(r#"{"type":"pong"}"#),
                    "complete" => {
                        if let Some(token) = running.remove(&id) {
                            token.cancel();
                        }
                        None
                    }
                    "subscribe" if !is_open => {
                        let _ = out.send(closing(4401, "Unauthorized")).await;
                        return;
                    }
                    "subscribe" if running.contains_key(&id) => {
                        let text = format!("Subscriber for {id} already exists");
                        let _ = out.send(closing(4409, &text)).await;
                        return;
                    }
                    "subscribe" if running.len() < MAX_SUBSCRIPTIONS => {
                        let token = all.child_token();
                        running.insert(id.clone(), token.clone());
                        let payload = message.remove("payload").unwrap_or(Value::Null);
                        let asked = Asked::of(payload);
                        let (life, headers, told) = (Arc::clone(life), headers.clone(), told.clone());
                        let tasks = life.tasks.clone();
                        tasks.spawn(async move { run(&life, asked, &headers, id, &told, &token).await });
                        None
                    }
                    _ => None,
                };
                if let Some(reply) = reply
                    && out.send(Message::text(reply)).await.is_err()
                {
                    return;
                }
            }
        }
    }
}

fn closing(code: u16, reason: &str) -> Message {
    Message::Close(Some(CloseFrame {
        code: CloseCode::from(code),
        reason: reason.into(),
    }))
}

/// One subscription, from its beginning to its end.
async fn run(
    life: &Arc<Life>,
    asked: Asked,
    headers: &HeaderMap,
    id: String,
    told: &mpsc::Sender<Told>,
    token: &CancellationToken,
) {
    let mut quoted = String::new();
    json::quote(&id, &mut quoted);
    let error = |errors: &[String]| {
        format!(
            "{{\"id\":{quoted},\"type\":\"error\",\"payload\":[{}]}}",
            errors.join(",")
        )
    };
    let begun = async {
        match asked.prepared(life, headers) {
            Ok(execution) => execution
                .subscribe()
                .await
                .map_err(|text| Refused::Errors(vec![text])),
            Err(refused) => Err(refused),
        }
    };
    let begun = tokio::select! {
        begun = begun => begun,
        () = token.cancelled() => return,
    };
    let mut events = match begun {
        Ok(events) => events,
        Err(Refused::Errors(errors)) => {
            let _ = told.send(Some((id, error(&errors)))).await;
            return;
        }
        Err(Refused::Fatal) => {
            let _ = told.send(None).await;
            return;
        }
    };
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = token.cancelled() => return events.end().await,
        };
        let is_end = matches!(event, Event::End);
        let text = match event {
            Event::Next(data) => {
                format!("{{\"id\":{quoted},\"type\":\"next\",\"payload\":{{\"data\":{data}}}}}")
            }
            Event::End => format!("{{\"id\":{quoted},\"type\":\"complete\"}}"),
            Event::Fatal => {
                let _ = told.send(None).await;
                return;
            }
        };
        let sent = tokio::select! {
            sent = told.send(Some((id.clone(), text))) => sent.is_ok(),
            () = token.cancelled() => false,
        };
        if !sent {
            return events.end().await;
        }
        if is_end {
            return;
        }
    }
}
