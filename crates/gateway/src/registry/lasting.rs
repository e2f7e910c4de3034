//! State that outlives registrations; in a cluster also restarts, and it is the same on every node.

use std::collections::BTreeMap;

use super::binding::Key;

#[derive(Debug, Default)]
pub(crate) struct Lasting {
    /// The highest vN ever registered of a namespace, until it is retracted.
    pub(crate) stable: BTreeMap<String, u64>,
    /// Reasons by service, also of services that are not registered.
    pub(crate) deprecations: BTreeMap<Key, String>,
}

impl Lasting {
    /// Raises the alias to a vN whose slot is filled.
    pub(super) fn raise_stable(&mut self, (namespace, version): &Key) {
        let number = version
            .strip_prefix('v')
            .and_then(|n| n.parse::<u64>().ok());
        if let Some(number) = number {
            let stable = self.stable.entry(namespace.clone()).or_default();
            *stable = number.max(*stable);
        }
    }
}
