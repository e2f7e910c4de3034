//! Mounting: a replica joins its slot, or is refused.

use std::sync::Arc;

use super::binding::{Binding, Caps, Key, Schema};
use super::slot::{Pool, RejectedJoins, Replica, Slot};
use super::{Registry, unix_ms};
use crate::proxy::target;

/// Why a replica cannot join its slot.
pub(crate) struct MountFault(pub(crate) String);

impl Registry {
    /// Puts a replica into its slot, which [`join`](Self::join) found or [`fill`](Self::fill) made.
    pub(crate) fn add_replica(&mut self, key: &Key, replica: Replica) {
        if let Some(slot) = self.slots.get(key) {
            slot.pool.add(Arc::new(replica));
        }
    }

    /// Whether a registration has a replica in the slot of this name.
    pub(crate) fn has_replica(&self, key: &Key, registration: &str) -> bool {
        self.slots.get(key).is_some_and(|slot| {
            let replicas = slot.pool.replicas();
            replicas.iter().any(|it| it.registration == registration)
        })
    }

    /// Whether the binding fits the slot of its name: kind, then hash, then caps.
    pub(crate) fn join(&self, binding: &Binding) -> Result<Join, MountFault> {
        let Some(slot) = self.slots.get(&binding.key) else {
            return Ok(Join::New { swapped: false });
        };
        let held = &slot.binding;
        if held.kind == binding.kind && held.hash == binding.hash && held.caps == binding.caps {
            return Ok(Join::Existing);
        }
        // The one mutable slot: the newest schema takes it, and the replicas of the old one are
        // dropped.
        if binding.key.1 == "unstable" {
            return Ok(Join::New { swapped: true });
        }
        let (speaker, name) = (binding.kind.speaker(), binding.name());
        Err(MountFault(if held.kind != binding.kind {
            format!(
                "{speaker}: {name} already registered as {}; cannot re-register as {}",
                held.kind, binding.kind
            )
        } else if held.hash != binding.hash {
            format!(
                "{speaker}: {name} already registered with different schema hash; a vN keeps its \
                 schema while a replica of it lives (take the next vN, or unstable)"
            )
        } else {
            format!(
                "{speaker}: {name} already registered with different concurrency caps (it has {}, \
                 this one {})",
                show(held.caps),
                show(binding.caps)
            )
        }))
    }

    /// Counts a replica that does not fit the slot of its name.
    pub(crate) fn rejected(&mut self, key: &Key, fault: &MountFault) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.rejected.count += 1;
            slot.rejected.last_reason.clone_from(&fault.0);
            slot.rejected.last_unix_ms = unix_ms();
        }
    }

    /// Opens the slot for the binding, without a replica yet, and raises the stable alias; returns
    /// the replicas that held the slot before.
    pub(crate) fn fill(&mut self, binding: &Arc<Binding>, swapped: bool) -> Vec<Arc<Replica>> {
        let mut lasting = self.lasting();
        lasting.raise_stable(&binding.key);
        // A swap forgets the deprecation; an empty slot that is filled again keeps it.
        let deprecation = match swapped {
            true => None,
            false => lasting.deprecations.get(&binding.key).cloned(),
        };
        drop(lasting);
        let slot = Slot {
            binding: Arc::clone(binding),
            pool: Arc::new(Pool::new(binding.caps)),
            deprecation,
            filled: self.tick(),
            routed: false,
            rejected: RejectedJoins::default(),
        };
        let before = self.slots.insert(binding.key.clone(), slot);
        before.map(|slot| slot.pool.replicas()).unwrap_or_default()
    }

    /// Removes a replica from its slot; the last replica removes the slot, too.
    pub(crate) fn unmount(&mut self, key: &Key, registration: &str) -> Option<Unmounted> {
        let slot = self.slots.get(key)?;
        let replica = slot.pool.remove(registration)?;
        let emptied = slot.pool.replicas().is_empty();
        if emptied {
            self.slots.remove(key);
        }
        Some(Unmounted { replica, emptied })
    }
}

/// A replica that was removed from its slot.
pub(crate) struct Unmounted {
    pub(crate) replica: Arc<Replica>,
    /// Whether it was the last one, so that the slot is gone.
    pub(crate) emptied: bool,
}

/// How a binding fits the slot of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// The slot exists and has this schema.
    Existing,
    /// The slot has to be opened; `swapped` if that drops another schema's replicas.
    New { swapped: bool },
}

fn show(caps: Caps) -> String {
    format!("max={}/inst={}", caps.total, caps.per_instance)
}

/// The checks that need no slots: whether this is a service at all.
pub(crate) fn check_content(binding: &Binding, addr: &str) -> Result<(), MountFault> {
    match &binding.schema {
        Schema::Proto(_) => target::check(addr)
            .map_err(|reason| MountFault(format!("controlplane: dial {addr}: {reason}"))),
        Schema::OpenApi(document) => match document.faults().invalid.first() {
            None => Ok(()),
            Some(reason) => Err(MountFault(format!(
                "openapi: validate {}: {reason}",
                binding.name()
            ))),
        },
        Schema::GraphQl { data: None, .. } => Err(MountFault(format!(
            "graphql: parse introspection {}: no data",
            binding.name()
        ))),
        Schema::GraphQl { .. } | Schema::Internal => Ok(()),
    }
}
