//! Registering in a cluster: a node puts entries into the bucket, and each node's reconciler mounts
//! them later.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::sync::mpsc;
use tonic::Status;

use super::Node;
use super::life::{Held, Life, Membership};
use crate::cluster::{Change, Entry, Event, FATAL_NAMESPACE, MAX_ENTRY};
use crate::proxy::connections::AtZero;
use crate::registry::binding::{Binding, Key, Kind};
use crate::registry::mount::{Join, MountFault, check_content};
use crate::registry::slot::Replica;
use crate::registry::{NewRegistration, Registration, Registry};

/// Applies the changes of the bucket in order, each when it is due.
pub(super) async fn reconcile(
    node: Arc<Node>,
    life: Arc<Life>,
    mut events: mpsc::UnboundedReceiver<Event>,
) {
    while let Some(event) = events.recv().await {
        tokio::time::sleep_until(event.due).await;
        node.gate.open().await;
        if let Some(membership) = &life.membership {
            life.apply(membership, event.change);
            membership.pending.fetch_sub(1, Ordering::SeqCst);
        }
        node.changed();
    }
}

impl Membership {
    /// Refuses what the store would refuse.
    fn check(&self, binding: &Binding) -> Result<(), Status> {
        let refuse = |text: &str| {
            Err(Status::unknown(format!(
                "controlplane: kv put: nats: {text}"
            )))
        };
        let namespace = &binding.key.0;
        if namespace.len() > FATAL_NAMESPACE {
            self.store_closed.store(true, Ordering::SeqCst);
        }
        if self.store_closed.load(Ordering::SeqCst) {
            return refuse("connection closed");
        }
        let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'=');
        if !namespace.bytes().all(fits) {
            return refuse("invalid key");
        }
        if binding.stored_size > MAX_ENTRY {
            return refuse("maximum payload exceeded");
        }
        Ok(())
    }

    fn entry(&self, id: &str, addr: &str, binding: &Arc<Binding>) -> Entry {
        Entry {
            registration: id.to_owned(),
            addr: addr.to_owned(),
            binding: Arc::clone(binding),
            owner: self.node_id.clone(),
        }
    }

    pub(super) fn refresh(&self, id: &str, held: &Held) {
        for binding in &held.bindings {
            self.cluster.put(self.entry(id, &held.addr, binding));
        }
    }

    pub(super) fn withdraw(&self, removed: &[(&String, Registration)]) {
        for (id, registration) in removed {
            for binding in &registration.bindings {
                self.cluster.delete(&binding.key, id);
            }
        }
    }
}

impl Life {
    /// Puts every service into the bucket; the reconcilers find out later whether they can be
    /// mounted.
    pub(super) fn register_clustered(
        &self,
        membership: &Membership,
        id: &str,
        new: NewRegistration,
    ) -> Result<(), Status> {
        for binding in &new.bindings {
            membership.check(binding)?;
        }
        let (addr, bindings) = (new.addr.clone(), new.bindings.clone());
        self.registry().insert(id.to_owned(), new);
        for binding in &bindings {
            membership.cluster.put(membership.entry(id, &addr, binding));
        }
        Ok(())
    }

    fn apply(&self, membership: &Membership, change: Change) {
        let mut registry = self.registry();
        match change {
            Change::Put(entry) => {
                let at_zero = match entry.owner == membership.node_id {
                    // The node that accepted the registration never closes its connection.
                    true => AtZero::Keep,
                    false => AtZero::Close,
                };
                if let Err(fault) = self.mount_entry(&mut registry, &entry, at_zero) {
                    // No one is notified: the next heartbeat tries again.
                    tracing::debug!(reason = fault.0, "the embedded gateway cannot mount");
                }
            }
            Change::Delete(key, registration) => {
                self.unmount_entry(&mut registry, &key, &registration);
            }
            Change::Deprecated(key, reason) => registry.note_deprecation(&key, reason),
        }
    }

    fn mount_entry(
        &self,
        registry: &mut Registry,
        entry: &Entry,
        at_zero: AtZero,
    ) -> Result<(), MountFault> {
        let Entry {
            registration,
            addr,
            binding,
            ..
        } = entry;
        if registry.has_replica(&binding.key, registration) {
            return Ok(());
        }
        check_content(binding, addr)?;
        let join = registry.join(binding).inspect_err(|fault| {
            registry.rejected(&binding.key, fault);
        })?;
        let upstream = (binding.kind == Kind::Proto).then(|| self.upstreams.acquire(addr));
        if let Join::New { swapped } = join {
            for replica in registry.fill(binding, swapped) {
                self.give_back(&replica);
            }
        }
        let dials = upstream.is_some();
        let (id, addr) = (registration.clone(), addr.clone());
        let replica = Replica::new(id, addr, upstream, at_zero, binding.caps)
            .with_endpoint(binding.endpoint());
        let addr = replica.addr.clone();
        registry.add_replica(&binding.key, replica);
        if matches!(join, Join::New { .. }) && !self.rebuild(registry) && dials {
            // The replica stays in its slot, with a closed connection: dead forever.
            self.upstreams.release(&addr, AtZero::Close);
        }
        Ok(())
    }

    fn unmount_entry(&self, registry: &mut Registry, key: &Key, registration: &str) {
        let Some(unmounted) = registry.unmount(key, registration) else {
            return;
        };
        self.give_back(&unmounted.replica);
        if unmounted.emptied {
            self.rebuild(registry);
        }
    }

    fn give_back(&self, replica: &Replica) {
        if replica.upstream.is_some() {
            self.upstreams.release(&replica.addr, replica.at_zero);
        }
    }
}
