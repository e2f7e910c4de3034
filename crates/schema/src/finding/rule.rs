//! The rules that registrations are checked against, each with a stable id.

use std::fmt;
use std::str::FromStr;

/// Who enforces a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Reach {
    /// Every gateway, or this crate itself: cannot be allowed.
    Structure,
    /// The gateways that were measured: can be allowed if it is a false alarm.
    Schema,
}

macro_rules! rules {
    ($($(#[$doc:meta])+ $name:ident = $id:literal, $reach:ident;)+) => {
        /// A rule that `Options::check`, or a build script, applies.
        ///
        /// `Display` and [`FromStr`] use the id, which never changes, such as `proto-two-services`.
        ///
        /// # Examples
        ///
        /// ```
        /// use tower_gwag_schema::Rule;
        ///
        /// let rule: Rule = "proto-two-services".parse().expect("an id");
        /// assert_eq!(rule, Rule::ProtoTwoServices);
        /// assert_eq!(rule.id(), "proto-two-services");
        /// assert!(rule.is_allowable() && !rule.is_about_calls());
        /// for rule in Rule::ALL {
        ///     println!("{rule}: {}", rule.explanation());
        /// }
        /// ```
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
    /// A value from the environment, or from a settings file, must be valid for its option.
    SettingValue = "setting-value", Structure;
    /// Warning: a name that begins with `GWAG_` is unknown; in a settings file it is an error.
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
    /// Timeouts are not zero, and no part is longer than the whole.
    Timeouts = "timeouts", Structure;
    /// The exclusive instance is not empty and contains no `#`.
    ExclusiveInstance = "exclusive-instance", Structure;
    /// Metadata must be valid HTTP headers.
    Metadata = "metadata", Structure;
    /// The advertised address can serve every service.
    AdvertisedAddress = "advertised-address", Structure;
    /// The request is at most 4 MiB.
    RequestSize = "request-size", Structure;
    /// Warning: a clustered gateway stores at most 1 MiB per service, in base64.
    ClusteredSize = "clustered-size", Schema;
    /// Warning: the schemas were not checked.
    SchemasUnchecked = "schemas-unchecked", Schema;
    /// Warning: `allow` names a rule that cannot be allowed.
    NotAllowable = "not-allowable", Schema;

    /// There must be a namespace, or a schema to derive one from.
    NamespaceMissing = "namespace-missing", Structure;
    /// No gateway accepts `. * > / $` in a namespace.
    NamespaceReserved = "namespace-reserved", Structure;
    /// A namespace is at most 255 bytes long.
    NamespaceLength = "namespace-length", Structure;
    /// A namespace is `[_A-Za-z][_0-9A-Za-z]*`; no schema can be rendered for any other.
    NamespaceName = "namespace-name", Schema;
    /// Warning: gateways have their own service of this name and version.
    NamespaceBuiltIn = "namespace-built-in", Schema;
    /// A version is `unstable` or `vN`.
    VersionSyntax = "version-syntax", Structure;
    /// A tagged build does not register `unstable`.
    UnstableInTaggedBuild = "unstable-in-tagged-build", Structure;
    /// Each (namespace, version) is registered once.
    DuplicateService = "duplicate-service", Structure;
    /// Only proto sources import files.
    ImportWithoutProto = "import-without-proto", Structure;
    /// `Service::hash` returns one hash, but a split service has several.
    SeveralHashes = "several-hashes", Structure;
    /// The GraphQL endpoint is an `http(s)` URL or a path.
    GraphQlEndpoint = "graphql-endpoint", Structure;

    /// A bundle must be readable by this version of the crate.
    ProtoBundle = "proto-bundle", Structure;
    /// The entry file must exist.
    ProtoEntryMissing = "proto-entry-missing", Structure;
    /// Every imported file must exist.
    ProtoImportMissing = "proto-import-missing", Structure;
    /// Proto files must be readable, and UTF-8.
    ProtoUnreadable = "proto-unreadable", Structure;
    /// No imported file has the name under which the gateway compiles the entry file, and no file
    /// imports itself.
    ProtoImportLoop = "proto-import-loop", Structure;
    /// A descriptor set must be readable.
    DescriptorSet = "descriptor-set", Structure;
    /// The text generated from a descriptor set loses nothing. Warning: options that nothing in the set
    /// declares are lost.
    DescriptorSetLoss = "descriptor-set-loss", Schema;
    /// The proto source compiles.
    ProtoCompile = "proto-compile", Schema;
    /// Warning: only the gateway's compiler can tell whether the source is valid.
    ProtoUnverified = "proto-unverified", Schema;
    /// A gateway can serve one `service` per entry file.
    ProtoTwoServices = "proto-two-services", Schema;
    /// Warning: client-streaming and bidirectional methods are not routed.
    ProtoStreaming = "proto-streaming", Schema;
    /// A map, `Struct`, `Value` or `ListValue` becomes free JSON, which gateways cannot render.
    ProtoFreeJson = "proto-free-json", Schema;
    /// Method names differ in lowerCamel, and are neither the version nor `stable`.
    ProtoMethodName = "proto-method-name", Schema;
    /// Type names differ after flattening with `_`.
    ProtoTypeName = "proto-type-name", Schema;

    /// The document is a JSON or YAML object whose references lead to objects of the expected kind.
    OpenApiSyntax = "openapi-syntax", Schema;
    /// No key appears twice in a YAML mapping. Warning: only the gateway can tell whether it can read
    /// the document.
    OpenApiUnverified = "openapi-unverified", Schema;
    /// Warning: gateways ignore the parameters of a path item.
    OpenApiPathItemParameters = "openapi-path-item-parameters", Schema;
    /// References stay inside the document.
    OpenApiExternalReference = "openapi-external-reference", Schema;
    /// Required fields are present: title and version, paths, responses and their descriptions …
    OpenApiRequired = "openapi-required", Schema;
    /// Fields have the right type and a valid value, and are known or named `x-…`.
    OpenApiShape = "openapi-shape", Schema;
    /// Parameters are unique, fit the path and their place, and have a schema or a content.
    OpenApiParameter = "openapi-parameter", Schema;
    /// Gateways can compile every pattern: no lookarounds and no backreferences.
    OpenApiPattern = "openapi-pattern", Schema;
    /// Examples and defaults fit their schemas.
    OpenApiExample = "openapi-example", Schema;
    /// Every operation has an operationId.
    OpenApiOperationIdMissing = "openapi-operation-id-missing", Schema;
    /// An operationId is a name: `[_A-Za-z][_0-9A-Za-z]*`.
    OpenApiOperationIdName = "openapi-operation-id-name", Schema;
    /// An operationId is unique.
    OpenApiOperationIdDuplicate = "openapi-operation-id-duplicate", Schema;
    /// An operationId is neither a version of its namespace nor `stable`.
    OpenApiOperationIdCollision = "openapi-operation-id-collision", Schema;
    /// A path or query parameter is a name.
    OpenApiParameterName = "openapi-parameter-name", Schema;
    /// A string enum value of a body is a name.
    OpenApiEnumValue = "openapi-enum-value", Schema;
    /// A component schema in use is a name; every component name is letters, digits, `.`, `_`, `-`.
    OpenApiComponentName = "openapi-component-name", Schema;
    /// The types generated from component schemas and inline schemas differ in name.
    OpenApiTypeName = "openapi-type-name", Schema;
    /// No parameter and no body is a `oneOf` or `anyOf` of objects.
    OpenApiUnionInput = "openapi-union-input", Schema;
    /// Warning: no operation of a document is served by gateways.
    OpenApiNoOperations = "openapi-no-operations", Schema;
    /// Warning: `Service::repair` changed the document.
    OpenApiRepaired = "openapi-repaired", Schema;

    /// The schema of a GraphQL endpoint must be readable: SDL, or the reply to an introspection query.
    GraphQlSchema = "graphql-schema", Schema;
    /// Warning: a GraphQL endpoint was not checked, because its schema is not given.
    GraphQlUnchecked = "graphql-unchecked", Schema;
    /// No root field of a GraphQL endpoint is named like the version or `stable`.
    GraphQlFieldName = "graphql-field-name", Schema;
    /// The types of a GraphQL endpoint differ in name from those that gateways add.
    GraphQlTypeName = "graphql-type-name", Schema;
    /// The schema that gateways serve is valid GraphQL text: no description ends with `"` or `\\`, no
    /// enum has the value `true`, `false` or `null`.
    SchemaText = "schema-text", Schema;
    /// Types of services that are registered together differ in name.
    TypesTogether = "types-together", Schema;

    /// No stream has uint64 or fixed64, nor a map in its request: one call ends a gateway's process.
    CallsFatalStream = "calls-fatal-stream", Schema;
    /// Warning, from release 1.4: a gRPC call of an OpenAPI operation with an object of free properties ends
    /// a gateway's process.
    CallsFatalMap = "calls-fatal-map", Schema;
    /// For release 1.1: header and cookie parameters are names, or no schema change of any service is served.
    CallsHeaderName = "calls-header-name", Schema;
    /// Warning: gateways drop streamed messages that have uint32 or fixed32.
    CallsStreamUnsigned = "calls-stream-unsigned", Schema;
    /// Warning: callers see every stream end with OK.
    CallsStreamStatus = "calls-stream-status", Schema;
    /// Warning: two services share a route, so calls reach only one of them.
    CallsSharedRoutes = "calls-shared-routes", Schema;
    /// Warning: callers cannot reach some operations of a document over HTTP.
    CallsUnreachable = "calls-unreachable", Schema;
    /// Warning: gateways ignore the base path in `servers`.
    CallsBasePath = "calls-base-path", Schema;
    /// Warning: parts of requests reach an OpenAPI service changed, or not at all.
    CallsRequests = "calls-requests", Schema;
    /// Warning: responses of an OpenAPI service that are not JSON become errors.
    CallsAnswerTypes = "calls-answer-types", Schema;
    /// Warning: statuses, headers and big numbers of OpenAPI responses reach callers changed, or not at all.
    CallsAnswers = "calls-answers", Schema;
    /// Warning: bytes, uint64 and maps of a proto do not survive HTTP.
    CallsHttpValues = "calls-http-values", Schema;
    /// Warning: GraphQL callers cannot send some fields, or never receive them.
    CallsGraphQlFields = "calls-graphql-fields", Schema;
    /// Warning: proto2 defaults do not survive HTTP and GraphQL.
    CallsProto2Defaults = "calls-proto2-defaults", Schema;
    /// Warning: callers of a gateway cannot request some parts of a GraphQL endpoint.
    CallsUpstream = "calls-graphql-upstream", Schema;

    /// In a build script: a vN keeps the schema recorded in `gwag.lock`.
    VersionLocked = "version-locked", Structure;
    /// In a build script: `gwag.lock` must be readable.
    LockFile = "lock-file", Structure;
    /// In a build script: a bundle has its own output file, which must be writable.
    BuildScript = "build-script", Structure;
}

/// The manual page that explains every rule; a test keeps it complete.
const PAGE: &str = include_str!("rules.md");

impl Rule {
    /// What the rule forbids and why, in Markdown, with examples for most rules about schemas: the
    /// section of [`rules`](crate::rules) named by the id.
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

    /// Whether the rule can be allowed: it is about a schema, and not enforced by every gateway.
    #[must_use]
    pub const fn is_allowable(self) -> bool {
        matches!(self.reach(), Reach::Schema)
    }
}

impl Rule {
    /// Whether the rule is about what happens to calls when a gateway serves the schema.
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

    /// Parses the id of a rule.
    fn from_str(id: &str) -> Result<Self, Self::Err> {
        let found = Self::ALL.iter().find(|rule| rule.id() == id).copied();
        found.ok_or_else(|| UnknownRule(id.to_owned()))
    }
}

/// The text is not the id of a [`Rule`]; for an example see there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownRule(String);

impl fmt::Display for UnknownRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = &self.0;
        write!(
            f,
            "there is no rule `{id}`: findings show theirs in brackets"
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
