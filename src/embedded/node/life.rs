//! One life of a node: all that a kill ends and loses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::Node;
use super::ports::Ports;
use super::serve;
use crate::embedded::http::Forwarder;
use crate::embedded::proxy::random_u64;
use crate::embedded::proxy::upstream::{Tasks, UpstreamLease, Upstreams};
use crate::embedded::registry::binding::{Binding, Kind};
use crate::embedded::registry::prepare::Prepared;
use crate::embedded::registry::routes::Routes;
use crate::embedded::registry::slot::Replica;
use crate::embedded::registry::{NewRegistration, Registry};
use crate::embedded::view::{RegistrationView, ServiceView};

/// The registry of a node, its connections and its tasks.
#[derive(Debug)]
pub(in crate::embedded) struct Life {
    pub(in crate::embedded) tasks: Tasks,
    pub(in crate::embedded) forwarder: Forwarder,
    registry: Mutex<Registry>,
    routes: RwLock<Arc<Routes>>,
    upstreams: Upstreams,
}

impl Life {
    /// Starts to accept on both ports and to sweep.
    pub(super) fn begin(node: &Arc<Node>, ports: Ports) -> Arc<Self> {
        let tasks = Tasks {
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
        };
        let life = Arc::new(Self {
            upstreams: Upstreams::new(tasks.clone(), node.gate.clone()),
            forwarder: Forwarder::new(tasks.clone(), node.gate.clone()),
            registry: Mutex::new(Registry::new(node.settings.profile)),
            routes: RwLock::default(),
            tasks,
        });
        serve::start(node, &life, ports);
        life
    }

    /// Ends every task and waits until the ports are free.
    pub(super) async fn end(&self) {
        self.cancel();
        self.tasks.tracker.wait().await;
    }

    pub(super) fn cancel(&self) {
        self.tasks.tracker.close();
        self.tasks.token.cancel();
    }

    pub(in crate::embedded) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::embedded) fn routes(&self) -> Arc<Routes> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&routes)
    }

    fn rebuild(&self, registry: &Registry) {
        let routes = Arc::new(registry.build_routes());
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = routes;
    }

    pub(super) fn view(&self) -> (Vec<RegistrationView>, Vec<ServiceView>) {
        let registry = self.registry();
        (registry.view_registrations(), registry.view_services())
    }

    /// Mounts all that was asked for, or nothing; returns the id and the granted lease.
    ///
    /// # Errors
    ///
    /// The refusal of the first service that cannot be mounted.
    pub(in crate::embedded) fn register(
        &self,
        prepared: Prepared,
    ) -> Result<(String, u32), Status> {
        let id = new_id();
        let Prepared {
            addr,
            instance_id,
            ttl_seconds,
            bindings,
        } = prepared;
        let bindings: Vec<Arc<Binding>> = bindings.into_iter().map(Arc::new).collect();
        let mut leases = Vec::new();
        let mut registry = self.registry();
        let mut outcome = Ok(());
        for binding in &bindings {
            let lease = (binding.kind == Kind::Proto).then(|| self.upstreams.lease(&addr));
            let upstream = lease.as_ref().map(UpstreamLease::upstream);
            leases.extend(lease);
            let replica = Replica::new(id.clone(), addr.clone(), upstream, None, binding.caps);
            if let Err(fault) = registry.mount(binding, replica) {
                outcome = Err(Status::unknown(fault.0));
                break;
            }
        }
        if let Err(refusal) = outcome {
            for binding in &bindings {
                registry.unmount(&binding.key, |replica| replica.registration == id);
            }
            self.rebuild(&registry);
            return Err(refusal);
        }
        let new = NewRegistration {
            addr,
            instance_id,
            ttl_seconds,
            bindings,
            leases,
        };
        registry.insert(id.clone(), new);
        self.rebuild(&registry);
        Ok((id, ttl_seconds))
    }

    /// Ends registrations; returns how many of them there were.
    pub(in crate::embedded) fn deregister<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a String>,
    ) -> usize {
        let mut registry = self.registry();
        let removed: Vec<_> = ids
            .into_iter()
            .filter_map(|id| registry.remove(id))
            .collect();
        if !removed.is_empty() {
            self.rebuild(&registry);
        }
        drop(registry);
        // Their connections close here, outside of the lock.
        removed.len()
    }

    /// Removes the registrations whose lease ran out.
    pub(super) fn sweep(&self) -> usize {
        let expired = self.registry().expired();
        self.deregister(&expired)
    }
}

/// 24 lower-case hex digits.
fn new_id() -> String {
    let (high, low) = (random_u64(), random_u64());
    format!("{high:016x}{:08x}", low >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_24_hex_digits_and_differ() {
        let (one, other) = (new_id(), new_id());
        assert_ne!(one, other);
        assert_eq!(one.len(), 24);
        assert!(one.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    }
}
