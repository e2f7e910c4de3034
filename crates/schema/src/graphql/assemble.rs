//! Builds a schema from services: namespaces, versions, `stable` and groups.

use std::collections::{BTreeMap, btree_map};
use std::sync::Arc;

use super::failure::{Failure, FailureKind};
use super::ir::{self, Argument, Entry, Scalar};
use super::model::{
    Field, FieldSource, InputValue, Operation, OperationKind, Origin, Type, TypeId, TypeKind,
    TypeRef,
};
use super::names::capitalized;
use super::proto::Pool;
use super::types::{NoInput, TypeBuilder, wrapped};
use crate::location::Location;
use crate::name::is_name;
use crate::sorted::Sorted;
use crate::version::Version;

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
    let mut builder = Builder {
        services,
        types: TypeBuilder::new(services, pool),
        failures: Vec::new(),
    };
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
        let string = builder.types.scalar(Scalar::String);
        queries.insert("_status".to_owned(), Field::nothing(string));
    }
    let query = builder.container("Query".to_owned(), None, queries);
    let mut root = |name: &str, fields: BTreeMap<String, Field>| {
        (!fields.is_empty()).then(|| builder.container(name.to_owned(), None, fields))
    };
    let mutation = root("Mutation", mutations);
    let subscription = root("Subscription", subscriptions);
    builder.types.fill();
    let always = [Scalar::Upload, Scalar::String, Scalar::Boolean];
    let always = always.map(|it| builder.types.scalar(it));
    let (types, owned) = builder.types.finish();
    Assembled {
        types,
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

struct Builder<'a> {
    services: &'a [ir::Service],
    types: TypeBuilder<'a>,
    failures: Vec<Failure>,
}

impl Builder<'_> {
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
        self.types.add(Type {
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
        let of = self.types.output(within.number, &it.result);
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
        let id = self.types.input(number, &it.of)?;
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

/// Sorts services by namespace and version: `unstable` is below v1.
pub(super) fn order(namespace: &str, version: Version) -> (&str, u64) {
    (namespace, version.number().unwrap_or(0))
}
