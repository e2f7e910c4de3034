//! One life of a node: everything that a kill ends and loses.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::Node;
use super::ports::Ports;
use super::serve;
use crate::builder::Profile;
use crate::cluster::Cluster;
use crate::data_plane::changed_calls::Changes;
use crate::data_plane::fatal_calls::FatalCalls;
use crate::data_plane::http_client::Forwarder;
use crate::freeze::Gate;
use crate::proxy::connections::{Tasks, Upstreams};
use crate::proxy::random_u64;
use crate::random::Random;
use crate::registry::binding::Binding;
use crate::registry::prepare::Prepared;
use crate::registry::routes::Routes;
use crate::registry::{NewRegistration, Registration, Registry};
use crate::view::{RegistrationView, ServiceView};

/// The registry of a node, its connections and its tasks.
#[derive(Debug)]
pub(crate) struct Life {
    pub(crate) tasks: Tasks,
    pub(crate) forwarder: Forwarder,
    pub(crate) gate: Gate,
    pub(crate) fatal: Arc<FatalCalls>,
    pub(crate) losses: Arc<Changes>,
    /// Whether the HTTP port is reachable from this machine only.
    pub(crate) is_local: bool,
    random: Mutex<Random>,
    /// The cluster and this node's place in it, if clustered.
    pub(crate) membership: Option<Membership>,
    pub(super) upstreams: Upstreams,
    registry: Mutex<Registry>,
    routes: RwLock<Arc<Routes>>,
}

#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) cluster: Arc<Cluster>,
    /// New in every life.
    pub(crate) node_id: String,
    /// Changes of the bucket that this node has not applied yet.
    pub(super) pending: Arc<AtomicUsize>,
    /// The store closed its connection to this node: every later put fails.
    pub(super) store_closed: AtomicBool,
}

impl Life {
    /// Starts to accept on both ports and to sweep.
    pub(super) fn begin(node: &Arc<Node>, ports: Ports) -> Arc<Self> {
        let tasks = Tasks {
            tracker: TaskTracker::new(),
            token: CancellationToken::new(),
        };
        let (membership, events, lasting) = match &node.cluster {
            None => (None, None, Arc::default()),
            Some(cluster) => {
                let node_id = node_id();
                let settings = &node.settings;
                let name = settings.node_name.clone();
                let name = name.unwrap_or_else(|| node.address.to_string());
                let watch = cluster.attach(&node_id, &name, settings.mount_delay);
                let membership = Membership {
                    cluster: Arc::clone(cluster),
                    node_id,
                    pending: watch.pending,
                    store_closed: AtomicBool::new(false),
                };
                (Some(membership), Some(watch.events), cluster.lasting())
            }
        };
        let profile = match membership {
            Some(_) => Profile::Clustered,
            None => Profile::Standalone,
        };
        let life = Arc::new(Self {
            upstreams: Upstreams::new(tasks.clone(), node.gate.clone()),
            forwarder: Forwarder::new(tasks.clone(), node.gate.clone()),
            gate: node.gate.clone(),
            fatal: Arc::clone(&node.fatal),
            losses: Arc::clone(&node.losses),
            is_local: node.http_address.ip().is_loopback(),
            random: Mutex::new(Random::new(node.settings.seed.unwrap_or_else(random_u64))),
            membership,
            registry: Mutex::new(Registry::new(profile, lasting)),
            routes: RwLock::default(),
            tasks,
        });
        serve::start(node, &life, ports);
        if let Some(events) = events {
            life.tasks.spawn(super::clustered::reconcile(
                Arc::clone(node),
                Arc::clone(&life),
                events,
            ));
        }
        life
    }

    /// Resolves when every task has ended after [`cancel`](Self::cancel): the ports are free.
    pub(super) async fn ended(&self) {
        self.tasks.tracker.wait().await;
    }

    /// Ends every task.
    pub(super) fn cancel(&self) {
        if let Some(membership) = &self.membership {
            membership.cluster.detach(&membership.node_id);
        }
        self.tasks.tracker.close();
        self.tasks.token.cancel();
    }

    pub(crate) fn registry(&self) -> MutexGuard<'_, Registry> {
        self.registry.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&routes)
    }

    /// Rebuilds the routes. Returns false, and keeps the old ones, while a schema blocks that.
    pub(super) fn rebuild(&self, registry: &mut Registry) -> bool {
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(routes) = registry.build_routes(&mut random) else {
            return false;
        };
        *self.routes.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(routes);
        true
    }

    pub(super) fn view(&self) -> (Vec<RegistrationView>, Vec<ServiceView>) {
        let registry = self.registry();
        (registry.view_registrations(), registry.view_services())
    }

    /// Changes of the cluster's bucket that have not reached this node yet.
    pub(super) fn pending(&self) -> usize {
        let membership = self.membership.as_ref();
        membership.map_or(0, |it| it.pending.load(Ordering::SeqCst))
    }

    /// Accepts a registration; returns the id and the granted lease, in seconds.
    ///
    /// # Errors
    ///
    /// The refusal; nothing is registered then.
    pub(crate) fn register(&self, prepared: Prepared) -> Result<(String, u32), Status> {
        let id = new_id();
        let ttl_seconds = prepared.ttl_seconds;
        let new = NewRegistration {
            addr: prepared.addr,
            instance_id: prepared.instance_id,
            ttl_seconds,
            bindings: prepared.bindings.into_iter().map(Arc::new).collect(),
        };
        match &self.membership {
            None => self.register_standalone(&id, new)?,
            Some(membership) => self.register_clustered(membership, &id, new)?,
        }
        Ok((id, ttl_seconds))
    }

    /// Ends registrations; returns how many of them existed.
    pub(crate) fn deregister<'a>(&self, ids: impl IntoIterator<Item = &'a String>) -> usize {
        let mut registry = self.registry();
        let removed: Vec<(&String, Registration)> = ids
            .into_iter()
            .filter_map(|id| Some((id, registry.remove(id)?)))
            .collect();
        match &self.membership {
            None => self.deregister_standalone(&mut registry, &removed),
            Some(membership) => membership.withdraw(&removed),
        }
        removed.len()
    }

    /// Removes the registrations whose lease expired.
    pub(super) fn sweep(&self) -> usize {
        let expired = self.registry().expired();
        self.deregister(&expired)
    }

    /// In a cluster, what a heartbeat for this id will put: looked up when the heartbeat arrives.
    pub(crate) fn held(&self, id: &str) -> Option<Held> {
        self.membership.as_ref()?;
        let registry = self.registry();
        let registration = registry.registration(id)?;
        Some(Held {
            addr: registration.addr.clone(),
            bindings: registration.bindings.clone(),
        })
    }

    /// Handles a heartbeat; `held` is what was registered under the id when it arrived.
    pub(crate) fn beat(&self, id: &str, held: Option<Held>) -> bool {
        let known = self.registry().beat(id);
        match (&self.membership, held) {
            (None, _) | (Some(_), None) => known,
            (Some(membership), Some(held)) => {
                // Even if it was deregistered meanwhile: that is how ghosts arise.
                membership.refresh(id, &held);
                true
            }
        }
    }
}

/// The services of a registration.
#[derive(Debug)]
pub(crate) struct Held {
    pub(super) addr: String,
    pub(super) bindings: Vec<Arc<Binding>>,
}

/// 24 lower-case hex digits.
fn new_id() -> String {
    let (high, low) = (random_u64(), random_u64());
    format!("{high:016x}{:08x}", low >> 32)
}

/// Formatted like the keys of real nodes: N and 55 digits of base 32.
fn node_id() -> String {
    const DIGITS: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut id = String::from("N");
    while id.len() < 56 {
        let mut bits = random_u64();
        for _ in 0..11 {
            id.push(char::from(DIGITS[(bits % 32) as usize]));
            bits /= 32;
        }
    }
    id.truncate(56);
    id
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
        assert_eq!(node_id().len(), 56);
    }
}
