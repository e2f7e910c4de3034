//! A service for each `service` of an entry file.

use super::Service;
use super::collect::entry_text;
use super::schema::{ProtoSource, Schema};
use crate::finding::Finding;
use crate::finding::Rule;
use crate::name;
use crate::proto::split::Services;
use crate::size::MAX_REQUEST_BYTES;

/// An entry file that has several services.
pub(super) struct Parts<'a> {
    proto: &'a ProtoSource,
    entry: String,
}

// === impl Service ===

impl Service {
    /// What it is split into; `None` where it is not, or not to be.
    pub(super) fn parts(&self) -> Option<Parts<'_>> {
        let Schema::Proto(proto) = &self.schema else {
            return None;
        };
        // Why it cannot be read is told when it is resolved.
        let entry = self.is_split.then(|| entry_text(proto)).flatten()?;
        let is_several = Services::of(&entry).names().nth(1).is_some();
        is_several.then_some(Parts { proto, entry })
    }
}

// === impl Parts ===

impl Parts<'_> {
    /// Each part has the whole file, so that many take long to check in vain.
    pub(super) fn fit_into_a_request(&self) -> Result<(), Finding> {
        let services = Services::of(&self.entry).names().count();
        let bytes = services.saturating_mul(self.entry.len());
        if bytes <= MAX_REQUEST_BYTES {
            return Ok(());
        }
        let message = format!(
            "split into its {services} services the entry file takes {bytes} bytes, because each is \
             sent all of it, and a gateway receives at most {MAX_REQUEST_BYTES}"
        );
        let help = "give the services entry files of their own, and import what they share";
        Err(Finding::error(Rule::RequestSize, message).help(help))
    }

    /// `whole` as one service for each of its entry file.
    pub(super) fn services(&self, whole: &Service) -> Vec<Service> {
        let services = Services::of(&self.entry);
        let parts = services.names().enumerate().map(|(at, name)| {
            let name = name::snake_case(name);
            let namespace = match whole.namespace.as_deref() {
                None => name,
                // As without the split, an empty one is a fault.
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
