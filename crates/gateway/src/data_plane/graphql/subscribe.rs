//! Subscriptions: the events of a stream, of a proto service or of a GraphQL service.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use http::{HeaderValue, Uri};
use tokio::net::TcpStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tower_gwag_schema::graphql::{FieldSource, Operation as Call, Target};

use super::super::fatal_calls::Ingress;
use super::super::grpc::{self, Caller, Messages, died_of, readable};
use super::super::http_client::dial;
use super::super::json::{self, Raw, Value};
use super::super::message::{Deadly, Misfit, to_value};
use super::super::{admitted, http_ingress};
use super::document::{Field, OperationKind, Selection};
use super::execute::{Execution, error_json};
use crate::freeze::Gated;
use crate::registry::routes::GrpcRoute;
use crate::registry::slot::Chosen;

/// How long a service may take to accept a subscription.
const HANDSHAKE: Duration = Duration::from_secs(20);

/// The largest message of a service, in bytes.
const MAX_MESSAGE: usize = 16 << 20;

/// The source of events.
pub(super) struct Events {
    execution: Execution,
    source: Source,
}

enum Source {
    Grpc(Box<Messages>, GrpcRoute),
    Remote {
        socket: Box<WebSocketStream<Gated<TcpStream>>>,
        /// The name of the field in the service's schema.
        name: String,
        _chosen: Chosen,
    },
}

/// The next message of a subscription.
pub(super) enum Event {
    /// The value of `data`.
    Next(String),
    End,
    /// The event would end a real gateway's process.
    Fatal,
}

impl Execution {
    /// Begins the subscription; the error has the errors as JSON.
    pub(super) async fn subscribe(self) -> Result<Events, String> {
        let plain = |text: &str| error_json("", text, &[]);
        let field = first(&self.operation().selections, &self).cloned();
        let Some(field) = field else {
            return Err(plain("there is nothing to subscribe to"));
        };
        let root = self.graph.schema.subscription();
        let declared = root
            .and_then(|it| it.fields())
            .and_then(|it| it.get(&field.name))
            .cloned();
        let is_subscription = self.operation().kind == OperationKind::Subscription;
        let (Some(declared), true) = (declared, is_subscription) else {
            let text = format!(
                "the subscription function \"{}\" is not defined",
                field.name
            );
            return Err(plain(&text));
        };
        let FieldSource::Operation(call) = &declared.source else {
            let text = format!(
                "the subscription function \"{}\" is not defined",
                field.name
            );
            return Err(plain(&text));
        };
        let missing = || {
            let name = match &call.target {
                Target::Grpc { path, .. } => path.rsplit('/').next().unwrap_or_default(),
                _ => call.name.as_str(),
            };
            plain(&format!(
                "gateway: no dispatcher for {}/{}/{name}",
                call.namespace, call.version
            ))
        };
        let service = self
            .graph
            .service(&call.namespace, call.version)
            .ok_or_else(missing)?;
        let source = match &call.target {
            Target::Grpc { path, .. } => {
                let route = service.grpc.get(path).ok_or_else(missing)?;
                let values = self.arguments(&declared, &field);
                let bytes =
                    http_ingress::request_of(&self.life, route, &values).map_err(|misfit| {
                        match misfit {
                            Misfit::Text(text) => plain(&text),
                            Misfit::Deadly(Deadly(field)) => plain(&format!(
                                "proto: {field}: assigning invalid type *dynamicpb.Message"
                            )),
                        }
                    })?;
                let messages =
                    grpc::stream(&self.life, route, bytes, &Caller::of(&self.headers)).await;
                let messages = messages.map_err(|status| plain(&grpc::status_text(&status)))?;
                Source::Grpc(Box::new(messages), GrpcRoute::clone(route))
            }
            Target::GraphQl { path } => {
                let name = path.last().cloned().unwrap_or_default();
                let query = self.request(service, &name, &field);
                self.dial(service, call, &query, name)
                    .await
                    .map_err(|text| plain(&text))?
            }
            Target::Http { .. } => return Err(missing()),
        };
        Ok(Events {
            execution: self,
            source,
        })
    }

    async fn dial(
        &self,
        service: &super::graph::Service,
        call: &Call,
        query: &str,
        name: String,
    ) -> Result<Source, String> {
        let missing = || format!("no live replicas for {}/{}", call.namespace, call.version);
        let remote = service.remote.as_ref().ok_or_else(missing)?;
        let (chosen, _permits) = admitted(&remote.pool).await.ok_or_else(missing)?;
        let url = chosen.replica().endpoint.clone().unwrap_or_default();
        let socket_url = match url.strip_prefix("http") {
            Some(rest) => format!("ws{rest}"),
            None => url.clone(),
        };
        let failed = |why: String| {
            format!(
                "graphql ws dial {socket_url}: failed to WebSocket dial: failed to send handshake request: \
                 Get {url:?}: {why}"
            )
        };
        let uri: Uri = url.parse().map_err(|error| failed(format!("{error}")))?;
        let work = async {
            let stream = dial(&self.life.gate, &uri).await.map_err(|error| {
                let target = uri.authority().map(ToString::to_string).unwrap_or_default();
                failed(format!(
                    "dial tcp {target}: {}",
                    crate::proxy::dial_fault(&error)
                ))
            })?;
            let mut request = socket_url
                .as_str()
                .into_client_request()
                .map_err(|error| failed(error.to_string()))?;
            let protocol = HeaderValue::from_static("graphql-transport-ws");
            request
                .headers_mut()
                .insert("sec-websocket-protocol", protocol);
            let config = WebSocketConfig::default().max_message_size(Some(MAX_MESSAGE));
            let connected =
                tokio_tungstenite::client_async_with_config(request, stream, Some(config)).await;
            let (mut socket, _) = connected.map_err(|error| failed(error.to_string()))?;
            let lost = |error: tokio_tungstenite::tungstenite::Error| failed(error.to_string());
            socket
                .send(Message::text(r#"{"type":"connection_init"}"#))
                .await
                .map_err(lost)?;
            loop {
                match socket.next().await {
                    Some(Ok(Message::Text(text))) if text.contains("connection_ack") => break,
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Err(lost(error)),
                    None => return Err(failed("EOF".to_owned())),
                }
            }
            let mut subscribe =
                "{\"id\":\"1\",\"type\":\"subscribe\",\"payload\":{\"query\":".to_owned();
            json::quote(query, &mut subscribe);
            if let Some(variables) = self.variables_sent() {
                subscribe.push_str(",\"variables\":");
                subscribe.push_str(&variables.encode().unwrap_or_default());
            }
            subscribe.push_str("}}");
            socket.send(Message::text(subscribe)).await.map_err(lost)?;
            Ok(socket)
        };
        match tokio::time::timeout(HANDSHAKE, work).await {
            Ok(socket) => Ok(Source::Remote {
                socket: Box::new(socket?),
                name,
                _chosen: chosen,
            }),
            Err(_) => Err(failed("context deadline exceeded".to_owned())),
        }
    }
}

/// The first field, with fragments expanded.
fn first<'a>(selections: &'a [Selection], execution: &'a Execution) -> Option<&'a Field> {
    selections.iter().find_map(|it| match it {
        Selection::Field(field) => Some(field),
        Selection::Inline { selections, .. } => first(selections, execution),
        Selection::Spread { name, .. } => {
            let fragment = execution.document.fragment(&name.text)?;
            first(&fragment.selections, execution)
        }
    })
}

impl Events {
    /// The next event.
    ///
    /// # Cancel safety
    ///
    /// Not safe while an event of a GraphQL service is being read.
    pub(super) async fn next(&mut self) -> Event {
        let execution = &self.execution;
        match &mut self.source {
            Source::Grpc(messages, route) => {
                let Some(message) = messages.next().await else {
                    return Event::End;
                };
                let Some(message) = readable(route, message) else {
                    return Event::End;
                };
                match to_value(&message) {
                    Ok(value) => {
                        let enums = route.method.parent_pool().clone();
                        Event::Next(execution.event(&|_| Some(value.clone()), Some(&enums)))
                    }
                    Err(Deadly(field)) => {
                        execution
                            .life
                            .fatal
                            .note(Ingress::GraphQl, &route.path, &died_of(&field));
                        Event::Fatal
                    }
                }
            }
            Source::Remote { socket, name, .. } => loop {
                let Some(Ok(message)) = socket.next().await else {
                    return Event::End;
                };
                let Message::Text(text) = message else {
                    continue;
                };
                let Ok(Raw::Object(members)) = json::apart(&text) else {
                    continue;
                };
                match members.get("type").map(|it| it.trim_matches('"')) {
                    Some("next") => {
                        let member = |text: &str, name: &str| match json::apart(text) {
                            Ok(Raw::Object(members)) => {
                                members.get(name).map(|it| (*it).to_owned())
                            }
                            _ => None,
                        };
                        let payload = members.get("payload").copied().unwrap_or_default();
                        let data = member(payload, "data").and_then(|data| member(&data, name));
                        let value = data.and_then(|it| json::whole(it.as_bytes()).ok());
                        let value = value.unwrap_or(Value::Null);
                        return Event::Next(execution.remote_event(&value));
                    }
                    Some("ping") => drop(socket.send(Message::text(r#"{"type":"pong"}"#)).await),
                    Some("complete" | "error") => return Event::End,
                    _ => {}
                }
            },
        }
    }

    /// Tells the service that the subscription has ended.
    pub(super) async fn end(mut self) {
        if let Source::Remote { socket, .. } = &mut self.source {
            let complete = Message::text(r#"{"id":"1","type":"complete"}"#);
            let end = async {
                let _ = socket.send(complete).await;
                let _ = SinkExt::close(socket).await;
            };
            let _ = tokio::time::timeout(Duration::from_secs(1), end).await;
        }
    }
}

impl Execution {
    fn event(
        &self,
        root: &dyn Fn(&str) -> Option<Value>,
        enums: Option<&prost_reflect::DescriptorPool>,
    ) -> String {
        let Some(of) = self.graph.schema.subscription() else {
            return "null".to_owned();
        };
        // Every root field has the same event (more-ws-two).
        let value = self.standard_object(of, &self.operation().selections, root, enums);
        value.encode().unwrap_or_default()
    }

    /// An event of a GraphQL service, already cut by the service.
    fn remote_event(&self, value: &Value) -> String {
        let mut out = std::collections::BTreeMap::new();
        for it in &self.operation().selections {
            if let Selection::Field(field) = it {
                out.insert(field.key().to_owned(), value.clone());
            }
        }
        Value::Object(out).encode().unwrap_or_default()
    }
}
