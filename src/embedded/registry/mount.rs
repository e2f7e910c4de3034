//! Mounting: a replica joins its slot, or is refused.

use std::sync::Arc;

use super::Registry;
use super::binding::{Binding, Caps, Key, Schema};
use super::slot::{Pool, Replica, Slot};
use crate::embedded::proxy::target;
use crate::rules::render::{self, Unrenderable};

/// Why a replica cannot join its slot.
pub(in crate::embedded) struct MountFault(pub(in crate::embedded) String);

impl Registry {
    /// Puts a replica into its slot; where the slot is new, the schema must be fit to be served.
    ///
    /// # Errors
    ///
    /// The refusal; the slot is as it was, but the stable alias may have been raised.
    pub(in crate::embedded) fn mount(
        &mut self,
        binding: &Arc<Binding>,
        replica: Replica,
    ) -> Result<(), MountFault> {
        check_content(binding, &replica.addr)?;
        match self.join(binding)? {
            Join::Existing => {}
            Join::New { swapped } => {
                self.raise_stable(&binding.key);
                if let Some(reason) = unrenderable(binding) {
                    return Err(MountFault(reason.to_string()));
                }
                self.fill(binding, swapped);
            }
        }
        if let Some(slot) = self.slots.get(&binding.key) {
            slot.pool.add(Arc::new(replica));
        }
        Ok(())
    }

    /// Whether the binding fits the slot of its name: kind, then hash, then caps.
    pub(in crate::embedded) fn join(&self, binding: &Binding) -> Result<Join, MountFault> {
        let Some(slot) = self.slots.get(&binding.key) else {
            return Ok(Join::New { swapped: false });
        };
        let held = &slot.binding;
        if held.kind == binding.kind && held.hash == binding.hash && held.caps == binding.caps {
            return Ok(Join::Existing);
        }
        // The one mutable slot: the newest schema takes it, and drops the replicas of the old.
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

    /// Opens the slot for the binding, without a replica yet.
    pub(in crate::embedded) fn fill(&mut self, binding: &Arc<Binding>, swapped: bool) {
        // A swap forgets the deprecation; an empty slot that is filled afresh remembers it.
        let deprecation = match swapped {
            true => None,
            false => self.deprecations.get(&binding.key).cloned(),
        };
        let slot = Slot {
            binding: Arc::clone(binding),
            pool: Arc::new(Pool::new(binding.caps)),
            deprecation,
            filled: self.tick(),
        };
        self.slots.insert(binding.key.clone(), slot);
    }

    /// Removes replicas of a slot, and the slot with the last of them.
    pub(in crate::embedded) fn unmount(&mut self, key: &Key, gone: impl Fn(&Replica) -> bool) {
        if let Some(slot) = self.slots.get(key)
            && slot.pool.remove(gone)
            && slot.pool.replicas().is_empty()
        {
            self.slots.remove(key);
        }
    }

    /// The alias follows the highest vN whose slot is filled.
    pub(in crate::embedded) fn raise_stable(&mut self, key: &Key) {
        let Some(number) = key.1.strip_prefix('v').and_then(|n| n.parse::<u64>().ok()) else {
            return;
        };
        let stable = self.stable.entry(key.0.clone()).or_default();
        *stable = number.max(*stable);
    }
}

/// How a binding fits the slot of its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::embedded) enum Join {
    /// The slot is there and has this schema.
    Existing,
    /// The slot has to be opened; `swapped` where that drops another schema's replicas.
    New { swapped: bool },
}

fn show(caps: Caps) -> String {
    format!("max={}/inst={}", caps.total, caps.per_instance)
}

/// What can be said without looking at the slots: whether this is a service at all.
pub(in crate::embedded) fn check_content(binding: &Binding, addr: &str) -> Result<(), MountFault> {
    match &binding.schema {
        Schema::Proto(_) => target::check(addr)
            .map_err(|reason| MountFault(format!("controlplane: dial {addr}: {reason}"))),
        Schema::OpenApi(document) => document.validate().map_err(|reason| {
            MountFault(format!("openapi: validate {}: {reason}", binding.name()))
        }),
        Schema::GraphQl(None) => Err(MountFault(format!(
            "graphql: parse introspection {}: no data",
            binding.name()
        ))),
        Schema::GraphQl(Some(_)) | Schema::Internal => Ok(()),
    }
}

/// The first thing in a binding that cannot be rendered.
pub(in crate::embedded) fn unrenderable(binding: &Binding) -> Option<Unrenderable> {
    let (namespace, version) = &binding.key;
    let of_schema = || match &binding.schema {
        Schema::Proto(compiled) => render::proto(version, compiled).into_iter().next(),
        Schema::OpenApi(document) => render::openapi(version, document).into_iter().next(),
        Schema::GraphQl(_) | Schema::Internal => None,
    };
    render::namespace(namespace).or_else(of_schema)
}
