//! Registering without a cluster: the gateway checks and mounts everything at once, or refuses.

use std::sync::Arc;

use tonic::Status;

use super::life::Life;
use crate::proxy::connections::AtZero;
use crate::registry::binding::{Binding, Kind};
use crate::registry::mount::{Join, MountFault, check_content};
use crate::registry::slot::Replica;
use crate::registry::{NewRegistration, Registration, Registry};

impl Life {
    /// Mounts all services, or none.
    pub(super) fn register_standalone(&self, id: &str, new: NewRegistration) -> Result<(), Status> {
        let mut registry = self.registry();
        for (done, binding) in new.bindings.iter().enumerate() {
            if let Err(fault) = self.mount(&mut registry, id, &new.addr, binding) {
                for binding in new.bindings.iter().take(done) {
                    self.unmount(&mut registry, id, &new.addr, binding);
                }
                self.rebuild(&mut registry);
                return Err(Status::unknown(fault.0));
            }
        }
        registry.insert(id.to_owned(), new);
        self.rebuild(&mut registry);
        Ok(())
    }

    fn mount(
        &self,
        registry: &mut Registry,
        id: &str,
        addr: &str,
        binding: &Arc<Binding>,
    ) -> Result<(), MountFault> {
        check_content(binding, addr)?;
        if let Join::New { swapped } = registry.join(binding)? {
            if let Some(reason) = &binding.unrenderable {
                // As in a real gateway, the alias is raised before the schema is rendered.
                registry.raise_stable(&binding.key);
                return Err(MountFault(reason.to_string()));
            }
            // Replicas that are swapped out keep their registrations, and so their connections.
            registry.fill(binding, swapped);
        }
        let upstream = (binding.kind == Kind::Proto).then(|| self.upstreams.acquire(addr));
        let (id, addr) = (id.to_owned(), addr.to_owned());
        let replica = Replica::new(id, addr, upstream, AtZero::Close, binding.caps)
            .with_endpoint(binding.endpoint());
        registry.add_replica(&binding.key, replica);
        Ok(())
    }

    fn unmount(&self, registry: &mut Registry, id: &str, addr: &str, binding: &Binding) {
        registry.unmount(&binding.key, id);
        if binding.kind == Kind::Proto {
            self.upstreams.release(addr, AtZero::Close);
        }
    }

    pub(super) fn deregister_standalone(
        &self,
        registry: &mut Registry,
        removed: &[(&String, Registration)],
    ) {
        for (id, registration) in removed {
            for binding in &registration.bindings {
                self.unmount(registry, id, &registration.addr, binding);
            }
        }
        if !removed.is_empty() {
            self.rebuild(registry);
        }
    }
}
