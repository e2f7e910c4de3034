//! From what the user said to one binding of a Register request, or the fault in it.

use std::fmt;

use super::collect::collect;
use super::schema::{Entry, OpenApiDocument, ProtoSource, Schema};
use super::{Service, Version};
use crate::control::proto::ServiceBinding;
use crate::error::{Error, ErrorKind};
use crate::rules::name::{self, NameFault};
use crate::rules::title;
use crate::rules::version::VersionFault;

/// The kind of a service's schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServiceKind {
    Proto,
    OpenApi,
    GraphQl,
}

/// A service whose own faults are ruled out.
#[derive(Clone, Debug)]
pub(crate) struct Resolved {
    pub(crate) namespace: String,
    pub(crate) version: Version,
    pub(crate) kind: ServiceKind,
    /// As it goes over the wire, but for a GraphQL path, which wants the advertised address.
    pub(crate) binding: ServiceBinding,
}

// === impl Resolved ===

impl Resolved {
    /// "namespace/version", as the gateway writes it.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.version)
    }
}

impl fmt::Display for ServiceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Proto => "proto",
            Self::OpenApi => "OpenAPI",
            Self::GraphQl => "GraphQL",
        })
    }
}

// === impl Service ===

impl Service {
    /// `position` counts from 1 and names a service that has no namespace.
    pub(crate) fn resolve(&self, position: usize) -> Result<Resolved, Error> {
        let kind = self.schema.kind();
        let label = match &self.namespace {
            Some(namespace) => format!("service `{namespace}`"),
            None => format!("service no. {position} ({kind})"),
        };
        let version = self.resolve_version(&label)?;
        let mut binding = ServiceBinding {
            version: version.to_string(),
            max_concurrency: self.max_concurrency,
            max_concurrency_per_instance: self.max_concurrency_per_instance,
            ..ServiceBinding::default()
        };
        let namespace = match &self.schema {
            Schema::Proto(proto) => {
                let namespace = self.proto_namespace(proto, &label)?;
                let (source, imports) = collect(proto, &namespace, &label)?;
                binding.proto_source = source;
                binding.proto_imports = imports;
                namespace
            }
            Schema::OpenApi(OpenApiDocument(document)) => {
                let namespace = self.openapi_namespace(document, &label)?;
                binding.openapi_spec.clone_from(document);
                namespace
            }
            Schema::GraphQl(endpoint) => {
                let namespace = self.given_namespace(&label)?;
                check_graphql_endpoint(endpoint, &label)?;
                binding.graphql_endpoint.clone_from(endpoint);
                namespace
            }
            Schema::ImportOn(kind) => {
                return Err(Error::new(
                    ErrorKind::Misuse,
                    format!("{label}: `import` has no meaning for {kind}; remove the call"),
                ));
            }
        };
        check_namespace(&namespace, &label)?;
        binding.namespace.clone_from(&namespace);
        Ok(Resolved {
            namespace,
            version,
            kind,
            binding,
        })
    }

    fn resolve_version(&self, label: &str) -> Result<Version, Error> {
        let text = &self.version.0;
        Version::parse(text).map_err(|fault| {
            let why = match fault {
                VersionFault::StableAlias => {
                    "`stable` is an alias that the gateway computes; register a vN instead"
                }
                VersionFault::Syntax => {
                    "write `unstable` or `vN` with N from 1, lower case, no leading zero"
                }
            };
            let message = format!("{label}: the version `{text}` cannot be registered: {why}");
            Error::new(ErrorKind::InvalidVersion, message)
        })
    }

    fn given_namespace(&self, label: &str) -> Result<String, Error> {
        match &self.namespace {
            Some(namespace) if !namespace.is_empty() => Ok(namespace.clone()),
            _ => Err(Error::new(
                ErrorKind::MissingNamespace,
                format!(
                    "{label} has no namespace, and its schema tells none: call `.namespace(\"…\")`"
                ),
            )),
        }
    }

    fn proto_namespace(&self, proto: &ProtoSource, label: &str) -> Result<String, Error> {
        match (&self.namespace, &proto.entry) {
            (_, Entry::Tree { path, files }) if path.is_empty() => Err(Error::new(
                ErrorKind::MissingProtoEntry,
                format!("{label}: `proto_dir` needs the path of the entry file within {files}"),
            )),
            (None, Entry::Tree { path, .. }) => {
                let file = path.rsplit(['/', '\\']).next().unwrap_or(path);
                Ok(name::suggest(file.strip_suffix(".proto").unwrap_or(file)))
            }
            _ => self.given_namespace(label),
        }
    }

    fn openapi_namespace(&self, document: &[u8], label: &str) -> Result<String, Error> {
        if std::str::from_utf8(document).map_or(true, |text| text.trim().is_empty()) {
            return Err(Error::new(
                ErrorKind::InvalidOpenApi,
                format!("{label}: the OpenAPI document is empty or no text; give JSON or YAML"),
            ));
        }
        if self.namespace.is_some() {
            return self.given_namespace(label);
        }
        title::title(document)
            .map(|title| name::fold_title(&title))
            .ok_or_else(|| {
                Error::new(
                    ErrorKind::MissingNamespace,
                    format!(
                        "{label} has no namespace, and no `info.title` was found in its document: \
                         call `.namespace(\"…\")`"
                    ),
                )
            })
    }
}

fn check_namespace(namespace: &str, label: &str) -> Result<(), Error> {
    name::check_namespace(namespace).map_err(|fault| {
        let (kind, why) = match fault {
            NameFault::Reserved(c) => (
                ErrorKind::InvalidNamespace,
                format!("contains `{c}`, which no gateway takes"),
            ),
            NameFault::NotAName => (
                ErrorKind::InvalidName,
                "is not of the form [_A-Za-z][_0-9A-Za-z]*, so the gateway cannot make a schema \
                 of it, and a clustered one would stop serving everybody's changes"
                    .to_owned(),
            ),
            NameFault::TooLong(bytes) => (
                ErrorKind::InvalidNamespace,
                format!(
                    "is {bytes} bytes long; {} are the most",
                    name::MAX_NAMESPACE_BYTES
                ),
            ),
        };
        let suggestion = name::suggest(namespace);
        Error::new(
            kind,
            format!("{label}: the namespace {why}; `{suggestion}` would do"),
        )
    })
}

fn check_graphql_endpoint(endpoint: &str, label: &str) -> Result<(), Error> {
    let is_path = endpoint.starts_with('/') && !endpoint.starts_with("//");
    let is_url = endpoint.parse::<http::Uri>().is_ok_and(|uri| {
        matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some()
    });
    if is_url || (is_path && endpoint.parse::<http::Uri>().is_ok()) {
        return Ok(());
    }
    Err(Error::new(
        ErrorKind::InvalidGraphQlEndpoint,
        format!(
            "{label}: the GraphQL endpoint `{endpoint}` is neither an http(s) URL nor a path on \
             this server such as `/graphql`"
        ),
    ))
}
