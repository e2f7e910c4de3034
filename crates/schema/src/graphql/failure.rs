//! Why a gateway cannot build a schema from its services.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::assemble::Assembled;
use super::descriptions::Annotation;
use super::ir::{self, Entry};
use super::model::{
    Field, FieldSource, Flaw, FlawKind, InputValue, OperationKind, Origin, Schema, Type, TypeId,
    TypeKind, TypeRef,
};
use crate::location::Location;
use crate::name::is_name;

/// One reason why a gateway cannot build a schema, with its error text.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// The kind of failure.
    pub kind: FailureKind,
    /// The name at fault.
    pub name: String,
    /// The gateway's error; of several failures it reports one, not always the same.
    pub text: String,
    /// The location at fault; two locations if two declarations collide.
    pub locations: Vec<Location>,
}

/// The kind of a [`Failure`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// A name that is not a GraphQL name.
    Name,
    /// Two types get the same name.
    TypeCollision,
    /// An operation or group is named like a version, or `stable`.
    GroupCollision,
    /// Two services of one file have the same version.
    TwoServices,
    /// Two operations get the same name.
    OperationCollision,
    /// An argument or body is a union.
    UnionAsInput,
    /// A proto map, `Struct`, `Value` or `ListValue` becomes a second scalar `JSON`.
    FreeJson,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The types of GraphQL introspection.
const INTROSPECTION: [&str; 8] = [
    "__Directive",
    "__DirectiveLocation",
    "__EnumValue",
    "__Field",
    "__InputValue",
    "__Schema",
    "__Type",
    "__TypeKind",
];

/// Messages that become free JSON.
const FREE: [&str; 3] = [
    "google.protobuf.Struct",
    "google.protobuf.Value",
    "google.protobuf.ListValue",
];

fn is_entry_of_free(it: &Type) -> bool {
    matches!(&it.origin, Origin::Proto(name) if name == "google.protobuf.Struct.FieldsEntry")
}

impl Location {
    /// The location of another part of the declaration than its name.
    fn of_part(&self, is_other: bool, part: i32) -> Self {
        match self {
            Self::Proto(file, path) if is_other => {
                let around = path.len().saturating_sub(1);
                let path = path.iter().take(around).copied().chain([part]).collect();
                Self::Proto(file.clone(), path)
            }
            location => location.clone(),
        }
    }
}

/// Types that the schema of a whole gateway always has.
const OF_THE_WHOLE: [&str; 7] = [
    "Float",
    "ID",
    "Int",
    "JSON",
    "Long",
    "Mutation",
    "Subscription",
];

/// Returns the schema, and the failures that keep a gateway from serving it.
pub(super) fn judge(assembled: Assembled, services: &[ir::Service]) -> (Schema, Vec<Failure>) {
    let mut walk = Walk {
        types: &assembled.types,
        by_name: BTreeMap::new(),
        open: Vec::new(),
        // A gateway stops after an earlier failure; this continues, to report everything.
        failures: assembled.failures,
    };
    let roots = [assembled.mutation, assembled.subscription];
    walk.open.extend(assembled.always);
    walk.open.extend(roots.into_iter().flatten());
    walk.open.push(assembled.query);
    walk.walk();
    for name in INTROSPECTION {
        if let Some(id) = walk.by_name.get(name) {
            let location = assembled.types[id.0].location.clone();
            walk.failures.push(two_types(name, vec![location]));
        }
    }
    let (by_name, failures) = (walk.by_name, walk.failures);
    let mut schema = Schema {
        all: assembled.types,
        by_name,
        query: assembled.query,
        mutation: assembled.mutation,
        subscription: assembled.subscription,
        directives: BTreeMap::new(),
        flaws: Vec::new(),
    };
    schema.collect_directives(&assembled.owned, services);
    schema.look_over();
    (schema, failures)
}

fn two_types(name: &str, locations: Vec<Location>) -> Failure {
    let text = format!(
        "graphql.NewSchema: Schema must contain unique named types but contains multiple types \
         named {name:?}."
    );
    Failure {
        kind: FailureKind::TypeCollision,
        name: name.to_owned(),
        text,
        locations,
    }
}

fn no_name(name: &str, location: &Location) -> Failure {
    let text = format!(
        "graphql.NewSchema: Names must match /^[_a-zA-Z][_a-zA-Z0-9]*$/ but \"{name}\" does not."
    );
    Failure {
        kind: FailureKind::Name,
        name: name.to_owned(),
        text,
        locations: vec![location.clone()],
    }
}

/// Visits everything reachable, in the way of the gateway's GraphQL library: it checks the names of
/// types only if they are neither in a list nor required, and only in outputs.
struct Walk<'a> {
    types: &'a [Type],
    by_name: BTreeMap<String, TypeId>,
    open: Vec<TypeId>,
    failures: Vec<Failure>,
}

impl Walk<'_> {
    fn walk(&mut self) {
        let mut told = HashMap::new();
        while let Some(id) = self.open.pop() {
            let it = &self.types[id.0];
            if it.name.is_empty() {
                continue;
            }
            match self.by_name.get(&it.name) {
                Some(same) if *same == id => continue,
                Some(other) => {
                    if told.insert(id, ()).is_none() {
                        let locations =
                            vec![it.location.clone(), self.types[other.0].location.clone()];
                        self.failures.push(two_types(&it.name, locations));
                    }
                    continue;
                }
                None => {
                    self.by_name.insert(it.name.clone(), id);
                }
            }
            match &it.kind {
                TypeKind::Object(fields) => {
                    for (name, field) in fields {
                        self.field(name, field);
                    }
                }
                TypeKind::Input(fields) => {
                    self.open.extend(fields.values().map(|it| it.of.id));
                }
                TypeKind::Union(members) => {
                    for member in members {
                        self.names_of(*member);
                        self.open.push(*member);
                    }
                }
                TypeKind::Enum(_) | TypeKind::Scalar => {}
            }
        }
    }

    fn field(&mut self, name: &str, field: &Field) {
        if field.of.is_bare() {
            self.names_of(field.of.id);
        }
        if !is_name(name) {
            self.failures.push(no_name(name, &field.location));
        }
        for (name, argument) in &field.arguments {
            if !is_name(name) {
                self.failures.push(no_name(name, &argument.location));
            }
            self.open.push(argument.of.id);
        }
        self.open.push(field.of.id);
    }

    fn names_of(&mut self, id: TypeId) {
        for (name, location) in &self.types[id.0].bad_names {
            let failure = no_name(name, location);
            // One type may be used by many fields.
            if !self.failures.contains(&failure) {
                self.failures.push(failure);
            }
        }
    }
}

impl Schema {
    /// Why a whole gateway cannot serve this schema although it can be served alone: types named like
    /// those that every gateway has.
    #[must_use]
    pub fn blocks(&self) -> Vec<Failure> {
        let ours = |name: &str, id: TypeId| {
            let is_root = self.mutation == Some(id) || self.subscription == Some(id);
            let it = self.get(id);
            let is_gateways = it.origin == Origin::Gateway;
            // The JSON of proto maps is a different scalar from the gateway's own.
            let is_proto_json = name == "JSON" && it.description.as_deref() == Some(PROTO_JSON);
            is_root || (is_gateways && !is_proto_json)
        };
        let named = OF_THE_WHOLE.iter().filter_map(|name| {
            let id = *self.by_name.get(*name)?;
            if ours(name, id) {
                return None;
            }
            let mut failure = two_types(name, vec![self.get(id).location.clone()]);
            if self.get(id).origin == Origin::Gateway {
                failure.kind = FailureKind::FreeJson;
                failure.locations = self
                    .users_of_json(id)
                    .map(|(_, location)| location)
                    .collect();
            }
            Some(failure)
        });
        named.collect()
    }

    /// What leads to the JSON of proto maps: maps, and fields and methods with a `Struct`, `Value` or
    /// `ListValue`, by their full names.
    pub(crate) fn free_json(&self) -> Vec<(String, Location)> {
        let id = self.by_name.get("JSON");
        let id = id.filter(|id| self.get(**id).description.as_deref() == Some(PROTO_JSON));
        let mut found: Vec<_> = id
            .into_iter()
            .flat_map(|id| self.users_of_json(*id))
            .collect();
        found.sort_by(|a, b| (&a.1, &a.0).cmp(&(&b.1, &b.0)));
        found.dedup();
        found
    }

    fn users_of_json(&self, json: TypeId) -> impl Iterator<Item = (String, Location)> {
        let is_free =
            |it: &Type| matches!(&it.origin, Origin::Proto(name) if FREE.contains(&name.as_str()));
        // The name to report for a field or argument if its type is or leads to free JSON.
        let told = |of: TypeRef, owner: &Type, source: &str| {
            let it = self.get(of.id);
            match (&it.origin, &owner.origin) {
                (Origin::Proto(name), _) if is_free(it) => Some((name.clone(), true)),
                (_, Origin::Proto(owner)) if of.id == json => {
                    Some((format!("{owner}.{source}"), false))
                }
                _ => None,
            }
        };
        let mut found = Vec::new();
        for owner in self
            .types()
            .filter(|it| !is_free(it) && !is_entry_of_free(it))
        {
            match &owner.kind {
                TypeKind::Object(fields) => {
                    for field in fields.values() {
                        let source = match &field.source {
                            FieldSource::Property(source) => source,
                            _ => "",
                        };
                        // The type of a field, or the response of a method.
                        let part = if field.operation().is_some() { 3 } else { 6 };
                        if let Some((name, is_use)) = told(field.of, owner, source) {
                            found.push((name, field.location.of_part(is_use, part)));
                        }
                        for argument in field.arguments.values() {
                            let it = self.get(argument.of.id);
                            if let Some((name, is_use)) = told(argument.of, owner, "") {
                                found.push((name, argument.location.of_part(is_use, 6)));
                            } else if is_entry_of_free(it) {
                                // The request itself is a `Struct`.
                                let name = FREE[0].to_owned();
                                found.push((name, field.location.of_part(true, 2)));
                            }
                        }
                    }
                }
                TypeKind::Input(fields) => {
                    for field in fields.values() {
                        if let Some((name, is_use)) = told(field.of, owner, &field.source) {
                            found.push((name, field.location.of_part(is_use, 6)));
                        }
                    }
                }
                _ => {}
            }
        }
        found.into_iter()
    }

    /// Collects the printed directives, service by service: first those of types, then of operations.
    fn collect_directives(&mut self, owned: &[Vec<TypeId>], services: &[ir::Service]) {
        let mut directives = Directives::default();
        for (types, service) in owned.iter().zip(services) {
            for id in types {
                let it = self.get(*id);
                if self.by_name.get(&it.name) != Some(id) {
                    continue;
                }
                directives.add(&it.annotations);
                match &it.kind {
                    TypeKind::Object(fields) => {
                        fields
                            .values()
                            .for_each(|it| directives.add(&it.annotations));
                    }
                    TypeKind::Input(fields) => {
                        fields
                            .values()
                            .for_each(|it| directives.add(&it.annotations));
                    }
                    _ => {}
                }
            }
            for kind in [
                OperationKind::Query,
                OperationKind::Mutation,
                OperationKind::Subscription,
            ] {
                for entry in service.entries.iter().filter(|it| it.kind() == kind) {
                    if let Entry::Operation(it) = entry {
                        directives.add(&it.annotations);
                    }
                }
            }
        }
        self.directives = directives.0;
    }

    /// Finds defects of the schema as text.
    fn look_over(&mut self) {
        let mut found = Found::default();
        for id in self.by_name.values() {
            let it = self.get(*id);
            found.annotations(&it.annotations, &it.location);
            found.description(it.description.as_deref(), &it.name, &it.location);
            match &it.kind {
                TypeKind::Object(fields) => {
                    for (name, field) in fields {
                        found.annotations(&field.annotations, &field.location);
                        found.description(field.description.as_deref(), name, &field.location);
                        found.reference(self, field.of);
                        for (name, argument) in &field.arguments {
                            found.input(self, name, argument);
                        }
                    }
                }
                TypeKind::Input(fields) => {
                    for (name, location) in &it.bad_names {
                        found.flaw(FlawKind::InputTypeName, name, location);
                    }
                    for (name, field) in fields {
                        found.annotations(&field.annotations, &field.location);
                        found.input(self, name, field);
                    }
                }
                TypeKind::Enum(values) => {
                    for (name, location) in &it.bad_names {
                        let kind = match values.is_empty() {
                            true => FlawKind::EmptyEnum,
                            false => FlawKind::EnumLosesValues,
                        };
                        found.flaw(kind, name, location);
                    }
                    for (name, value) in values {
                        found.description(value.description.as_deref(), name, &value.location);
                        if matches!(name.as_str(), "true" | "false" | "null") {
                            found.flaw(FlawKind::ReservedEnumValue, name, &value.location);
                        }
                    }
                }
                TypeKind::Union(members) => {
                    for member in members {
                        found.reference(self, TypeRef::plain(*member));
                    }
                }
                TypeKind::Scalar => {}
            }
        }
        self.flaws = found.flaws;
    }
}

/// The description of the scalar for proto maps.
const PROTO_JSON: &str =
    "Untyped JSON value (used as a fallback for IR map / unmappable scalar shapes).";

/// Directives, and their arguments' types.
#[derive(Default)]
struct Directives(BTreeMap<String, BTreeMap<String, &'static str>>);

impl Directives {
    fn add(&mut self, annotations: &[Annotation]) {
        for annotation in annotations {
            let declared = self.0.entry(annotation.name.clone()).or_default();
            for (name, value) in &annotation.arguments {
                let type_name = declared.entry(name.clone()).or_insert(value.type_name);
                // Among other types, the last one wins.
                if *type_name != "String" {
                    *type_name = value.type_name;
                }
            }
        }
    }
}

#[derive(Default)]
struct Found {
    flaws: Vec<Flaw>,
}

impl Found {
    fn flaw(&mut self, kind: FlawKind, name: &str, location: &Location) {
        let flaw = Flaw {
            kind,
            name: name.to_owned(),
            location: location.clone(),
        };
        if !self.flaws.contains(&flaw) {
            self.flaws.push(flaw);
        }
    }

    fn annotations(&mut self, annotations: &[Annotation], location: &Location) {
        for annotation in annotations {
            if !is_name(&annotation.name) {
                self.flaw(FlawKind::DirectiveName, &annotation.name, location);
            }
        }
    }

    /// A block string must neither end early nor continue past its end.
    fn description(&mut self, text: Option<&str>, name: &str, location: &Location) {
        let Some(text) = text else { return };
        let is_one_line = !text.contains('\n');
        if is_one_line && (text.ends_with('"') || text.ends_with('\\')) {
            self.flaw(FlawKind::Description, name, location);
        }
    }

    fn reference(&mut self, schema: &Schema, of: TypeRef) {
        let it = schema.get(of.id);
        if it.name.is_empty() {
            for (name, location) in &it.bad_names {
                self.flaw(FlawKind::NamelessType, name, location);
            }
        }
    }

    fn input(&mut self, schema: &Schema, name: &str, it: &InputValue) {
        self.description(it.description.as_deref(), name, &it.location);
        self.reference(schema, it.of);
    }
}
