//! The rules by which a registration is checked, each with a stable id.

use std::fmt;
use std::str::FromStr;

/// Who refuses what a rule forbids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Every gateway, or this crate itself: never to be allowed.
    Structure,
    /// The gateways that were measured: it can be allowed, where it is a false alarm.
    Schema,
}

macro_rules! rules {
    ($($(#[$doc:meta])+ $name:ident = $id:literal, $reach:ident;)+) => {
        /// A rule that `Options::check`, or a build script, applies.
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

            const fn reach(self) -> Reach {
                match self { $(Self::$name => Reach::$reach,)+ }
            }
        }
    };
}

rules! {
    /// A value of the environment, or of a file of settings, must be one that the option takes.
    SettingValue = "setting-value", Structure;
    /// Warning: a name that begins with `GWAG_` is none of ours; in a file of settings an error.
    SettingName = "setting-name", Structure;
    /// The gateway's address must parse.
    GatewayAddress = "gateway-address", Structure;
    /// `gateway_http` is the base URL of an HTTP port.
    GatewayHttp = "gateway-http", Structure;
    /// The TLS configuration must be usable, and fit the gateway's address.
    GatewayTls = "gateway-tls", Structure;
    /// There must be a service.
    NoServices = "no-services", Structure;
    /// The TTL is whole seconds, at least 1 s.
    Ttl = "ttl", Structure;
    /// The heartbeat interval is at least 10 ms and at most half the TTL.
    HeartbeatInterval = "heartbeat-interval", Structure;
    /// Timeouts are not zero, and parts are not longer than the whole.
    Timeouts = "timeouts", Structure;
    /// The exclusive instance is not empty and has no `#`.
    ExclusiveInstance = "exclusive-instance", Structure;
    /// Headers are such that HTTP allows.
    Metadata = "metadata", Structure;
    /// The advertised address can serve every service.
    AdvertisedAddress = "advertised-address", Structure;
    /// The request has at most 4 MiB.
    RequestSize = "request-size", Structure;
    /// Warning: a clustered gateway stores at most 1 MiB of a service, in base64.
    ClusteredSize = "clustered-size", Schema;
    /// Warning: the schemas were not checked.
    SchemasUnchecked = "schemas-unchecked", Schema;
    /// Warning: what was allowed cannot be.
    NotAllowable = "not-allowable", Schema;

    /// There must be a namespace, or a schema that tells one.
    NamespaceMissing = "namespace-missing", Structure;
    /// No gateway takes `. * > / $` in a namespace.
    NamespaceReserved = "namespace-reserved", Structure;
    /// A namespace has at most 255 bytes.
    NamespaceLength = "namespace-length", Structure;
    /// A namespace is `[_A-Za-z][_0-9A-Za-z]*`, or it cannot be rendered.
    NamespaceName = "namespace-name", Schema;
    /// Warning: gateways have a service of this name and version themselves.
    NamespaceBuiltIn = "namespace-built-in", Schema;
    /// A version is `unstable` or `vN`.
    VersionSyntax = "version-syntax", Structure;
    /// A tagged build registers no `unstable`.
    UnstableInTaggedBuild = "unstable-in-tagged-build", Structure;
    /// A (namespace, version) is given once.
    DuplicateService = "duplicate-service", Structure;
    /// Only proto sources import files.
    ImportWithoutProto = "import-without-proto", Structure;
    /// `Service::hash` has one hash to return: a split service has several.
    SeveralHashes = "several-hashes", Structure;
    /// The GraphQL endpoint is an `http(s)` URL or a path.
    GraphQlEndpoint = "graphql-endpoint", Structure;

    /// A bundle is one that this version of the crate reads.
    ProtoBundle = "proto-bundle", Structure;
    /// The entry file must be there.
    ProtoEntryMissing = "proto-entry-missing", Structure;
    /// Every imported file must be there.
    ProtoImportMissing = "proto-import-missing", Structure;
    /// Proto files can be read, and are UTF-8.
    ProtoUnreadable = "proto-unreadable", Structure;
    /// No imported file has the name under which the gateway compiles the entry, and none imports
    /// itself.
    ProtoImportLoop = "proto-import-loop", Structure;
    /// A descriptor set can be read.
    DescriptorSet = "descriptor-set", Structure;
    /// The text that is made from a descriptor set says all that it says. Warning: but for options
    /// that nothing in the set explains.
    DescriptorSetLoss = "descriptor-set-loss", Schema;
    /// The proto source compiles.
    ProtoCompile = "proto-compile", Schema;
    /// Warning: only the gateway's compiler can tell whether it takes the source.
    ProtoUnverified = "proto-unverified", Schema;
    /// A gateway can serve one `service` of an entry file.
    ProtoTwoServices = "proto-two-services", Schema;
    /// Warning: client-streaming and bidirectional methods are not routed.
    ProtoStreaming = "proto-streaming", Schema;
    /// A map, `Struct`, `Value` or `ListValue` becomes free JSON, which gateways cannot render.
    ProtoFreeJson = "proto-free-json", Schema;
    /// Methods differ in lowerCamel, and are not called like the version or `stable`.
    ProtoMethodName = "proto-method-name", Schema;
    /// Types differ when flattened with `_`.
    ProtoTypeName = "proto-type-name", Schema;

    /// The document is a JSON or YAML object whose references lead to what is wanted there.
    OpenApiSyntax = "openapi-syntax", Schema;
    /// No key is there twice in a YAML mapping. Warning: only the gateway can tell whether it reads
    /// the document.
    OpenApiUnverified = "openapi-unverified", Schema;
    /// Warning: gateways do not look at the parameters of a path itself.
    OpenApiPathItemParameters = "openapi-path-item-parameters", Schema;
    /// References stay inside the document.
    OpenApiExternalReference = "openapi-external-reference", Schema;
    /// What must be there is there: title and version, paths, responses and their descriptions …
    OpenApiRequired = "openapi-required", Schema;
    /// Fields are of the right type, have values that they may have, and are known or called `x-…`.
    OpenApiShape = "openapi-shape", Schema;
    /// Parameters are there once, fit the path and their place, and have a schema or a content.
    OpenApiParameter = "openapi-parameter", Schema;
    /// Patterns are such that gateways can compile: without lookarounds and backreferences.
    OpenApiPattern = "openapi-pattern", Schema;
    /// Examples and defaults fit their schemas.
    OpenApiExample = "openapi-example", Schema;
    /// Every operation has an operationId.
    OpenApiOperationIdMissing = "openapi-operation-id-missing", Schema;
    /// An operationId is a name: `[_A-Za-z][_0-9A-Za-z]*`.
    OpenApiOperationIdName = "openapi-operation-id-name", Schema;
    /// An operationId is there once.
    OpenApiOperationIdDuplicate = "openapi-operation-id-duplicate", Schema;
    /// An operationId is not a version of its namespace, nor `stable`.
    OpenApiOperationIdCollision = "openapi-operation-id-collision", Schema;
    /// A path or query parameter is a name.
    OpenApiParameterName = "openapi-parameter-name", Schema;
    /// A string enum value of a body is a name.
    OpenApiEnumValue = "openapi-enum-value", Schema;
    /// A component schema that is used is a name; any component is letters, digits, `.`, `_`, `-`.
    OpenApiComponentName = "openapi-component-name", Schema;
    /// The types that are made of component schemas and inline schemas differ in name.
    OpenApiTypeName = "openapi-type-name", Schema;
    /// No parameter, and no body, is a `oneOf` or `anyOf` of objects.
    OpenApiUnionInput = "openapi-union-input", Schema;
    /// Warning: a document has no operation that gateways serve.
    OpenApiNoOperations = "openapi-no-operations", Schema;
    /// Warning: a document was repaired, because `Service::repair` says so.
    OpenApiRepaired = "openapi-repaired", Schema;

    /// The schema of a GraphQL endpoint can be read: SDL, or the reply to an introspection.
    GraphQlSchema = "graphql-schema", Schema;
    /// Warning: the schema of a GraphQL endpoint is not given, so that it was not checked.
    GraphQlUnchecked = "graphql-unchecked", Schema;
    /// A root field of a GraphQL endpoint is not called like the version or `stable`.
    GraphQlFieldName = "graphql-field-name", Schema;
    /// The types of a GraphQL endpoint differ from those that gateways add.
    GraphQlTypeName = "graphql-type-name", Schema;
    /// The schema that gateways serve is valid GraphQL as text: no description ends with `"` or `\\`,
    /// no enum has `true`, `false` or `null`.
    SchemaText = "schema-text", Schema;
    /// The types of services that are registered together differ in name.
    TypesTogether = "types-together", Schema;

    /// No stream has uint64 or fixed64, nor a map in its request: one call ends a gateway's process.
    CallsFatalStream = "calls-fatal-stream", Schema;
    /// Warning: a gRPC call of an OpenAPI operation with an object of free properties ends a gateway's process.
    CallsFatalMap = "calls-fatal-map", Schema;
    /// For release 1.1: header and cookie parameters are names, or no schema change of anybody is served.
    CallsHeaderName = "calls-header-name", Schema;
    /// Warning: gateways drop streamed messages with uint32 and fixed32.
    CallsStreamUnsigned = "calls-stream-unsigned", Schema;
    /// Warning: every stream ends with OK for its caller.
    CallsStreamStatus = "calls-stream-status", Schema;
    /// Warning: two services have a route in common, so that calls reach one of the two.
    CallsSharedRoutes = "calls-shared-routes", Schema;
    /// Warning: operations of a document that no caller reaches by HTTP.
    CallsUnreachable = "calls-unreachable", Schema;
    /// Warning: gateways do not look at the base path in `servers`.
    CallsBasePath = "calls-base-path", Schema;
    /// Warning: parts of requests do not reach an OpenAPI service, or not as they were sent.
    CallsRequests = "calls-requests", Schema;
    /// Warning: answers of an OpenAPI service that are not JSON are errors.
    CallsAnswerTypes = "calls-answer-types", Schema;
    /// Warning: statuses, headers and big numbers of OpenAPI answers do not reach callers as they are.
    CallsAnswers = "calls-answers", Schema;
    /// Warning: bytes, uint64 and maps of a proto do not survive HTTP.
    CallsHttpValues = "calls-http-values", Schema;
    /// Warning: fields that callers by GraphQL cannot give or never get.
    CallsGraphQlFields = "calls-graphql-fields", Schema;
    /// Warning: defaults of proto2 do not survive HTTP and GraphQL.
    CallsProto2Defaults = "calls-proto2-defaults", Schema;
    /// Warning: parts of a GraphQL endpoint that callers of a gateway cannot ask for.
    CallsUpstream = "calls-graphql-upstream", Schema;

    /// In a build script: a vN keeps the schema that `gwag.lock` has of it.
    VersionLocked = "version-locked", Structure;
    /// In a build script: `gwag.lock` can be read.
    LockFile = "lock-file", Structure;
    /// In a build script: a bundle has a place of its own, and can be written there.
    BuildScript = "build-script", Structure;
}

/// The page of the manual that explains every rule; a test keeps it complete.
const PAGE: &str = include_str!("rules.md");

impl Rule {
    /// What the rule forbids and why, in Markdown, with examples for most rules about schemas: the
    /// section of [`rules`](crate::rules) with its id.
    ///
    /// # Examples
    ///
    /// ```
    /// # use tower_gwag_schema::Rule;
    /// assert!(Rule::ProtoTwoServices.explanation().contains("split_services"));
    /// ```
    #[must_use]
    pub fn explanation(self) -> &'static str {
        let mut sections = PAGE.split("\n## ");
        let section = sections.find_map(|it| it.strip_prefix(self.id())?.strip_prefix('\n'));
        let section = section.unwrap_or_default();
        section.split("\n# ").next().unwrap_or_default().trim()
    }

    /// Whether a violation can be allowed: it is about a schema, and not refused by every gateway.
    #[must_use]
    pub const fn is_allowable(self) -> bool {
        matches!(self.reach(), Reach::Schema)
    }
}

impl Rule {
    /// Whether it is about what becomes of calls, behind a gateway that serves the schema.
    #[must_use]
    pub fn is_about_calls(self) -> bool {
        self.id().starts_with("calls-")
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

impl FromStr for Rule {
    type Err = UnknownRule;

    /// Reads the id of a rule.
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|rule| rule.id() == id).copied();
        found.ok_or_else(|| UnknownRule(id.to_owned()))
    }
}

/// The text is not the id of a [`Rule`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRule(String);

impl fmt::Display for UnknownRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.0;
        write!(
            f,
            "there is no rule `{id}`: findings name theirs in brackets"
        )
    }
}

impl std::error::Error for UnknownRule {}

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
