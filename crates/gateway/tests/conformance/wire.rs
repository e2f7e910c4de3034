//! The typed client of the control plane, and requests from the JSON of the cases.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::{Map, Value};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

pub(crate) use tower_gwag::control::proto;

use self::proto::control_plane_client::ControlPlaneClient;

/// What a call was answered with: its code, its text, and the JSON of its answer's fields that
/// are not zero.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: Code,
    pub(crate) message: String,
    pub(crate) fields: Map<String, Value>,
}

/// A client of one gateway.
#[derive(Clone)]
pub(crate) struct Wire(pub(crate) ControlPlaneClient<Channel>);

impl Wire {
    pub(crate) async fn connect(target: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{target}")).unwrap();
        Self(ControlPlaneClient::new(endpoint.connect().await.unwrap()))
    }

    /// Makes the call that a case describes.
    pub(crate) async fn call(
        &mut self,
        method: &str,
        request: &Value,
        metadata: Option<&str>,
        timeout: Duration,
    ) -> Answer {
        let text = |key: &str| request[key].as_str().unwrap_or_default().to_owned();
        let client = &mut self.0;
        match method {
            "Register" => {
                let request = with(register(request), metadata, timeout);
                answer(client.register(request).await, |it| {
                    vec![
                        ("registration_id", it.registration_id.into()),
                        ("ttl_seconds", it.ttl_seconds.into()),
                    ]
                })
            }
            "Heartbeat" => {
                let registration_id = text("registration_id");
                let request = proto::HeartbeatRequest { registration_id };
                answer(
                    client.heartbeat(with(request, metadata, timeout)).await,
                    |it| vec![("ok", it.ok.into())],
                )
            }
            "Deregister" => {
                let registration_id = text("registration_id");
                let request = proto::DeregisterRequest { registration_id };
                answer(
                    client.deregister(with(request, metadata, timeout)).await,
                    |_| vec![],
                )
            }
            "ListServices" => {
                let request = with(proto::ListServicesRequest {}, metadata, timeout);
                answer(client.list_services(request).await, |_| vec![])
            }
            "ListRegistrations" => {
                let request = with(proto::ListRegistrationsRequest {}, metadata, timeout);
                answer(client.list_registrations(request).await, |_| vec![])
            }
            "ListPeers" => {
                let request = with(proto::ListPeersRequest {}, metadata, timeout);
                answer(client.list_peers(request).await, |it| {
                    let peers: Vec<Value> = it
                        .peers
                        .into_iter()
                        .map(|peer| serde_json::json!({"node_id": peer.node_id, "name": peer.name}))
                        .collect();
                    match peers.is_empty() {
                        true => vec![],
                        false => vec![("peers", Value::from(peers))],
                    }
                })
            }
            "ForgetPeer" => {
                let node_id = text("node_id");
                let request = with(proto::ForgetPeerRequest { node_id }, metadata, timeout);
                answer(client.forget_peer(request).await, |it| {
                    vec![
                        ("removed", it.removed.into()),
                        ("new_replicas", it.new_replicas.into()),
                    ]
                })
            }
            "SignSubscriptionToken" => {
                let request = proto::SignSubscriptionTokenRequest {
                    channel: text("channel"),
                    kid: text("kid"),
                    ttl_seconds: text("ttl_seconds").parse().unwrap_or_default(),
                };
                let request = with(request, metadata, timeout);
                answer(client.sign_subscription_token(request).await, |it| {
                    vec![
                        ("code", it.code().as_str_name().into()),
                        ("hmac", it.hmac.into()),
                        ("timestamp_unix", it.timestamp_unix.into()),
                        ("reason", it.reason.into()),
                        ("kid", it.kid.into()),
                    ]
                })
            }
            "RetractStable" => {
                let request = proto::RetractStableRequest {
                    namespace: text("namespace"),
                    target_v_n: number(request, "target_v_n"),
                };
                let request = with(request, metadata, timeout);
                answer(client.retract_stable(request).await, |it| {
                    vec![
                        ("prior_v_n", it.prior_v_n.into()),
                        ("new_v_n", it.new_v_n.into()),
                    ]
                })
            }
            "Deprecate" => {
                let request = proto::DeprecateRequest {
                    namespace: text("namespace"),
                    version: text("version"),
                    reason: text("reason"),
                };
                answer(
                    client.deprecate(with(request, metadata, timeout)).await,
                    |_| vec![],
                )
            }
            "Undeprecate" => {
                let request = proto::UndeprecateRequest {
                    namespace: text("namespace"),
                    version: text("version"),
                };
                let request = with(request, metadata, timeout);
                answer(client.undeprecate(request).await, |it| {
                    vec![("prior_reason", it.prior_reason.into())]
                })
            }
            other => panic!("no such method: {other}"),
        }
    }
}

fn with<T>(message: T, authorization: Option<&str>, timeout: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(timeout);
    if let Some(value) = authorization {
        let value = value.parse().unwrap();
        request.metadata_mut().insert("authorization", value);
    }
    request
}

fn answer<T>(
    result: Result<tonic::Response<T>, Status>,
    fields: impl FnOnce(T) -> Vec<(&'static str, Value)>,
) -> Answer {
    match result {
        Ok(response) => Answer {
            code: Code::Ok,
            message: String::new(),
            fields: fields(response.into_inner())
                .into_iter()
                .filter(|(_, value)| !matches!(value, Value::Bool(false)))
                .filter(|(_, value)| value.as_u64() != Some(0) && value.as_str() != Some(""))
                .map(|(key, value)| (key.to_owned(), value))
                .collect(),
        },
        Err(status) => Answer {
            code: match status.message() {
                // The client's own clock ended the call; tonic calls that CANCELLED.
                "Timeout expired" => Code::DeadlineExceeded,
                _ => status.code(),
            },
            message: status.message().to_owned(),
            fields: Map::new(),
        },
    }
}

fn number(value: &Value, key: &str) -> u32 {
    value[key].as_u64().unwrap_or_default().try_into().unwrap()
}

/// The protobuf JSON form of a Register.
pub(crate) fn register(request: &Value) -> proto::RegisterRequest {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let services = request["services"].as_array().into_iter().flatten();
    proto::RegisterRequest {
        addr: text(&request["addr"]),
        instance_id: text(&request["instance_id"]),
        ttl_seconds: number(request, "ttl_seconds"),
        services: services
            .map(|service| proto::ServiceBinding {
                namespace: text(&service["namespace"]),
                version: text(&service["version"]),
                graphql_endpoint: text(&service["graphql_endpoint"]),
                proto_source: bytes(&service["proto_source"]),
                openapi_spec: bytes(&service["openapi_spec"]),
                proto_imports: imports(&service["proto_imports"]),
                max_concurrency: number(service, "max_concurrency"),
                max_concurrency_per_instance: number(service, "max_concurrency_per_instance"),
            })
            .collect(),
    }
}

fn imports(value: &Value) -> HashMap<String, Vec<u8>> {
    let entries = value.as_object().into_iter().flatten();
    entries
        .map(|(name, text)| (name.clone(), bytes(text)))
        .collect()
}

/// Base64, by hand: one table is less than one more dependency.
fn bytes(value: &Value) -> Vec<u8> {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = Vec::new();
    let (mut held, mut bits) = (0_u32, 0);
    for digit in value.as_str().unwrap_or_default().bytes() {
        let Some(six) = DIGITS.iter().position(|known| *known == digit) else {
            break;
        };
        held = held << 6 | u32::try_from(six).unwrap();
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            out.push((held >> bits & 0xff) as u8);
        }
    }
    out
}
