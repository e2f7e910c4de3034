//! Splits an entry file into one service for each `service`.

use super::Service;
use super::collect::entry_text;
use super::schema::{ProtoSource, Schema};
use crate::finding::Finding;
use crate::finding::Rule;
use crate::gateway::MAX_REQUEST_BYTES;
use crate::name;
use crate::proto::split::Services;

/// An entry file with several services.
pub(super) struct Parts<'a> {
    proto: &'a ProtoSource,
    entry: String,
}

// === impl Service ===

impl Service {
    /// The parts to split into; `None` if the service is not split or has only one part.
    pub(super) fn parts(&self) -> Option<Parts<'_>> {
        let Schema::Proto(proto) = &self.schema else {
            return None;
        };
        // If it cannot be read, resolving it reports why.
        let entry = self.is_split.then(|| entry_text(proto)).flatten()?;
        let is_several = Services::of(&entry).names().nth(1).is_some();
        is_several.then_some(Parts { proto, entry })
    }
}

// === impl Parts ===

impl Parts<'_> {
    /// Each part contains the whole file, so checking many of them in vain would take long.
    pub(super) fn fit_into_a_request(&self) -> Result<(), Finding> {
        let services = Services::of(&self.entry).names().count();
        let bytes = services.saturating_mul(self.entry.len());
        if bytes <= MAX_REQUEST_BYTES {
            return Ok(());
        }
        let message = format!(
            "split into its {services} services, the entry file takes {bytes} bytes, because each \
             of them carries all of it, and a gateway accepts at most {MAX_REQUEST_BYTES}"
        );
        let help = "move each service to its own entry file, and import what they share";
        Err(Finding::error(Rule::RequestSize, message).help(help))
    }

    /// One service for each of the entry file, otherwise like `whole`.
    pub(super) fn services(&self, whole: &Service) -> Vec<Service> {
        let services = Services::of(&self.entry);
        let parts = services.names().enumerate().map(|(at, name)| {
            let name = name::snake_case(name);
            let namespace = match whole.namespace.as_deref() {
                None => name,
                // An empty namespace is an error, as without the split.
                Some("") => String::new(),
                Some(namespace) => format!("{namespace}_{name}"),
            };
            Service {
                schema: Schema::Proto(self.proto.with_entry(services.alone(at))),
                namespace: Some(namespace),
                is_part: true,
                ..whole.clone()
            }
        });
        parts.collect()
    }
}
