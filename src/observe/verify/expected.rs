//! What the gateway should list and route, one for each service.

use tower_gwag_schema::service::evidence::{has_operations, hash_of, routes_of};
use tower_gwag_schema::service::{Resolved, ServiceKind};

/// One service as the gateway should have it.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) namespace: String,
    pub(crate) version: String,
    pub(crate) is_unstable: bool,
    /// The canonical hash; `None` where only the gateway knows it.
    pub(crate) hash: Option<String>,
    /// Methods that a gateway routes, or may route, as paths.
    pub(crate) routes: Vec<String>,
    /// A gateway that has routes has these: one that says "no route" does not serve it.
    pub(crate) is_surely_routed: bool,
    /// The gateway's public schema must show something of it.
    pub(crate) is_visible: bool,
}

// === impl Expected ===

impl Expected {
    pub(crate) fn of(service: &Resolved) -> Self {
        let is_hidden = service.namespace.starts_with('_');
        let hash = hash_of(service).filter(|hash| hash.is_exact());
        Self {
            namespace: service.namespace.clone(),
            version: service.version.to_string(),
            is_unstable: service.version.is_unstable(),
            hash: hash.and_then(|hash| hash.hex().map(str::to_owned)),
            routes: match is_hidden {
                true => Vec::new(),
                false => routes_of(service),
            },
            is_surely_routed: service.kind == ServiceKind::Proto,
            is_visible: has_operations(service) && !is_hidden,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.version)
    }
}
