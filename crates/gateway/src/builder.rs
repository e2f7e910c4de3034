//! Configuration of an embedded gateway.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::Cluster;
use super::gateway::EmbeddedGateway;
use crate::error::{Error, ErrorKind};

/// The kind of gateway to emulate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Profile {
    /// A gateway without a cluster: it refuses at Register what it cannot serve. It has no HTTP
    /// ingress, so callers reach OpenAPI services over GraphQL.
    #[default]
    Standalone,
    /// A node of a cluster, even of a cluster of one: it accepts first and mounts later.
    Clustered,
}

/// A class of versions, for [`EmbeddedGatewayBuilder::allow_tiers`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Tier {
    /// The version `unstable`.
    Unstable,
    /// The alias `stable`; it admits nothing, since no service registers as it.
    Stable,
    /// Every `vN`.
    Numbered,
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unstable => "unstable",
            Self::Stable => "stable",
            Self::Numbered => "vN",
        })
    }
}

/// Builds an [`EmbeddedGateway`].
///
/// Defaults: [`Profile::Standalone`], `127.0.0.1:0` for both ports, a sweep every 5 s, every tier
/// allowed, no admin token, no subscription secret, the control plane's address as the node's name, a
/// mount delay of 10 ms, no cluster to join.
///
/// # Examples
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), tower_gwag_gateway::Error> {
/// use tower_gwag_gateway::{EmbeddedGateway, Profile, Tier};
///
/// let builder = EmbeddedGateway::builder().profile(Profile::Clustered);
/// let first = builder.allow_tiers([Tier::Numbered]).start().await?;
/// // Two nodes of one cluster.
/// let second = EmbeddedGateway::builder().join(&first).start().await?;
/// assert_ne!(first.target(), second.target());
/// assert!(first.view().alive && second.view().alive);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use = "nothing listens before `start`"]
pub struct EmbeddedGatewayBuilder {
    pub(super) profile: Profile,
    pub(super) listen: String,
    pub(super) http_listen: String,
    pub(super) sweep_interval: Duration,
    pub(super) tiers: Vec<Tier>,
    pub(super) tokens: Vec<String>,
    pub(super) subscribe_secret: Option<Vec<u8>>,
    /// `None`: the address of the control plane.
    pub(super) node_name: Option<String>,
    pub(super) mount_delay: Duration,
    pub(super) seed: Option<u64>,
    pub(super) strict: bool,
    /// The cluster to join, or why the given gateway has none.
    pub(super) join: Option<Joined>,
}

/// The cluster of a gateway; `None` if it is standalone.
#[derive(Clone, Debug)]
pub(super) struct Joined(Option<Arc<Cluster>>);

impl Joined {
    pub(super) fn cluster(&self) -> Result<Arc<Cluster>, Error> {
        self.0.clone().ok_or_else(|| {
            Error::new(
                ErrorKind::Misuse,
                "a standalone gateway cannot be joined: start it with Profile::Clustered",
            )
        })
    }
}

impl EmbeddedGatewayBuilder {
    pub(super) fn new() -> Self {
        Self {
            profile: Profile::default(),
            listen: "127.0.0.1:0".to_owned(),
            http_listen: "127.0.0.1:0".to_owned(),
            sweep_interval: Duration::from_secs(5),
            tiers: Vec::new(),
            tokens: Vec::new(),
            subscribe_secret: None,
            node_name: None,
            mount_delay: Duration::from_millis(10),
            seed: None,
            strict: false,
            join: None,
        }
    }

    /// The kind of gateway to emulate; the default is [`Profile::Standalone`].
    pub fn profile(mut self, profile: Profile) -> Self {
        self.profile = profile;
        self
    }

    /// The address of the control plane and the gRPC ingress, `host:port`; the default is
    /// `127.0.0.1:0`, a free port.
    pub fn listen(mut self, address: impl Into<String>) -> Self {
        self.listen = address.into();
        self
    }

    /// The address of the HTTP port, `host:port`; the default is `127.0.0.1:0`, a free port.
    pub fn http_listen(mut self, address: impl Into<String>) -> Self {
        self.http_listen = address.into();
        self
    }

    /// The interval at which expired registrations are removed, at least 1 ms; the default is 5 s.
    pub fn sweep_interval(mut self, interval: Duration) -> Self {
        self.sweep_interval = interval;
        self
    }

    /// The versions that Register accepts; the default, like an empty list, is all of them.
    pub fn allow_tiers(mut self, tiers: impl IntoIterator<Item = Tier>) -> Self {
        self.tiers = tiers.into_iter().collect();
        self
    }

    /// Adds a token, in hex, with which callers may sign subscription tokens. Without any, the
    /// default, every caller is denied.
    pub fn admin_token(mut self, hex: impl Into<String>) -> Self {
        self.tokens.push(hex.into());
        self
    }

    /// The HMAC key of subscription tokens; by default signing is not configured.
    pub fn subscribe_secret(mut self, secret: impl Into<Vec<u8>>) -> Self {
        self.subscribe_secret = Some(secret.into());
        self
    }

    /// The name of this node among its peers; the default is the address of its control plane.
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.node_name = Some(name.into());
        self
    }

    /// The delay until this node of a cluster mounts or unmounts a Register or Deregister; the
    /// default is 10 ms. A standalone gateway does so at once.
    pub fn mount_delay(mut self, delay: Duration) -> Self {
        self.mount_delay = delay;
        self
    }

    /// Seeds the choice that a real gateway leaves to chance: which of several services with one
    /// HTTP path gets its calls. It is drawn again whenever services come or go. The default seed
    /// is random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Whether calls that would end a real gateway's process end this one too, as
    /// [`kill`](EmbeddedGateway::kill) does; the default is no.
    /// [`fatal_calls`](EmbeddedGateway::fatal_calls) records them either way.
    pub fn strict(mut self, strict: bool) -> Self {
        self.strict = strict;
        self
    }

    /// Makes this a node of the same cluster as `gateway`, and so [`Profile::Clustered`].
    ///
    /// Nodes share their services. A registration belongs to the node that accepted it: other nodes
    /// answer its heartbeats with "not known" and ignore its Deregister. [`start`](Self::start)
    /// refuses to join a standalone gateway.
    pub fn join(mut self, gateway: &EmbeddedGateway) -> Self {
        self.profile = Profile::Clustered;
        self.join = Some(Joined(gateway.cluster()));
        self
    }

    /// Binds both ports and starts to answer.
    ///
    /// # Errors
    ///
    /// An address that does not parse, a port that cannot be bound, a standalone gateway to join, or
    /// a cluster that holds a service which keeps nodes from starting.
    ///
    /// # Cancel safety
    ///
    /// If dropped before it is ready, nothing is left behind.
    pub async fn start(self) -> Result<EmbeddedGateway, Error> {
        EmbeddedGateway::start(self).await
    }
}
