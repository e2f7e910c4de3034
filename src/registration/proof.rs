//! The proof that a service is routed: a call of the gateway that reached this server.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use http::{Extensions, HeaderMap, header};
use tokio::sync::Notify;

/// How many hosts that connected are remembered.
const MOST_PEERS: usize = 64;

/// Looks for a call that came from the gateway's host.
///
/// A gateway does not say that it is one. What its calls have is its address and, over gRPC, the
/// name of Go's client.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    awaited: AtomicBool,
    gateways: Mutex<Vec<IpAddr>>,
    /// Hosts that connected to a listener whose server does not tell its requests from whom.
    peers: Mutex<Vec<IpAddr>>,
    found: Notify,
}

// === impl Proof ===

impl Proof {
    /// From now on a call from one of these hosts is a proof.
    pub(super) fn await_from(&self, gateways: &[IpAddr]) {
        *lock(&self.gateways) = gateways.iter().map(IpAddr::to_canonical).collect();
        self.awaited.store(true, Ordering::Relaxed);
    }

    pub(super) fn forget(&self) {
        self.awaited.store(false, Ordering::Relaxed);
    }

    /// Resolves once per proof.
    pub(super) async fn found(&self) {
        self.found.notified().await;
    }

    #[cfg_attr(
        not(feature = "axum"),
        allow(dead_code, reason = "for wrapped listeners")
    )]
    pub(crate) fn saw_connection(&self, from: SocketAddr) {
        let from = from.ip().to_canonical();
        let mut peers = lock(&self.peers);
        if peers.len() < MOST_PEERS && !peers.contains(&from) {
            peers.push(from);
        }
    }

    /// Costs one load where nothing is to be proved.
    pub(crate) fn saw_call(&self, extensions: &Extensions, headers: &HeaderMap, is_grpc: bool) {
        if !self.awaited.load(Ordering::Relaxed) {
            return;
        }
        if is_grpc && !is_from_go(headers) {
            return;
        }
        let gateways = lock(&self.gateways);
        let is_proof = match peer_of(extensions) {
            Some(peer) => gateways.contains(&peer.ip().to_canonical()),
            None => lock(&self.peers).iter().any(|it| gateways.contains(it)),
        };
        if is_proof && self.awaited.swap(false, Ordering::Relaxed) {
            self.found.notify_one();
        }
    }
}

/// What is behind these locks is replaced whole or grows, so that it is valid after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Go's gRPC client always says so, whatever else a caller has put before it.
fn is_from_go(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT);
    let agent = agent.and_then(|agent| agent.to_str().ok());
    agent.is_some_and(|agent| agent.contains("grpc-go/"))
}

#[cfg_attr(
    not(any(feature = "axum", feature = "tonic")),
    allow(unused_variables, reason = "only these servers tell")
)]
fn peer_of(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "tonic")]
    {
        use tonic::transport::server::TcpConnectInfo;
        if let Some(info) = extensions.get::<TcpConnectInfo>() {
            return info.remote_addr();
        }
    }
    #[cfg(feature = "axum")]
    {
        use axum::extract::ConnectInfo;
        if let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() {
            return Some(*peer);
        }
    }
    None
}
