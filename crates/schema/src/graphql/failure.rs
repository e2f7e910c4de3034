//! Why a gateway cannot make a schema of its services.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use super::assemble::Assembled;
use super::model::{
    Field, Flaw, FlawKind, InputValue, Place, Schema, Type, TypeId, TypeKind, TypeRef,
};
use super::text::Annotation;
use crate::name::is_name;

/// One reason why a gateway cannot make a schema, with what it says then.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Failure {
    /// What sort of reason it is.
    pub kind: FailureKind,
    /// The name at fault.
    pub name: String,
    /// What the gateway says: of several failures it tells one, not always the same.
    pub text: String,
    /// Where it comes from; two places where two declarations collide.
    pub places: Vec<Place>,
}

/// Why a gateway cannot make a schema.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureKind {
    /// A name that GraphQL does not have.
    Name,
    /// Two types become one.
    TypeCollision,
    /// An operation or group is called like a version, or `stable`.
    GroupCollision,
    /// Two operations become one.
    OperationCollision,
    /// An argument or body is a union.
    UnionAsInput,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Types by which a GraphQL server describes itself.
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

/// Types that the schema of a whole gateway has, whatever is registered.
const OF_THE_WHOLE: [&str; 7] = [
    "Float",
    "ID",
    "Int",
    "JSON",
    "Long",
    "Mutation",
    "Subscription",
];

/// A schema, if a gateway can serve it.
pub(super) fn check(assembled: Assembled) -> Result<Schema, Vec<Failure>> {
    // A gateway that fails here looks no further.
    if !assembled.failures.is_empty() {
        return Err(assembled.failures);
    }
    let mut walk = Walk {
        types: &assembled.types,
        by_name: BTreeMap::new(),
        open: Vec::new(),
        failures: Vec::new(),
    };
    let roots = [assembled.mutation, assembled.subscription];
    walk.open.extend(assembled.always);
    walk.open.extend(roots.into_iter().flatten());
    walk.open.push(assembled.query);
    walk.walk();
    for name in INTROSPECTION {
        if let Some(id) = walk.by_name.get(name) {
            let place = assembled.types[id.0].place.clone();
            walk.failures.push(two_types(name, vec![place]));
        }
    }
    if !walk.failures.is_empty() {
        return Err(walk.failures);
    }
    let by_name = walk.by_name;
    let mut schema = Schema {
        all: assembled.types,
        by_name,
        query: assembled.query,
        mutation: assembled.mutation,
        subscription: assembled.subscription,
        directives: BTreeMap::new(),
        flaws: Vec::new(),
    };
    schema.look_over();
    Ok(schema)
}

fn two_types(name: &str, places: Vec<Place>) -> Failure {
    let text = format!(
        "graphql.NewSchema: Schema must contain unique named types but contains multiple types \
         named {name:?}."
    );
    Failure {
        kind: FailureKind::TypeCollision,
        name: name.to_owned(),
        text,
        places,
    }
}

fn no_name(name: &str, place: &Place) -> Failure {
    let text = format!(
        "graphql.NewSchema: Names must match /^[_a-zA-Z][_a-zA-Z0-9]*$/ but \"{name}\" does not."
    );
    Failure {
        kind: FailureKind::Name,
        name: name.to_owned(),
        text,
        places: vec![place.clone()],
    }
}

/// Goes over all that can be reached, as a gateway's GraphQL library does: it looks at the names of
/// types where they are neither in a list nor required, and only in outputs.
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
                        let places = vec![it.place.clone(), self.types[other.0].place.clone()];
                        self.failures.push(two_types(&it.name, places));
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
            self.failures.push(no_name(name, &field.place));
        }
        for (name, argument) in &field.arguments {
            if !is_name(name) {
                self.failures.push(no_name(name, &argument.place));
            }
            self.open.push(argument.of.id);
        }
        self.open.push(field.of.id);
    }

    fn names_of(&mut self, id: TypeId) {
        for (name, place) in &self.types[id.0].bad_names {
            let failure = no_name(name, place);
            // One type may be used in many places.
            if !self.failures.contains(&failure) {
                self.failures.push(failure);
            }
        }
    }
}

impl Schema {
    /// What keeps a whole gateway from serving this although it can be served alone: types that are
    /// called like those that every gateway has.
    #[must_use]
    pub fn blocks(&self) -> Vec<Failure> {
        let ours = |name: &str, id: TypeId| {
            let is_root = self.mutation == Some(id) || self.subscription == Some(id);
            let it = self.get(id);
            let is_gateways = it.origin == super::model::Origin::Gateway;
            // The JSON of proto maps is another scalar than that of gateways.
            let is_proto_json = name == "JSON" && it.description.as_deref() == Some(PROTO_JSON);
            is_root || (is_gateways && !is_proto_json)
        };
        let named = OF_THE_WHOLE.iter().filter_map(|name| {
            let id = *self.by_name.get(*name)?;
            if ours(name, id) {
                return None;
            }
            let mut places = vec![self.get(id).place.clone()];
            places.extend(self.users_of(id));
            Some(two_types(name, places))
        });
        named.collect()
    }

    /// Where fields and arguments of a type are.
    fn users_of(&self, id: TypeId) -> Vec<Place> {
        let mut places = Vec::new();
        for it in self.types() {
            match &it.kind {
                TypeKind::Object(fields) => {
                    for field in fields.values() {
                        let arguments = field.arguments.values();
                        let used = arguments.filter(|it| it.of.id == id);
                        places.extend(used.map(|it| it.place.clone()));
                        if field.of.id == id {
                            places.push(field.place.clone());
                        }
                    }
                }
                TypeKind::Input(fields) => {
                    let used = fields.values().filter(|it| it.of.id == id);
                    places.extend(used.map(|it| it.place.clone()));
                }
                _ => {}
            }
        }
        places.sort();
        places.dedup();
        places
    }

    /// Collects the directives that are printed, and what is wrong with the text.
    fn look_over(&mut self) {
        let mut found = Found::default();
        for id in self.by_name.values() {
            let it = self.get(*id);
            found.annotations(&it.annotations, &it.place);
            found.description(it.description.as_deref(), &it.name, &it.place);
            match &it.kind {
                TypeKind::Object(fields) => {
                    for (name, field) in fields {
                        found.annotations(&field.annotations, &field.place);
                        found.description(field.description.as_deref(), name, &field.place);
                        found.reference(self, field.of);
                        for (name, argument) in &field.arguments {
                            found.input(self, name, argument);
                        }
                    }
                }
                TypeKind::Input(fields) => {
                    for (name, place) in &it.bad_names {
                        found.flaw(FlawKind::InputTypeName, name, place);
                    }
                    for (name, field) in fields {
                        found.annotations(&field.annotations, &field.place);
                        found.input(self, name, field);
                    }
                }
                TypeKind::Enum(values) => {
                    for (name, place) in &it.bad_names {
                        let kind = match values.is_empty() {
                            true => FlawKind::EmptyEnum,
                            false => FlawKind::EnumLosesValues,
                        };
                        found.flaw(kind, name, place);
                    }
                    for (name, value) in values {
                        found.description(value.description.as_deref(), name, &value.place);
                        if matches!(name.as_str(), "true" | "false" | "null") {
                            found.flaw(FlawKind::ReservedEnumValue, name, &value.place);
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
        self.directives = found.directives;
        self.flaws = found.flaws;
    }
}

/// The description of the scalar that proto maps become.
const PROTO_JSON: &str =
    "Untyped JSON value (used as a fallback for IR map / unmappable scalar shapes).";

#[derive(Default)]
struct Found {
    directives: BTreeMap<String, BTreeMap<String, &'static str>>,
    flaws: Vec<Flaw>,
}

impl Found {
    fn flaw(&mut self, kind: FlawKind, name: &str, place: &Place) {
        let flaw = Flaw {
            kind,
            name: name.to_owned(),
            place: place.clone(),
        };
        if !self.flaws.contains(&flaw) {
            self.flaws.push(flaw);
        }
    }

    fn annotations(&mut self, annotations: &[Annotation], place: &Place) {
        for annotation in annotations {
            if !is_name(&annotation.name) {
                self.flaw(FlawKind::DirectiveName, &annotation.name, place);
            }
            let declared = self.directives.entry(annotation.name.clone()).or_default();
            for (name, value) in &annotation.arguments {
                declared
                    .entry(name.clone())
                    .and_modify(|it| {
                        if *it != value.type_name {
                            *it = "String";
                        }
                    })
                    .or_insert(value.type_name);
            }
        }
    }

    /// A block string must not end in the middle, or go on behind its end.
    fn description(&mut self, text: Option<&str>, name: &str, place: &Place) {
        let Some(text) = text else { return };
        let is_one_line = !text.contains('\n');
        if is_one_line && (text.ends_with('"') || text.ends_with('\\')) {
            self.flaw(FlawKind::Description, name, place);
        }
    }

    fn reference(&mut self, schema: &Schema, of: TypeRef) {
        let it = schema.get(of.id);
        if it.name.is_empty() {
            for (name, place) in &it.bad_names {
                self.flaw(FlawKind::NamelessType, name, place);
            }
        }
    }

    fn input(&mut self, schema: &Schema, name: &str, it: &InputValue) {
        self.description(it.description.as_deref(), name, &it.place);
        self.reference(schema, it.of);
    }
}
