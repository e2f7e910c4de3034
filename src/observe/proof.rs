//! The proof that a service is routed: a call from the gateway that reached this server.

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use http::{Extensions, HeaderMap, Method, Uri, Version, header};
use tokio::sync::Notify;

use crate::observe::peers::Peers;

/// Looks for a call from the gateway.
///
/// A gateway does not identify itself. Its calls have the user agent of Go's clients and a
/// connection from the gateway's host (contract § 6.4). This proves something only if the address
/// that the gateway dials is the one that this server is bound to.
#[derive(Debug, Default)]
pub(crate) struct Proof {
    /// The number of the registration to prove in the higher bits, its progress in the lowest two.
    /// A single number, so that a call that began before the last change proves nothing.
    state: AtomicU64,
    callers: RwLock<Callers>,
    pub(crate) peers: Peers,
    /// A gateway has called, at the advertised address or another.
    was_called: AtomicBool,
    found: Notify,
}

/// The callers whose calls are proof.
#[derive(Clone, Debug, Default)]
pub(crate) struct Callers {
    /// The hosts from which the gateway calls.
    pub(crate) hosts: Vec<IpAddr>,
    /// The advertised address is the bound one.
    pub(crate) is_bound: bool,
}

/// The head of a request, whatever the type of its body.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Head<'a> {
    pub(crate) method: &'a Method,
    pub(crate) uri: &'a Uri,
    pub(crate) version: Version,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) extensions: &'a Extensions,
}

const PHASE: u64 = 3;
const AWAITED: u64 = 1;
const FOUND: u64 = 2;
const NEXT: u64 = 4;

// === impl Proof ===

impl Proof {
    /// From now on, a call from one of these callers is proof.
    pub(crate) fn await_from(&self, callers: &Callers) {
        self.forget();
        let mut current = self.callers.write().unwrap_or_else(PoisonError::into_inner);
        *current = Callers {
            hosts: callers.hosts.iter().map(IpAddr::to_canonical).collect(),
            is_bound: callers.is_bound,
        };
        drop(current);
        self.state.fetch_or(AWAITED, Ordering::Release);
    }

    /// The same callers must prove it again: the route may have disappeared since.
    pub(crate) fn await_again(&self) {
        self.forget();
        self.state.fetch_or(AWAITED, Ordering::Release);
    }

    /// Invalidates a call that is being looked at, and a proof that was found but not reported yet.
    pub(crate) fn forget(&self) {
        let next = |state: u64| Some((state & !PHASE).wrapping_add(NEXT));
        // The closure always returns a state.
        let _ = self
            .state
            .fetch_update(Ordering::AcqRel, Ordering::Relaxed, next);
    }

    /// Resolves once per proof. For one task only.
    pub(crate) async fn found(&self) {
        loop {
            let state = self.state.load(Ordering::Acquire);
            let told = state & !PHASE;
            if state & PHASE == FOUND && self.advance(state, told) {
                return;
            }
            // A proof found in between leaves a permit.
            self.found.notified().await;
        }
    }

    fn advance(&self, from: u64, to: u64) -> bool {
        let (success, failure) = (Ordering::AcqRel, Ordering::Relaxed);
        self.state
            .compare_exchange(from, to, success, failure)
            .is_ok()
    }

    /// Whether a gateway has ever called, as proof or not.
    pub(crate) fn was_called(&self) -> bool {
        self.was_called.load(Ordering::Relaxed)
    }

    /// Whether there is something to prove: a single load.
    #[inline]
    pub(crate) fn is_awaited(&self) -> bool {
        self.state.load(Ordering::Acquire) & PHASE == AWAITED
    }

    pub(crate) fn saw_call(&self, head: &Head<'_>, is_grpc: bool) {
        let state = self.state.load(Ordering::Acquire);
        if state & PHASE == AWAITED && looks_like_a_gateway(head.headers, is_grpc) {
            self.saw_likely_call(state, head);
        }
    }

    fn saw_likely_call(&self, state: u64, head: &Head<'_>) {
        if is_of_the_server(head.uri.path()) {
            return;
        }
        // Write-locked only while the state changes, and after a change the call proves nothing: so
        // a request never waits here.
        let Ok(callers) = self.callers.try_read() else {
            return;
        };
        let came = self.peers.came_from(head.extensions, &callers.hosts);
        let is_proof = came && callers.is_bound;
        drop(callers);
        if came && self.state.load(Ordering::Acquire) == state {
            self.was_called.store(true, Ordering::Relaxed);
        }
        if is_proof && self.advance(state, (state & !PHASE) | FOUND) {
            self.found.notify_one();
        }
    }
}

// === impl Head ===

impl<'a> Head<'a> {
    #[cfg(test)]
    fn of<B>(request: &'a http::Request<B>) -> Self {
        Self {
            method: request.method(),
            uri: request.uri(),
            version: request.version(),
            headers: request.headers(),
            extensions: request.extensions(),
        }
    }
}

/// gRPC services that only probes and tools call, never gateways.
fn is_of_the_server(path: &str) -> bool {
    path.starts_with("/grpc.health.") || path.starts_with("/grpc.reflection.")
}

/// Whether the user agent begins with the name of Go's gRPC client. Probes and tools (kubelet,
/// grpcurl) put their own name before it, gateways do not. Calls of OpenAPI and GraphQL services
/// come from Go's HTTP client and ask for JSON; other Go programs seldom do both.
fn looks_like_a_gateway(headers: &HeaderMap, is_grpc: bool) -> bool {
    let text = |name| headers.get(name).map_or(&b""[..], |it| it.as_bytes());
    let agent = text(header::USER_AGENT);
    if is_grpc {
        return agent.starts_with(b"grpc-go/");
    }
    agent == b"Go-http-client/1.1" && text(header::ACCEPT) == b"application/json"
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::time::Duration;

    use http::Request;
    use tokio::time::timeout;

    use super::*;

    const GATEWAY: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

    fn callers() -> Callers {
        Callers {
            hosts: vec![GATEWAY],
            is_bound: true,
        }
    }

    fn call(agent: &str, accept: &str, peer: IpAddr) -> Request<()> {
        let request = Request::get("/")
            .header(header::USER_AGENT, agent)
            .header(header::ACCEPT, accept);
        let peer = SocketAddr::new(peer, 4711);
        #[cfg(feature = "axum")]
        let request = request.extension(axum::extract::ConnectInfo(peer));
        #[cfg(all(feature = "tonic", not(feature = "axum")))]
        let request = request.extension(tonic::transport::server::TcpConnectInfo {
            local_addr: None,
            remote_addr: Some(peer),
        });
        request.body(()).expect("a request")
    }

    fn gateways() -> Request<()> {
        call("Go-http-client/1.1", "application/json", GATEWAY)
    }

    async fn is_found(proof: &Proof) -> bool {
        timeout(Duration::from_secs(1), proof.found()).await.is_ok()
    }

    #[cfg(any(feature = "axum", feature = "tonic"))]
    #[tokio::test(start_paused = true)]
    async fn only_a_call_of_the_gateway_is_a_proof() {
        let proof = Proof::default();
        proof.saw_call(&Head::of(&gateways()), false);
        assert!(!is_found(&proof).await, "nothing was awaited");
        proof.await_from(&callers());
        let stranger = IpAddr::from([10, 1, 2, 4]);
        for (agent, accept, peer, is_grpc) in [
            ("Go-http-client/1.1", "application/json", stranger, false),
            ("Go-http-client/1.1", "*/*", GATEWAY, false),
            ("curl/8.5.0", "application/json", GATEWAY, false),
            ("kube-probe/1.31", "*/*", GATEWAY, false),
            ("grpc-go/1.75.0", "application/json", GATEWAY, false),
            ("tonic/0.14.9", "", GATEWAY, true),
            ("kube-probe/1.31 grpc-go/1.75.0", "", GATEWAY, true),
            ("grpcurl/1.9.3 grpc-go/1.61.0", "", GATEWAY, true),
            ("grpc-go/1.75.0", "", stranger, true),
            ("Go-http-client/1.1", "application/json", GATEWAY, true),
        ] {
            proof.saw_call(&Head::of(&call(agent, accept, peer)), is_grpc);
            assert!(!is_found(&proof).await, "{agent} {accept} {peer}");
        }
        assert!(!proof.was_called());
        proof.saw_call(&Head::of(&gateways()), false);
        assert!(is_found(&proof).await);
        assert!(!is_found(&proof).await, "once");
        proof.await_from(&callers());
        let ours = call(
            "grpc-go/1.75.0",
            "",
            IpAddr::from([0, 0, 0, 0, 0, 0xffff, 0x0a01, 0x0203]),
        );
        for path in [
            "/grpc.health.v1.Health/Check",
            "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        ] {
            let mut probe = ours.clone();
            *probe.uri_mut() = path.parse().expect("a path");
            proof.saw_call(&Head::of(&probe), true);
            assert!(!is_found(&proof).await, "{path}");
        }
        proof.saw_call(&Head::of(&ours), true);
        assert!(is_found(&proof).await, "another one");
    }

    #[cfg(any(feature = "axum", feature = "tonic"))]
    #[tokio::test(start_paused = true)]
    async fn what_was_found_before_a_gateway_forgot_proves_nothing_afterwards() {
        let proof = Proof::default();
        proof.await_from(&callers());
        proof.saw_call(&Head::of(&gateways()), false);
        proof.forget();
        proof.await_from(&callers());
        assert!(!is_found(&proof).await);
        // A call is looked at while the registration changes.
        let state = proof.state.load(Ordering::Acquire);
        proof.await_from(&callers());
        proof.saw_likely_call(state, &Head::of(&gateways()));
        assert!(!is_found(&proof).await);
        proof.saw_call(&Head::of(&gateways()), false);
        assert!(is_found(&proof).await);
    }

    #[cfg(any(feature = "axum", feature = "tonic"))]
    #[tokio::test(start_paused = true)]
    async fn a_call_proves_nothing_of_another_address() {
        let proof = Proof::default();
        proof.await_from(&Callers {
            is_bound: false,
            ..callers()
        });
        proof.saw_call(&Head::of(&gateways()), false);
        assert!(!is_found(&proof).await);
        assert!(proof.was_called());
    }
}
