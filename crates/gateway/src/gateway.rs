//! The handle of an embedded gateway.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tonic::Code;

use super::builder::EmbeddedGatewayBuilder;
use super::cluster::Cluster;
use super::data_plane::changed_calls::ChangedCall;
use super::data_plane::fatal_calls::FatalCall;
use super::journal::CallCount;
use super::node::Node;
use super::rpc::Rpc;
use super::rpc_counts::RpcCounts;
use super::view::{GatewayView, RegistrationView, ServiceView};
use crate::error::Error;

/// A gateway in this process, on real sockets: a tool for development and tests.
///
/// A handle, cheap to clone. The gateway stops when the last handle is dropped, or at
/// [`shutdown`](Self::shutdown). It lives on the runtime on which it was started.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_gwag_gateway::Error> {
/// use tower_gwag_gateway::EmbeddedGateway;
///
/// let gateway = EmbeddedGateway::builder().start().await?;
/// // Give this to `Options::new` of the service under test.
/// println!("control plane: {}", gateway.target());
/// println!("HTTP: {}", gateway.http_url());
///
/// assert!(gateway.registrations().is_empty() && gateway.services().is_empty());
/// assert_eq!(gateway.rpc_counts().mutating_cancelled, 0);
/// for (method, count) in gateway.calls() {
///     println!("{method}: {} calls, {} failed", count.calls, count.errors);
/// }
/// for refusal in gateway.refusals() {
///     println!("refused: {refusal}");
/// }
/// gateway.shutdown().await;
/// # Ok(())
/// # }
/// ```
///
/// What calls would do to a real gateway:
///
/// ```no_run
/// # fn example(gateway: tower_gwag_gateway::EmbeddedGateway) {
/// for call in gateway.changed_calls() {
///     println!("{} times {call}", call.times);
/// }
/// assert!(gateway.fatal_calls().is_empty(), "{:?}", gateway.fatal_calls());
/// # }
/// ```
///
/// Faults on purpose:
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_gwag_gateway::Error> {
/// use std::time::Duration;
/// use tower_gwag_gateway::{EmbeddedGateway, Rpc};
///
/// let gateway = EmbeddedGateway::builder().start().await?;
/// // The gateway stops answering, as with SIGSTOP, and continues.
/// gateway.freeze();
/// gateway.thaw();
/// // It loses its state, and comes back on the same ports.
/// gateway.kill().await;
/// gateway.revive().await?;
/// gateway.restart().await?;
/// // Single calls are slow or refused, and registrations end.
/// gateway.delay(Rpc::Heartbeat, Duration::from_secs(2));
/// gateway.refuse_next(Rpc::Register, 1, tonic::Code::Unavailable, "busy");
/// gateway.evict_all();
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "the gateway stops when its last handle is dropped"]
pub struct EmbeddedGateway(Arc<Handle>);

#[derive(Debug)]
struct Handle {
    node: Arc<Node>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.node.stop();
    }
}

impl EmbeddedGateway {
    /// Starts a builder with the defaults: standalone, on free ports of 127.0.0.1.
    pub fn builder() -> EmbeddedGatewayBuilder {
        EmbeddedGatewayBuilder::new()
    }

    pub(super) async fn start(settings: EmbeddedGatewayBuilder) -> Result<Self, Error> {
        let node = Node::start(settings).await?;
        Ok(Self(Arc::new(Handle { node })))
    }

    fn node(&self) -> &Arc<Node> {
        &self.0.node
    }

    pub(super) fn cluster(&self) -> Option<Arc<Cluster>> {
        self.node().cluster.clone()
    }

    // === where it is ===

    /// The address of the control plane and the gRPC ingress; restarts keep it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.node().address
    }

    /// The same as `host:port`, for `Options`.
    #[must_use]
    pub fn target(&self) -> String {
        self.node().address.to_string()
    }

    /// The base URL of the HTTP port, `http://host:port` without a trailing slash; restarts keep
    /// it.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.node().http_address)
    }

    // === what it knows ===

    /// The registrations of this node, oldest first; none while the node is dead.
    #[must_use]
    pub fn registrations(&self) -> Vec<RegistrationView> {
        self.node().view().registrations
    }

    /// The services, by namespace and version, without the built-in ones; none while the node is
    /// dead.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceView> {
        self.node().view().services
    }

    /// The control-plane calls received since the start, across restarts.
    #[must_use]
    pub fn rpc_counts(&self) -> RpcCounts {
        self.node().rpc_counter.counts()
    }

    /// The last thousand calls that would have ended a real gateway's process, oldest first, across
    /// restarts.
    ///
    /// A server stream with an unsigned 64-bit field, or with a map in its request, does that.
    #[must_use]
    pub fn fatal_calls(&self) -> Vec<FatalCall> {
        self.node().fatal.all()
    }

    /// What calls through this node silently lost, as at a real gateway, since its start and across
    /// restarts: headers and trailers, statuses, messages of streams, fields, query parameters and
    /// bodies that no schema declares. It does not notice every change, such as numbers that become
    /// doubles.
    #[must_use]
    pub fn changed_calls(&self) -> Vec<ChangedCall> {
        self.node().losses.all()
    }

    /// How often each method was called through this node since its start, across restarts: over
    /// gRPC (`/package.Service/Method`), HTTP (`GET /pets`) and GraphQL (all together).
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, CallCount> {
        self.node().journal.calls()
    }

    /// The last hundred refusals of the control plane with their reasons, oldest first.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        self.node().journal.refusals()
    }

    /// A snapshot of everything.
    #[must_use]
    pub fn view(&self) -> GatewayView {
        self.node().view()
    }

    /// Waits until `condition` holds; it is evaluated after every change, not periodically.
    ///
    /// It has no deadline of its own: wrap it in one. A new `since_last_beat` alone is not a
    /// change.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost when it is dropped.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn example(gateway: tower_gwag_gateway::EmbeddedGateway) -> Result<(), tokio::time::error::Elapsed> {
    /// use std::time::Duration;
    ///
    /// let greets = gateway.wait_until(|now| now.service("greeter", "v1").is_some());
    /// tokio::time::timeout(Duration::from_secs(5), greets).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn wait_until(&self, mut condition: impl FnMut(&GatewayView) -> bool) {
        let mut changes = self.node().subscribe();
        while !condition(&self.node().view()) {
            // Fails only if the node is gone, which this handle prevents.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    // === hooks ===

    /// Removes a registration as if its lease had expired; returns false if the id is not known.
    #[must_use = "tells whether there was one"]
    pub fn evict(&self, id: &str) -> bool {
        let Some(life) = self.node().life() else {
            return false;
        };
        let evicted = life.deregister([&id.to_owned()]) > 0;
        self.node().changed();
        evicted
    }

    /// Removes every registration.
    pub fn evict_all(&self) {
        if let Some(life) = self.node().life() {
            let ids = life.registry().ids();
            life.deregister(&ids);
            self.node().changed();
        }
    }

    /// Answers the next `calls` calls of one kind with this status instead of handling them. It
    /// replaces earlier refusals of that kind, so 0 cancels them.
    pub fn refuse_next(&self, rpc: Rpc, calls: usize, code: Code, message: impl Into<String>) {
        self.node()
            .faults
            .refuse_next(rpc, calls, code, message.into());
    }

    /// Delays the handling of each call of one kind; [`Duration::ZERO`] clears the delay. The call
    /// is handled even if the client has given up meanwhile, as in a real gateway.
    pub fn delay(&self, rpc: Rpc, delay: Duration) {
        self.node().faults.delay(rpc, delay);
    }

    /// Freezes the gateway as SIGSTOP freezes a process: the kernel still accepts connections, but
    /// nothing is read, answered or swept, on both ports and towards the services.
    pub fn freeze(&self) {
        self.node().gate.freeze();
        self.node().changed();
    }

    /// Resumes after [`freeze`](Self::freeze), and handles what arrived meanwhile.
    pub fn thaw(&self) {
        self.node().gate.thaw();
        self.node().changed();
    }

    /// Kills the gateway as SIGKILL kills a process: it closes its ports, ends its connections and
    /// loses its state. The ports stay reserved for [`revive`](Self::revive).
    ///
    /// # Cancel safety
    ///
    /// Not safe: if dropped before it is ready, the node may be half dead. Call it again then.
    pub async fn kill(&self) {
        self.node().kill(false).await;
    }

    /// Starts the gateway again on the same ports, without any state; does nothing while it is up.
    ///
    /// # Errors
    ///
    /// A port that was taken meanwhile, or a gateway that was shut down.
    ///
    /// # Cancel safety
    ///
    /// Safe: if dropped before it is ready, the node is still dead.
    pub async fn revive(&self) -> Result<(), Error> {
        self.node().revive().await
    }

    /// [`kill`](Self::kill) and [`revive`](Self::revive).
    ///
    /// # Errors
    ///
    /// As [`revive`](Self::revive).
    ///
    /// # Cancel safety
    ///
    /// Not safe: if dropped before it is ready, the node may stay dead.
    pub async fn restart(&self) -> Result<(), Error> {
        self.kill().await;
        self.revive().await
    }

    /// Ends the gateway for good and frees its ports; other handles then find it dead.
    ///
    /// # Cancel safety
    ///
    /// Not safe: if dropped before it is ready, the ports may not be free yet.
    pub async fn shutdown(&self) {
        self.node().kill(true).await;
    }
}
