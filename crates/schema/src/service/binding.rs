//! One service, ready to be registered.

use std::collections::HashMap;

/// A service as a gateway receives it: the content of one `ServiceBinding` of the control plane,
/// independent of any wire format.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Binding {
    /// The name under which the gateway offers the service.
    pub namespace: String,
    /// `unstable` or `vN`.
    pub version: String,
    /// The entry file, which the gateway compiles as `<namespace>.proto`.
    pub proto_source: Vec<u8>,
    /// The files that the entry file imports, keyed by the paths in the `import` statements.
    pub proto_imports: HashMap<String, Vec<u8>>,
    /// The OpenAPI document.
    pub openapi_spec: Vec<u8>,
    /// A URL, or a path on the registered server.
    pub graphql_endpoint: String,
    /// The most concurrent calls over all replicas; 0: the gateway's default.
    pub max_concurrency: u32,
    /// The most concurrent calls on one replica; 0: the gateway's default.
    pub max_concurrency_per_instance: u32,
}

// === impl Binding ===

impl Binding {
    /// About the most bytes that it takes on the wire; length prefixes are estimated.
    #[must_use]
    pub fn size(&self) -> usize {
        let imports = self.proto_imports.iter();
        let imports = imports.map(|(path, text)| path.len() + text.len() + 16);
        let texts = [&self.namespace, &self.version, &self.graphql_endpoint];
        let texts = texts.map(String::len).iter().sum::<usize>();
        64 + texts + self.proto_source.len() + self.openapi_spec.len() + imports.sum::<usize>()
    }
}
