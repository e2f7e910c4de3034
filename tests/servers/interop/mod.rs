//! The life, the rows and calls through both ingresses against any gateway: the one that
//! `GWAG_GATEWAY` (control plane, `host:port`) and `GWAG_GATEWAY_HTTP` (base URL) name, else an
//! embedded one. Only what the control plane promises is assumed: a clustered gateway lists and
//! routes late, and services of others may be there, so every name is of this run alone.

mod gateway;
mod service;

use std::time::Duration;

use crate::support::servers::bind;
use crate::support::{Events, plain, within};
use gateway::Gateway;
use service::Names;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tower_gwag::{
    GwagRegistrationLayer, HoldOutcome, LeaveOutcome, LeaveReport, Options, Registration, Service,
};

/// A server that a test stops, and its registration.
struct Running {
    registration: Registration,
    address: String,
    stop: oneshot::Sender<()>,
    served: JoinHandle<()>,
}

impl Running {
    async fn registered(&self, gateway: &Gateway) -> &Self {
        let mut status = self.registration.status();
        let registered = self.registration.registered();
        gateway
            .patiently("registered", async {
                tokio::select! {
                    biased;
                    result = registered => result.expect("registered"),
                    // A refusal of a real gateway says what is wrong; waiting does not.
                    refused = status.wait_for(|now| now.state() == tower_gwag::State::Refused) => {
                        panic!("{}", *refused.expect("alive"));
                    }
                }
            })
            .await;
        self
    }

    async fn stop(self) -> LeaveReport {
        self.stop.send(()).expect("the server waits for it");
        within("the server ends", self.served)
            .await
            .expect("served");
        let report = within("the report", self.registration.finish()).await;
        println!("{report}");
        assert_eq!(report.outcome(), LeaveOutcome::Deregistered, "{report}");
        report
    }
}

/// gRPC and HTTP alike, on tonic's server or on axum's.
async fn serve(options: Options, app: axum::Router, on_tonic: bool) -> Running {
    let layer = GwagRegistrationLayer::new(options);
    let registration = layer.registration();
    let (listener, address) = bind("127.0.0.1:0").await;
    let (stop, stopped) = oneshot::channel::<()>();
    let shutdown = registration.shutdown(stopped);
    let served = if on_tonic {
        let incoming = registration.incoming(listener).expect("wrapped");
        tokio::spawn(async move {
            tonic::transport::Server::builder()
                .layer(layer)
                .add_routes(app.into())
                .serve_with_incoming_shutdown(incoming, shutdown)
                .await
                .expect("served");
        })
    } else {
        let listener = registration.listener(listener).expect("wrapped");
        tokio::spawn(async move {
            let served = axum::serve(listener, app.layer(layer)).with_graceful_shutdown(shutdown);
            served.await.expect("served");
        })
    };
    Running {
        registration,
        address: address.to_string(),
        stop,
        served,
    }
}

#[tokio::test]
async fn a_tonic_server_registers_beats_is_called_and_leaves() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let ttl = Duration::from_secs(2);
    let options = gateway.options().service(names.proto()).ttl(ttl);
    let server = serve(options, names.grpc_app(), true).await;
    server.registered(&gateway).await;
    let entry = gateway.entry(&names.namespace).await;
    assert_eq!(plain(&entry.addr), server.address);
    assert_eq!(entry.ttl_seconds, 2);
    assert_eq!(entry.namespaces, [format!("{}/v1", names.namespace)]);

    gateway.assert_called(&names, "Ada").await;
    gateway.assert_streamed(&names, "Ada").await;

    // Past the TTL and a sweep, which comes every 5 s: by the gateway's own clock.
    let past = entry.last_heartbeat_unix_ms + 2_000 + 5_000 + 500;
    let later = gateway
        .until_entry(&names.namespace, |now| now.last_heartbeat_unix_ms > past)
        .await;
    assert_eq!(later.registration_id, entry.registration_id);
    gateway.assert_called(&names, "Bob").await;

    let report = server.stop().await;
    assert_eq!(report.hold(), HoldOutcome::Held, "{report}");
    gateway.until_gone(&names.namespace).await;
}

#[tokio::test]
async fn an_axum_server_registers_is_called_and_leaves() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let options = gateway.options().service(names.openapi());
    let server = serve(options, names.http_app(), false).await;
    server.registered(&gateway).await;
    let entry = gateway.entry(&names.title_as_namespace()).await;
    assert_eq!(plain(&entry.addr), server.address);
    gateway.assert_thing(&names, "7").await;
    let report = server.stop().await;
    assert_eq!(report.hold(), HoldOutcome::NotNeeded, "{report}");
    gateway.until_gone(&names.title_as_namespace()).await;
}

#[tokio::test]
async fn one_port_for_grpc_and_http_is_one_registration() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let options = gateway.options().services([names.proto(), names.openapi()]);
    let app = names.grpc_app().merge(names.http_app());
    let server = serve(options, app, false).await;
    server.registered(&gateway).await;
    let entry = gateway.entry(&names.namespace).await;
    let both = [&names.namespace, &names.title_as_namespace()].map(|name| format!("{name}/v1"));
    assert_eq!(entry.namespaces, both);
    gateway.assert_called(&names, "Ada").await;
    gateway.assert_thing(&names, "7").await;
    server.stop().await;
    gateway.until_gone(&names.namespace).await;
    gateway.until_gone(&names.title_as_namespace()).await;
}

/// What the gateway then lists for options.
async fn listed(
    gateway: &Gateway,
    names: &Names,
    options: Options,
) -> crate::control::proto::Registration {
    let server = serve(options, names.grpc_app(), true).await;
    server.registered(gateway).await;
    let entry = gateway.entry(&names.namespace).await;
    server.stop().await;
    gateway.until_gone(&names.namespace).await;
    entry
}

#[tokio::test]
async fn row_instance_id() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let options = || gateway.options().service(names.proto());
    let given = format!("pod {}/blue", names.namespace);
    let entry = listed(&gateway, &names, options().instance_id(&given)).await;
    assert_eq!(entry.instance_id, given);
    let entry = listed(&gateway, &names, options()).await;
    let begin = format!("{}@", names.namespace);
    assert!(entry.instance_id.starts_with(&begin), "{entry:?}");
}

#[tokio::test]
async fn row_ttl() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let options = || gateway.options().service(names.proto());
    assert_eq!(listed(&gateway, &names, options()).await.ttl_seconds, 30);
    let given = options().ttl(Duration::from_secs(17));
    assert_eq!(listed(&gateway, &names, given).await.ttl_seconds, 17);
}

#[tokio::test]
async fn row_service_addr() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let options = gateway.options().service(names.proto());
    let server = serve(options.advertise_host("localhost"), names.grpc_app(), true).await;
    server.registered(&gateway).await;
    let entry = gateway.entry(&names.namespace).await;
    let expected = server.address.replace("127.0.0.1", "localhost");
    assert_eq!(plain(&entry.addr), expected);
    gateway.assert_called(&names, "Ada").await;
    server.stop().await;
    gateway.until_gone(&names.namespace).await;
}

#[tokio::test]
async fn row_service_version() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let options = gateway.options().service(names.proto().version("v3"));
    let entry = listed(&gateway, &names, options).await;
    assert_eq!(entry.namespaces, [format!("{}/v3", names.namespace)]);
}

/// The imports of a tree; its file's stem is the namespace.
#[tokio::test]
async fn row_proto_fs_entry() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let options = gateway.options().service(names.proto_tree());
    let server = serve(options, names.grpc_app(), true).await;
    server.registered(&gateway).await;
    gateway.entry(&names.namespace).await;
    gateway.assert_called(&names, "Ada").await;
    server.stop().await;
    gateway.until_gone(&names.namespace).await;
}

/// Concurrency caps are taken, and calls pass below them.
#[tokio::test]
async fn row_max_concurrency() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let service = names.proto().max_concurrency(8);
    let options = gateway.options();
    let options = options.service(service.max_concurrency_per_instance(4));
    let server = serve(options, names.grpc_app(), true).await;
    server.registered(&gateway).await;
    gateway.assert_called(&names, "Ada").await;
    server.stop().await;
    gateway.until_gone(&names.namespace).await;
}

/// The gateway introspects this server during Register.
#[tokio::test]
async fn row_graphql_endpoint() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let service = Service::graphql("/graphql").namespace(&names.namespace);
    let options = gateway.options().service(service);
    let server = serve(options, names.graphql_app(), false).await;
    server.registered(&gateway).await;
    let entry = gateway.entry(&names.namespace).await;
    assert_eq!(plain(&entry.addr), server.address);
    server.stop().await;
    gateway.until_gone(&names.namespace).await;
}

/// Removed by hand, as an operator or a restart of the gateway does.
#[tokio::test]
async fn row_automatic_re_register() {
    let gateway = Gateway::find().await;
    let names = Names::of_this_run();
    let options = gateway.options().service(names.proto());
    let options = options.heartbeat_interval(Duration::from_millis(200));
    let (options, events) = Events::of(options);
    let server = serve(options, names.grpc_app(), true).await;
    server.registered(&gateway).await;
    let first = gateway.entry(&names.namespace).await.registration_id;
    gateway.deregister(&first).await;
    events.until_registered(2).await;
    let second = gateway
        .until_entry(&names.namespace, |now| now.registration_id != first)
        .await;
    assert_eq!(plain(&second.addr), server.address);
    gateway.assert_called(&names, "Ada").await;
    server.stop().await;
    gateway.until_gone(&names.namespace).await;
}
