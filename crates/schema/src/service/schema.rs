//! The schema of a service as the user gave it.

use std::collections::BTreeMap;
use std::fmt;
#[cfg(feature = "preflight")]
use std::sync::Arc;

use super::ProtoFiles;
use super::resolve::ServiceKind;
use crate::finding::Finding;

/// An OpenAPI 3.x document: JSON or YAML.
#[derive(Clone)]
pub struct OpenApiDocument(pub(super) Vec<u8>, pub(super) Origin);

/// What a document was made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A text that somebody may look at, with lines.
    Text,
    /// A value of the program.
    Value,
}

/// What [`Service::openapi`](crate::Service::openapi) takes: text or bytes in JSON or YAML, a
/// `serde_json::Value`, or a utoipa document. [`Service::openapi`](crate::Service::openapi) has an
/// example.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not accepted as an OpenAPI document",
    label = "not text, bytes, a `serde_json::Value`, or a known utoipa document",
    note = "for a utoipa document, enable the feature `utoipa` (its version 6) or `utoipa5` (its \
            version 5) of tower-gwag",
    note = "pass anything else that serializes, such as aide's, as \
            `serde_json::to_value(&document)?`"
)]
pub trait IntoOpenApiDocument {
    /// The document.
    fn into_openapi(self) -> OpenApiDocument;
}

macro_rules! documents {
    ($($(#[$gate:meta])* $type:ty),+ $(,)?) => {$(
        $(#[$gate])*
        impl IntoOpenApiDocument for $type {
            fn into_openapi(self) -> OpenApiDocument {
                self.into()
            }
        }
    )+};
}

documents!(
    OpenApiDocument,
    Vec<u8>,
    &[u8],
    String,
    &str,
    serde_json::Value,
    #[cfg(feature = "utoipa")]
    utoipa::openapi::OpenApi,
    #[cfg(feature = "utoipa5")]
    utoipa5::openapi::OpenApi,
);

impl<const N: usize> IntoOpenApiDocument for &[u8; N] {
    fn into_openapi(self) -> OpenApiDocument {
        self.into()
    }
}

#[derive(Clone)]
pub(super) enum Schema {
    Proto(ProtoSource),
    /// Converted to proto text when resolved.
    #[cfg(feature = "preflight")]
    Descriptors(Descriptors),
    OpenApi(OpenApiDocument),
    /// With the schema as SDL or introspection, if given.
    GraphQl(String, Option<Vec<u8>>),
    /// `schema` was called on a service that is not GraphQL; an error when resolved.
    NoGraphQl(ServiceKind),
    /// `import` was called on a schema without imports; an error when resolved.
    ImportOn(ServiceKind),
    /// A bundle that cannot be read; an error when resolved.
    NoBundle(Finding),
}

/// An encoded FileDescriptorSet and the name of its entry file.
#[cfg(feature = "preflight")]
#[derive(Clone)]
pub(super) struct Descriptors {
    pub(super) set: Arc<[u8]>,
    pub(super) entry: String,
}

/// Proto text: the entry file and the source of its imports.
#[derive(Clone)]
pub(super) struct ProtoSource {
    pub(super) entry: Entry,
    /// Added by `Service::import`; takes precedence over the tree.
    pub(super) imports: BTreeMap<String, Vec<u8>>,
}

#[derive(Clone)]
pub(super) enum Entry {
    Text(Vec<u8>),
    Tree { files: ProtoFiles, path: String },
}

// === impl Schema ===

impl Schema {
    pub(super) fn kind(&self) -> ServiceKind {
        match self {
            Self::Proto(_) | Self::NoBundle(_) => ServiceKind::Proto,
            #[cfg(feature = "preflight")]
            Self::Descriptors(_) => ServiceKind::Proto,
            Self::OpenApi(_) => ServiceKind::OpenApi,
            Self::GraphQl(..) => ServiceKind::GraphQl,
            Self::ImportOn(kind) | Self::NoGraphQl(kind) => *kind,
        }
    }

    pub(super) fn add_import(&mut self, path: String, source: Vec<u8>) {
        match self {
            Self::Proto(proto) => {
                proto.imports.insert(path, source);
            }
            Self::NoBundle(_) => {}
            other => *other = Self::ImportOn(other.kind()),
        }
    }
}

// === impl ProtoSource ===

impl ProtoSource {
    pub(super) fn text(source: Vec<u8>) -> Self {
        Self {
            entry: Entry::Text(source),
            imports: BTreeMap::new(),
        }
    }

    /// A copy with another text of the entry file.
    pub(super) fn with_entry(&self, text: String) -> Self {
        let mut proto = self.clone();
        match &mut proto.entry {
            Entry::Text(source) => *source = text.into(),
            Entry::Tree { path, .. } => {
                let path = super::proto_files::normal(path);
                proto.imports.insert(path, text.into());
            }
        }
        proto
    }

    pub(super) fn tree(files: ProtoFiles, path: String) -> Self {
        Self {
            entry: Entry::Tree { files, path },
            imports: BTreeMap::new(),
        }
    }
}

// === impl OpenApiDocument ===

impl OpenApiDocument {
    /// The document as [`Service::repair`](super::Service::repair) registers it, and the changes, each as
    /// a warning; `None` if there is nothing to repair, or the document cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag_schema::{OpenApiDocument, Version};
    ///
    /// let pets = OpenApiDocument::from(
    ///     "{openapi: 3.1.0, info: {title: Pets, version: 1}, paths: {/pets: {get: {responses: {200: {}}}}}}",
    /// );
    /// let (repaired, changes) = pets.repaired(Version::default()).expect("no operationId");
    /// assert_eq!(repaired["paths"]["/pets"]["get"]["operationId"], "get_pets");
    /// assert!(!changes.is_empty());
    /// ```
    #[cfg(feature = "preflight")]
    #[must_use]
    pub fn repaired(
        &self,
        version: crate::version::Version,
    ) -> Option<(serde_json::Value, crate::finding::Findings)> {
        let read = crate::openapi::read_as_written(&self.0).ok()?;
        let (document, changes) = super::resolve::repaired(read, &self.0, &version.to_string());
        let document = document.ok().filter(|_| !changes.is_empty())?;
        Some((document.as_json().to_serde(), changes.into_iter().collect()))
    }

    /// The document as JSON, with unquoted dates and times as the strings that are written; `None` if it
    /// cannot be read.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag_schema::OpenApiDocument;
    ///
    /// let pets = OpenApiDocument::from("{openapi: 3.1.0, info: {title: Pets, version: 1}, paths: {}}");
    /// assert_eq!(pets.as_written().unwrap()["info"]["title"], "Pets");
    /// ```
    #[cfg(feature = "preflight")]
    #[must_use]
    pub fn as_written(&self) -> Option<serde_json::Value> {
        let document = crate::openapi::read_as_written(&self.0).ok()?;
        Some(document.as_json().to_serde())
    }
}

impl fmt::Debug for OpenApiDocument {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OpenApiDocument({} bytes)", self.0.len())
    }
}

impl From<Vec<u8>> for OpenApiDocument {
    fn from(document: Vec<u8>) -> Self {
        Self(document, Origin::Text)
    }
}

impl From<&[u8]> for OpenApiDocument {
    fn from(document: &[u8]) -> Self {
        Self(document.to_vec(), Origin::Text)
    }
}

impl<const N: usize> From<&[u8; N]> for OpenApiDocument {
    fn from(document: &[u8; N]) -> Self {
        Self(document.to_vec(), Origin::Text)
    }
}

impl From<String> for OpenApiDocument {
    fn from(document: String) -> Self {
        Self(document.into_bytes(), Origin::Text)
    }
}

impl From<&str> for OpenApiDocument {
    fn from(document: &str) -> Self {
        Self(document.as_bytes().to_vec(), Origin::Text)
    }
}

/// The bytes depend only on the document, because the gateway locks a vN to them: keys are sorted,
/// whatever features of serde_json are enabled.
impl From<serde_json::Value> for OpenApiDocument {
    fn from(document: serde_json::Value) -> Self {
        Self(sorted(document).to_string().into_bytes(), Origin::Value)
    }
}

/// Inserts the keys of an object in sorted order, so that both kinds of map keep that order.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    use serde_json::Value;
    match value {
        Value::Object(entries) => {
            let entries: BTreeMap<String, Value> = entries.into_iter().collect();
            let entries = entries.into_iter();
            Value::Object(entries.map(|(key, value)| (key, sorted(value))).collect())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(sorted).collect()),
        other => other,
    }
}

/// The bytes depend only on the document, as with a JSON value: utoipa itself keeps extensions in an
/// unordered map.
#[cfg(feature = "utoipa")]
impl From<utoipa::openapi::OpenApi> for OpenApiDocument {
    fn from(document: utoipa::openapi::OpenApi) -> Self {
        of_json(document.to_json().ok())
    }
}

/// Since version 6.
#[cfg(feature = "utoipa5")]
impl From<utoipa5::openapi::OpenApi> for OpenApiDocument {
    fn from(document: utoipa5::openapi::OpenApi) -> Self {
        of_json(document.to_json().ok())
    }
}

#[cfg(any(feature = "utoipa", feature = "utoipa5"))]
fn of_json(json: Option<String>) -> OpenApiDocument {
    // invariant: an OpenApi holds nothing that JSON cannot express; the check refuses an empty
    // document like any other that is not OpenAPI.
    let json = json.unwrap_or_default();
    match serde_json::from_str::<serde_json::Value>(&json) {
        Ok(mut value) => {
            // Its derive writes one without a name if the crate has no `license` in its Cargo.toml,
            // as new crates do; gateways refuse that.
            let license = value.pointer("/info/license");
            if license.is_some_and(|it| *it == serde_json::json!({"name": ""}))
                && let Some(info) = value["info"].as_object_mut()
            {
                info.remove("license");
            }
            value.into()
        }
        Err(_) => OpenApiDocument(json.into_bytes(), Origin::Value),
    }
}

#[cfg(all(test, feature = "utoipa"))]
mod tests {
    use super::*;

    /// utoipa's own JSON orders the extensions differently each time.
    #[test]
    fn the_bytes_of_a_utoipa_document_are_stable() {
        use utoipa::openapi::{InfoBuilder, OpenApi, Paths, extensions::Extensions};
        let document = || {
            let extensions: Extensions = (0..20)
                .map(|n| (format!("x-{n}"), serde_json::json!(n)))
                .collect();
            let info = InfoBuilder::new().extensions(Some(extensions)).build();
            OpenApiDocument::from(OpenApi::new(info, Paths::new())).0
        };
        let first = document();
        for _ in 0..20 {
            assert_eq!(document(), first);
        }
    }
}
