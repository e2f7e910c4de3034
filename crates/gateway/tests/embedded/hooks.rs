//! Misbehaviour on request.

use std::time::Duration;

use tonic::Code;
use tower_gwag_gateway::{EmbeddedGateway, Rpc};

use crate::backend::PROTO;
use crate::caller::{Caller, soon};

const ADDR: &str = "127.0.0.1:1";

async fn gateway() -> (EmbeddedGateway, Caller) {
    let gateway = EmbeddedGateway::builder().start().await.unwrap();
    let caller = Caller::connect(&gateway.target()).await;
    (gateway, caller)
}

#[tokio::test]
async fn evicted_registrations_are_unknown() {
    let (gateway, caller) = gateway().await;
    let id = caller.register(ADDR, "demo", PROTO).await;
    assert!(caller.beat(&id).await.unwrap());
    assert!(gateway.evict(&id));
    assert!(!gateway.evict(&id));
    assert!(!caller.beat(&id).await.unwrap());
    caller.register(ADDR, "demo", PROTO).await;
    gateway.evict_all();
    assert!(gateway.registrations().is_empty() && gateway.services().is_empty());
}

#[tokio::test]
async fn refusals_come_as_often_as_asked_for() {
    let (gateway, caller) = gateway().await;
    gateway.refuse_next(Rpc::Heartbeat, 2, Code::Unavailable, "later");
    for _ in 0..2 {
        let status = caller.beat("x").await.unwrap_err();
        assert_eq!(
            (status.code(), status.message()),
            (Code::Unavailable, "later")
        );
    }
    assert!(!caller.beat("x").await.unwrap());
}

#[tokio::test]
async fn a_delayed_call_that_is_given_up_is_done_all_the_same() {
    let (gateway, caller) = gateway().await;
    gateway.delay(Rpc::Register, Duration::from_millis(300));
    let register = caller.register(ADDR, "demo", PROTO);
    assert!(
        tokio::time::timeout(Duration::from_millis(100), register)
            .await
            .is_err()
    );
    soon(gateway.wait_until(|now| now.registrations.len() == 1)).await;
    soon(gateway.wait_until(|now| now.rpc_counts.of(Rpc::Register).cancelled == 1)).await;
    assert_eq!(gateway.rpc_counts().mutating_cancelled, 1);
}

#[tokio::test]
async fn overlapping_mutations_are_counted() {
    let (gateway, caller) = gateway().await;
    let id = caller.register(ADDR, "demo", PROTO).await;
    gateway.delay(Rpc::Heartbeat, Duration::from_millis(100));
    let (one, other) = tokio::join!(caller.beat(&id), caller.beat(&id));
    assert!(one.unwrap() && other.unwrap());
    let counts = gateway.rpc_counts();
    assert_eq!(counts.most_mutating_by_registration[&id], 2);
    assert_eq!(counts.most_mutating_by_instance["test"], 2);
    assert_eq!(counts.mutating_cancelled, 0);
    assert_eq!(counts.of(Rpc::Heartbeat).answered, 2);
}

#[tokio::test]
async fn frozen_it_connects_but_does_nothing_until_the_thaw() {
    let (gateway, caller) = gateway().await;
    let id = caller.register(ADDR, "demo", PROTO).await;
    gateway.freeze();
    // The kernel still takes connections.
    soon(tokio::net::TcpStream::connect(gateway.address()))
        .await
        .unwrap();
    let waiting = {
        let (caller, id) = (caller.clone(), id.clone());
        tokio::spawn(async move { caller.beat(&id).await })
    };
    let received = gateway.rpc_counts().of(Rpc::Heartbeat).received;
    assert!(
        tokio::time::timeout(Duration::from_millis(200), caller.beat(&id))
            .await
            .is_err()
    );
    assert_eq!(gateway.rpc_counts().of(Rpc::Heartbeat).received, received);
    gateway.thaw();
    assert!(soon(waiting).await.unwrap().unwrap());
}

#[tokio::test]
async fn killed_it_is_gone_and_revived_it_knows_nothing() {
    let (gateway, caller) = gateway().await;
    let id = caller.register(ADDR, "demo", PROTO).await;
    let (target, url) = (gateway.target(), gateway.http_url());
    soon(gateway.kill()).await;
    assert!(!gateway.view().alive);
    let refused = tokio::net::TcpStream::connect(gateway.address()).await;
    assert_eq!(
        refused.unwrap_err().kind(),
        std::io::ErrorKind::ConnectionRefused
    );
    assert!(soon(caller.beat(&id)).await.is_err());
    soon(gateway.revive()).await.unwrap();
    assert_eq!((target, url), (gateway.target(), gateway.http_url()));
    let caller = Caller::connect(&gateway.target()).await;
    assert!(!soon(caller.beat(&id)).await.unwrap());
    for _ in 0..5 {
        soon(gateway.restart()).await.unwrap();
    }
    assert_eq!(gateway.rpc_counts().mutating_cancelled, 0);
    gateway.shutdown().await;
    assert!(gateway.revive().await.is_err());
}

#[tokio::test]
async fn a_frozen_gateway_can_be_killed_and_the_last_handle_stops_it() {
    let (gateway, _caller) = gateway().await;
    gateway.freeze();
    soon(gateway.restart()).await.unwrap();
    assert!(!gateway.view().frozen);
    let address = gateway.address();
    let other = gateway.clone();
    drop(gateway);
    tokio::net::TcpStream::connect(address).await.unwrap();
    drop(other);
    soon(async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}
