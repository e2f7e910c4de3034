//! One test for each row of the table "what the Go client can": `row_` and the row's Go name.

mod options;
mod registration;
mod services;

use std::net::SocketAddr;

use crate::control::Recorder;
use crate::control::proto::{RegisterRequest, ServiceBinding};
use crate::support::{HOLD_NAMESPACE, gateway, is_of_a_service, registered};
use tower_gwag::{GwagRegistrationLayer, Options, Registration, Service};
use tower_gwag_gateway::GatewayView;

/// Where no server listens; a gateway does not dial at Register.
const NOWHERE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 50051);

/// Started by hand, as with the Go client.
fn start(options: Options) -> Registration {
    let registration = GwagRegistrationLayer::new(options).registration();
    registration.start(NOWHERE).expect("started");
    registration
}

/// What a gateway was sent, and what it then had.
async fn sent(options: impl FnOnce(Options) -> Options) -> (RegisterRequest, GatewayView) {
    let gateway = gateway().await;
    let recorder = Recorder::before(&gateway).await;
    let registration = start(options(Options::new(recorder.address)));
    registered(&registration).await;
    // The hold, which goes with a gRPC service, is no row of the Go client's.
    let mut view = gateway.view();
    view.registrations.retain(is_of_a_service);
    view.services.retain(|it| it.namespace != HOLD_NAMESPACE);
    assert_eq!(view.registrations.len(), 1);
    registration.leave().await;
    (recorder.register(), view)
}

/// The one binding that a gateway was sent for a service.
async fn sent_binding(service: Service) -> (ServiceBinding, GatewayView) {
    let (mut request, view) = sent(|options| options.service(service)).await;
    assert_eq!(request.services.len(), 1);
    (request.services.remove(0), view)
}
