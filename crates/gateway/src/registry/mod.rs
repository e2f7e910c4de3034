//! The registry: registrations, slots, the stable alias, deprecations.

pub(super) mod binding;
mod introspect;
pub(super) mod mount;
mod operator;
pub(super) mod prepare;
pub(super) mod routes;
pub(super) mod slot;
pub(super) mod subscription_token;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use self::binding::{Binding, Key, Schema};
use self::slot::{RejectedJoins, Slot};
use super::builder::Profile;
use super::view::{RegistrationView, ServiceView};
use tower_gwag::control::proto;

/// The state of one life of a node.
#[derive(Debug)]
pub(super) struct Registry {
    registrations: BTreeMap<String, Registration>,
    slots: BTreeMap<Key, Slot>,
    lasting: Arc<Mutex<Lasting>>,
    /// Counts fills of slots and registrations, for their order.
    clock: u64,
}

#[derive(Debug)]
pub(super) struct Registration {
    pub(super) addr: String,
    pub(super) instance_id: String,
    pub(super) ttl_seconds: u32,
    pub(super) bindings: Vec<Arc<Binding>>,
    last_beat: Instant,
    last_beat_unix_ms: u64,
    order: u64,
}

/// State that outlives registrations; in a cluster also restarts, and it is the same on every node.
#[derive(Debug, Default)]
pub(crate) struct Lasting {
    /// The highest vN ever registered of a namespace, until it is retracted.
    pub(crate) stable: BTreeMap<String, u64>,
    /// Reasons by service, also of services that are not registered.
    pub(crate) deprecations: BTreeMap<Key, String>,
}

impl Lasting {
    /// Raises the alias to a vN whose slot is filled.
    fn raise_stable(&mut self, (namespace, version): &Key) {
        let number = version
            .strip_prefix('v')
            .and_then(|n| n.parse::<u64>().ok());
        if let Some(number) = number {
            let stable = self.stable.entry(namespace.clone()).or_default();
            *stable = number.max(*stable);
        }
    }
}

/// Milliseconds since 1970.
pub(super) fn unix_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl Registry {
    pub(super) fn new(profile: Profile, lasting: Arc<Mutex<Lasting>>) -> Self {
        let registry = Self {
            registrations: BTreeMap::new(),
            slots: slot::built_in(profile),
            lasting,
            clock: 0,
        };
        for key in registry.slots.keys() {
            registry.lasting().raise_stable(key);
        }
        registry
    }

    fn lasting(&self) -> MutexGuard<'_, Lasting> {
        self.lasting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }

    /// Adds a registration; its services are mounted separately.
    pub(super) fn insert(&mut self, id: String, prepared: NewRegistration) {
        let order = self.tick();
        self.registrations.insert(
            id,
            Registration {
                addr: prepared.addr,
                instance_id: prepared.instance_id,
                ttl_seconds: prepared.ttl_seconds,
                bindings: prepared.bindings,
                last_beat: Instant::now(),
                last_beat_unix_ms: unix_ms(),
                order,
            },
        );
    }

    /// Renews a lease; returns false if the id is not known here.
    pub(super) fn beat(&mut self, id: &str) -> bool {
        match self.registrations.get_mut(id) {
            Some(registration) => {
                registration.last_beat = Instant::now();
                registration.last_beat_unix_ms = unix_ms();
                true
            }
            None => false,
        }
    }

    /// Removes a registration; its services are unmounted separately.
    pub(super) fn remove(&mut self, id: &str) -> Option<Registration> {
        self.registrations.remove(id)
    }

    /// Raises the stable alias of a slot that is not filled after all.
    pub(super) fn raise_stable(&self, key: &Key) {
        self.lasting().raise_stable(key);
    }

    pub(super) fn registration(&self, id: &str) -> Option<&Registration> {
        self.registrations.get(id)
    }

    pub(super) fn ids(&self) -> Vec<String> {
        self.registrations.keys().cloned().collect()
    }

    /// The registrations that have been silent for longer than their lease.
    pub(super) fn expired(&self) -> Vec<String> {
        let now = Instant::now();
        self.registrations
            .iter()
            .filter(|(_, it)| {
                let ttl = Duration::from_secs(it.ttl_seconds.into());
                now.saturating_duration_since(it.last_beat) > ttl
            })
            .map(|(id, _)| id.clone())
            .collect()
    }

    // === answers ===

    fn by_age(&self) -> Vec<(&String, &Registration)> {
        let mut all: Vec<_> = self.registrations.iter().collect();
        all.sort_by_key(|(_, it)| it.order);
        all
    }

    pub(super) fn list_registrations(&self) -> Vec<proto::Registration> {
        self.by_age()
            .into_iter()
            .map(|(id, it)| proto::Registration {
                registration_id: id.clone(),
                addr: it.addr.clone(),
                instance_id: it.instance_id.clone(),
                ttl_seconds: it.ttl_seconds,
                last_heartbeat_unix_ms: it.last_beat_unix_ms,
                namespaces: it.bindings.iter().map(|binding| binding.name()).collect(),
            })
            .collect()
    }

    pub(super) fn list_services(&self) -> proto::ListServicesResponse {
        let services = self
            .slots
            .iter()
            .map(|((namespace, version), slot)| proto::ServiceInfo {
                namespace: namespace.clone(),
                version: version.clone(),
                hash_hex: slot.binding.hash.clone(),
                replica_count: match slot.binding.schema {
                    Schema::Internal => 1,
                    _ => u32::try_from(slot.pool.replicas().len()).unwrap_or(u32::MAX),
                },
                manual_deprecation_reason: slot.deprecation.clone().unwrap_or_default(),
            })
            .collect();
        let stable_vn = self
            .lasting()
            .stable
            .iter()
            // The wire has 32 bits; a real gateway truncates as well.
            .map(|(namespace, number)| (namespace.clone(), *number as u32))
            .collect();
        proto::ListServicesResponse {
            services,
            stable_vn,
        }
    }

    /// The same as [`list_services`](Self::list_services), with the rejected replicas.
    pub(super) fn admin_services(&self) -> Vec<(proto::ServiceInfo, RejectedJoins)> {
        let rejected = self.slots.values().map(|slot| slot.rejected.clone());
        let services = self.list_services().services;
        services.into_iter().zip(rejected).collect()
    }

    /// The schemas of the selected slots.
    pub(super) fn bindings(&self, mut is_wanted: impl FnMut(&Key) -> bool) -> Vec<Arc<Binding>> {
        self.slots
            .values()
            .filter(|slot| is_wanted(&slot.binding.key))
            .map(|slot| Arc::clone(&slot.binding))
            .collect()
    }

    pub(super) fn view_registrations(&self) -> Vec<RegistrationView> {
        let now = Instant::now();
        self.by_age()
            .into_iter()
            .map(|(id, it)| RegistrationView {
                id: id.clone(),
                addr: it.addr.clone(),
                instance_id: it.instance_id.clone(),
                ttl: Duration::from_secs(it.ttl_seconds.into()),
                since_last_beat: now.saturating_duration_since(it.last_beat),
                namespaces: it.bindings.iter().map(|binding| binding.name()).collect(),
            })
            .collect()
    }

    pub(super) fn view_services(&self) -> Vec<ServiceView> {
        self.slots
            .values()
            .filter(|slot| !matches!(slot.binding.schema, Schema::Internal))
            .map(|slot| ServiceView {
                namespace: slot.binding.key.0.clone(),
                version: slot.binding.key.1.clone(),
                hash: slot.binding.hash.clone(),
                replicas: slot
                    .pool
                    .replicas()
                    .iter()
                    .map(|replica| replica.addr.clone())
                    .collect(),
                deprecation: slot.deprecation.clone(),
                routed: slot.routed,
            })
            .collect()
    }
}

/// The input of [`Registry::insert`].
pub(super) struct NewRegistration {
    pub(super) addr: String,
    pub(super) instance_id: String,
    pub(super) ttl_seconds: u32,
    pub(super) bindings: Vec<Arc<Binding>>,
}
