//! A slot: one (namespace, version) with its schema and its replicas.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::Semaphore;

use super::binding::{Binding, Caps, Key, Kind, Schema};
use crate::builder::Profile;
use crate::proxy::connections::{AtZero, Upstream};
use tower_gwag_schema::hash;

/// One replica of a service.
#[derive(Debug)]
pub(crate) struct Replica {
    /// The registration it belongs to.
    pub(crate) registration: String,
    pub(crate) addr: String,
    /// Its URL, if it is a GraphQL service.
    pub(crate) endpoint: Option<String>,
    /// Where its gRPC calls go; `None` for other kinds and for addresses that cannot be dialled.
    pub(crate) upstream: Option<Arc<Upstream>>,
    /// What this node does with the connection when the last replica of the address is removed.
    pub(crate) at_zero: AtZero,
    in_flight: AtomicUsize,
    slots: Option<Arc<Semaphore>>,
}

impl Replica {
    pub(crate) fn new(
        registration: String,
        addr: String,
        upstream: Option<Arc<Upstream>>,
        at_zero: AtZero,
        caps: Caps,
    ) -> Self {
        Self {
            registration,
            addr,
            endpoint: None,
            upstream,
            at_zero,
            in_flight: AtomicUsize::new(0),
            slots: semaphore(caps.per_instance),
        }
    }

    pub(crate) fn with_endpoint(mut self, endpoint: Option<&str>) -> Self {
        self.endpoint = endpoint.map(str::to_owned);
        self
    }

    pub(crate) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// The semaphore of the per-instance cap, if there is one.
    pub(crate) fn room(&self) -> Option<Arc<Semaphore>> {
        self.slots.clone()
    }
}

fn semaphore(cap: u32) -> Option<Arc<Semaphore>> {
    let permits = usize::try_from(cap).unwrap_or(Semaphore::MAX_PERMITS);
    (cap > 0).then(|| Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS))))
}

/// The replicas of a slot; routes hold it, so that they see replicas come and go.
#[derive(Debug)]
pub(crate) struct Pool {
    replicas: RwLock<Vec<Arc<Replica>>>,
    /// Where the search for the least loaded replica begins: ties are broken in turn.
    turn: AtomicUsize,
    room: Option<Arc<Semaphore>>,
}

impl Pool {
    pub(crate) fn new(caps: Caps) -> Self {
        Self {
            replicas: RwLock::new(Vec::new()),
            turn: AtomicUsize::new(0),
            room: semaphore(caps.total),
        }
    }

    pub(crate) fn replicas(&self) -> Vec<Arc<Replica>> {
        self.replicas
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(super) fn add(&self, replica: Arc<Replica>) {
        self.replicas
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .push(replica);
    }

    /// Removes the replica of a registration.
    pub(super) fn remove(&self, registration: &str) -> Option<Arc<Replica>> {
        let mut replicas = self
            .replicas
            .write()
            .unwrap_or_else(PoisonError::into_inner);
        let at = replicas
            .iter()
            .position(|replica| replica.registration == registration)?;
        Some(replicas.remove(at))
    }

    /// The semaphore of the cap of the service, if there is one.
    pub(crate) fn room(&self) -> Option<Arc<Semaphore>> {
        self.room.clone()
    }

    /// The replica with the fewest calls in flight, dead or not.
    pub(crate) fn choose(&self) -> Option<Chosen> {
        let replicas = self.replicas.read().unwrap_or_else(PoisonError::into_inner);
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let count = replicas.len();
        let replica = (0..count)
            .filter_map(|step| replicas.get((turn + step) % count))
            .min_by_key(|replica| replica.in_flight())?;
        replica.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Chosen(Arc::clone(replica)))
    }
}

/// A replica with one more call in flight until this is dropped.
#[derive(Debug)]
pub(crate) struct Chosen(Arc<Replica>);

impl Chosen {
    pub(crate) fn replica(&self) -> &Replica {
        &self.0
    }
}

impl Drop for Chosen {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) binding: Arc<Binding>,
    pub(crate) pool: Arc<Pool>,
    pub(crate) deprecation: Option<String>,
    /// The order in which slots were filled: the last one gets the route.
    pub(crate) filled: u64,
    /// Whether the last successful rebuild of the routes included this slot.
    pub(crate) routed: bool,
    pub(crate) rejected: RejectedJoins,
}

/// Replicas that did not fit the slot; a cluster accepts them without mounting them.
#[derive(Clone, Debug, Default)]
pub(crate) struct RejectedJoins {
    pub(crate) count: u64,
    pub(crate) last_reason: String,
    pub(crate) last_unix_ms: u64,
}

/// The slots of a fresh registry: the services that a gateway registers itself.
pub(super) fn built_in(profile: Profile) -> BTreeMap<Key, Slot> {
    let mut services = vec![("admin", Kind::OpenApi), ("admin_events", Kind::Internal)];
    if profile == Profile::Clustered {
        services.push(("ps", Kind::Internal));
    }
    services
        .into_iter()
        .map(|(namespace, kind)| {
            let key = (namespace.to_owned(), "v1".to_owned());
            let hash = hash::of_bytes(namespace.as_bytes());
            let (caps, schema) = (Caps::default(), Schema::Internal);
            let binding = Binding::new(key.clone(), kind, hash, caps, schema, 0);
            let slot = Slot {
                binding: Arc::new(binding),
                pool: Arc::new(Pool::new(caps)),
                deprecation: None,
                filled: 0,
                routed: true,
                rejected: RejectedJoins::default(),
            };
            (key, slot)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool_of(count: usize) -> Pool {
        let pool = Pool::new(Caps::default());
        for n in 0..count {
            let replica = Replica::new(
                n.to_string(),
                n.to_string(),
                None,
                AtZero::Close,
                Caps::default(),
            );
            pool.add(Arc::new(replica));
        }
        pool
    }

    #[test]
    fn the_least_loaded_replica_is_chosen() {
        let pool = pool_of(3);
        let held: Vec<Chosen> = (0..6).filter_map(|_| pool.choose()).collect();
        assert!(pool.replicas().iter().all(|r| r.in_flight() == 2));
        let freed = held.into_iter().next().unwrap();
        let addr = freed.replica().addr.clone();
        drop(freed);
        assert_eq!(pool.choose().unwrap().replica().addr, addr);
    }

    #[test]
    fn ties_are_taken_in_turn() {
        let pool = pool_of(2);
        let first = pool.choose().unwrap().replica().addr.clone();
        let second = pool.choose().unwrap().replica().addr.clone();
        assert_ne!(first, second);
        assert!(pool_of(0).choose().is_none());
    }
}
