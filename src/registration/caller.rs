//! Turns the machine's calls into calls of the control plane.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::timeout;

use super::address::{self, Advertise};
use super::exclusive::Exclusive;
use super::hold::{self, Hold};
use super::host_name::host_name;
use super::introspect;
use super::machine::{Answer, Call, Verb, Which};
use crate::control::{CallError, ControlPlane, Gateway};
use crate::error::{Error, ErrorKind};
use crate::options::{Options, Plan};
use crate::rules::address::{SPELLINGS, respelled};
use crate::service::Resolved;

/// For the look at what is left of us.
const GHOST_TIMEOUT: Duration = Duration::from_millis(500);

/// For the look at how many there are.
const LOOK_TIMEOUT: Duration = Duration::from_secs(5);

/// Makes calls for one registration.
pub(super) struct Caller(Arc<Shared>);

struct Shared {
    control: ControlPlane,
    plan: Plan,
    advertise: Advertise,
    instance_id: Option<String>,
    hold: Hold,
    exclusive: Option<Exclusive>,
    /// `None`: the address is not to be respelled.
    first_spelling: Option<u32>,
    bound: Option<SocketAddr>,
    /// The gateway's addresses as last resolved.
    gateways: Mutex<Vec<SocketAddr>>,
    /// What is advertised; hold and service must have it byte by byte.
    address: Mutex<Option<String>>,
    /// The tier policy of the gateway does not take a hold with a vN.
    hold_is_unstable: AtomicBool,
}

/// A call and what became of it.
pub(super) struct Reply {
    pub(super) call: Call,
    pub(super) answer: Answer,
    /// The advertised address, after a Register.
    pub(super) address: String,
    /// Replicas of the service that nobody can remove, after the hold's Deregister.
    pub(super) ghosts: Option<u32>,
    pub(super) failure: Option<Arc<Error>>,
}

// === impl Caller ===

impl Caller {
    pub(super) fn new(options: &Options, plan: Plan, bound: Option<SocketAddr>, seed: u64) -> Self {
        // Back-off belongs to gRPC connections. Each process begins somewhere else.
        let respells = !options.verbatim_address && plan.wants_hold();
        let first_spelling =
            respells.then(|| u32::try_from(seed % u64::from(SPELLINGS)).unwrap_or(0));
        let control = ControlPlane {
            gateway: Gateway::shared(&plan.target, &plan.endpoint, plan.private),
            credentials: options.credentials.clone(),
        };
        Self(Arc::new(Shared {
            control,
            plan,
            advertise: options.advertise.clone(),
            instance_id: options.instance_id.clone(),
            hold: options.hold,
            exclusive: options.exclusive.clone().map(Exclusive::new),
            first_spelling,
            bound,
            gateways: Mutex::new(Vec::new()),
            address: Mutex::new(None),
            hold_is_unstable: AtomicBool::new(false),
        }))
    }

    pub(super) fn control(&self) -> &ControlPlane {
        &self.0.control
    }

    /// How many replicas of all services the gateway lists; `None` when it does not say in time.
    pub(super) fn replicas(&self) -> impl Future<Output = Option<u32>> + Send + use<> {
        let shared = Arc::clone(&self.0);
        async move {
            let listed = timeout(LOOK_TIMEOUT, shared.control.replicas()).await;
            listed.ok().flatten()
        }
    }

    /// `None` where no hold is needed.
    pub(super) fn hold(&self) -> Option<Hold> {
        self.0.plan.wants_hold().then_some(self.0.hold)
    }

    pub(super) fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.0.control.gateway)
    }

    /// What is wrong with advertising `address` to this gateway.
    pub(super) fn unreachable_address(&self, address: &str) -> Option<&'static str> {
        address::unreachable_from(address, &lock(&self.0.gateways))
    }

    /// Makes a call; to be run to its end.
    pub(super) fn call(&self, call: Call) -> impl Future<Output = Reply> + Send + use<> {
        let shared = Arc::clone(&self.0);
        async move {
            let mut address = String::new();
            let result = match call.verb.clone() {
                Verb::Register { spelling } => {
                    shared.register(call.which, spelling, &mut address).await
                }
                Verb::Heartbeat(id) => shared
                    .control
                    .heartbeat(id)
                    .await
                    .map(|known| Answer::Beat { known }),
                Verb::Deregister(id) => shared
                    .control
                    .deregister(id)
                    .await
                    .map(|()| Answer::Deregistered),
            };
            let released = call.which == Which::Hold && matches!(result, Ok(Answer::Deregistered));
            let ghosts = if released {
                shared.ghosts().await
            } else {
                None
            };
            let (answer, failure) = match result {
                Ok(answer) => (answer, None),
                Err(CallError::NotSent(error)) => (Answer::NotSent, Some(error)),
                Err(CallError::Broken(error)) => (Answer::Broken, Some(error)),
                Err(CallError::Refused(error)) => (Answer::Refused(error.kind()), Some(error)),
            };
            Reply {
                call,
                answer,
                address,
                ghosts,
                failure: failure.map(Arc::new),
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    async fn register(
        &self,
        which: Which,
        spelling: u32,
        address: &mut String,
    ) -> Result<Answer, CallError> {
        *address = self.address().await.map_err(CallError::NotSent)?;
        if let Some(exclusive) = &self.exclusive {
            exclusive.settle(&self.control).await?;
        }
        if let Some(first) = self.first_spelling {
            *address = respelled(address, first.wrapping_add(spelling));
        }
        let instance_id = self.instance_id(address);
        let mut request = self.plan.request(address, &instance_id);
        match which {
            Which::Service => {
                for binding in &request.services {
                    introspect::check(&binding.graphql_endpoint)
                        .await
                        .map_err(CallError::NotSent)?;
                }
            }
            Which::Hold => {
                let unstable = self.hold_is_unstable.load(Ordering::Relaxed);
                request.services = vec![hold::binding(unstable)];
            }
        }
        let granted = self.control.register(request).await.inspect_err(|error| {
            if let (Which::Hold, CallError::Refused(error)) = (which, error)
                && error.kind() == ErrorKind::TierRefused
            {
                self.hold_is_unstable.store(true, Ordering::Relaxed);
            }
        })?;
        Ok(Answer::Registered {
            id: granted.id,
            ttl: granted.ttl.max(Duration::from_secs(1)),
        })
    }

    async fn address(&self) -> Result<String, Error> {
        if let Some(address) = &*lock(&self.address) {
            return Ok(address.clone());
        }
        let gateways = self.control.gateway.addresses().await;
        let address = address::advertised(&self.advertise, self.bound, &gateways)?;
        // Without the gateway's address the route to it is a guess, made anew next time.
        if !gateways.is_empty() {
            *lock(&self.address) = Some(address.clone());
        }
        *lock(&self.gateways) = gateways;
        Ok(address)
    }

    /// Only looks, and never for long: the process is leaving.
    async fn ghosts(&self) -> Option<u32> {
        let names: Vec<String> = self.plan.services.iter().map(Resolved::name).collect();
        let count = self.control.ghosts(&names);
        timeout(GHOST_TIMEOUT, count).await.ok().flatten()
    }

    /// Default: `<first namespace>@<host name>:<port>`.
    fn instance_id(&self, advertised: &str) -> String {
        if let Some(exclusive) = &self.exclusive {
            return exclusive.instance_id();
        }
        if let Some(id) = &self.instance_id {
            return id.clone();
        }
        let namespace = self.plan.services.first().map(|first| &*first.namespace);
        let host = host_name();
        let port = match self.bound {
            Some(bound) => bound.port().to_string(),
            None => advertised.rsplit(':').next().unwrap_or_default().to_owned(),
        };
        format!("{}@{host}:{port}", namespace.unwrap_or_default())
    }
}

/// What is behind these locks is replaced whole, so that it is valid after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
