//! The proof: a call that came from the gateway.

use tower_gwag::State;

use crate::support::{
    Events, axum_app, gateway, get, greet, greeter_options, pets_app, pets_options, tonic_greeter,
    until_state,
};

#[tokio::test]
async fn the_first_call_through_the_gateway_proves_the_route() {
    let gateway = gateway().await;
    let (options, events) = Events::of(greeter_options(&gateway));
    let server = tonic_greeter(options).await;
    until_state(&server.registration, State::Listed).await;
    // A caller that does not go through the gateway proves nothing.
    greet(server.address).await;
    assert_eq!(server.registration.status().borrow().state(), State::Listed);
    greet(gateway.address()).await;
    until_state(&server.registration, State::Routed).await;
    // Every registration is proved anew.
    gateway.evict_all();
    events.until_registered(2).await;
    until_state(&server.registration, State::Listed).await;
    greet(gateway.address()).await;
    until_state(&server.registration, State::Routed).await;
    server.stop().await;
}

#[tokio::test]
async fn so_does_a_request_to_an_axum_server() {
    let gateway = gateway().await;
    let server = axum_app(pets_options(&gateway), pets_app()).await;
    until_state(&server.registration, State::Listed).await;
    let url = format!("{}/api/ingress/pets/7", gateway.http_url());
    get(&url).await;
    until_state(&server.registration, State::Routed).await;
    server.stop().await;
}
