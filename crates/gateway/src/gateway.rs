//! The handle of an embedded gateway.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tonic::Code;

use super::builder::EmbeddedGatewayBuilder;
use super::cluster::Cluster;
use super::data_plane::fatal::FatalCall;
use super::journal::CallCount;
use super::ledger::RpcCounts;
use super::node::Node;
use super::rpc::Rpc;
use super::view::{GatewayView, RegistrationView, ServiceView};
use crate::error::Error;

/// A gateway in this process, on real sockets: a development and test tool.
///
/// A handle, cheap to clone. Everything stops when the last one is dropped, or at
/// [`shutdown`](Self::shutdown). It lives on the runtime on which it was started.
#[derive(Clone, Debug)]
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
    /// Begins with the defaults: standalone, on free ports of 127.0.0.1.
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

    /// The address of the control plane and the gRPC ingress; it stays over restarts.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.node().address
    }

    /// The same as `host:port`, fit for `Options`.
    #[must_use]
    pub fn target(&self) -> String {
        self.node().address.to_string()
    }

    /// The base URL of the HTTP port, `http://host:port` without a slash at its end; it stays over
    /// restarts.
    #[must_use]
    pub fn http_url(&self) -> String {
        format!("http://{}", self.node().http_address)
    }

    // === what it knows ===

    /// The registrations of this node, oldest first; none while it is dead.
    #[must_use]
    pub fn registrations(&self) -> Vec<RegistrationView> {
        self.node().view().registrations
    }

    /// The services, by namespace and version, the built-in ones left out; none while it is dead.
    #[must_use]
    pub fn services(&self) -> Vec<ServiceView> {
        self.node().view().services
    }

    /// What calls came in since the start, over restarts.
    #[must_use]
    pub fn rpc_counts(&self) -> RpcCounts {
        self.node().ledger.counts()
    }

    /// The calls that would have ended a real gateway's process, oldest first, over restarts; the
    /// last thousand.
    ///
    /// A server stream with an unsigned 64-bit field, or with a map in its request, does that.
    #[must_use]
    pub fn fatal_calls(&self) -> Vec<FatalCall> {
        self.node().fatal.all()
    }

    /// How often each method was called through this node since its start, over restarts, by gRPC
    /// (`/package.Service/Method`), HTTP (`GET /pets`) and GraphQL (all together).
    #[must_use]
    pub fn calls(&self) -> BTreeMap<String, CallCount> {
        self.node().journal.calls()
    }

    /// What the control plane refused, with its reason, oldest first; the last hundred.
    #[must_use]
    pub fn refusals(&self) -> Vec<String> {
        self.node().journal.refusals()
    }

    /// Everything at one moment.
    #[must_use]
    pub fn view(&self) -> GatewayView {
        self.node().view()
    }

    /// Waits until `condition` holds; it is asked again after every change, not by a clock.
    ///
    /// It has no deadline of its own: put one around it. `since_last_beat` alone is no change.
    ///
    /// # Cancel safety
    ///
    /// Safe: nothing is lost when it is dropped.
    pub async fn wait_until(&self, mut condition: impl FnMut(&GatewayView) -> bool) {
        let mut changes = self.node().subscribe();
        while !condition(&self.node().view()) {
            // Fails only when the node is gone, which this handle forbids.
            if changes.changed().await.is_err() {
                return;
            }
        }
    }

    // === hooks ===

    /// Removes a registration as if its lease had run out; false where the id is not known.
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

    /// Answers the next `calls` calls of one kind with a status instead of working on them; 0
    /// takes earlier refusals back.
    pub fn refuse_next(&self, rpc: Rpc, calls: usize, code: Code, message: impl Into<String>) {
        self.node()
            .faults
            .refuse_next(rpc, calls, code, message.into());
    }

    /// Waits this long before it works on each call of one kind; [`Duration::ZERO`] clears it. The
    /// work is done also when the client has given up meanwhile, as in a real gateway.
    pub fn delay(&self, rpc: Rpc, delay: Duration) {
        self.node().faults.delay(rpc, delay);
    }

    /// Stops it as SIGSTOP stops a process: connections still come up, since that is the kernel's
    /// work, but nothing is read, answered or swept, on both ports and towards the services.
    pub fn freeze(&self) {
        self.node().gate.freeze();
        self.node().changed();
    }

    /// Lets it go on after [`freeze`](Self::freeze): what came in meanwhile is worked on.
    pub fn thaw(&self) {
        self.node().gate.thaw();
        self.node().changed();
    }

    /// Kills it as SIGKILL kills a process: ports closed, connections ended, all it knew lost. The
    /// ports stay reserved for [`revive`](Self::revive).
    ///
    /// # Cancel safety
    ///
    /// Not safe: dropped before it is ready, the node may be half dead. Call it again then.
    pub async fn kill(&self) {
        self.node().kill(false).await;
    }

    /// Starts it again on the same ports, knowing nothing; does nothing while it is up.
    ///
    /// # Errors
    ///
    /// A port that was taken meanwhile, or a gateway that was shut down.
    ///
    /// # Cancel safety
    ///
    /// Safe: dropped before it is ready, the node is still dead.
    pub async fn revive(&self) -> Result<(), Error> {
        self.node().revive().await
    }

    /// [`kill`](Self::kill) and [`revive`](Self::revive).
    ///
    /// # Errors
    ///
    /// A port that was taken meanwhile.
    ///
    /// # Cancel safety
    ///
    /// Not safe: dropped before it is ready, the node may stay dead.
    pub async fn restart(&self) -> Result<(), Error> {
        self.kill().await;
        self.revive().await
    }

    /// Ends it for good and frees its ports; other handles find it dead.
    ///
    /// # Cancel safety
    ///
    /// Not safe: dropped before it is ready, the ports may not be free yet.
    pub async fn shutdown(&self) {
        self.node().kill(true).await;
    }
}
