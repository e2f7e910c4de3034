//! The life of a server that registers itself: the same for each kind of server.

use std::future::ready;
use std::time::Instant;

use tonic::transport::Server;
use tower_gwag::{GwagRegistrationLayer, LeaveOutcome, LeaveReason, Options, Registration};
use tower_gwag_gateway::EmbeddedGateway;

use crate::support::greeter::greeter_server::GreeterServer;
use crate::support::servers::{TestGreeter, bind};
use crate::support::{
    PET_7, PROMPTLY, Running, axum_app_on, gateway, greet, greeter_options, listed, pet_through,
    pets_app, pets_options, plain, registered, tonic_greeter_on, within,
};

/// A kind of server, and what it serves.
trait Kind {
    /// As the gateway lists it.
    const SERVICE: &str;

    fn options(gateway: &EmbeddedGateway) -> Options;
    async fn start_on(address: &str, options: Options) -> Running;
    async fn assert_called_through(gateway: &EmbeddedGateway);
    /// Serves until a signal that is there already.
    async fn serve_until_now(options: Options) -> Registration;
}

struct Axum;
struct Tonic;

impl Kind for Axum {
    const SERVICE: &str = "Pet_Store_API/v1";

    fn options(gateway: &EmbeddedGateway) -> Options {
        pets_options(gateway)
    }

    async fn start_on(address: &str, options: Options) -> Running {
        axum_app_on(address, options, pets_app()).await
    }

    async fn assert_called_through(gateway: &EmbeddedGateway) {
        assert_eq!(pet_through(gateway).await, PET_7);
    }

    async fn serve_until_now(options: Options) -> Registration {
        let layer = GwagRegistrationLayer::new(options);
        let registration = layer.registration();
        let (listener, _) = bind("127.0.0.1:0").await;
        let listener = registration.listener(listener).expect("wrapped");
        let served = axum::serve(listener, pets_app().layer(layer))
            .with_graceful_shutdown(registration.shutdown(ready(())));
        let served = within("the server ends", served.into_future()).await;
        served.expect("served");
        registration
    }
}

impl Kind for Tonic {
    const SERVICE: &str = "greeter/v1";

    fn options(gateway: &EmbeddedGateway) -> Options {
        greeter_options(gateway)
    }

    async fn start_on(address: &str, options: Options) -> Running {
        tonic_greeter_on(address, options).await
    }

    async fn assert_called_through(gateway: &EmbeddedGateway) {
        assert_eq!(greet(gateway.address()).await, "Hello, Ada!");
    }

    async fn serve_until_now(options: Options) -> Registration {
        let layer = GwagRegistrationLayer::new(options);
        let registration = layer.registration();
        let (listener, _) = bind("127.0.0.1:0").await;
        let incoming = registration.incoming(listener).expect("wrapped");
        let served = Server::builder()
            .layer(layer)
            .add_service(GreeterServer::new(TestGreeter::default()))
            .serve_with_incoming_shutdown(incoming, registration.shutdown(ready(())));
        within("the server ends", served).await.expect("served");
        registration
    }
}

async fn is_listed_as<K: Kind>(bound: &str, address: impl FnOnce(u16) -> String) {
    let gateway = gateway().await;
    let server = K::start_on(bound, K::options(&gateway)).await;
    registered(&server.registration).await;
    let entries = listed(&gateway, 1).await;
    assert_eq!(plain(&entries[0].addr), address(server.address.port()));
    assert_eq!(entries[0].namespaces, [K::SERVICE]);
    K::assert_called_through(&gateway).await;
    server.stop().await;
}

async fn on_port_0_the_real_port_is_listed_and_called<K: Kind>() {
    is_listed_as::<K>("127.0.0.1:0", |port| format!("127.0.0.1:{port}")).await;
}

async fn on_all_interfaces_an_address_that_can_be_dialled_is_listed<K: Kind>() {
    is_listed_as::<K>("0.0.0.0:0", |port| format!("127.0.0.1:{port}")).await;
}

async fn on_ipv6_the_address_is_listed_in_brackets<K: Kind>() {
    is_listed_as::<K>("[::1]:0", |port| format!("[::1]:{port}")).await;
}

async fn at_the_signal_it_is_deregistered_and_the_server_ends<K: Kind>() {
    let gateway = gateway().await;
    let server = K::start_on("127.0.0.1:0", K::options(&gateway)).await;
    registered(&server.registration).await;
    let start = Instant::now();
    let report = server.stop().await;
    assert!(start.elapsed() < PROMPTLY, "took {:?}", start.elapsed());
    assert_eq!(report.reason(), LeaveReason::Signal);
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
    assert!(report.is_clean());
    assert!(report.to_string().contains("deregistered"), "{report}");
    assert!(gateway.registrations().is_empty());
}

async fn a_signal_before_the_first_accept_registers_nothing<K: Kind>() {
    let gateway = gateway().await;
    let registration = K::serve_until_now(K::options(&gateway)).await;
    let report = within("the report", registration.finish()).await;
    assert_eq!(report.outcome(), LeaveOutcome::NothingRegistered);
    assert_eq!(report.reason(), LeaveReason::Signal);
    assert!(
        gateway.rpc_counts().by_rpc.is_empty(),
        "no gateway was called"
    );
}

/// The listener may be polled before the signal: then the service is registered, and leaves.
async fn a_signal_at_the_first_accept_leaves_nothing_behind<K: Kind>() {
    let gateway = gateway().await;
    let registration = K::serve_until_now(K::options(&gateway)).await;
    let report = within("the report", registration.finish()).await;
    assert!(report.is_clean(), "{report}");
    let may_be = [LeaveOutcome::NothingRegistered, LeaveOutcome::Deregistered];
    assert!(may_be.contains(&report.outcome()), "{report}");
    assert_eq!(report.reason(), LeaveReason::Signal);
    assert!(gateway.registrations().is_empty());
}

/// axum keeps the future of the signal on a task of its own, which outlives the server's.
async fn an_aborted_server_is_deregistered_at_once<K: Kind>() {
    let gateway = gateway().await;
    let server = K::start_on("127.0.0.1:0", K::options(&gateway)).await;
    registered(&server.registration).await;
    let registration = server.registration.clone();
    let start = Instant::now();
    server.abort().await;
    listed(&gateway, 0).await;
    assert!(start.elapsed() < PROMPTLY, "took {:?}", start.elapsed());
    let report = within("the report", registration.finish()).await;
    assert_eq!(report.reason(), LeaveReason::ServerDropped);
    assert_eq!(report.outcome(), LeaveOutcome::Deregistered);
}

/// The tests, once for each kind of server.
macro_rules! lives {
    ($($module:ident $kind:ident),+) => {$(
        mod $module {
            use super::$kind;

            #[tokio::test]
            async fn on_port_0_the_real_port_is_listed_and_called() {
                super::on_port_0_the_real_port_is_listed_and_called::<$kind>().await;
            }

            #[tokio::test]
            async fn on_all_interfaces_an_address_that_can_be_dialled_is_listed() {
                super::on_all_interfaces_an_address_that_can_be_dialled_is_listed::<$kind>().await;
            }

            #[tokio::test]
            async fn on_ipv6_the_address_is_listed_in_brackets() {
                super::on_ipv6_the_address_is_listed_in_brackets::<$kind>().await;
            }

            #[tokio::test]
            async fn at_the_signal_it_is_deregistered_and_the_server_ends() {
                super::at_the_signal_it_is_deregistered_and_the_server_ends::<$kind>().await;
            }

            #[tokio::test]
            async fn a_signal_before_the_first_accept_registers_nothing() {
                super::a_signal_before_the_first_accept_registers_nothing::<$kind>().await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn a_signal_at_the_first_accept_leaves_nothing_behind() {
                super::a_signal_at_the_first_accept_leaves_nothing_behind::<$kind>().await;
            }

            #[tokio::test]
            async fn an_aborted_server_is_deregistered_at_once() {
                super::an_aborted_server_is_deregistered_at_once::<$kind>().await;
            }
        }
    )+};
}

lives!(on_axum Axum, on_tonic Tonic);
