//! Turns the machine's calls into calls of the control plane.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::address::{self, Advertise};
use super::host_name::host_name;
use super::introspect;
use super::machine::{Answer, Call};
use crate::control::{CallError, ControlPlane, Gateway};
use crate::error::Error;
use crate::options::{Options, Plan};

/// Makes calls for one registration.
pub(super) struct Caller(Arc<Shared>);

struct Shared {
    control: ControlPlane,
    plan: Plan,
    advertise: Advertise,
    instance_id: Option<String>,
    bound: Option<SocketAddr>,
    /// The gateway's addresses as last resolved.
    gateways: Mutex<Vec<SocketAddr>>,
}

/// A call and what became of it.
pub(super) struct Reply {
    pub(super) call: Call,
    pub(super) answer: Answer,
    /// The advertised address, after a Register.
    pub(super) address: String,
    pub(super) failure: Option<Arc<Error>>,
}

// === impl Caller ===

impl Caller {
    pub(super) fn new(options: &Options, plan: Plan, bound: Option<SocketAddr>) -> Self {
        let control = ControlPlane {
            gateway: Gateway::shared(&plan.target, &plan.endpoint, plan.private),
            credentials: options.credentials.clone(),
        };
        Self(Arc::new(Shared {
            control,
            plan,
            advertise: options.advertise.clone(),
            instance_id: options.instance_id.clone(),
            bound,
            gateways: Mutex::new(Vec::new()),
        }))
    }

    pub(super) fn control(&self) -> &ControlPlane {
        &self.0.control
    }

    pub(super) fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.0.control.gateway)
    }

    /// What is wrong with advertising `address` to this gateway.
    pub(super) fn unreachable_address(&self, address: &str) -> Option<&'static str> {
        let gateways = self.0.gateways.lock();
        let gateways = gateways.unwrap_or_else(PoisonError::into_inner);
        address::unreachable_from(address, &gateways)
    }

    /// Makes a call; to be run to its end.
    pub(super) fn call(&self, call: Call) -> impl Future<Output = Reply> + Send + use<> {
        let shared = Arc::clone(&self.0);
        async move {
            let mut address = String::new();
            let result = match call.clone() {
                Call::Register => shared.register(&mut address).await,
                Call::Heartbeat(id) => shared
                    .control
                    .heartbeat(id)
                    .await
                    .map(|known| Answer::Beat { known }),
                Call::Deregister(id) => shared
                    .control
                    .deregister(id)
                    .await
                    .map(|()| Answer::Deregistered),
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
                failure: failure.map(Arc::new),
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    async fn register(&self, address: &mut String) -> Result<Answer, CallError> {
        let gateways = self.control.gateway.addresses().await;
        let advertised = address::advertised(&self.advertise, self.bound, &gateways)
            .map_err(CallError::NotSent)?;
        *self.gateways.lock().unwrap_or_else(PoisonError::into_inner) = gateways;
        address.clone_from(&advertised);
        for endpoint in self.plan.graphql_endpoints(&advertised) {
            introspect::check(&endpoint)
                .await
                .map_err(CallError::NotSent)?;
        }
        let request = self
            .plan
            .request(&advertised, &self.instance_id(&advertised));
        let granted = self.control.register(request).await?;
        Ok(Answer::Registered {
            id: granted.id,
            ttl: granted.ttl.max(Duration::from_secs(1)),
        })
    }

    /// Default: `<first namespace>@<host name>:<port>`.
    fn instance_id(&self, advertised: &str) -> String {
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
