//! The rules by which a registration is checked, each with a stable id.

use std::fmt;
use std::str::FromStr;

use crate::error::ErrorKind;

/// Who refuses what a rule forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Every gateway, or this crate itself: never to be allowed.
    Structure,
    /// The gateways that were measured: it can be allowed, where it is a false alarm.
    Schema,
}

macro_rules! rules {
    ($($(#[$doc:meta])+ $name:ident = $id:literal, $kind:ident, $reach:ident;)+) => {
        /// A rule that [`Options::check`](crate::Options::check), or a build script, applies.
        ///
        /// `Display` and [`FromStr`] use the id, which never changes, such as `proto-two-services`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[non_exhaustive]
        pub enum Rule {
            $($(#[$doc])+ $name,)+
        }

        impl Rule {
            /// Every rule.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// The id, which never changes.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Self::$name => $id,)+ }
            }

            /// The kind of the error that a violation becomes.
            pub(crate) const fn error_kind(self) -> ErrorKind {
                match self { $(Self::$name => ErrorKind::$kind,)+ }
            }

            const fn reach(self) -> Reach {
                match self { $(Self::$name => Reach::$reach,)+ }
            }
        }
    };
}

rules! {
    /// The gateway's address must parse.
    GatewayAddress = "gateway-address", InvalidGatewayAddress, Structure;
    /// The TLS configuration must be usable, and fit the gateway's address.
    GatewayTls = "gateway-tls", InvalidTls, Structure;
    /// There must be a service.
    NoServices = "no-services", NoServices, Structure;
    /// The TTL is whole seconds, at least 1 s.
    Ttl = "ttl", InvalidTtl, Structure;
    /// The heartbeat interval is at least 10 ms and at most half the TTL.
    HeartbeatInterval = "heartbeat-interval", InvalidHeartbeatInterval, Structure;
    /// Timeouts are not zero, and parts are not longer than the whole.
    Timeouts = "timeouts", InvalidTimeout, Structure;
    /// The exclusive instance is not empty and has no `#`.
    ExclusiveInstance = "exclusive-instance", InvalidInstance, Structure;
    /// Headers are such that HTTP allows.
    Metadata = "metadata", InvalidMetadata, Structure;
    /// The advertised address can serve every service.
    AdvertisedAddress = "advertised-address", InvalidAdvertisedAddress, Structure;
    /// The request has at most 4 MiB.
    RequestSize = "request-size", TooLarge, Structure;
    /// Warning: a clustered gateway stores at most 1 MiB of a service, in base64.
    ClusteredSize = "clustered-size", TooLarge, Schema;
    /// Warning: the schemas were not checked.
    SchemasUnchecked = "schemas-unchecked", Misuse, Schema;
    /// Warning: what was allowed cannot be.
    NotAllowable = "not-allowable", Misuse, Schema;

    /// There must be a namespace, or a schema that tells one.
    NamespaceMissing = "namespace-missing", MissingNamespace, Structure;
    /// No gateway takes `. * > / $` in a namespace.
    NamespaceReserved = "namespace-reserved", InvalidNamespace, Structure;
    /// A namespace has at most 255 bytes.
    NamespaceLength = "namespace-length", InvalidNamespace, Structure;
    /// A namespace is `[_A-Za-z][_0-9A-Za-z]*`, or it cannot be rendered.
    NamespaceName = "namespace-name", InvalidName, Schema;
    /// Warning: gateways have a service of this name and version themselves.
    NamespaceBuiltIn = "namespace-built-in", InvalidNamespace, Schema;
    /// A version is `unstable` or `vN`.
    VersionSyntax = "version-syntax", InvalidVersion, Structure;
    /// A tagged build registers no `unstable`.
    UnstableInTaggedBuild = "unstable-in-tagged-build", UnstableInTaggedBuild, Structure;
    /// A (namespace, version) is given once.
    DuplicateService = "duplicate-service", DuplicateService, Structure;
    /// Only proto sources import files.
    ImportWithoutProto = "import-without-proto", Misuse, Structure;
    /// The GraphQL endpoint is an `http(s)` URL or a path.
    GraphQlEndpoint = "graphql-endpoint", InvalidGraphQlEndpoint, Structure;

    /// A bundle is one that this version of the crate reads.
    ProtoBundle = "proto-bundle", InvalidBundle, Structure;
    /// The entry file must be there.
    ProtoEntryMissing = "proto-entry-missing", MissingProtoEntry, Structure;
    /// Every imported file must be there.
    ProtoImportMissing = "proto-import-missing", MissingProtoImport, Structure;
    /// Proto files can be read, and are UTF-8.
    ProtoUnreadable = "proto-unreadable", UnreadableProto, Structure;
    /// No imported file has the name under which the gateway compiles the entry, and none imports
    /// itself.
    ProtoImportLoop = "proto-import-loop", InvalidProto, Structure;
    /// A descriptor set can be read.
    DescriptorSet = "descriptor-set", InvalidProto, Structure;
    /// The text that is made from a descriptor set says all that it says. Warning: but for options
    /// that nothing in the set explains.
    DescriptorSetLoss = "descriptor-set-loss", InvalidProto, Schema;
    /// The proto source compiles.
    ProtoCompile = "proto-compile", InvalidProto, Schema;
    /// Warning: only the gateway's compiler can tell whether it takes the source.
    ProtoUnverified = "proto-unverified", InvalidProto, Schema;
    /// A gateway can serve one `service` of an entry file.
    ProtoTwoServices = "proto-two-services", Unrenderable, Schema;
    /// Warning: client-streaming and bidirectional methods are not routed.
    ProtoStreaming = "proto-streaming", Unrenderable, Schema;
    /// A map, `Struct`, `Value` or `ListValue` becomes free JSON, which gateways cannot render.
    ProtoFreeJson = "proto-free-json", Unrenderable, Schema;
    /// Methods differ in lowerCamel, and are not called like the version or `stable`.
    ProtoMethodName = "proto-method-name", Unrenderable, Schema;
    /// Types differ when flattened with `_`.
    ProtoTypeName = "proto-type-name", Unrenderable, Schema;

    /// The document is a JSON or YAML object whose references lead to what is wanted there.
    OpenApiSyntax = "openapi-syntax", InvalidOpenApi, Schema;
    /// No key is there twice in a YAML mapping. Warning: only the gateway can tell whether it reads
    /// the document.
    OpenApiUnverified = "openapi-unverified", InvalidOpenApi, Schema;
    /// References stay inside the document.
    OpenApiExternalReference = "openapi-external-reference", InvalidOpenApi, Schema;
    /// What must be there is there: title and version, paths, responses and their descriptions …
    OpenApiRequired = "openapi-required", InvalidOpenApi, Schema;
    /// Fields are of the right type, have values that they may have, and are known or called `x-…`.
    OpenApiShape = "openapi-shape", InvalidOpenApi, Schema;
    /// Parameters are there once, fit the path and their place, and have a schema or a content.
    OpenApiParameter = "openapi-parameter", InvalidOpenApi, Schema;
    /// Patterns are such that gateways can compile: without lookarounds and backreferences.
    OpenApiPattern = "openapi-pattern", InvalidOpenApi, Schema;
    /// Examples and defaults fit their schemas.
    OpenApiExample = "openapi-example", InvalidOpenApi, Schema;
    /// Every operation has an operationId.
    OpenApiOperationIdMissing = "openapi-operation-id-missing", InvalidOpenApi, Schema;
    /// An operationId is a name: `[_A-Za-z][_0-9A-Za-z]*`.
    OpenApiOperationIdName = "openapi-operation-id-name", Unrenderable, Schema;
    /// An operationId is there once.
    OpenApiOperationIdDuplicate = "openapi-operation-id-duplicate", InvalidOpenApi, Schema;
    /// OperationIds differ in lowerCamel, and are not called like the version or `stable`.
    OpenApiOperationIdCollision = "openapi-operation-id-collision", Unrenderable, Schema;
    /// A path or query parameter is a name.
    OpenApiParameterName = "openapi-parameter-name", Unrenderable, Schema;
    /// A string enum value of a body is a name.
    OpenApiEnumValue = "openapi-enum-value", Unrenderable, Schema;
    /// A component schema that is used is a name; any component is letters, digits, `.`, `_`, `-`.
    OpenApiComponentName = "openapi-component-name", Unrenderable, Schema;
    /// Warning: a document was repaired, because [`Service::repair`](crate::Service::repair) says so.
    OpenApiRepaired = "openapi-repaired", InvalidOpenApi, Schema;

    /// In a build script: a vN keeps the schema that `gwag.lock` has of it.
    VersionLocked = "version-locked", LockedVersion, Structure;
    /// In a build script: `gwag.lock` can be read.
    LockFile = "lock-file", InvalidLockFile, Structure;
    /// In a build script: a bundle has a place of its own, and can be written there.
    BuildScript = "build-script", BuildScript, Structure;
}

impl Rule {
    /// Whether a violation can be allowed: it is about a schema, and not refused by every gateway.
    #[must_use]
    pub const fn is_allowable(self) -> bool {
        matches!(self.reach(), Reach::Schema)
    }

    /// The rule that an error of a single option or service stands for.
    pub(crate) fn of_kind(kind: ErrorKind) -> Option<Self> {
        let fits = |rule: &&Self| rule.error_kind() == kind;
        Self::ALL.iter().find(fits).copied()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Rule {
    type Err = crate::Error;

    /// Reads the id of a rule.
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|rule| rule.id() == id).copied();
        found.ok_or_else(|| {
            let message = format!("there is no rule `{id}`: findings name theirs in brackets");
            crate::Error::new(ErrorKind::Misuse, message)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_unique_and_read_back() {
        let ids: HashSet<_> = Rule::ALL.iter().map(|rule| rule.id()).collect();
        assert_eq!(ids.len(), Rule::ALL.len());
        for rule in Rule::ALL {
            assert_eq!(rule.id().parse::<Rule>().unwrap(), *rule);
        }
        assert!("proto".parse::<Rule>().is_err());
    }
}
