//! Cases that gateways have judged, for tests of several modules.

#![allow(clippy::unwrap_used, reason = "for tests")]

use std::collections::HashMap;

/// A schema, and what became of it.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct RenderCase {
    pub(crate) id: String,
    /// `proto` or `openapi`.
    pub(crate) kind: String,
    pub(crate) source: String,
    pub(crate) served: bool,
    pub(crate) blocks_others: bool,
}

/// A proto, and its hash.
#[derive(Debug, serde::Deserialize)]
pub(crate) struct HashVector {
    pub(crate) name: String,
    pub(crate) namespace: String,
    pub(crate) proto_source: String,
    proto_imports: HashMap<String, String>,
    pub(crate) hash_hex: String,
}

pub(crate) fn render_cases() -> Vec<RenderCase> {
    serde_json::from_str(include_str!("../tests/data/render-cases.json")).unwrap()
}

/// From a gateway, and from its compiler (protocompile 0.14.1) for comments and white space in every
/// place.
pub(crate) fn hash_vectors() -> Vec<HashVector> {
    vectors(&[
        include_str!("../tests/data/hash-vectors.json"),
        include_str!("../tests/data/hash-vectors-compiler.json"),
    ])
}

/// The same, with options of every kind.
pub(crate) fn hash_vectors_with_options() -> Vec<HashVector> {
    vectors(&[include_str!("../tests/data/hash-vectors-options.json")])
}

fn vectors(texts: &[&str]) -> Vec<HashVector> {
    let read = |text: &&str| serde_json::from_str::<Vec<HashVector>>(text).unwrap();
    texts.iter().flat_map(read).collect()
}

// === impl HashVector ===

impl HashVector {
    pub(crate) fn imports(&self) -> HashMap<String, Vec<u8>> {
        let imports = self.proto_imports.iter();
        imports
            .map(|(name, text)| (name.clone(), text.clone().into_bytes()))
            .collect()
    }
}
