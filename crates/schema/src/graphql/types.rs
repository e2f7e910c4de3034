//! The types of a schema: scalars, and those that services declare, each with its fields.

use std::collections::{BTreeMap, HashMap};

use super::ir::{self, Declared, DeclaredField, DeclaredKind, Ref, Scalar, To, Types};
use super::model::{
    Destination, EnumValue, Field, FieldSource, InputValue, Origin, Type, TypeId, TypeKind, TypeRef,
};
use super::names::flat;
use super::proto::Pool;
use crate::location::Location;
use crate::name::is_name;
use crate::sorted::Sorted;

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

/// Where a type is used: objects have a separate type for input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Position {
    Output,
    Input,
}

/// A union in a position where gateways cannot have one.
pub(super) struct NoInput(pub(super) String);

/// Makes types when they are first referred to; their fields are added at the end.
pub(super) struct TypeBuilder<'a> {
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
}

impl<'a> TypeBuilder<'a> {
    pub(super) fn new(services: &'a [ir::Service], pool: &'a Pool<'a>) -> Self {
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
        }
    }

    pub(super) fn add(&mut self, it: Type) -> TypeId {
        self.types.push(it);
        TypeId(self.types.len() - 1)
    }

    pub(super) fn scalar(&mut self, scalar: Scalar) -> TypeId {
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
    pub(super) fn output(&mut self, number: usize, of: &Ref) -> TypeRef {
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

    pub(super) fn input(&mut self, number: usize, of: &Ref) -> Result<TypeId, NoInput> {
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

    /// All types; and of each service those that it added first, in the order in which they were reached.
    pub(super) fn finish(self) -> (Vec<Type>, Vec<Vec<TypeId>>) {
        let mut owned = vec![Vec::new(); self.services.len()];
        for (id, owner) in &self.owners {
            owned[*owner].push(*id);
        }
        (self.types, owned)
    }

    /// Adds the fields of every type, and creates the types they refer to.
    pub(super) fn fill(&mut self) {
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
            let nothing = Field::nothing(string);
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

pub(super) fn wrapped(id: TypeId, of: &Ref) -> TypeRef {
    TypeRef {
        id,
        non_null: of.non_null,
        is_list: of.is_list,
        items_non_null: of.items_non_null,
    }
}
impl Field {
    /// A field that stands for nothing: a type has at least one.
    pub(super) fn nothing(string: TypeId) -> Self {
        Self {
            arguments: Sorted::new(),
            of: TypeRef::plain(string),
            description: None,
            deprecated: None,
            annotations: Vec::new(),
            source: FieldSource::Nothing,
            location: Location::Nowhere,
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
