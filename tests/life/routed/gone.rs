//! A route that goes away after a call has proved it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Router;
use axum::extract::{Request, State as Shared};
use axum::response::{IntoResponse, Response};
use tower_gwag::{ErrorKind, Options, State};
use tower_gwag_gateway::{EmbeddedGateway, Profile};

use crate::control::Recorder;
use crate::support::servers::bind;
use crate::support::{
    Clock, Forwarder, axum_app, get, greet, greeter_service, pets_app, pets_service, tonic_greeter,
    until_state,
};

/// The gateway's HTTP port; while the switch is on, its whole schema shows nothing.
async fn http_port(gateway: &EmbeddedGateway, is_empty: Arc<AtomicBool>) -> String {
    let (listener, address) = bind("127.0.0.1:0").await;
    let answer = |Shared((base, is_empty)): Shared<(String, Arc<AtomicBool>)>, request: Request| async move {
        let path = request.uri().to_string();
        if path == "/api/schema/graphql" && is_empty.load(Ordering::SeqCst) {
            return "type Query { _status: String }".into_response();
        }
        let (status, body) = get(&format!("{base}{path}")).await;
        let status = http::StatusCode::from_u16(status).expect("a status");
        Response::builder()
            .status(status)
            .body(body.into())
            .expect("an answer")
    };
    let app = Router::new()
        .fallback(answer)
        .with_state((gateway.http_url(), is_empty));
    tokio::spawn(async move { axum::serve(listener, app).await });
    format!("http://{address}")
}

#[tokio::test]
async fn a_route_that_goes_away_is_noticed_and_its_return() {
    let _clock = Clock::start();
    for profile in [Profile::Standalone, Profile::Clustered] {
        for with_http in [false, true] {
            let gateway = EmbeddedGateway::builder().profile(profile).start().await;
            let gateway = gateway.expect("started");
            let control = Recorder::before(&gateway).await;
            let network = Forwarder::to(control.address).await;
            let mut options = Options::new(network.address).service(greeter_service());
            if with_http {
                options = options.gateway_http(gateway.http_url());
            }
            let server = tonic_greeter(options).await;
            until_state(&server.registration, State::Listed).await;
            greet(gateway.address()).await;
            until_state(&server.registration, State::Routed).await;
            control.hide_routes(true);
            // A connection that ends is a reason to look.
            network.cut();
            until_state(&server.registration, State::Blocked).await;
            let status = server.registration.status().borrow().clone();
            assert_eq!(status.reason_kind(), Some(ErrorKind::Blocked), "{status}");
            control.hide_routes(false);
            until_state(&server.registration, State::Listed).await;
            greet(gateway.address()).await;
            until_state(&server.registration, State::Routed).await;
            server.stop().await;
        }
    }
}

/// An OpenAPI service has no route that could be probed here: the schema shows it.
#[tokio::test]
async fn a_schema_that_does_not_show_it_any_more_is_noticed() {
    let gateway = super::node().await;
    let is_empty = Arc::new(AtomicBool::new(false));
    let network = Forwarder::to(gateway.address()).await;
    let options = Options::new(network.address)
        .service(pets_service())
        .gateway_http(http_port(&gateway, Arc::clone(&is_empty)).await);
    let server = axum_app(options, pets_app()).await;
    until_state(&server.registration, State::Listed).await;
    let call = format!("{}/api/ingress/pets/7", gateway.http_url());
    get(&call).await;
    until_state(&server.registration, State::Routed).await;
    is_empty.store(true, Ordering::SeqCst);
    network.cut();
    until_state(&server.registration, State::Blocked).await;
    is_empty.store(false, Ordering::SeqCst);
    until_state(&server.registration, State::Listed).await;
    get(&call).await;
    until_state(&server.registration, State::Routed).await;
    server.stop().await;
}
