//! The names of the control plane's calls.

use std::fmt;

/// One of the 11 calls of a gateway's control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Rpc {
    /// Adds a replica.
    Register,
    /// Renews a lease.
    Heartbeat,
    /// Ends a registration.
    Deregister,
    /// Lists the registrations of this node.
    ListRegistrations,
    /// Lists the nodes of the cluster.
    ListPeers,
    /// Removes a dead node from the cluster.
    ForgetPeer,
    /// Lists the services that the gateway knows.
    ListServices,
    /// Signs a subscription token.
    SignSubscriptionToken,
    /// Lowers the `stable` alias.
    RetractStable,
    /// Marks a version as deprecated.
    Deprecate,
    /// Removes a deprecation.
    Undeprecate,
}

impl Rpc {
    /// Every call, in the order of the control plane's definition.
    pub const ALL: [Self; 11] = [
        Self::Register,
        Self::Heartbeat,
        Self::Deregister,
        Self::ListRegistrations,
        Self::ListPeers,
        Self::ForgetPeer,
        Self::ListServices,
        Self::SignSubscriptionToken,
        Self::RetractStable,
        Self::Deprecate,
        Self::Undeprecate,
    ];

    /// The name of the method, as in the path of the request.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "Register",
            Self::Heartbeat => "Heartbeat",
            Self::Deregister => "Deregister",
            Self::ListRegistrations => "ListRegistrations",
            Self::ListPeers => "ListPeers",
            Self::ForgetPeer => "ForgetPeer",
            Self::ListServices => "ListServices",
            Self::SignSubscriptionToken => "SignSubscriptionToken",
            Self::RetractStable => "RetractStable",
            Self::Deprecate => "Deprecate",
            Self::Undeprecate => "Undeprecate",
        }
    }

    /// Whether the call changes or renews a registration: Register, Heartbeat and Deregister.
    #[must_use]
    pub const fn is_mutating(self) -> bool {
        matches!(self, Self::Register | Self::Heartbeat | Self::Deregister)
    }
}

impl fmt::Display for Rpc {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
