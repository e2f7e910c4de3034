//! Views of an embedded gateway's state.

use std::time::Duration;

use super::rpc_counts::RpcCounts;

/// A registration that a node holds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RegistrationView {
    /// 24 lower-case hex digits.
    pub id: String,
    /// The registered address, byte for byte.
    pub addr: String,
    /// The free text of Register.
    pub instance_id: String,
    /// The granted lease.
    pub ttl: Duration,
    /// The time since the last heartbeat (or Register).
    pub since_last_beat: Duration,
    /// The services, `namespace/version`, in the order of the request.
    pub namespaces: Vec<String>,
}

/// A service that a gateway knows; built-in ones are not shown.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServiceView {
    /// The namespace.
    pub namespace: String,
    /// `v1`, `unstable`, …
    pub version: String,
    /// The canonical hash of the schema, 64 hex digits.
    pub hash: String,
    /// The address of each replica; one address may occur more than once.
    pub replicas: Vec<String>,
    /// The reason of its deprecation, if deprecated.
    pub deprecation: Option<String>,
    /// Whether calls are routed to it; false while another service's schema blocks the gateway.
    pub routed: bool,
}

/// A snapshot, for [`wait_until`](super::EmbeddedGateway::wait_until).
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct GatewayView {
    /// The registrations of this node, oldest first.
    pub registrations: Vec<RegistrationView>,
    /// The services, by namespace and version.
    pub services: Vec<ServiceView>,
    /// The control-plane calls received.
    pub rpc_counts: RpcCounts,
    /// In a cluster: changes that this node has not mounted yet.
    pub pending_mounts: usize,
    /// Whether the node is up: false between `kill` and `revive`, and after `shutdown`.
    pub alive: bool,
    /// Whether the node is frozen.
    pub frozen: bool,
}

impl GatewayView {
    /// The service with this namespace and version.
    #[must_use]
    pub fn service(&self, namespace: &str, version: &str) -> Option<&ServiceView> {
        self.services
            .iter()
            .find(|service| service.namespace == namespace && service.version == version)
    }
}
