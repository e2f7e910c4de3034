//! The operator's calls: deprecations and the stable alias.

use tonic::Status;

use super::Registry;
use super::binding::Key;

fn refuse(text: impl std::fmt::Display) -> Status {
    Status::unknown(format!("controlplane: {text}"))
}

impl Registry {
    /// Marks a version as deprecated; the reason is also kept for a service that registers later.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub(crate) fn deprecate(
        &mut self,
        namespace: String,
        version: String,
        reason: String,
    ) -> Result<(), Status> {
        if namespace.is_empty() || version.is_empty() {
            return Err(refuse("namespace and version are required"));
        }
        if reason.is_empty() {
            return Err(refuse("reason is required (Undeprecate removes it)"));
        }
        let key = (namespace, version);
        // As in a real gateway, a refused deprecation is kept and applied when the service
        // registers.
        self.lasting()
            .deprecations
            .insert(key.clone(), reason.clone());
        match self.slots.get_mut(&key) {
            Some(slot) => {
                slot.deprecation = Some(reason);
                Ok(())
            }
            None => Err(not_registered(&key.0, &key.1)),
        }
    }

    /// Removes a deprecation, and returns its reason, empty if there was none.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub(crate) fn undeprecate(
        &mut self,
        namespace: String,
        version: String,
    ) -> Result<String, Status> {
        if namespace.is_empty() || version.is_empty() {
            return Err(refuse("namespace and version are required"));
        }
        let key = (namespace, version);
        if !self.slots.contains_key(&key) {
            return Err(not_registered(&key.0, &key.1));
        }
        self.lasting().deprecations.remove(&key);
        let slot = self.slots.get_mut(&key);
        Ok(slot
            .and_then(|slot| slot.deprecation.take())
            .unwrap_or_default())
    }

    /// Lowers the stable alias; returns the previous number.
    ///
    /// # Errors
    ///
    /// The refusal.
    pub(crate) fn retract_stable(&mut self, namespace: String, target: u32) -> Result<u32, Status> {
        if namespace.is_empty() {
            return Err(refuse("namespace is required"));
        }
        if target == 0 {
            return Err(refuse(
                "target_vN must be >= 1 (the alias cannot be removed)",
            ));
        }
        let Some(current) = self.lasting().stable.get(&namespace).copied() else {
            return Err(refuse(format_args!(
                "namespace {namespace:?} has no stable set"
            )));
        };
        if u64::from(target) >= current {
            return Err(refuse(format_args!(
                "target_vN={target} is not lower than current stable=v{current} of {namespace:?} \
                 (registering raises it)"
            )));
        }
        let key = (namespace, format!("v{target}"));
        if !self.slots.contains_key(&key) {
            return Err(not_registered(&key.0, &key.1));
        }
        self.lasting().stable.insert(key.0, target.into());
        Ok(current as u32)
    }
}

impl Registry {
    /// Applies a change of a deprecation by another node of the cluster.
    pub(crate) fn note_deprecation(&mut self, key: &Key, reason: Option<String>) {
        if let Some(slot) = self.slots.get_mut(key) {
            slot.deprecation = reason;
        }
    }
}

fn not_registered(namespace: &str, version: &str) -> Status {
    refuse(format_args!(
        "{namespace}/{version} is not currently registered on this gateway"
    ))
}
