//! What the gateway shows of the three services, and a call of each through it.

use std::fmt::Write;

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use tower_gwag_gateway::{EmbeddedGateway, ServiceView};

use super::greeter::HelloRequest;
use super::greeter::greeter_client::GreeterClient;
use super::{BoxError, app};

/// Waits until the gateway routes calls to all three, and prints what it lists.
pub(crate) async fn until_routed(gateway: &EmbeddedGateway) -> Vec<ServiceView> {
    let count = app::services().len();
    gateway
        .wait_until(|now| now.services.iter().filter(|it| it.routed).count() >= count)
        .await;
    gateway.services()
}

/// (namespace, hash) of the three, as known without a gateway.
pub(crate) fn expected_hashes() -> Result<[(&'static str, String); 3], BoxError> {
    let [proto, openapi, _] = app::services();
    let exact = |service: tower_gwag::Service| -> Result<String, BoxError> {
        let hash = service.hash()?;
        Ok(hash.hex().ok_or("it has no hash")?.to_owned())
    };
    let mut graphql = String::new();
    for byte in hmac_sha256::Hash::hash(app::introspection().as_bytes()) {
        write!(graphql, "{byte:02x}")?;
    }
    Ok([
        ("greeter", exact(proto)?),
        ("Petstore", exact(openapi)?),
        ("shop", graphql),
    ])
}

/// gRPC goes through the control plane's port.
pub(crate) async fn grpc(control_plane: &str) -> Result<String, BoxError> {
    let mut client = GreeterClient::connect(format!("http://{control_plane}")).await?;
    let request = HelloRequest {
        name: "gateway".into(),
        delay_ms: 0,
    };
    Ok(client.hello(request).await?.into_inner().greeting)
}

/// HTTP goes through `/api/ingress`.
pub(crate) async fn http(gateway: &str) -> Result<String, BoxError> {
    send("GET", &format!("{gateway}/api/ingress/pets/1"), "").await
}

/// GraphQL goes through `/api/graphql`, where each namespace is a field of the query.
pub(crate) async fn graphql(gateway: &str) -> Result<String, BoxError> {
    let query = json!({ "query": "{ shop { books } }" }).to_string();
    let answer = send("POST", &format!("{gateway}/api/graphql"), &query).await?;
    let answer: Value = serde_json::from_str(&answer)?;
    match answer.get("errors") {
        None => Ok(answer["data"].to_string()),
        Some(errors) => Err(errors.to_string().into()),
    }
}

async fn send(method: &str, url: &str, body: &str) -> Result<String, BoxError> {
    let request = hyper::Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    if status.is_success() {
        Ok(body)
    } else {
        Err(format!("{status}: {body}").into())
    }
}
