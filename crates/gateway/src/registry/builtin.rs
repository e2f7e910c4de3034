//! The services that a gateway registers itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::binding::{Binding, Caps, Key, Kind, Schema};
use super::slot::{Pool, RejectedJoins, Slot};
use crate::builder::Profile;
use tower_gwag_schema::hash;

/// The slots of a fresh registry.
pub(super) fn slots(profile: Profile) -> BTreeMap<Key, Slot> {
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
