//! GraphQL upstreams: their introspection, and the groups that a gateway forms from it.

use std::collections::{HashMap, HashSet};

use serde_json::Value;

use super::descriptions::{description, referring_comment};
use super::ir::{
    Argument, Declared, DeclaredField, DeclaredKind, DeclaredValue, Entry, Group, Operation, Ref,
    Scalar, Service, To, Types,
};
use super::model::{Destination, OperationKind, Target};
use crate::location::Location;
use crate::version::Version;

/// The introspection of a GraphQL upstream, as far as gateways look at it.
#[derive(Clone, Debug, Default)]
pub struct Introspection {
    pub(super) query: Option<String>,
    pub(super) mutation: Option<String>,
    pub(super) subscription: Option<String>,
    pub(super) types: Vec<UpstreamType>,
}

#[derive(Clone, Debug)]
pub(super) struct UpstreamType {
    pub(super) kind: UpstreamKind,
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) location: Location,
}

#[derive(Clone, Debug)]
pub(super) enum UpstreamKind {
    Object(Vec<UpstreamField>),
    Input(Vec<UpstreamInput>),
    Enum(Vec<DeclaredValue>),
    /// The possible object types of a union or an interface.
    Abstract(Vec<String>),
    Scalar,
}

#[derive(Clone, Debug)]
pub(super) struct UpstreamField {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) arguments: Vec<UpstreamInput>,
    pub(super) of: UpstreamRef,
    pub(super) deprecated: Option<String>,
    pub(super) location: Location,
}

#[derive(Clone, Debug)]
pub(super) struct UpstreamInput {
    pub(super) name: String,
    pub(super) description: Option<String>,
    pub(super) of: UpstreamRef,
    pub(super) location: Location,
}

/// A type of an upstream; for lists of lists, the inner lists are lost.
#[derive(Clone, Debug)]
pub(super) struct UpstreamRef {
    pub(super) name: String,
    pub(super) non_null: bool,
    pub(super) is_list: bool,
    pub(super) items_non_null: bool,
}

/// An operation of an upstream, with its features that do not survive a gateway.
#[derive(Clone, Debug)]
pub(crate) struct UpstreamOperation {
    pub(crate) kind: OperationKind,
    /// Its own name, after those of the groups around it.
    pub(crate) path: Vec<String>,
    pub(crate) location: Location,
    pub(crate) has_arguments: bool,
    /// Arguments of input and enum types.
    pub(crate) typed_arguments: Vec<String>,
    /// Its type is that of a group, and is JSON here.
    pub(crate) is_opaque: bool,
    /// Some of the fields below it that have arguments, as `Type.field`.
    pub(crate) nested_arguments: Vec<String>,
    /// The interface that it returns.
    pub(crate) interfaces: Vec<String>,
    /// Whether anything below it is not a scalar.
    pub(crate) has_nested: bool,
}

const KINDS: [OperationKind; 3] = [
    OperationKind::Query,
    OperationKind::Mutation,
    OperationKind::Subscription,
];

/// How many fields with arguments are kept for an operation.
const MOST_NESTED: usize = 4;

/// Groups are followed up to this many operations.
const MAX_OPERATIONS: usize = 100_000;

// === impl Introspection ===

impl Introspection {
    /// Parses the reply to an introspection query, with or without `data` around it.
    #[must_use]
    pub fn from_json(reply: &Value) -> Option<Self> {
        let reply = reply.get("data").unwrap_or(reply);
        let schema = reply.get("__schema").unwrap_or(reply);
        let root = |key: &str| Some(schema.get(key)?.get("name")?.as_str()?.to_owned());
        let types = schema.get("types")?.as_array()?;
        Some(Self {
            query: root("queryType"),
            mutation: root("mutationType"),
            subscription: root("subscriptionType"),
            types: types.iter().filter_map(UpstreamType::from_json).collect(),
        })
    }

    /// Every operation that gateways offer, including those in groups.
    pub(crate) fn operations(&self) -> Vec<UpstreamOperation> {
        let mut upstream = Upstream::new(self);
        let mut entries = Vec::new();
        for kind in KINDS {
            if let Some(root) = self.root(kind) {
                upstream.removed.insert(root.to_owned());
                entries.extend(upstream.entries(kind, root, &mut Vec::new(), &mut Vec::new()));
            }
        }
        let nested = upstream.nested_arguments();
        let mut operations = Vec::new();
        while !entries.is_empty() {
            let mut inner = Vec::new();
            for entry in entries {
                match entry {
                    Entry::Operation(it) => operations.extend(upstream.operation(it, &nested)),
                    Entry::Group(group) => inner.extend(group.entries),
                }
            }
            entries = inner;
        }
        operations
    }

    pub(crate) fn has_query(&self) -> bool {
        self.query.is_some()
    }

    fn root(&self, kind: OperationKind) -> Option<&str> {
        match kind {
            OperationKind::Query => self.query.as_deref(),
            OperationKind::Mutation => self.mutation.as_deref(),
            OperationKind::Subscription => self.subscription.as_deref(),
        }
    }
}

impl UpstreamType {
    fn from_json(it: &Value) -> Option<Self> {
        let name = text(it, "name")?;
        let kind = match it.get("kind")?.as_str()? {
            "OBJECT" => UpstreamKind::Object(list(it, "fields", UpstreamField::from_json)),
            "INPUT_OBJECT" => {
                UpstreamKind::Input(list(it, "inputFields", UpstreamInput::from_json))
            }
            "ENUM" => UpstreamKind::Enum(list(it, "enumValues", |value| {
                Some(DeclaredValue {
                    name: text(value, "name")?,
                    description: text(value, "description").and_then(|it| description(&it)),
                    deprecated: deprecation(value),
                    location: Location::Text(0, 0),
                })
            })),
            "UNION" | "INTERFACE" => {
                UpstreamKind::Abstract(list(it, "possibleTypes", |it| text(it, "name")))
            }
            "SCALAR" => UpstreamKind::Scalar,
            _ => return None,
        };
        Some(Self {
            kind,
            name,
            description: text(it, "description"),
            location: Location::Text(0, 0),
        })
    }
}

impl UpstreamField {
    fn from_json(it: &Value) -> Option<Self> {
        Some(Self {
            name: text(it, "name")?,
            description: text(it, "description"),
            arguments: list(it, "args", UpstreamInput::from_json),
            of: UpstreamRef::from_json(it.get("type")?)?,
            deprecated: deprecation(it),
            location: Location::Text(0, 0),
        })
    }
}

impl UpstreamInput {
    /// `None` if it is deprecated: gateways do not ask for it.
    fn from_json(it: &Value) -> Option<Self> {
        if it.get("isDeprecated") == Some(&Value::Bool(true)) {
            return None;
        }
        Some(Self {
            name: text(it, "name")?,
            description: text(it, "description"),
            of: UpstreamRef::from_json(it.get("type")?)?,
            location: Location::Text(0, 0),
        })
    }
}

impl UpstreamRef {
    fn from_json(it: &Value) -> Option<Self> {
        let kind = |it: &Value| it.get("kind").and_then(Value::as_str).map(str::to_owned);
        let mut wrappers = Vec::new();
        let mut it = it;
        loop {
            match kind(it)?.as_str() {
                "LIST" => wrappers.push(false),
                "NON_NULL" => wrappers.push(true),
                _ => break,
            }
            it = it.get("ofType")?;
        }
        Some(Self::new(text(it, "name")?, &wrappers))
    }

    /// Wrappers from the outside in: `true` for `!`, `false` for a list.
    pub(super) fn new(name: String, wrappers: &[bool]) -> Self {
        let non_null = wrappers.first() == Some(&true);
        let inner = &wrappers[usize::from(non_null)..];
        let is_list = inner.first() == Some(&false);
        Self {
            name,
            non_null,
            is_list,
            items_non_null: is_list && inner.get(1) == Some(&true),
        }
    }
}

fn text(it: &Value, key: &str) -> Option<String> {
    Some(it.get(key)?.as_str()?.to_owned())
}

fn list<T>(it: &Value, key: &str, read: impl Fn(&Value) -> Option<T>) -> Vec<T> {
    let items = it.get(key).and_then(Value::as_array);
    items.into_iter().flatten().filter_map(read).collect()
}

fn deprecation(it: &Value) -> Option<String> {
    let is_deprecated = it.get("isDeprecated") == Some(&Value::Bool(true));
    let reason = is_deprecated.then(|| text(it, "deprecationReason"));
    reason.flatten().filter(|it| !it.is_empty())
}

/// Converts an upstream to a service.
pub(super) fn service(
    namespace: &str,
    version: Version,
    deprecated: Option<&str>,
    introspection: &Introspection,
) -> Service {
    let mut upstream = Upstream::new(introspection);
    let mut entries = Vec::new();
    for kind in KINDS {
        if let Some(root) = introspection.root(kind) {
            upstream.removed.insert(root.to_owned());
            entries.extend(upstream.entries(kind, root, &mut Vec::new(), &mut Vec::new()));
        }
    }
    let types = upstream.declared();
    Service {
        namespace: namespace.to_owned(),
        version,
        deprecated: deprecated.map(str::to_owned),
        types: Types::GraphQl(types),
        entries,
    }
}

struct Upstream<'a> {
    types: HashMap<&'a str, &'a UpstreamType>,
    /// Object types that lead to a field with arguments.
    reaching: HashSet<&'a str>,
    /// Root types and the types of groups: everywhere else they become JSON.
    removed: HashSet<String>,
    operations: usize,
}

impl<'a> Upstream<'a> {
    fn new(introspection: &'a Introspection) -> Self {
        let types = introspection.types.iter();
        let mut upstream = Self {
            types: types.map(|it| (it.name.as_str(), it)).collect(),
            reaching: HashSet::new(),
            removed: HashSet::new(),
            operations: 0,
        };
        upstream.reaching = upstream.reaching();
        upstream
    }

    fn fields(&self, name: &str) -> &'a [UpstreamField] {
        match self.types.get(name).map(|it| &it.kind) {
            Some(UpstreamKind::Object(fields)) => fields,
            _ => &[],
        }
    }

    fn reaching(&self) -> HashSet<&'a str> {
        // The users of each type, to walk back from types with arguments.
        let mut referring: HashMap<&str, Vec<&'a str>> = HashMap::new();
        let mut open = Vec::new();
        for name in self.types.keys() {
            let fields = self.fields(name);
            if fields.iter().any(|it| !it.arguments.is_empty()) {
                open.push(*name);
            }
            for field in fields.iter().filter(|it| !it.of.is_list) {
                referring.entry(&field.of.name).or_default().push(name);
            }
        }
        let mut reaching = HashSet::new();
        while let Some(name) = open.pop() {
            if reaching.insert(name) {
                open.extend(referring.get(name).into_iter().flatten());
            }
        }
        reaching
    }

    /// Fields with arguments, by the types that lead to them through fields of any type.
    fn nested_arguments(&self) -> HashMap<&'a str, Vec<String>> {
        let mut referring: HashMap<&str, Vec<&'a str>> = HashMap::new();
        let mut names: Vec<&str> = self.types.keys().copied().collect();
        names.sort_unstable();
        let mut having = Vec::new();
        for name in names {
            for field in self.fields(name) {
                referring.entry(&field.of.name).or_default().push(name);
                if !field.arguments.is_empty() && !self.removed.contains(name) {
                    having.push((name, format!("{name}.{}", field.name)));
                }
            }
            if let Some(UpstreamKind::Abstract(members)) = self.types.get(name).map(|it| &it.kind) {
                for member in members {
                    referring.entry(member).or_default().push(name);
                }
            }
        }
        let mut found: HashMap<&str, Vec<String>> = HashMap::new();
        for (of, field) in having {
            let mut open = vec![of];
            while let Some(of) = open.pop() {
                let known = found.entry(of).or_default();
                if known.len() >= MOST_NESTED || known.contains(&field) {
                    continue;
                }
                known.push(field.clone());
                open.extend(referring.get(of).into_iter().flatten());
            }
        }
        found
    }

    fn operation(
        &self,
        operation: Operation,
        nested: &HashMap<&str, Vec<String>>,
    ) -> Option<UpstreamOperation> {
        let Target::GraphQl { path } = operation.target else {
            return None;
        };
        let result = match operation.result.to {
            To::Named(name) => name,
            To::Scalar(_) => String::new(),
        };
        let kind_of = |name: &str| self.types.get(name).map(|it| &it.kind);
        let is_typed = |of: &Ref| match &of.to {
            To::Named(name) => matches!(
                kind_of(name),
                Some(UpstreamKind::Input(_) | UpstreamKind::Enum(_))
            ),
            To::Scalar(_) => false,
        };
        let typed = operation.arguments.iter().filter(|it| is_typed(&it.of));
        let is_leaf = |name: &str| {
            let kind = kind_of(name);
            kind.is_none_or(|it| matches!(it, UpstreamKind::Scalar | UpstreamKind::Enum(_)))
        };
        let is_opaque = self.removed.contains(&result);
        let is_abstract = matches!(kind_of(&result), Some(UpstreamKind::Abstract(_)));
        let fields = self.fields(&result).iter();
        Some(UpstreamOperation {
            kind: operation.kind,
            path,
            location: operation.location,
            has_arguments: !operation.arguments.is_empty(),
            typed_arguments: typed.map(|it| it.name.clone()).collect(),
            is_opaque,
            nested_arguments: match is_opaque {
                true => Vec::new(),
                false => nested.get(&*result).cloned().unwrap_or_default(),
            },
            has_nested: is_abstract || fields.into_iter().any(|it| !is_leaf(&it.of.name)),
            interfaces: is_abstract.then_some(result).into_iter().collect(),
        })
    }

    /// The operations and groups of a type, inside the groups that lead to it.
    fn entries(
        &mut self,
        kind: OperationKind,
        name: &str,
        groups: &mut Vec<String>,
        around: &mut Vec<String>,
    ) -> Vec<Entry> {
        around.push(name.to_owned());
        let mut entries = Vec::new();
        for field in self.fields(name) {
            let of = &field.of;
            let is_group = field.arguments.is_empty()
                && !of.is_list
                && self.reaching.contains(of.name.as_str())
                && !around.contains(&of.name)
                && self.operations < MAX_OPERATIONS;
            if is_group {
                self.removed.insert(of.name.clone());
                groups.push(field.name.clone());
                let inner = self.entries(kind, &of.name, groups, around);
                groups.pop();
                entries.push(Entry::Group(Group {
                    kind,
                    name: field.name.clone(),
                    description: commented(field.description.as_deref()),
                    entries: inner,
                    location: field.location.clone(),
                }));
                continue;
            }
            self.operations += 1;
            let arguments = field.arguments.iter().map(|argument| Argument {
                name: argument.name.clone(),
                of: Ref::from(&argument.of),
                description: argument.description.as_deref().and_then(description),
                destination: Destination::Message,
                location: argument.location.clone(),
            });
            let path = groups.iter().chain([&field.name]).cloned().collect();
            entries.push(Entry::Operation(Operation {
                kind,
                name: field.name.clone(),
                arguments: arguments.collect(),
                result: Ref::from(of),
                description: commented(field.description.as_deref()),
                deprecated: field.deprecated.clone(),
                annotations: Vec::new(),
                target: Target::GraphQl { path },
                location: field.location.clone(),
            }));
        }
        around.pop();
        entries
    }

    fn declared(&self) -> HashMap<String, Declared> {
        let kept = self
            .types
            .values()
            .filter(|it| !self.removed.contains(&it.name) && scalar(&it.name).is_none());
        let declared = kept.map(|it| {
            let kind = match &it.kind {
                UpstreamKind::Object(fields) => {
                    DeclaredKind::Object(fields.iter().map(DeclaredField::from).collect())
                }
                UpstreamKind::Input(fields) => {
                    DeclaredKind::Input(fields.iter().map(DeclaredField::from).collect())
                }
                UpstreamKind::Enum(values) => DeclaredKind::Enum(values.clone()),
                UpstreamKind::Abstract(members) => DeclaredKind::Union(members.clone()),
                UpstreamKind::Scalar => DeclaredKind::Scalar,
            };
            let declared = Declared {
                kind,
                description: commented(it.description.as_deref()),
                annotations: Vec::new(),
                location: it.location.clone(),
            };
            (it.name.clone(), declared)
        });
        declared.collect()
    }
}

fn commented(text: Option<&str>) -> Option<String> {
    text.and_then(referring_comment)
}

impl From<&UpstreamField> for DeclaredField {
    fn from(it: &UpstreamField) -> Self {
        Self {
            name: it.name.clone(),
            source: it.name.clone(),
            of: Ref::from(&it.of),
            description: commented(it.description.as_deref()),
            deprecated: it.deprecated.clone(),
            annotations: Vec::new(),
            location: it.location.clone(),
        }
    }
}

impl From<&UpstreamInput> for DeclaredField {
    fn from(it: &UpstreamInput) -> Self {
        Self {
            name: it.name.clone(),
            source: it.name.clone(),
            of: Ref::from(&it.of),
            description: commented(it.description.as_deref()),
            deprecated: None,
            annotations: Vec::new(),
            location: it.location.clone(),
        }
    }
}

fn scalar(name: &str) -> Option<Scalar> {
    Some(match name {
        "Int" => Scalar::Int,
        "Float" => Scalar::Float,
        "String" => Scalar::String,
        "Boolean" => Scalar::Boolean,
        "ID" => Scalar::Id,
        _ => return None,
    })
}

impl From<&UpstreamRef> for Ref {
    fn from(it: &UpstreamRef) -> Self {
        let to = match scalar(&it.name) {
            Some(scalar) => To::Scalar(scalar),
            None => To::Named(it.name.clone()),
        };
        Self {
            to,
            non_null: it.non_null,
            is_list: it.is_list,
            items_non_null: it.items_non_null,
        }
    }
}
