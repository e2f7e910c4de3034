//! Builds a schema from services: namespaces, versions, `stable` and groups, and the types behind them.

use std::collections::{BTreeMap, HashMap, btree_map};
use std::sync::Arc;

use super::failure::{Failure, FailureKind};
use super::ir::{
    self, Argument, Declared, DeclaredField, DeclaredKind, Entry, Ref, Scalar, To, Types,
};
use super::model::{
    Destination, EnumValue, Field, FieldSource, InputValue, Operation, OperationKind, Origin, Type,
    TypeId, TypeKind, TypeRef,
};
use super::names::{capitalized, flat};
use super::proto::Pool;
use crate::location::Location;
use crate::name::is_name;
use crate::sorted::Sorted;
use crate::version::Version;

const JSON: &str = "Untyped JSON value (used as a fallback for OpenAPI schemas the gateway can't \
                    map exactly).";
const PROTO_JSON: &str =
    "Untyped JSON value (used as a fallback for IR map / unmappable scalar shapes).";
const LONG: &str = "64-bit integer encoded as a decimal string. OpenAPI integer fields with \
                    format=int64/uint64 land here; graphql-go's built-in Int is signed 32-bit and \
                    would lose precision (or null out entirely) for values above 2^31.";
const UPLOAD: &str = "The `Upload` scalar represents a file streamed in via the \
                      graphql-multipart-request-spec wire format \
                      (https://github.com/jaydenseric/graphql-multipart-request-spec). Input-only: \
                      serialization back to JSON returns null.";

/// The assembled services, before checking whether a gateway can serve them.
pub(super) struct Assembled {
    pub(super) types: Vec<Type>,
    pub(super) query: TypeId,
    pub(super) mutation: Option<TypeId>,
    pub(super) subscription: Option<TypeId>,
    /// In every schema, whether referenced or not.
    pub(super) always: [TypeId; 3],
    /// The types that each service added first, in the order in which they were reached.
    pub(super) owned: Vec<Vec<TypeId>>,
    /// Failures that stop a gateway here.
    pub(super) failures: Vec<Failure>,
}

/// Builds a schema from services, which must be sorted by namespace and version.
pub(super) fn assemble(
    services: &[ir::Service],
    pool: &Pool<'_>,
    stable: &BTreeMap<String, u64>,
) -> Assembled {
    let mut builder = Builder::new(services, pool);
    let mut queries = BTreeMap::new();
    let mut mutations = BTreeMap::new();
    let mut subscriptions = BTreeMap::new();
    let mut first = 0;
    while let Some(service) = services.get(first) {
        let name = &service.namespace;
        let count = services[first..]
            .iter()
            .take_while(|it| it.namespace == *name)
            .count();
        let namespace = Namespace {
            name,
            services: first..first + count,
            stable: stable.get(name).copied(),
        };
        first += count;
        for (kind, roots) in [
            (OperationKind::Query, &mut queries),
            (OperationKind::Mutation, &mut mutations),
        ] {
            let fields = builder.namespace(&namespace, kind);
            if !fields.is_empty() {
                let container = namespace.container("", "", kind);
                let id = builder.container(container, None, fields);
                roots.insert(
                    name.clone(),
                    container_field(id, None, None, Location::Nowhere),
                );
            }
        }
        builder.subscriptions(&namespace, &mut subscriptions);
    }
    if queries.is_empty() {
        let string = builder.scalar(Scalar::String);
        let mut status = container_field(string, None, None, Location::Nowhere);
        status.of = TypeRef::plain(string);
        status.source = FieldSource::Nothing;
        queries.insert("_status".to_owned(), status);
    }
    let query = builder.container("Query".to_owned(), None, queries);
    let mut root = |name: &str, fields: BTreeMap<String, Field>| {
        (!fields.is_empty()).then(|| builder.container(name.to_owned(), None, fields))
    };
    let mutation = root("Mutation", mutations);
    let subscription = root("Subscription", subscriptions);
    builder.fill();
    let mut owned = vec![Vec::new(); services.len()];
    for (id, owner) in &builder.owners {
        owned[*owner].push(*id);
    }
    let always = [Scalar::Upload, Scalar::String, Scalar::Boolean].map(|it| builder.scalar(it));
    Assembled {
        types: builder.types,
        query,
        mutation,
        subscription,
        always,
        owned,
        failures: builder.failures,
    }
}

/// A namespace and its services, by version.
struct Namespace<'a> {
    name: &'a str,
    services: std::ops::Range<usize>,
    stable: Option<u64>,
}

impl Namespace<'_> {
    /// The last service counts as the latest version.
    fn latest(&self) -> usize {
        self.services.end - 1
    }

    /// The type name of the namespace, of one of its versions or of a group.
    fn container(&self, version: &str, path: &str, kind: OperationKind) -> String {
        let kind = match kind {
            OperationKind::Query => "Query",
            OperationKind::Mutation => "Mutation",
            OperationKind::Subscription => "Subscription",
        };
        let (name, version) = (capitalized(self.name), capitalized(version));
        format!("{name}{version}{path}{kind}Namespace")
    }
}

fn container_field(
    id: TypeId,
    description: Option<String>,
    deprecated: Option<String>,
    location: Location,
) -> Field {
    Field {
        arguments: Sorted::new(),
        of: TypeRef::required(id),
        description,
        deprecated,
        annotations: Vec::new(),
        source: FieldSource::Container,
        location,
    }
}

/// Where a type is used: objects have a separate type for input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Position {
    Output,
    Input,
}

/// A union in a position where gateways cannot have one.
struct NoInput(String);

struct Builder<'a> {
    services: &'a [ir::Service],
    pool: &'a Pool<'a>,
    /// The prefix of each service's OpenAPI and GraphQL types.
    prefixes: Vec<String>,
    types: Vec<Type>,
    scalars: HashMap<Scalar, TypeId>,
    pooled: HashMap<(String, Position), TypeId>,
    owned: HashMap<(usize, String, Position), TypeId>,
    /// Types without fields so far, and their declarations.
    open: Vec<(TypeId, usize, String, Position)>,
    owners: Vec<(TypeId, usize)>,
    failures: Vec<Failure>,
}

impl<'a> Builder<'a> {
    fn new(services: &'a [ir::Service], pool: &'a Pool<'a>) -> Self {
        let prefix = |(number, service): (usize, &ir::Service)| {
            let next = services.get(number + 1);
            match next.is_some_and(|next| next.namespace == service.namespace) {
                true => format!("{}_{}", service.namespace, service.version),
                false => service.namespace.clone(),
            }
        };
        Self {
            services,
            pool,
            prefixes: services.iter().enumerate().map(prefix).collect(),
            types: Vec::new(),
            scalars: HashMap::new(),
            pooled: HashMap::new(),
            owned: HashMap::new(),
            open: Vec::new(),
            owners: Vec::new(),
            failures: Vec::new(),
        }
    }

    fn add(&mut self, it: Type) -> TypeId {
        self.types.push(it);
        TypeId(self.types.len() - 1)
    }

    fn scalar(&mut self, scalar: Scalar) -> TypeId {
        // A difference that only gRPC sees.
        let scalar = match scalar {
            Scalar::Single => Scalar::Float,
            Scalar::JsonMap => Scalar::Json,
            scalar => scalar,
        };
        if let Some(id) = self.scalars.get(&scalar) {
            return *id;
        }
        let (name, description) = match scalar {
            Scalar::Int => ("Int", None),
            Scalar::Float | Scalar::Single => ("Float", None),
            Scalar::String => ("String", None),
            Scalar::Boolean => ("Boolean", None),
            Scalar::Id => ("ID", None),
            Scalar::Upload => ("Upload", Some(UPLOAD)),
            Scalar::Long => ("Long", Some(LONG)),
            Scalar::Json | Scalar::JsonMap => ("JSON", Some(JSON)),
            Scalar::ProtoJson => ("JSON", Some(PROTO_JSON)),
        };
        let id = self.add(Type {
            name: name.to_owned(),
            kind: TypeKind::Scalar,
            description: description.map(str::to_owned),
            annotations: Vec::new(),
            origin: Origin::Gateway,
            location: Location::Nowhere,
            bad_names: Vec::new(),
        });
        self.scalars.insert(scalar, id);
        id
    }

    fn container(
        &mut self,
        name: String,
        description: Option<String>,
        fields: BTreeMap<String, Field>,
    ) -> TypeId {
        let location = fields.values().map(|it| it.location.clone());
        let location = location.into_iter().find(|it| *it != Location::Nowhere);
        let bad_names = match is_name(&name) {
            true => Vec::new(),
            false => vec![(name.clone(), Location::Nowhere)],
        };
        self.add(Type {
            name: if bad_names.is_empty() {
                name
            } else {
                String::new()
            },
            kind: TypeKind::Object(fields.into_iter().collect()),
            description,
            annotations: Vec::new(),
            origin: Origin::Gateway,
            location: location.unwrap_or_default(),
            bad_names,
        })
    }

    /// Why a service is deprecated: the operator's reason, or that it is not the latest version.
    fn deprecation(&self, namespace: &Namespace<'_>, number: usize) -> Option<String> {
        let service = &self.services[number];
        if service.deprecated.is_some() {
            return service.deprecated.clone();
        }
        let latest = namespace.latest();
        (number != latest).then(|| format!("{} is current", self.services[latest].version))
    }

    /// The fields of a namespace: the latest version's operations, the versions and `stable`.
    fn namespace(
        &mut self,
        namespace: &Namespace<'_>,
        kind: OperationKind,
    ) -> BTreeMap<String, Field> {
        let latest = namespace.latest();
        let mut fields = self.content(namespace, latest, kind, "");
        for number in namespace.services.clone() {
            let version = self.services[number].version;
            self.sub_group(namespace, number, kind, &version.to_string(), &mut fields);
        }
        if let Some(number) = self.stable(namespace) {
            self.sub_group(namespace, number, kind, "stable", &mut fields);
        }
        fields
    }

    /// The service behind `stable`: the first of two in one file.
    fn stable(&self, namespace: &Namespace<'_>) -> Option<usize> {
        let stable = namespace.stable?;
        let mut numbers = namespace.services.clone();
        numbers.find(|number| self.services[*number].version.number() == Some(stable))
    }

    fn sub_group(
        &mut self,
        namespace: &Namespace<'_>,
        number: usize,
        kind: OperationKind,
        key: &str,
        fields: &mut BTreeMap<String, Field>,
    ) {
        let services = self.services;
        if !services[number].entries.iter().any(|it| it.kind() == kind) {
            return;
        }
        if let Some(other) = fields.get(key) {
            let (failure, location) = match &other.source {
                // Two services of one file: the operations of the later one collide.
                FieldSource::Container if other.location == Location::Nowhere => (
                    FailureKind::TwoServices,
                    services[namespace.latest()].location(),
                ),
                _ => (FailureKind::GroupCollision, other.location.clone()),
            };
            let what = match key {
                "stable" => "stable sub-group".to_owned(),
                key => format!("version sub-group {key:?}"),
            };
            let (name, kind_number) = (namespace.name, kind.number());
            self.failures.push(Failure {
                kind: failure,
                name: key.to_owned(),
                text: format!(
                    "runtime render: runtime: ns {name} kind {kind_number}: {what} collides with op"
                ),
                locations: vec![location],
            });
            return;
        }
        let content = self.content(namespace, number, kind, key);
        let id = self.container(namespace.container(key, "", kind), None, content);
        let deprecated = self.deprecation(namespace, number);
        let field = container_field(id, None, deprecated, Location::Nowhere);
        fields.insert(key.to_owned(), field);
    }

    /// The operations and groups of one kind of a service. `key` is the key of the version group around
    /// them; empty at the top.
    fn content(
        &mut self,
        namespace: &Namespace<'_>,
        number: usize,
        kind: OperationKind,
        key: &str,
    ) -> BTreeMap<String, Field> {
        let services = self.services;
        let within = Within {
            namespace,
            number,
            kind,
            key,
            deprecated: self.deprecation(namespace, number),
        };
        self.entries(&within, &services[number].entries, "")
    }

    fn entries(
        &mut self,
        within: &Within<'_>,
        entries: &[Entry],
        path: &str,
    ) -> BTreeMap<String, Field> {
        let mut fields = BTreeMap::new();
        for entry in entries.iter().filter(|it| it.kind() == within.kind) {
            let (name, field) = match entry {
                Entry::Operation(operation) => (&operation.name, self.operation(within, operation)),
                Entry::Group(group) => {
                    let path = format!("{path}{}", capitalized(&group.name));
                    let inner = self.entries(within, &group.entries, &path);
                    let (namespace, kind) = (within.namespace, within.kind);
                    let name = namespace.container(within.key, &path, kind);
                    let id = self.container(name, group.description.clone(), inner);
                    let deprecated = within.deprecated.clone();
                    let description = group.description.clone();
                    let location = group.location.clone();
                    (
                        &group.name,
                        container_field(id, description, deprecated, location),
                    )
                }
            };
            if let Some(earlier) = fields.get(name) {
                // The groups of versions repeat the collisions of the namespace.
                if !within.key.is_empty() && self.failures.len() > MOST_REPEATED {
                    continue;
                }
                let earlier: &Field = earlier;
                let text = format!(
                    "runtime render: runtime: ns {} kind {}: {}: op field collision: {name}",
                    within.namespace.name,
                    within.kind.number(),
                    within.content(),
                );
                self.failures.push(Failure {
                    kind: FailureKind::OperationCollision,
                    name: name.clone(),
                    text,
                    locations: vec![field.location, earlier.location.clone()],
                });
                continue;
            }
            fields.insert(name.clone(), field);
        }
        fields
    }

    fn operation(&mut self, within: &Within<'_>, it: &ir::Operation) -> Field {
        let mut arguments = BTreeMap::new();
        for argument in &it.arguments {
            match self.argument(within.number, argument) {
                Ok(value) => {
                    arguments.insert(argument.name.clone(), value);
                }
                Err(NoInput(union)) => {
                    let text = format!(
                        "runtime render: runtime: ns {} kind {}: {}: op {}: arg {}: ir typebuilder: \
                         2 not valid in input position ({union})",
                        within.namespace.name,
                        within.kind.number(),
                        within.content(),
                        it.name,
                        argument.name,
                    );
                    self.failures.push(Failure {
                        kind: FailureKind::UnionAsInput,
                        name: union,
                        text,
                        locations: vec![argument.location.clone()],
                    });
                }
            }
        }
        let service = &self.services[within.number];
        let of = self.output(within.number, &it.result);
        let operation = Operation {
            namespace: service.namespace.clone(),
            version: service.version,
            kind: it.kind,
            name: it.name.clone(),
            target: it.target.clone(),
            location: it.location.clone(),
        };
        Field {
            arguments: arguments.into_iter().collect(),
            of,
            description: it.description.clone(),
            deprecated: within.deprecated.clone().or_else(|| it.deprecated.clone()),
            annotations: it.annotations.clone(),
            source: FieldSource::Operation(Arc::new(operation)),
            location: it.location.clone(),
        }
    }

    fn argument(&mut self, number: usize, it: &Argument) -> Result<InputValue, NoInput> {
        let id = self.input(number, &it.of)?;
        Ok(InputValue {
            of: wrapped(id, &it.of),
            description: it.description.clone(),
            annotations: Vec::new(),
            source: it.name.clone(),
            destination: it.destination,
            location: it.location.clone(),
        })
    }

    /// Subscriptions of all namespaces share one type.
    fn subscriptions(&mut self, namespace: &Namespace<'_>, fields: &mut BTreeMap<String, Field>) {
        let services = self.services;
        let latest = namespace.latest();
        let older = namespace
            .services
            .clone()
            .filter(|number| *number != latest);
        let mut keys: Vec<(usize, String)> = older
            .map(|number| (number, services[number].version.to_string()))
            .collect();
        keys.push((latest, String::new()));
        keys.extend(
            self.stable(namespace)
                .map(|number| (number, "stable".to_owned())),
        );
        for (number, key) in keys {
            let within = Within {
                namespace,
                number,
                kind: OperationKind::Subscription,
                key: &key,
                deprecated: self.deprecation(namespace, number),
            };
            let prefix = match key.as_str() {
                "" => namespace.name.to_owned(),
                key => format!("{}_{key}", namespace.name),
            };
            self.flat(&within, &services[number].entries, &prefix, fields);
        }
    }

    fn flat(
        &mut self,
        within: &Within<'_>,
        entries: &[Entry],
        prefix: &str,
        fields: &mut BTreeMap<String, Field>,
    ) {
        for entry in entries.iter().filter(|it| it.kind() == within.kind) {
            match entry {
                Entry::Operation(operation) => {
                    let field = self.operation(within, operation);
                    let name = format!("{prefix}_{}", operation.name);
                    match fields.entry(name) {
                        btree_map::Entry::Vacant(vacant) => {
                            vacant.insert(field);
                        }
                        btree_map::Entry::Occupied(there) => {
                            let what = match within.key {
                                "stable" => "stable subscription",
                                _ => "subscription",
                            };
                            let text = format!(
                                "runtime render: runtime: ns {} {what}: subscription field \
                                 collision: {}",
                                within.namespace.name,
                                there.key(),
                            );
                            self.failures.push(Failure {
                                kind: FailureKind::OperationCollision,
                                name: there.key().clone(),
                                text,
                                locations: vec![field.location, there.get().location.clone()],
                            });
                        }
                    }
                }
                Entry::Group(group) => {
                    let prefix = format!("{prefix}_{}", group.name);
                    self.flat(within, &group.entries, &prefix, fields);
                }
            }
        }
    }

    fn output(&mut self, number: usize, of: &Ref) -> TypeRef {
        let id = match &of.to {
            To::Scalar(scalar) => self.scalar(*scalar),
            To::Named(name) => match self.named(number, name, Position::Output) {
                Ok(id) => id,
                // Only inputs are rejected.
                Err(NoInput(_)) => self.scalar(Scalar::Json),
            },
        };
        wrapped(id, of)
    }

    fn input(&mut self, number: usize, of: &Ref) -> Result<TypeId, NoInput> {
        match &of.to {
            To::Scalar(scalar) => Ok(self.scalar(*scalar)),
            To::Named(name) => self.named(number, name, Position::Input),
        }
    }

    /// The type for a name; its fields are added later.
    fn named(&mut self, number: usize, name: &str, position: Position) -> Result<TypeId, NoInput> {
        let services = self.services;
        match &services[number].types {
            Types::Pool => Ok(self.of_pool(number, name, position)),
            Types::OpenApi(types) | Types::GraphQl(types) => match types.get(name) {
                Some(declared) => self.of_service(number, name, declared, position),
                None => Ok(self.scalar(Scalar::Json)),
            },
        }
    }

    fn of_pool(&mut self, number: usize, name: &str, position: Position) -> TypeId {
        let position = match self.pool.is_enum(name) {
            true => Position::Output,
            false => position,
        };
        let key = (name.to_owned(), position);
        if let Some(id) = self.pooled.get(&key) {
            return *id;
        }
        let suffix = match position {
            Position::Output => "",
            Position::Input => "_Input",
        };
        let shown = format!("{}{suffix}", flat(name));
        let id = self.reserve(shown, Origin::Proto(name.to_owned()));
        self.pooled.insert(key, id);
        self.owners.push((id, number));
        self.open.push((id, number, name.to_owned(), position));
        id
    }

    fn of_service(
        &mut self,
        number: usize,
        name: &str,
        declared: &Declared,
        position: Position,
    ) -> Result<TypeId, NoInput> {
        let is_object = matches!(declared.kind, DeclaredKind::Object(_));
        if let (DeclaredKind::Union(_), Position::Input) = (&declared.kind, position) {
            return Err(NoInput(name.to_owned()));
        }
        let position = if is_object {
            position
        } else {
            Position::Output
        };
        let key = (number, name.to_owned(), position);
        if let Some(id) = self.owned.get(&key) {
            return Ok(*id);
        }
        if let DeclaredKind::Union(members) = &declared.kind
            && !members.iter().any(|member| self.is_object(number, member))
        {
            return Ok(self.scalar(Scalar::Json));
        }
        let service = &self.services[number];
        let suffix = match (&service.types, position) {
            (Types::OpenApi(_), Position::Input) => "Input",
            _ => "",
        };
        let shown = format!("{}_{name}{suffix}", self.prefixes[number]);
        let (namespace, version) = (service.namespace.clone(), service.version);
        let source_name = name.to_owned();
        let origin = match &service.types {
            Types::GraphQl(_) => Origin::GraphQl {
                namespace,
                version,
                name: source_name,
            },
            _ => Origin::OpenApi {
                namespace,
                version,
                name: source_name,
            },
        };
        let id = self.reserve(shown, origin);
        self.owned.insert(key, id);
        self.owners.push((id, number));
        self.open.push((id, number, name.to_owned(), position));
        Ok(id)
    }

    fn is_object(&self, number: usize, name: &str) -> bool {
        match &self.services[number].types {
            Types::Pool => false,
            Types::OpenApi(types) | Types::GraphQl(types) => types
                .get(name)
                .is_some_and(|it| matches!(it.kind, DeclaredKind::Object(_))),
        }
    }

    fn location_of(&self, number: usize, name: &str) -> Option<Location> {
        match &self.services[number].types {
            Types::Pool => None,
            Types::OpenApi(types) | Types::GraphQl(types) => {
                Some(types.get(name)?.location.clone())
            }
        }
    }

    fn reserve(&mut self, name: String, origin: Origin) -> TypeId {
        self.add(Type {
            name,
            kind: TypeKind::Scalar,
            description: None,
            annotations: Vec::new(),
            origin,
            location: Location::Nowhere,
            bad_names: Vec::new(),
        })
    }

    /// Adds the fields of every type, and creates the types they refer to.
    fn fill(&mut self) {
        // A work list instead of recursion: types may refer to each other to any depth.
        while let Some((id, number, name, position)) = self.open.pop() {
            let services = self.services;
            let of_pool;
            let declared = match &services[number].types {
                Types::Pool => {
                    of_pool = self.pool.declared(&name);
                    of_pool.as_ref()
                }
                Types::OpenApi(types) | Types::GraphQl(types) => types.get(&name),
            };
            // invariant: a type is reserved only for a declared name.
            let Some(declared) = declared else { continue };
            let mut bad_names = Vec::new();
            let kind = match &declared.kind {
                DeclaredKind::Object(fields) if position == Position::Output => {
                    TypeKind::Object(self.fields(number, fields))
                }
                DeclaredKind::Object(fields) | DeclaredKind::Input(fields) => {
                    TypeKind::Input(self.input_fields(number, fields))
                }
                DeclaredKind::Enum(values) => {
                    let mut kept = BTreeMap::new();
                    for value in values {
                        if is_name(&value.name) {
                            let about = EnumValue {
                                description: value.description.clone(),
                                deprecated: value.deprecated.clone(),
                                location: value.location.clone(),
                            };
                            kept.insert(value.name.clone(), about);
                        } else {
                            bad_names.push((value.name.clone(), value.location.clone()));
                        }
                    }
                    if values.is_empty() {
                        kept.insert("_EMPTY".to_owned(), EnumValue::nothing());
                    }
                    TypeKind::Enum(kept.into_iter().collect())
                }
                DeclaredKind::Union(members) => {
                    let members = members.iter().filter(|it| self.is_object(number, it));
                    let members: Vec<&String> = members.collect();
                    let mut ids = Vec::new();
                    for member in members {
                        ids.extend(self.named(number, member, Position::Output).ok());
                    }
                    TypeKind::Union(ids)
                }
                DeclaredKind::Scalar => TypeKind::Scalar,
            };
            // The name of a union is built from its members' names.
            let mut of_members = Vec::new();
            if let DeclaredKind::Union(members) = &declared.kind {
                let bad = members.iter().filter(|member| !is_name(member));
                of_members.extend(bad.filter_map(|member| self.location_of(number, member)));
            }
            let it = &mut self.types[id.0];
            if !is_name(&it.name) {
                if of_members.is_empty() {
                    of_members.push(declared.location.clone());
                }
                let name = it.name.clone();
                bad_names.extend(
                    of_members
                        .into_iter()
                        .map(|location| (name.clone(), location)),
                );
                // An input object is printed anyway.
                if !matches!(kind, TypeKind::Input(_)) {
                    it.name.clear();
                }
            }
            it.kind = kind;
            it.description.clone_from(&declared.description);
            it.annotations.clone_from(&declared.annotations);
            it.location = declared.location.clone();
            it.bad_names = bad_names;
        }
    }

    fn fields(&mut self, number: usize, declared: &[DeclaredField]) -> Sorted<Field> {
        let mut fields = BTreeMap::new();
        for field in declared {
            let of = self.output(number, &field.of);
            let about = Field {
                arguments: Sorted::new(),
                of,
                description: field.description.clone(),
                deprecated: field.deprecated.clone(),
                annotations: field.annotations.clone(),
                source: FieldSource::Property(field.source.clone()),
                location: field.location.clone(),
            };
            fields.insert(field.name.clone(), about);
        }
        if fields.is_empty() {
            let string = self.scalar(Scalar::String);
            let nothing = Field {
                of: TypeRef::plain(string),
                source: FieldSource::Nothing,
                ..container_field(string, None, None, Location::Nowhere)
            };
            fields.insert("_void".to_owned(), nothing);
        }
        fields.into_iter().collect()
    }

    fn input_fields(&mut self, number: usize, declared: &[DeclaredField]) -> Sorted<InputValue> {
        let mut fields = BTreeMap::new();
        for field in declared {
            // A property that is a union is dropped.
            let Ok(id) = self.input(number, &field.of) else {
                continue;
            };
            let about = InputValue {
                of: wrapped(id, &field.of),
                description: field.description.clone(),
                annotations: field.annotations.clone(),
                source: field.source.clone(),
                destination: Destination::Message,
                location: field.location.clone(),
            };
            fields.insert(field.name.clone(), about);
        }
        if fields.is_empty() {
            let string = self.scalar(Scalar::String);
            let nothing = InputValue {
                of: TypeRef::plain(string),
                description: None,
                annotations: Vec::new(),
                source: String::new(),
                destination: Destination::Message,
                location: Location::Nowhere,
            };
            fields.insert("_void".to_owned(), nothing);
        }
        fields.into_iter().collect()
    }
}

/// Beyond this many failures, those that a group of a version repeats are left out.
const MOST_REPEATED: usize = 1_000;

/// Where to put operations.
struct Within<'a> {
    namespace: &'a Namespace<'a>,
    number: usize,
    kind: OperationKind,
    /// The key of the version group; empty at the top.
    key: &'a str,
    deprecated: Option<String>,
}

impl Within<'_> {
    /// The name that gateways use in their errors.
    fn content(&self) -> String {
        match self.key {
            "" => "latest content".to_owned(),
            "stable" => "stable".to_owned(),
            key => format!("version {key}"),
        }
    }
}

fn wrapped(id: TypeId, of: &Ref) -> TypeRef {
    TypeRef {
        id,
        non_null: of.non_null,
        is_list: of.is_list,
        items_non_null: of.items_non_null,
    }
}

impl Entry {
    pub(super) fn kind(&self) -> OperationKind {
        match self {
            Self::Operation(it) => it.kind,
            Self::Group(it) => it.kind,
        }
    }
}

impl ir::Service {
    /// The location of its first operation.
    fn location(&self) -> Location {
        match self.entries.first() {
            Some(Entry::Operation(it)) => it.location.clone(),
            Some(Entry::Group(it)) => it.location.clone(),
            None => Location::Nowhere,
        }
    }
}

impl OperationKind {
    /// The number that gateways use in their errors.
    fn number(self) -> u8 {
        match self {
            Self::Query => 0,
            Self::Mutation => 1,
            Self::Subscription => 2,
        }
    }
}

impl EnumValue {
    fn nothing() -> Self {
        Self {
            description: None,
            deprecated: None,
            location: Location::Nowhere,
        }
    }
}

/// Sorts services by namespace and version: `unstable` is below v1.
pub(super) fn order(namespace: &str, version: Version) -> (&str, u64) {
    (namespace, version.number().unwrap_or(0))
}
