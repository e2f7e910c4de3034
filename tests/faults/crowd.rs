//! Many registrations of one process on one connection.

use std::time::Duration;

use tokio::task::JoinSet;
use tower_gwag::{GwagRegistrationLayer, Registration};
use tower_gwag_gateway::Rpc;

use crate::lone_options;
use crate::support::{assert_orderly, gateway, listed, registered, within};

const CROWD: u16 = 100;
/// At once, over one connection.
const MOST_CALLS: u64 = 64;

/// Each call takes memory, and a thousand at once would never be given back.
#[tokio::test]
async fn calls_wait_for_room_and_none_is_lost() {
    let gateway = gateway().await;
    let start = |number: u16| {
        let options = lone_options(gateway.address()).heartbeat_interval(Duration::from_millis(50));
        let registration = GwagRegistrationLayer::new(options).registration();
        let address = ([127, 0, 0, 1], 20_000 + number).into();
        registration.start(address).expect("good options");
        registration
    };
    let crowd: Vec<Registration> = (0..CROWD).map(start).collect();
    for registration in &crowd {
        registered(registration).await;
    }
    // Slower than they are due: they pile up.
    gateway.delay(Rpc::Heartbeat, Duration::from_millis(200));
    let is_full = gateway.wait_until(|now| {
        let beats = now.rpc_counts.of(Rpc::Heartbeat);
        assert!(beats.in_flight <= MOST_CALLS, "{beats:?}");
        beats.in_flight == MOST_CALLS
    });
    within("as many as there may be", is_full).await;
    listed(&gateway, CROWD.into()).await;
    let mut leaving = JoinSet::new();
    for registration in crowd {
        leaving.spawn(async move { registration.leave().await });
    }
    for report in within("left", leaving.join_all()).await {
        assert!(report.is_clean(), "{report}");
    }
    assert!(gateway.registrations().is_empty());
    assert_orderly(&gateway);
}
