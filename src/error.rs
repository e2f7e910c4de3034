//! The crate's error: what failed, its cause, and the remedy.

use std::error::Error as StdError;
use std::fmt;
use std::sync::Arc;

use tower_gwag_schema::redact::redacted;
use tower_gwag_schema::{CheckError, Findings, Rule};

/// What failed and what to do about it.
///
/// `Display` names the service or option at fault and the remedy; [`kind`](Self::kind) is for code,
/// [`source`](StdError::source) returns the cause, if there is one.
///
/// # Examples
///
/// ```
/// use tower_gwag::{ErrorKind, Options, Service};
///
/// let broken = Service::proto("syntax = \"proto3\"; message M { Missing it = 1; }").namespace("greeter");
/// let error = Options::new("gateway:50090").service(broken).check().unwrap_err();
/// assert_eq!(error.kind(), ErrorKind::InvalidProto);
/// println!("{error}"); // the place and the remedy
/// for finding in error.findings().unwrap().iter() {
///     println!("{}", finding.rule());
/// }
/// ```
#[derive(Clone)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Arc<dyn StdError + Send + Sync>>,
    findings: Option<Box<Findings>>,
}

/// The class of an [`Error`].
///
/// Kinds up to [`ErrorKind::Misuse`] are found before any network call; most of the others are answers
/// of a gateway, or missing answers. [Troubleshooting][troubleshooting] says more about each. For an
/// example see [`Error`].
///
/// [troubleshooting]: crate::manual::troubleshooting
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// No gateway address, or one that does not parse. Use `host:port`, `http://…` or `https://…`.
    InvalidGatewayAddress,
    /// The advertised address cannot serve the registered services.
    InvalidAdvertisedAddress,
    /// Nothing to register: add a `Service`.
    NoServices,
    /// The namespace contains a character that no gateway accepts, or is too long.
    InvalidNamespace,
    /// The namespace is not `[_A-Za-z][_0-9A-Za-z]*`, so no GraphQL schema can be made of it.
    InvalidName,
    /// There is no namespace and none can be derived: call `Service::namespace`.
    MissingNamespace,
    /// The version is neither `unstable` nor `vN`.
    InvalidVersion,
    /// One (namespace, version) pair appears twice in one registration.
    DuplicateService,
    /// The exclusive instance is empty or contains `#`, which separates the incarnation.
    InvalidInstance,
    /// The TTL is not a whole number of seconds of at least 1 s.
    InvalidTtl,
    /// The heartbeat interval is zero or longer than half the TTL.
    InvalidHeartbeatInterval,
    /// A timeout is zero, or longer than the timeout that contains it.
    InvalidTimeout,
    /// A tagged build registers `unstable`.
    UnstableInTaggedBuild,
    /// The entry file is not among the given proto files.
    MissingProtoEntry,
    /// A file that an `import` names is not among the given proto files.
    MissingProtoImport,
    /// A proto file could not be read, or is not text.
    UnreadableProto,
    /// The proto source cannot be compiled.
    InvalidProto,
    /// The bytes are not a bundle of proto files that this version of the crate can read.
    InvalidBundle,
    /// The OpenAPI document cannot be used.
    InvalidOpenApi,
    /// The GraphQL endpoint is neither an `http(s)` URL nor a path.
    InvalidGraphQlEndpoint,
    /// HTTP does not allow the header name or value.
    InvalidMetadata,
    /// The TLS configuration cannot be used.
    InvalidTls,
    /// A value from the environment or from a settings file cannot be used.
    InvalidSetting,
    /// The request exceeds the gateway's limit of 4 MiB.
    TooLarge,
    /// A gateway cannot build its GraphQL schema from this schema. Found before any network call
    /// where possible, otherwise reported by a gateway.
    Unrenderable,
    /// A gateway would serve the schema, but calls would crash the gateway or never succeed.
    FatalCalls,
    /// A call in the wrong order, such as a second listener for one registration.
    Misuse,
    /// The server that [`serve_tonic`](crate::serve_tonic) runs failed.
    ServerFailed,
    /// The registration has ended: make a new layer for a new one.
    Left,
    /// The gateway or its store cannot be reached, or something else answers at its address; retried
    /// until it can.
    Unavailable,
    /// The gateway did not answer in time.
    TimedOut,
    /// Another schema is registered under this vN.
    SchemaConflict,
    /// Other concurrency caps are registered under this version.
    CapsConflict,
    /// Another kind of service is registered under this name.
    KindConflict,
    /// The gateway's tier policy does not accept this version.
    TierRefused,
    /// The gateway could not introspect the GraphQL endpoint.
    IntrospectionFailed,
    /// A younger process has taken over the exclusive identity of this one.
    Displaced,
    /// The gateway has the service, but does not route it.
    Blocked,
    /// Two schemas alternate in one `unstable` slot.
    Flapping,
    /// The thing that the call names is not registered.
    NotFound,
    /// The gateway rejected the request as malformed, or is too old to know it.
    InvalidRequest,
    /// The gateway, or a proxy in front of it, refused the credentials.
    Unauthorized,
}

// === impl Error ===

impl Error {
    pub(crate) fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: redacted(&message.into()),
            source: None,
            findings: None,
        }
    }

    /// Makes an error of findings with at least one error among them; `kind` is that of the first.
    pub(crate) fn found(kind: ErrorKind, findings: Findings) -> Self {
        let mut error = Self::new(kind, findings.to_string());
        error.findings = Some(Box::new(findings));
        error
    }

    pub(crate) fn caused_by(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into().into());
        self
    }

    /// The class of this error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// All findings of [`Options::check`](crate::Options::check), warnings included; `None` for
    /// other errors.
    #[must_use]
    pub fn findings(&self) -> Option<&Findings> {
        self.findings.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // `main` prints errors with `Debug`, so findings are formatted for reading here, too.
        if let Some(findings) = &self.findings {
            return write!(f, "{:?}\n\n{findings}\n", self.kind);
        }
        let mut out = f.debug_struct("Error");
        out.field("kind", &self.kind)
            .field("message", &self.message);
        if let Some(source) = &self.source {
            out.field("source", source);
        }
        out.finish()
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source
            .as_deref()
            .map(|source| source as &(dyn StdError + 'static))
    }
}

impl From<CheckError> for Error {
    fn from(error: CheckError) -> Self {
        Self::found(ErrorKind::of(error.rule()), error.into_findings())
    }
}

// === impl ErrorKind ===

impl ErrorKind {
    /// Whether a retry soon can help. A gateway refuses the content of a request until somebody
    /// changes something.
    pub(crate) fn is_transient(self) -> bool {
        matches!(
            self,
            Self::Unavailable | Self::TimedOut | Self::IntrospectionFailed
        )
    }

    /// The error kind for a violated rule.
    fn of(rule: Rule) -> Self {
        match rule {
            Rule::GatewayAddress | Rule::GatewayHttp => Self::InvalidGatewayAddress,
            Rule::GatewayTls => Self::InvalidTls,
            Rule::SettingValue | Rule::SettingName => Self::InvalidSetting,
            Rule::NoServices => Self::NoServices,
            Rule::Ttl => Self::InvalidTtl,
            Rule::HeartbeatInterval => Self::InvalidHeartbeatInterval,
            Rule::Timeouts => Self::InvalidTimeout,
            Rule::ExclusiveInstance => Self::InvalidInstance,
            Rule::Metadata => Self::InvalidMetadata,
            Rule::AdvertisedAddress => Self::InvalidAdvertisedAddress,
            Rule::RequestSize | Rule::ClusteredSize => Self::TooLarge,
            Rule::NamespaceMissing => Self::MissingNamespace,
            Rule::NamespaceReserved | Rule::NamespaceLength | Rule::NamespaceBuiltIn => {
                Self::InvalidNamespace
            }
            Rule::NamespaceName => Self::InvalidName,
            Rule::VersionSyntax => Self::InvalidVersion,
            Rule::UnstableInTaggedBuild => Self::UnstableInTaggedBuild,
            Rule::DuplicateService => Self::DuplicateService,
            Rule::GraphQlEndpoint | Rule::GraphQlSchema | Rule::GraphQlUnchecked => {
                Self::InvalidGraphQlEndpoint
            }
            Rule::ProtoBundle => Self::InvalidBundle,
            Rule::ProtoEntryMissing => Self::MissingProtoEntry,
            Rule::ProtoImportMissing => Self::MissingProtoImport,
            Rule::ProtoUnreadable => Self::UnreadableProto,
            Rule::ProtoImportLoop
            | Rule::DescriptorSet
            | Rule::DescriptorSetLoss
            | Rule::ProtoCompile
            | Rule::ProtoUnverified => Self::InvalidProto,
            Rule::ProtoTwoServices
            | Rule::ProtoStreaming
            | Rule::ProtoFreeJson
            | Rule::ProtoMethodName
            | Rule::ProtoTypeName
            | Rule::OpenApiOperationIdName
            | Rule::OpenApiOperationIdCollision
            | Rule::OpenApiParameterName
            | Rule::OpenApiEnumValue
            | Rule::OpenApiComponentName
            | Rule::OpenApiTypeName
            | Rule::OpenApiUnionInput
            | Rule::GraphQlFieldName
            | Rule::GraphQlTypeName
            | Rule::SchemaText
            | Rule::TypesTogether => Self::Unrenderable,
            Rule::OpenApiSyntax
            | Rule::OpenApiUnverified
            | Rule::OpenApiExternalReference
            | Rule::OpenApiRequired
            | Rule::OpenApiShape
            | Rule::OpenApiParameter
            | Rule::OpenApiPattern
            | Rule::OpenApiExample
            | Rule::OpenApiOperationIdMissing
            | Rule::OpenApiOperationIdDuplicate
            | Rule::OpenApiNoOperations
            | Rule::OpenApiPathItemParameters
            | Rule::OpenApiRepaired => Self::InvalidOpenApi,
            rule if rule.is_about_calls() => Self::FatalCalls,
            // The remaining rules are misuses, or faults of build scripts, which never get here.
            _ => Self::Misuse,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_about_options_and_schemas_has_a_kind() {
        let without = [
            Rule::SchemasUnchecked,
            Rule::NotAllowable,
            Rule::ImportWithoutProto,
            Rule::SeveralHashes,
            Rule::VersionLocked,
            Rule::LockFile,
            Rule::BuildScript,
        ];
        for rule in Rule::ALL {
            let is_misuse = ErrorKind::of(*rule) == ErrorKind::Misuse;
            assert_eq!(is_misuse, without.contains(rule), "{rule}");
        }
    }
}
