//! Registered means routed: what a gateway makes of a registration is read back, shown, and cured.

#[path = "../../servers/interop/service.rs"]
#[allow(dead_code, reason = "each test binary uses a part")]
mod service;

mod bad_http;
mod block;
mod conflict;
mod gone;
mod kinds;
mod leftovers;
mod odd;
mod proof;
mod real;
mod refusal;
mod status;

use std::time::Duration;

use crate::control::proto;
use crate::control::proto::control_plane_client::ControlPlaneClient;
use crate::support::events::Events;
use crate::support::{greeter_options, within};
use tonic::transport::Channel;
use tower_gwag::{Event, Options, Service};
use tower_gwag_gateway::{EmbeddedGateway, GatewayView, Profile, Rpc};

/// Takes a clustered gateway's schema with it: two services in one file.
pub(crate) const POISON: &str = "syntax = \"proto3\"; package p; message M {} \
    service A { rpc X(M) returns (M); } service B { rpc Y(M) returns (M); }";

/// Services that block a clustered gateway, for different reasons.
pub(crate) fn guilty() -> [(&'static str, Service); 3] {
    let bad_name = r#"{"openapi": "3.0.3", "info": {"title": "t", "version": "1"},
        "paths": {"/a": {"get": {"operationId": "list-pets",
            "responses": {"200": {"description": "ok"}}}}}}"#;
    let free_json = "syntax = \"proto3\"; package free; message Q {} \
        message A { map<string, string> labels = 1; } service S { rpc X(Q) returns (A); }";
    [
        ("proto", Service::proto(POISON).namespace("poison")),
        ("openapi", Service::openapi(bad_name).namespace("badname")),
        ("free JSON", Service::proto(free_json).namespace("free")),
    ]
}

pub(crate) async fn node() -> EmbeddedGateway {
    let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
    builder.start().await.expect("a node starts")
}

pub(crate) async fn pair() -> [EmbeddedGateway; 2] {
    let first = node().await;
    let second = EmbeddedGateway::builder().join(&first).start().await;
    [first, second.expect("a second node starts")]
}

/// Options with all evidence, and the events that they cause.
pub(crate) fn told(gateway: &EmbeddedGateway) -> (Options, Events) {
    Events::of(greeter_options(gateway).gateway_http(gateway.http_url()))
}

pub(crate) async fn settled(gateway: &EmbeddedGateway) {
    let settled = gateway.wait_until(|now| now.pending_mounts == 0);
    within("every change is mounted", settled).await;
}

pub(crate) fn replicas(view: &GatewayView, namespace: &str, version: &str) -> usize {
    let service = view.service(namespace, version);
    service.map_or(0, |service| service.replicas.len())
}

/// How often a service was registered, holds left out.
pub(crate) fn registrations(events: &Events) -> usize {
    let registered = |event: &&Event| matches!(event, Event::Registered { .. });
    events.all().iter().filter(registered).count()
}

/// A stranger's registration with the bare wire, no crate around it.
pub(crate) struct Stranger {
    client: ControlPlaneClient<Channel>,
    pub(crate) id: String,
}

impl Stranger {
    pub(crate) async fn register(
        gateway: &EmbeddedGateway,
        namespace: &str,
        version: &str,
        source: &str,
    ) -> Self {
        Self::named(gateway, namespace, version, source, "stranger").await
    }

    /// Whoever has this id.
    pub(crate) async fn of(gateway: &EmbeddedGateway, id: &str) -> Self {
        let client = crate::control::client(&gateway.target()).await;
        let id = id.to_owned();
        Self { client, id }
    }

    pub(crate) async fn named(
        gateway: &EmbeddedGateway,
        namespace: &str,
        version: &str,
        source: &str,
        instance_id: &str,
    ) -> Self {
        let mut client = crate::control::client(&gateway.target()).await;
        let binding = proto::ServiceBinding {
            namespace: namespace.to_owned(),
            version: version.to_owned(),
            proto_source: source.as_bytes().to_vec(),
            ..Default::default()
        };
        let request = proto::RegisterRequest {
            addr: "127.0.0.1:9".to_owned(),
            services: vec![binding],
            ttl_seconds: 30,
            instance_id: instance_id.to_owned(),
        };
        let granted = within("registered", client.register(request)).await;
        let id = granted.expect("taken").into_inner().registration_id;
        settled(gateway).await;
        Self { client, id }
    }

    /// The same one, for a call beside another.
    pub(crate) fn again(&self) -> Self {
        Self {
            client: self.client.clone(),
            id: self.id.clone(),
        }
    }

    pub(crate) async fn beat(&mut self) -> bool {
        let request = proto::HeartbeatRequest {
            registration_id: self.id.clone(),
        };
        let beat = within("a beat", self.client.heartbeat(request)).await;
        beat.expect("answered").into_inner().ok
    }

    pub(crate) async fn leave(mut self) {
        let request = proto::DeregisterRequest {
            registration_id: self.id.clone(),
        };
        let told = within("deregistered", self.client.deregister(request)).await;
        told.expect("deregistered");
    }
}

/// Register calls that were received, holds included.
pub(crate) fn registers(gateway: &EmbeddedGateway) -> u64 {
    gateway.rpc_counts().of(Rpc::Register).received
}

/// Long enough for a look, and for what would follow from it.
pub(crate) const A_WHILE: Duration = Duration::from_secs(3);

pub(crate) fn greeter_v(version: &str, comment: &str) -> Service {
    let source = format!("// {comment}\n{}", crate::support::GREETER_PROTO);
    Service::proto(source).namespace("greeter").version(version)
}
