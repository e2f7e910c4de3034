//! What the gateway should list and route, one for each service.

use crate::service::{Resolved, ServiceKind};

/// One service as the gateway should have it.
#[derive(Clone, Debug)]
pub(in crate::registration) struct Expected {
    pub(in crate::registration) namespace: String,
    pub(in crate::registration) version: String,
    pub(in crate::registration) is_unstable: bool,
    /// The canonical hash; `None` where only the gateway knows it.
    pub(in crate::registration) hash: Option<String>,
    /// A method that a gateway routes, as a path.
    pub(in crate::registration) route: Option<String>,
    /// The gateway's public schema must show something of it.
    pub(in crate::registration) is_visible: bool,
    /// The descriptors that the gateway makes of it.
    #[cfg(feature = "preflight")]
    pub(in crate::registration) descriptors: Option<Vec<u8>>,
}

// === impl Expected ===

impl Expected {
    pub(in crate::registration) fn of(service: &Resolved) -> Self {
        let is_hidden = service.namespace.starts_with('_');
        let expected = Self {
            namespace: service.namespace.clone(),
            version: service.version.to_string(),
            is_unstable: service.version.is_unstable(),
            hash: None,
            route: None,
            is_visible: service.kind == ServiceKind::GraphQl && !is_hidden,
            #[cfg(feature = "preflight")]
            descriptors: None,
        };
        #[cfg(feature = "preflight")]
        let expected = expected.learn(service);
        expected
    }

    /// What only a compiler knows.
    #[cfg(feature = "preflight")]
    fn learn(mut self, service: &Resolved) -> Self {
        use crate::rules::{hash, openapi, proto};

        let is_hidden = self.namespace.starts_with('_');
        let binding = &service.binding;
        match service.kind {
            ServiceKind::Proto => {
                let (source, imports) = (&binding.proto_source, &binding.proto_imports);
                let Ok(compiled) = proto::compile(&self.namespace, source, imports) else {
                    return self;
                };
                let found = hash::of_proto(&compiled);
                let hex = found.hex().filter(|_| found.is_exact());
                self.hash = hex.map(str::to_owned);
                self.descriptors = Some(hash::descriptor_set(&compiled).0);
                self.route = compiled
                    .routed_methods()
                    .next()
                    .map(|it| proto::path_of(&it));
                self.route = self.route.filter(|_| !is_hidden);
                self.is_visible = self.route.is_some();
            }
            ServiceKind::OpenApi => {
                self.hash = Some(hash::of_bytes(&binding.openapi_spec));
                let document = openapi::parse(&binding.openapi_spec);
                let has_operations = document.is_ok_and(|it| !it.operations().is_empty());
                self.is_visible = has_operations && !is_hidden;
            }
            // The gateway hashes what the endpoint answers.
            ServiceKind::GraphQl => {}
        }
        self
    }

    pub(in crate::registration) fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.version)
    }
}
