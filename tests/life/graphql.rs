//! GraphQL: the gateway introspects the endpoint during Register, so nothing is registered until
//! the endpoint answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::support::servers::bind;
use crate::support::{
    Events, axum_app, eventually, gateway, listed, pets_app, registered, until_state, within,
};
use axum::Router;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use tower_gwag::{ErrorKind, GwagRegistrationLayer, LeaveOutcome, Options, Service, State};
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

const SCHEMA: &str = r#"{"data":{"__schema":{"queryType":{"name":"Query"},"types":[
    {"kind":"SCALAR","name":"String"},{"kind":"SCALAR","name":"Int"},
    {"kind":"OBJECT","name":"Query","fields":[{"name":"asked","type":{"kind":"SCALAR","name":"String"},
        "args":[{"name":"n","type":{"kind":"SCALAR","name":"Int"}}]}]}]}}}"#;
const NO_INTROSPECTION: &str = r#"{"errors":[{"message":"introspection is disabled"}]}"#;

/// A GraphQL endpoint that a test lets become ready.
#[derive(Clone, Default)]
struct Endpoint {
    ready: Arc<AtomicBool>,
    asked: Arc<AtomicUsize>,
}

impl Endpoint {
    fn ready() -> Self {
        let endpoint = Self::default();
        endpoint.become_ready();
        endpoint
    }

    fn become_ready(&self) {
        self.ready.store(true, Ordering::SeqCst);
    }

    fn answer(&self) -> Response {
        self.asked.fetch_add(1, Ordering::SeqCst);
        if self.ready.load(Ordering::SeqCst) {
            SCHEMA.into_response()
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "starting").into_response()
        }
    }

    fn app(&self) -> Router {
        let endpoint = self.clone();
        let handler = move || async move { endpoint.answer() };
        pets_app().route("/graphql", post(handler))
    }

    async fn asked(&self, times: usize) {
        eventually(&format!("asked {times} times"), || {
            self.asked.load(Ordering::SeqCst) >= times
        })
        .await;
    }
}

fn options(gateway: &EmbeddedGateway, endpoint: &str) -> Options {
    let service = Service::graphql(endpoint).namespace("shop");
    Options::new(gateway.target()).seed(7).service(service)
}

#[tokio::test]
async fn a_path_on_this_server_is_registered_with_its_address() {
    let gateway = gateway().await;
    let server = axum_app(options(&gateway, "/graphql"), Endpoint::ready().app()).await;
    registered(&server.registration).await;
    let entry = listed(&gateway, 1).await.remove(0);
    assert_eq!(entry.namespaces, ["shop/v1"]);
    assert_eq!(entry.addr, server.address.to_string());
    assert_eq!(gateway.services()[0].hash.len(), 64, "introspected");
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    listed(&gateway, 0).await;
}

/// The service sees its own query, without the namespace; the answer is put under it.
#[tokio::test]
async fn a_graphql_service_is_called_through_the_gateway() {
    let gateway = gateway().await;
    let handler = async |body: String| match body.contains("__schema") {
        true => SCHEMA.to_owned(),
        false => serde_json::json!({ "data": { "asked": body } }).to_string(),
    };
    let app = Router::new().route("/graphql", post(handler));
    let server = axum_app(options(&gateway, "/graphql"), app).await;
    registered(&server.registration).await;
    listed(&gateway, 1).await;
    let url = format!("{}/api/graphql", gateway.http_url());
    let query = r#"{"query":"query($n: Int) { shop { asked(n: $n) } }","variables":{"n":1}}"#;
    let (status, answer) = crate::support::net::request("POST", &url, query).await;
    assert_eq!(status, 200, "{answer}");
    let answer: serde_json::Value = serde_json::from_str(&answer).expect("JSON");
    let asked = answer["data"]["shop"]["asked"].as_str().expect("a text");
    let asked: serde_json::Value = serde_json::from_str(asked).expect("JSON");
    let query = asked["query"].as_str().expect("a text");
    let query: Vec<&str> = query.split_whitespace().collect();
    assert_eq!(query.join(" "), "query ($n: Int) { asked(n: $n) }");
    assert_eq!(asked["variables"], serde_json::json!({ "n": 1 }));
    let query = r#"{"query":"{ nobody { asked } }"}"#;
    let (status, answer) = crate::support::net::request("POST", &url, query).await;
    assert_eq!(status, 200, "{answer}");
    assert!(
        answer.contains(r#"Cannot query field \"nobody\" on type \"Query\"."#),
        "{answer}"
    );
    server.stop().await;
}

#[tokio::test]
async fn nothing_is_registered_before_the_endpoint_answers() {
    let gateway = gateway().await;
    let endpoint = Endpoint::default();
    let server = axum_app(options(&gateway, "/graphql"), endpoint.app()).await;
    until_state(&server.registration, State::Unreachable).await;
    let status = server.registration.status().borrow().clone();
    let kind = Some(ErrorKind::IntrospectionFailed);
    assert_eq!(status.reason_kind(), kind, "{status}");
    assert!(status.to_string().contains("/graphql"), "{status}");
    assert!(status.to_string().contains("503"), "{status}");
    endpoint.asked(3).await;
    // The gateway, which would refuse it or hang, was not even asked.
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 0);
    endpoint.become_ready();
    registered(&server.registration).await;
    listed(&gateway, 1).await;
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 1);
    assert!(server.stop().await.is_clean());
}

#[tokio::test]
async fn leaving_before_the_endpoint_answers_leaves_nothing() {
    let gateway = gateway().await;
    let endpoint = Endpoint::default();
    let server = axum_app(options(&gateway, "/graphql"), endpoint.app()).await;
    endpoint.asked(1).await;
    let report = server.stop().await;
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    assert_eq!(gateway.rpc_counts().of(Rpc::Register).received, 0);
}

#[tokio::test]
async fn a_whole_url_may_be_on_another_server() {
    let gateway = gateway().await;
    let (listener, address) = bind("127.0.0.1:0").await;
    let app = Endpoint::ready().app();
    let elsewhere = tokio::spawn(async move { axum::serve(listener, app).await });
    let url = format!("http://{address}/graphql");
    let server = axum_app(options(&gateway, &url), pets_app()).await;
    registered(&server.registration).await;
    assert_eq!(listed(&gateway, 1).await[0].namespaces, ["shop/v1"]);
    server.stop().await;
    elsewhere.abort();
}

#[tokio::test]
async fn an_endpoint_without_introspection_is_reported_as_such() {
    let gateway = gateway().await;
    let handler = async || NO_INTROSPECTION;
    let app = Router::new().route("/graphql", post(handler));
    let server = axum_app(options(&gateway, "/graphql"), app).await;
    until_state(&server.registration, State::Unreachable).await;
    let status = server.registration.status().borrow().clone();
    let kind = Some(ErrorKind::IntrospectionFailed);
    assert_eq!(status.reason_kind(), kind, "{status}");
    assert!(status.to_string().contains("introspection"), "{status}");
    server.stop().await;
}

/// An endpoint of a server of another kind, advertised under a name.
#[tokio::test]
async fn a_path_is_completed_with_what_is_advertised() {
    let gateway = gateway().await;
    let (listener, address) = bind("127.0.0.1:0").await;
    let app = Endpoint::ready().app();
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let options = options(&gateway, "/graphql").advertise_host("localhost");
    let (options, events) = Events::of(options);
    let registration = GwagRegistrationLayer::new(options).registration();
    registration.start(address).expect("started");
    events.until_registered(1).await;
    let entry = listed(&gateway, 1).await.remove(0);
    assert_eq!(entry.addr, format!("localhost:{}", address.port()));
    within("the report", registration.leave()).await;
    server.abort();
}
