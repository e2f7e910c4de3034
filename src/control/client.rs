//! A typed client for every call of a gateway's control plane, for tools that inspect or change a
//! gateway.

use std::fmt;
use std::time::Duration;

use prost::Message;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::control_plane::ControlPlane;
use super::probe::RouteProbe;
use super::proto::{
    DeprecateRequest, DeprecateResponse, ForgetPeerRequest, ForgetPeerResponse, ListPeersRequest,
    ListPeersResponse, ListRegistrationsRequest, ListRegistrationsResponse, ListServicesRequest,
    ListServicesResponse, Peer, RegisterRequest, RegisterResponse, Registration,
    RetractStableRequest, RetractStableResponse, SignSubscriptionTokenRequest,
    SignSubscriptionTokenResponse, UndeprecateRequest, UndeprecateResponse,
};
use super::refusal::CallError;
use crate::error::{Error, ErrorKind};

/// For every call except Register.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The minimum for Register: a gateway may introspect an endpoint during it.
const REGISTER_TIMEOUT: Duration = Duration::from_secs(15);
/// For each service of a Register; a clustered gateway that takes longer may keep unknown entries.
const REGISTER_TIMEOUT_OF_SERVICE: Duration = Duration::from_secs(5);

/// A client of one gateway's control plane, with all of its calls.
///
/// [`Options::control_clients`](crate::Options::control_clients) makes one for each gateway, with
/// the options' TLS and credentials; [`Client::new`] makes one for an address alone. Clones share
/// the connection, as do all clients and registrations on one runtime for the same gateway. The
/// connection is made at the first call, and again after it has ended.
///
/// A [`Registration`](crate::Registration) makes these calls by itself, in the order that loses no
/// request. Use a client to inspect a gateway, to operate it, or to register what no layer can.
///
/// Texts in answers are as the peer sent them: pass them through [`escaped`](super::escaped) before you
/// print them. An answer of more than 8 MiB, or one that is not a valid message, is an error.
///
/// # Errors
///
/// Each call fails with [`ErrorKind::Unavailable`] when the gateway cannot be reached or the
/// connection ends, with [`ErrorKind::TimedOut`] after 10 s without an answer (Register: the larger
/// of 15 s and 5 s for each service), with [`ErrorKind::Unauthorized`] for credentials that the
/// gateway refuses, and otherwise with the kind of what was refused.
///
/// # Cancel safety
///
/// Every call is cancel safe: a call that changes something runs to completion even when its future
/// is dropped, because a gateway may keep the effect of a call that is cancelled on the wire. An
/// entry registered by a dropped call is deregistered.
///
/// # Examples
///
/// ```no_run
/// # async fn run() -> Result<(), tower_gwag::Error> {
/// use tower_gwag::control::Client;
///
/// let gateway = Client::new("gateway:50090")?;
/// for service in gateway.services().await?.services {
///     println!("{}/{}: {} replicas", service.namespace, service.version, service.replica_count);
/// }
/// # Ok(()) }
/// ```
///
/// Every node lists only its own registrations:
///
/// ```no_run
/// # async fn run() -> Result<(), tower_gwag::Error> {
/// use tower_gwag::control::{Client, RouteProbe, escaped};
///
/// let gateway = Client::new("gateway:50090")?;
/// let mut nodes = gateway.other_nodes().await;
/// nodes.push(gateway.clone());
/// for node in &nodes {
///     for registration in node.registrations().await? {
///         println!("{}: {}", node.target(), escaped(&registration.instance_id));
///     }
/// }
/// if gateway.probe_route("/greeter.v1.Greeter/Hello").await == RouteProbe::NoRoute {
///     println!("nobody serves it");
/// }
/// # Ok(()) }
/// ```
///
/// To operate a gateway:
///
/// ```no_run
/// # async fn run() -> Result<(), tower_gwag::Error> {
/// use tower_gwag::Options;
/// use tower_gwag::control::Client;
/// use tower_gwag::control::proto::SignSubscriptionTokenRequest;
///
/// let gateway = Client::new("gateway:50090")?;
/// for peer in gateway.peers().await? {
///     println!("{}: {}", peer.node_id, peer.name);
/// }
/// gateway.forget_peer("a dead node's id").await?;
///
/// gateway.deprecate("shop", "v1", "use v2").await?;
/// let reason = gateway.undeprecate("shop", "v1").await?;
/// gateway.retract_stable("shop", 1).await?;
///
/// let admin = Options::new("gateway:50090").bearer_token("00ff00ff").control_clients()?;
/// let request = SignSubscriptionTokenRequest { channel: "events.orders".into(), ..Default::default() };
/// let signed = admin[0].sign_subscription_token(request).await?;
/// # Ok(()) }
/// ```
///
/// To register what no layer can:
///
/// ```no_run
/// # async fn run() -> Result<(), tower_gwag::Error> {
/// use tower_gwag::control::Client;
/// use tower_gwag::control::proto::{RegisterRequest, ServiceBinding};
///
/// let gateway = Client::new("gateway:50090")?;
/// let granted = gateway
///     .register(RegisterRequest {
///         addr: "10.0.0.5:8081".into(),
///         services: vec![ServiceBinding { namespace: "pets".into(), ..Default::default() }],
///         ..Default::default()
///     })
///     .await?;
/// let id = granted.registration_id;
/// let is_known = gateway.heartbeat(id.as_str()).await?; // and so on, within the TTL
/// gateway.deregister(id).await?;
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    control: ControlPlane,
}

// === impl Client ===

impl Client {
    pub(crate) fn of(control: ControlPlane) -> Self {
        Self { control }
    }

    /// The gateway's address, without user information.
    #[must_use]
    pub fn target(&self) -> String {
        self.control.gateway().target().to_string()
    }

    /// A client for each of the other nodes behind the gateway's name, each with its own
    /// connection: every node lists only its own registrations. Empty if no call has been made yet,
    /// or the name cannot be resolved within 2 s.
    pub async fn other_nodes(&self) -> Vec<Self> {
        let nodes = self.control.other_nodes().await;
        nodes.into_iter().map(Self::of).collect()
    }

    /// Registers services; all or nothing. The granted id is valid on the node that accepted it.
    ///
    /// # Errors
    ///
    /// See [`Client`]; the kind tells what the gateway refused.
    pub async fn register(&self, request: RegisterRequest) -> Result<RegisterResponse, Error> {
        let services = u32::try_from(request.services.len()).unwrap_or(u32::MAX);
        let patience = REGISTER_TIMEOUT_OF_SERVICE
            .saturating_mul(services)
            .max(REGISTER_TIMEOUT);
        let control = self.control.clone();
        let (done, granted) = oneshot::channel();
        tokio::spawn(async move {
            let granted = control.register(request).await;
            if let Err(Ok(unwanted)) = done.send(granted) {
                // Nobody would send its heartbeats. If this fails, its TTL ends it.
                let _ = control.deregister(unwanted.id).await;
            }
        });
        let granted = self.within("Register", patience, granted).await?;
        Ok(RegisterResponse {
            registration_id: granted.id,
            ttl_seconds: u32::try_from(granted.ttl.as_secs()).unwrap_or(u32::MAX),
        })
    }

    /// Renews the lease of a registration; `false` when this node does not know its id.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn heartbeat(&self, registration_id: impl Into<String>) -> Result<bool, Error> {
        let (control, id) = (self.control.clone(), registration_id.into());
        self.run("Heartbeat", async move { control.heartbeat(id).await })
            .await
    }

    /// Ends a registration. An id that this node does not know is not an error, and changes
    /// nothing.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn deregister(&self, registration_id: impl Into<String>) -> Result<(), Error> {
        let (control, id) = (self.control.clone(), registration_id.into());
        self.run("Deregister", async move { control.deregister(id).await })
            .await
    }

    /// The registrations that this node accepted.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn registrations(&self) -> Result<Vec<Registration>, Error> {
        let request = ListRegistrationsRequest {};
        let answer: ListRegistrationsResponse = self.call("ListRegistrations", request).await?;
        Ok(answer.registrations)
    }

    /// The nodes of the gateway's cluster; empty if it is standalone. For a minute after a restart,
    /// a node is listed twice: [`live_nodes`](super::live_nodes) counts it once.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn peers(&self) -> Result<Vec<Peer>, Error> {
        let answer: ListPeersResponse = self.call("ListPeers", ListPeersRequest {}).await?;
        Ok(answer.peers)
    }

    /// Removes a dead node from the cluster.
    ///
    /// # Errors
    ///
    /// See [`Client`]; refused for a node that is alive, and for the node that is asked.
    pub async fn forget_peer(
        &self,
        node_id: impl Into<String>,
    ) -> Result<ForgetPeerResponse, Error> {
        let node_id = node_id.into();
        self.call("ForgetPeer", ForgetPeerRequest { node_id }).await
    }

    /// The services of the whole cluster, with the hashes of their schemas and their replicas, and
    /// the version that is `stable` in each namespace.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn services(&self) -> Result<ListServicesResponse, Error> {
        self.call("ListServices", ListServicesRequest {}).await
    }

    /// Signs a token for a subscription. It needs the gateway's secret as
    /// [`Options::bearer_token`](crate::Options::bearer_token), in hexadecimal digits; the `code`
    /// of the answer tells whether the token was signed.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn sign_subscription_token(
        &self,
        request: SignSubscriptionTokenRequest,
    ) -> Result<SignSubscriptionTokenResponse, Error> {
        self.call("SignSubscriptionToken", request).await
    }

    /// Lowers the `stable` alias of a namespace to an earlier version.
    ///
    /// # Errors
    ///
    /// See [`Client`]; [`ErrorKind::InvalidRequest`] if the version is not lower.
    pub async fn retract_stable(
        &self,
        namespace: impl Into<String>,
        version: u32,
    ) -> Result<RetractStableResponse, Error> {
        let request = RetractStableRequest {
            namespace: namespace.into(),
            target_v_n: version,
        };
        self.call("RetractStable", request).await
    }

    /// Marks a version (`vN`) as deprecated, with a reason that is shown to callers.
    ///
    /// # Errors
    ///
    /// See [`Client`]; [`ErrorKind::NotFound`] if nothing is registered there.
    pub async fn deprecate(
        &self,
        namespace: impl Into<String>,
        version: impl Into<String>,
        reason: impl Into<String>,
    ) -> Result<(), Error> {
        let request = DeprecateRequest {
            namespace: namespace.into(),
            version: version.into(),
            reason: reason.into(),
        };
        let DeprecateResponse {} = self.call("Deprecate", request).await?;
        Ok(())
    }

    /// Removes a deprecation, and returns its reason.
    ///
    /// # Errors
    ///
    /// See [`Client`].
    pub async fn undeprecate(
        &self,
        namespace: impl Into<String>,
        version: impl Into<String>,
    ) -> Result<String, Error> {
        let request = UndeprecateRequest {
            namespace: namespace.into(),
            version: version.into(),
        };
        let answer: UndeprecateResponse = self.call("Undeprecate", request).await?;
        Ok(answer.prior_reason)
    }

    /// Asks whether the gateway's gRPC ingress has a route for a method
    /// (`/package.Service/Method`), without calling the service behind it. No answer within 10 s is
    /// [`RouteProbe::NoEvidence`].
    pub async fn probe_route(&self, method: &str) -> RouteProbe {
        let probed = timeout(TIMEOUT, self.control.probe_route(method)).await;
        probed.unwrap_or(RouteProbe::NoEvidence)
    }

    async fn call<T>(
        &self,
        method: &'static str,
        request: impl Message + 'static,
    ) -> Result<T, Error>
    where
        T: Message + Default + 'static,
    {
        let control = self.control.clone();
        let call = async move { control.unary(method, &request).await };
        self.run(method, call).await
    }

    /// Runs the call on a task, so that it is never cancelled on the wire.
    async fn run<T: Send + 'static>(
        &self,
        method: &str,
        call: impl Future<Output = Result<T, CallError>> + Send + 'static,
    ) -> Result<T, Error> {
        let (done, answer) = oneshot::channel();
        tokio::spawn(async move {
            // The caller may be gone.
            let _ = done.send(call.await);
        });
        self.within(method, TIMEOUT, answer).await
    }

    async fn within<T>(
        &self,
        method: &str,
        patience: Duration,
        answer: oneshot::Receiver<Result<T, CallError>>,
    ) -> Result<T, Error> {
        let target = self.control.gateway().target();
        match timeout(patience, answer).await {
            Ok(Ok(answer)) => answer.map_err(Error::from),
            Ok(Err(panicked)) => {
                let message = format!("the call of {method} panicked; please report it");
                Err(Error::new(ErrorKind::Unavailable, message).caused_by(panicked))
            }
            Err(elapsed) => {
                let message = format!(
                    "the gateway {target} did not answer {method} within {patience:?}: check that it \
                     is alive, and look into its log"
                );
                Err(Error::new(ErrorKind::TimedOut, message).caused_by(elapsed))
            }
        }
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Client").field(&self.target()).finish()
    }
}

// === impl CallError ===

impl From<CallError> for Error {
    fn from(error: CallError) -> Self {
        match error {
            CallError::NotSent(error)
            | CallError::Broken(error)
            | CallError::Refused(error)
            | CallError::Misrouted(error)
            | CallError::Foreign(error) => error,
        }
    }
}
