//! The test of docs/manual/testing.md, word for word.

use axum::body::Body;
use axum::{Json, Router, routing::get};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::net::TcpListener;
use tower_gwag::{GwagRegistrationLayer, Options, Service, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

const DOCUMENT: &str = r#"{"openapi": "3.0.3", "info": {"title": "Pets", "version": "1"}, "paths":
    {"/pets": {"get": {"operationId": "listPets", "responses": {"200": {"description": "all"}}}}}}"#;

fn app() -> Router {
    Router::new().route("/pets", get(|| async { Json(["Rex"]) }))
}

#[tokio::test]
async fn the_gateway_serves_the_service() -> Result<(), Box<dyn std::error::Error>> {
    let gateway = EmbeddedGateway::builder()
        .profile(Profile::Clustered)
        .start()
        .await?;

    let service = Service::openapi(DOCUMENT);
    let layer = GwagRegistrationLayer::new(Options::new(gateway.target()).service(service));
    let registration = layer.registration();
    let listener = registration.listener(TcpListener::bind("127.0.0.1:0").await?)?;
    tokio::spawn(async { axum::serve(listener, app().layer(layer)).await });

    registration.registered().await?; // after some 4 ms
    // A clustered gateway serves it a little later.
    registration
        .status()
        .wait_for(|now| now.state() == State::Listed)
        .await?;
    assert_eq!(gateway.services()[0].namespace, "Pets");

    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    let url = format!("{}/api/ingress/pets", gateway.http_url());
    assert_eq!(client.get(url.parse()?).await?.status(), 200);
    Ok(())
}
