//! The service to register: a namespace, a version and one schema.

pub mod bundle;
#[cfg(feature = "preflight")]
mod calls;
mod collect;
#[cfg(feature = "preflight")]
mod descriptors;
pub mod evidence;
mod proto_files;
mod resolve;
mod schema;
mod set;
mod split;

use std::fmt;

use crate::finding::Rule;
#[cfg(feature = "preflight")]
use crate::finding::{CheckError, Finding, Findings};
#[cfg(feature = "preflight")]
use crate::gateway::GatewayRelease;
#[cfg(feature = "preflight")]
use crate::hash::SchemaHash;
use crate::version::Version;
pub use proto_files::{ProtoFiles, read_file};
pub use resolve::{Binding, Checks, Purpose, Resolved, ServiceKind};
pub use schema::{IntoOpenApiDocument, OpenApiDocument};
#[cfg(feature = "preflight")]
pub use set::graphql_schema;
#[cfg(feature = "preflight")]
pub(crate) use set::schema_of;
#[cfg(feature = "preflight")]
use set::unknown_schemas;
pub use set::{check, check_for, not_allowable, resolve, sizes};

use schema::{ProtoSource, Schema};

/// One service to register: its schema (proto, OpenAPI or GraphQL), its namespace and version.
///
/// Building a `Service` reads and checks nothing: errors surface in `Options::check` and when the
/// server is wired up, before any network call.
///
/// # Examples
///
/// ```
/// use tower_gwag::{Service, Version};
///
/// let greeter = Service::proto("syntax = \"proto3\"; package greeter.v1;")
///     .namespace("greeter")
///     .version(Version::UNSTABLE);
/// let pets = Service::openapi(r#"{"openapi":"3.1.0","info":{"title":"Pets","version":"1"},"paths":{}}"#);
/// let shop = Service::graphql("/graphql").namespace("shop").max_concurrency(64);
/// ```
#[derive(Clone)]
#[must_use = "a service does nothing until it is given to Options::service"]
pub struct Service {
    schema: Schema,
    namespace: Option<String>,
    version: VersionText,
    allowed: Vec<Rule>,
    is_repaired: bool,
    is_split: bool,
    /// One of several services that another was split into.
    #[cfg_attr(not(feature = "preflight"), allow(dead_code))]
    is_part: bool,
    max_concurrency: u32,
    max_concurrency_per_instance: u32,
    /// The results of a build script, and what they apply to.
    #[cfg_attr(not(feature = "preflight"), allow(dead_code))]
    known: Option<Known>,
}

/// What the check of a bundle found out about the service.
#[derive(Clone)]
#[cfg_attr(not(feature = "preflight"), allow(dead_code))]
struct Known {
    version: String,
    splits: bool,
    services: Vec<bundle::Checked>,
}

/// A version as the user gave it: a [`Version`], or text that is checked later. For
/// [`Service::version`], which has an example.
#[derive(Clone, Debug)]
pub struct VersionText(String);

// === impl Service ===

impl Service {
    fn new(schema: Schema) -> Self {
        Self {
            schema,
            namespace: None,
            version: VersionText(String::new()),
            allowed: Vec::new(),
            is_repaired: false,
            is_split: false,
            is_part: false,
            max_concurrency: 0,
            max_concurrency_per_instance: 0,
            known: None,
        }
    }

    /// A gRPC service, from the text of its entry proto file.
    ///
    /// Set a namespace, because the text has no file name to derive one from. Add imported files with
    /// [`import`](Self::import); `google/protobuf/*` is built into the gateway.
    pub fn proto(source: impl Into<Vec<u8>>) -> Self {
        Self::new(Schema::Proto(ProtoSource::text(source.into())))
    }

    /// A gRPC service, from a tree of proto files and the path of its entry file in that tree.
    ///
    /// The tree is a directory on disk (a path), an `include_dir!` tree (feature `include_dir`)
    /// or any list of (path, bytes). Only the entry file and its imports, direct or not, are read and
    /// sent, under the paths in the `import` statements; other files of the tree may be broken.
    /// `google/protobuf/*` is left to the gateway unless the tree has a file of that path; other common
    /// trees, such as `google/api`, are sent like any import and must be in the tree.
    ///
    /// The default [`namespace`](Self::namespace) is the stem of the entry file's name, with `_` for
    /// characters that a name cannot have: `shop/v1/pet-shop.proto` becomes `pet_shop`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::Service;
    ///
    /// let from_disk = Service::proto_dir("proto", "greeter.proto");
    /// let from_memory = Service::proto_dir(
    ///     [
    ///         ("greeter.proto", "syntax = \"proto3\"; import \"common/types.proto\";"),
    ///         ("common/types.proto", "syntax = \"proto3\";"),
    ///     ],
    ///     "greeter.proto",
    /// );
    /// ```
    pub fn proto_dir(files: impl Into<ProtoFiles>, entry: impl Into<String>) -> Self {
        Self::new(Schema::Proto(ProtoSource::tree(files.into(), entry.into())))
    }

    /// A gRPC service, from the bundle that a build script made with the crate `tower-gwag-build`: the
    /// proto files with the namespace, the version and the allowed rules that the build script set.
    ///
    /// `include_bundle!` returns the bytes of a bundle. Settings made here override those in the bundle.
    /// Bytes that are not a bundle are reported as an error of the options.
    ///
    /// If the build script compiled and checked the files with this version of the crate, which a seal in the
    /// bundle proves, they are not checked again. They are checked again if the bundle was edited since, or
    /// if this service sets another namespace, version or import, and, except for their hash, if several
    /// services are registered together.
    ///
    /// # Examples
    ///
    /// ```ignore
    /// // build.rs: tower_gwag_build::bundle("proto/greeter.proto", ["proto"])
    /// let greeter = Service::proto_bundle(tower_gwag::include_bundle!("greeter"));
    /// ```
    pub fn proto_bundle(bundle: impl AsRef<[u8]>) -> Self {
        let contents = match bundle::Contents::read(bundle.as_ref()) {
            Ok(contents) => contents,
            Err(finding) => return Self::new(Schema::NoBundle(finding)),
        };
        let rules = contents.rules().collect();
        let known = Some(Known {
            version: contents.version.clone(),
            splits: contents.splits,
            services: contents.known().to_vec(),
        });
        let files = contents.files.into_iter().map(|it| (it.path, it.source));
        Self {
            namespace: Some(contents.namespace).filter(|it| !it.is_empty()),
            version: VersionText(contents.version),
            allowed: rules,
            is_split: contents.splits,
            known,
            ..Self::proto_dir(ProtoFiles::from_files(files), contents.entry)
        }
    }

    /// An HTTP service, from its OpenAPI 3.x document: JSON or YAML, or a utoipa document
    /// (feature `utoipa`).
    ///
    /// The base URL is the advertised address. The default [`namespace`](Self::namespace) is derived
    /// from `info.title` as the gateway does it: `Pet Store API!` becomes `Pet_Store_API`.
    ///
    /// Pass documents of other crates as `serde_json::Value`: aide's `OpenApi`, for example, as
    /// `Service::openapi(serde_json::to_value(&api)?)`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::{Options, Service};
    ///
    /// // What `serde_json::to_value` makes of such a document.
    /// let document = serde_json::json!({
    ///     "openapi": "3.1.0",
    ///     "info": { "title": "Pets", "version": "1.0.0" },
    ///     "paths": { "/pets": { "get": {
    ///         "operationId": "list_pets",
    ///         "responses": { "200": { "description": "All pets" } },
    ///     } } },
    /// });
    /// let options = Options::new("gateway:50090").service(Service::openapi(document));
    /// options.check()?;
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    pub fn openapi(document: impl IntoOpenApiDocument) -> Self {
        Self::new(Schema::OpenApi(document.into_openapi()))
    }

    /// A GraphQL service, from its endpoint: an `http(s)` URL, or a path on this server
    /// (`/graphql`) that is appended to the advertised address.
    ///
    /// The gateway introspects the endpoint while it handles Register, so the service is registered only
    /// once the endpoint answers from this process. A namespace is required.
    ///
    /// Pass the schema with [`schema`](Self::schema) to have it checked like any other; without it the
    /// check warns that it could not check the schema.
    pub fn graphql(endpoint: impl Into<String>) -> Self {
        Self::new(Schema::GraphQl(endpoint.into(), None))
    }

    /// The schema of a GraphQL endpoint, so that it can be checked before the endpoint runs: SDL, or the
    /// reply to an introspection query as JSON. It is not sent.
    ///
    /// An error of the options for proto and OpenAPI services.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::{Options, Service};
    ///
    /// let sdl = "type Query { book(id: ID!): Book } type Book { title: String! }";
    /// let books = Service::graphql("/graphql").namespace("books").schema(sdl);
    /// assert!(Options::new("gateway:50090").service(books).check()?.is_empty());
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    pub fn schema(mut self, schema: impl Into<Vec<u8>>) -> Self {
        match &mut self.schema {
            Schema::GraphQl(_, text) => *text = Some(schema.into()),
            Schema::NoBundle(_) => {}
            other => *other = Schema::NoGraphQl(other.kind()),
        }
        self
    }

    /// Adds a file that the proto source imports, by the exact path of the `import` statement.
    ///
    /// An error of the options for OpenAPI and GraphQL services.
    pub fn import(mut self, path: impl Into<String>, source: impl Into<Vec<u8>>) -> Self {
        self.known = None;
        self.schema.add_import(path.into(), source.into());
        self
    }

    /// The name under which the gateway offers this service: `[_A-Za-z][_0-9A-Za-z]*`, which GraphQL
    /// requires. Default: from the name of the entry file or the title of the OpenAPI document, see
    /// [`proto_dir`](Self::proto_dir) and [`openapi`](Self::openapi); other services need one.
    ///
    /// A leading `_` hides it from the gateway's public schema.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// The version: a [`Version`], or the text `unstable` or `vN`. Default: `v1`.
    pub fn version(mut self, version: impl Into<VersionText>) -> Self {
        self.version = version.into();
        self
    }

    /// The most calls that the gateway runs concurrently over all replicas. Default 0: the
    /// gateway's own default. Fixed by the first replica of a version.
    pub fn max_concurrency(mut self, calls: u32) -> Self {
        self.max_concurrency = calls;
        self
    }

    /// The most calls that the gateway runs concurrently on one replica. Default 0: the gateway's
    /// own default. Fixed by the first replica of a version.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag_schema::{Rule, Service, Version};
    ///
    /// let books = Service::graphql("/graphql")
    ///     .namespace("books")
    ///     .version(Version::UNSTABLE)
    ///     .max_concurrency(100)
    ///     .max_concurrency_per_instance(20)
    ///     .allow(Rule::CallsUpstream);
    /// assert_eq!(books.allowed().len(), 1);
    /// ```
    pub fn max_concurrency_per_instance(mut self, calls: u32) -> Self {
        self.max_concurrency_per_instance = calls;
        self
    }

    /// Allows a rule for this service alone, see `Options::allow`.
    pub fn allow(mut self, rule: Rule) -> Self {
        self.allowed.push(rule);
        self
    }

    /// Repairs parts of an OpenAPI document that gateways cannot handle, without changing the HTTP API;
    /// no effect on proto and GraphQL. Default: off.
    ///
    /// Each repair is logged, and a warning of `Options::check`:
    ///
    /// - operationIds that are missing, colliding or not names are generated from method and path;
    /// - path parameters are renamed (`{pet-id}` becomes `{pet_id}`), except those whose names are
    ///   part of the URL (`style: matrix` and `label`) or used by links and callbacks;
    /// - components in use are renamed (`My-Type` becomes `My_Type`) with all references, and others if
    ///   their names are not valid for components; the `mapping` of discriminators keeps the values on
    ///   the wire;
    /// - string enums in bodies whose values are not names become plain strings, with the values listed
    ///   in the description;
    /// - paths that share the operations of another by `$ref` get their own copy;
    /// - parameters of a path move to its operations, because gateways ignore those of the path;
    /// - responses without a description get an empty one, and a license without a name, which
    ///   utoipa writes for every crate without a license, is removed;
    /// - versions that YAML reads as numbers (`version: 1.0`), and unquoted dates that would not fit
    ///   their schema, become strings.
    ///
    /// All other errors, such as the name of a query parameter, stay errors. A repaired document is
    /// registered as JSON with sorted keys, and [`hash`](Self::hash) is the hash of that JSON; findings
    /// show the document as given. A document that needs no repair keeps its bytes. YAML with a duplicate
    /// key is not repaired, because one of the two values would be lost.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::{Options, Rule, Service};
    ///
    /// let pets = r#"{"openapi":"3.1.0","info":{"title":"Pets","version":"1"},
    ///     "paths":{"/pets":{"get":{"responses":{"200":{}}}}}}"#;
    /// let options = Options::new("gateway:50090").service(Service::openapi(pets).repair());
    /// let found = options.check()?;
    /// assert!(found.iter().any(|it| it.rule() == Rule::OpenApiRepaired));
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    #[cfg(feature = "preflight")]
    pub fn repair(mut self) -> Self {
        self.is_repaired = true;
        self
    }

    /// Registers each `service` of the entry file as a separate service, because a gateway serves
    /// only one per entry file; no effect on OpenAPI and GraphQL. Default: off.
    ///
    /// Each gets its own namespace: its name in snake case (`PetStore` becomes `pet_store`), prefixed
    /// with [`namespace`](Self::namespace) if that is set (`shop_pet_store`). All other settings of this
    /// service apply to each. A file with one `service` or none is registered as without this call,
    /// under its usual namespace.
    ///
    /// Each is sent the file with the other services replaced by white space, so that the rest keeps its
    /// position and its comments. The comments of a removed service go with it: those right before it,
    /// detached ones too, those in it, and one after its closing brace.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::{Options, Service};
    ///
    /// let shop = "syntax = \"proto3\"; package shop.v1; message M { string id = 1; }
    ///     service PetStore { rpc Get(M) returns (M); }
    ///     service Stock { rpc Put(M) returns (M); }";
    /// // Registered as `pet_store` and `stock`.
    /// let options = Options::new("gateway:50090").service(Service::proto(shop).split_services());
    /// options.check()?;
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    pub fn split_services(mut self) -> Self {
        self.is_split = true;
        self
    }

    /// The rules that are allowed.
    #[must_use]
    pub fn allowed(&self) -> &[Rule] {
        &self.allowed
    }

    /// The GraphQL schema that a gateway of this release serves for the service, computed without asking
    /// one: as text with `Display`, equal byte for byte to what `GET /api/schema/graphql?service=…`
    /// returns, or as types, fields and the operations behind them. Reads a directory of proto files.
    ///
    /// # Errors
    ///
    /// The service cannot be registered or its schema cannot be built, with the findings of
    /// `Options::check`; or it is a GraphQL endpoint without [`schema`](Self::schema).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::{GatewayRelease, Service};
    ///
    /// let pets = Service::proto(
    ///     "syntax = \"proto3\"; package pets.v1;
    ///      service Pets { rpc GetPet(Id) returns (Pet); }
    ///      message Id { string id = 1; } message Pet { string name = 1; }",
    /// );
    /// let schema = pets.namespace("pets").graphql_schema(GatewayRelease::default())?;
    /// assert!(schema.to_string().contains("getPet(id: String): Pets_V1_Pet"));
    /// # Ok::<(), tower_gwag_schema::CheckError>(())
    /// ```
    #[cfg(feature = "preflight")]
    pub fn graphql_schema(
        &self,
        release: GatewayRelease,
    ) -> Result<crate::graphql::Schema, CheckError> {
        graphql_schema(std::slice::from_ref(self), release)
    }

    /// The canonical hash of the schema, as the gateway lists it, computed without asking one. Reads a
    /// directory of proto files.
    ///
    /// # Errors
    ///
    /// The namespace, version or schema cannot be registered, with the findings of `Options::check`; or
    /// the service is split into several, each with its own hash: use [`hashes`](Self::hashes).
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::Service;
    ///
    /// let greeter = Service::proto("syntax = \"proto3\"; package greeter.v1;").namespace("greeter");
    /// let hash = greeter.hash()?;
    /// assert!(hash.is_exact());
    /// println!("{hash}");
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    #[cfg(feature = "preflight")]
    pub fn hash(&self) -> Result<SchemaHash, CheckError> {
        let mut hashes = self.hashes()?;
        if hashes.len() > 1 {
            let names: Vec<_> = hashes.iter().map(|(name, _)| format!("`{name}`")).collect();
            let message = format!(
                "the service is split into {}, each with its own hash: call `hashes()`",
                names.join(", ")
            );
            let finding = Finding::error(Rule::SeveralHashes, message);
            return Err(CheckError::new(
                finding.rule(),
                Findings::from_iter([finding]),
            ));
        }
        let hash = hashes.pop().map(|(_, hash)| hash);
        Ok(hash.unwrap_or_else(|| SchemaHash::unsure(None, "nothing is registered")))
    }

    /// The hash for each namespace under which the service is registered: several if it is
    /// [split](Self::split_services).
    ///
    /// # Errors
    ///
    /// A namespace, version or schema cannot be registered, with the findings of `Options::check`.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::Service;
    ///
    /// let both = Service::proto("syntax = \"proto3\"; service Pets {} service Stock {}").split_services();
    /// let names: Vec<String> = both.hashes()?.into_iter().map(|(namespace, _)| namespace).collect();
    /// assert_eq!(names, ["pets", "stock"]);
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    #[cfg(feature = "preflight")]
    pub fn hashes(&self) -> Result<Vec<(String, SchemaHash)>, CheckError> {
        let (resolved, mut found) = self.resolve(1, Checks::all(), Purpose::Register);
        // A schema that cannot be rendered still has a hash.
        found.allow(Rule::ALL.iter().filter(|rule| **rule != Rule::ProtoCompile));
        found.into_result()?;
        let hash = |service: Resolved| {
            let introspected = || SchemaHash::unsure(None, "that of the introspection reply");
            let hash = evidence::hash_of(&service).cloned();
            (service.namespace, hash.unwrap_or_else(introspected))
        };
        Ok(resolved.into_iter().map(hash).collect())
    }
}

impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service")
            .field("kind", &self.schema.kind())
            .field("namespace", &self.namespace)
            .field("version", &self.version.0)
            .finish_non_exhaustive()
    }
}

// === impl VersionText ===

impl From<Version> for VersionText {
    fn from(version: Version) -> Self {
        Self(version.to_string())
    }
}

impl From<&str> for VersionText {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl From<String> for VersionText {
    fn from(text: String) -> Self {
        Self(text)
    }
}
