//! Proto sources: services and their methods, and one pool for all their types.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::Arc;

use prost_reflect::{
    Cardinality, DynamicMessage, EnumDescriptor, FieldDescriptor, FileDescriptor, Kind,
    MessageDescriptor, Value,
};

use super::descriptions::{self, Marked};
use super::ir::{
    Argument, Declared, DeclaredField, DeclaredKind, DeclaredValue, Entry, Operation, Ref, Scalar,
    Service, To, Types,
};
use super::model::{Destination, OperationKind, Target};
use super::names::{field_name, lower_camel};
use crate::location::Location;
use crate::proto::lex::Source;
use crate::proto::source_info;
use crate::proto::{Compiled, name_of, path_of};
use crate::version::Version;

/// The option that turns a field of bytes into an upload.
const UPLOAD: &str = "gwag.upload.v1.upload";

/// The leading comments of every file of a compiled source, parsed on first use.
pub(super) struct Comments<'a> {
    compiled: &'a Compiled,
    files: HashMap<String, OnceCell<HashMap<Vec<i32>, String>>>,
    /// File names, shared by all locations.
    names: HashMap<String, Arc<str>>,
}

/// A type of the pool, and the comments of the source that defines it.
#[derive(Clone)]
pub(super) enum Pooled {
    Message(MessageDescriptor),
    Enum(EnumDescriptor),
}

/// The types of all proto sources, by full name; the last source wins.
#[derive(Default)]
pub(super) struct Pool<'a> {
    sources: Vec<Comments<'a>>,
    /// The source whose definition counts, by the names of messages and enums.
    owners: HashMap<String, usize>,
}

// === impl Comments ===

impl<'a> Comments<'a> {
    pub(super) fn new(compiled: &'a Compiled) -> Self {
        let names = || compiled.files().map(|file| file.name().to_owned());
        Self {
            compiled,
            files: names().map(|name| (name, OnceCell::new())).collect(),
            names: names()
                .map(|name| (name.clone(), Arc::from(name)))
                .collect(),
        }
    }

    /// The leading comment of the declaration at a path.
    fn of(&self, file: &FileDescriptor, path: &[i32]) -> Option<&str> {
        let comments = self.files.get(file.name())?;
        let comments = comments.get_or_init(|| self.read(file).unwrap_or_default());
        comments.get(path).map(String::as_str)
    }

    fn read(&self, file: &FileDescriptor) -> Option<HashMap<Vec<i32>, String>> {
        // Built-in files have none.
        let text = self.compiled.source_of(file.name())?;
        if !text.contains("//") && !text.contains("/*") {
            return None;
        }
        let info = file.file_descriptor_proto().source_code_info.as_ref()?;
        // If a location fits no token, the compiler's source info is used unchanged.
        let info = source_info::canonical(info.clone(), &Source::read(text))
            .unwrap_or_else(|| info.clone());
        let leading = |it: prost_reflect::prost_types::source_code_info::Location| {
            Some((it.path, it.leading_comments?))
        };
        Some(info.location.into_iter().filter_map(leading).collect())
    }

    fn marked(&self, file: &FileDescriptor, path: &[i32]) -> Marked {
        self.of(file, path)
            .map(descriptions::marked_comment)
            .unwrap_or_default()
    }

    fn location(&self, file: &FileDescriptor, path: &[i32], part: i32) -> Location {
        let Some(name) = self.names.get(file.name()) else {
            return Location::Nowhere;
        };
        let path = path.iter().copied().chain([part]).collect();
        Location::Proto(Arc::clone(name), path)
    }
}

/// The name is field 1 of a declaration, whether it is a message, an enum or a method.
const NAME: i32 = 1;

/// Every service of the entry file.
pub(super) fn services(
    namespace: &str,
    version: Version,
    deprecated: Option<&str>,
    comments: &Comments<'_>,
) -> Vec<Service> {
    let Some(entry) = comments.compiled.entry() else {
        return Vec::new();
    };
    let services = entry.services().map(|service| Service {
        namespace: namespace.to_owned(),
        version,
        deprecated: deprecated.map(str::to_owned),
        types: Types::Pool,
        entries: service
            .methods()
            .map(|method| {
                let marked = comments.marked(&entry, method.path());
                let kind = match method.is_server_streaming() {
                    true => OperationKind::Subscription,
                    false => OperationKind::Query,
                };
                let input = method.input();
                let argument = |field: FieldDescriptor| argument(&field, comments);
                Entry::Operation(Operation {
                    kind,
                    name: lower_camel(method.name()),
                    arguments: input.fields().map(argument).collect(),
                    result: Ref::named(method.output().full_name()),
                    description: marked.description,
                    deprecated: None,
                    annotations: marked.annotations,
                    target: Target::Grpc {
                        path: path_of(&method),
                        request: input.full_name().to_owned(),
                        response: method.output().full_name().to_owned(),
                        is_client_streaming: method.is_client_streaming(),
                        is_server_streaming: method.is_server_streaming(),
                    },
                    location: comments.location(&entry, method.path(), NAME),
                })
            })
            .collect(),
    });
    services.collect()
}

/// A field of a request as an argument: never a list, and a map is a single entry.
fn argument(field: &FieldDescriptor, comments: &Comments<'_>) -> Argument {
    let file = field.parent_message().parent_file();
    let description = comments.of(&file, field.path());
    Argument {
        name: name_of(field).to_owned(),
        of: Ref {
            non_null: field.cardinality() == Cardinality::Required,
            ..Ref::from(field)
        },
        description: description.and_then(descriptions::description),
        destination: Destination::Message,
        location: comments.location(&file, field.path(), NAME),
    }
}

impl From<&FieldDescriptor> for Ref {
    fn from(field: &FieldDescriptor) -> Self {
        Self::scalar(match field.kind() {
            Kind::Message(message) => return Self::named(message.full_name()),
            Kind::Enum(kind) => return Self::named(kind.full_name()),
            Kind::Bool => Scalar::Boolean,
            Kind::Float | Kind::Double => Scalar::Float,
            Kind::Bytes if is_upload(field) => Scalar::Upload,
            Kind::String | Kind::Bytes => Scalar::String,
            Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 | Kind::Uint64 | Kind::Fixed64 => {
                Scalar::String
            }
            Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 | Kind::Uint32 | Kind::Fixed32 => {
                Scalar::Int
            }
        })
    }
}

fn is_upload(field: &FieldDescriptor) -> bool {
    if field.field_descriptor_proto().options.is_none() {
        return false;
    }
    let options: DynamicMessage = field.options();
    let mut extensions = options.extensions();
    extensions
        .any(|(option, value)| option.full_name() == UPLOAD && matches!(value, Value::Bool(true)))
}

// === impl Pool ===

impl<'a> Pool<'a> {
    /// Adds the types of a source; returns the names that another source defines differently.
    pub(super) fn add(&mut self, comments: Comments<'a>) -> Vec<(String, Location)> {
        let number = self.sources.len();
        let mut different = Vec::new();
        let messages = comments.compiled.messages().map(Pooled::Message);
        for pooled in messages.chain(comments.compiled.enums().map(Pooled::Enum)) {
            let name = pooled.full_name();
            if let Some(owner) = self.owners.insert(name.to_owned(), number)
                && let Some((other, theirs)) = self.find_in(owner, name)
                && !pooled.is_equal(&comments, &other, theirs)
            {
                different.push((name.to_owned(), pooled.location(&comments)));
            }
        }
        self.sources.push(comments);
        different
    }

    pub(super) fn sources(&self) -> &[Comments<'a>] {
        &self.sources
    }

    fn find_in(&self, number: usize, name: &str) -> Option<(Pooled, &Comments<'a>)> {
        let source = self.sources.get(number)?;
        let message = source.compiled.message(name).map(Pooled::Message);
        let found = message.or_else(|| source.compiled.enumeration(name).map(Pooled::Enum))?;
        Some((found, source))
    }

    /// The declaration of a name.
    pub(super) fn declared(&self, name: &str) -> Option<Declared> {
        let (found, comments) = self.find_in(*self.owners.get(name)?, name)?;
        Some(found.declared(comments))
    }

    /// Whether a name is an enum, without reading its contents.
    pub(super) fn is_enum(&self, name: &str) -> bool {
        let owner = self.owners.get(name);
        let found = owner.and_then(|owner| self.find_in(*owner, name));
        matches!(found, Some((Pooled::Enum(_), _)))
    }
}

// === impl Pooled ===

impl Pooled {
    fn full_name(&self) -> &str {
        match self {
            Self::Message(message) => message.full_name(),
            Self::Enum(kind) => kind.full_name(),
        }
    }

    fn file(&self) -> FileDescriptor {
        match self {
            Self::Message(message) => message.parent_file(),
            Self::Enum(kind) => kind.parent_file(),
        }
    }

    fn path(&self) -> &[i32] {
        match self {
            Self::Message(message) => message.path(),
            Self::Enum(kind) => kind.path(),
        }
    }

    fn location(&self, comments: &Comments<'_>) -> Location {
        comments.location(&self.file(), self.path(), NAME)
    }

    /// Whether two definitions become the same type.
    fn is_equal(&self, comments: &Comments<'_>, other: &Self, theirs: &Comments<'_>) -> bool {
        // Files that are sent along unchanged have the same bytes.
        let (file, other_file) = (self.file(), other.file());
        let text = comments.compiled.source_of(file.name());
        if file.name() == other_file.name() && text == theirs.compiled.source_of(other_file.name())
        {
            return true;
        }
        let (mine, theirs) = (self.declared(comments), other.declared(theirs));
        mine.without_locations() == theirs.without_locations()
    }

    fn declared(&self, comments: &Comments<'_>) -> Declared {
        let file = self.file();
        let marked = comments.marked(&file, self.path());
        let kind = match self {
            Self::Message(message) => DeclaredKind::Object(fields(message, &file, comments)),
            Self::Enum(kind) => DeclaredKind::Enum(
                kind.values()
                    .map(|value| DeclaredValue {
                        name: value.name().to_owned(),
                        description: comments
                            .of(&file, value.path())
                            .and_then(descriptions::description),
                        deprecated: None,
                        location: comments.location(&file, value.path(), NAME),
                    })
                    .collect(),
            ),
        };
        Declared {
            kind,
            description: marked.description,
            annotations: marked.annotations,
            location: self.location(comments),
        }
    }
}

fn fields(
    message: &MessageDescriptor,
    file: &FileDescriptor,
    comments: &Comments<'_>,
) -> Vec<DeclaredField> {
    // In the order of the file: of two with one name, the later one wins.
    let mut fields: Vec<FieldDescriptor> = message.fields().collect();
    fields.sort_by_key(|field| field.path().last().copied());
    let declared = fields.into_iter().filter_map(|field| {
        let name = field_name(name_of(&field))?;
        let of = match field.is_map() {
            true => Ref::scalar(Scalar::ProtoJson),
            false => Ref {
                is_list: field.is_list(),
                ..Ref::from(&field)
            },
        };
        let marked = comments.marked(file, field.path());
        Some(DeclaredField {
            name,
            source: name_of(&field).to_owned(),
            of,
            description: marked.description,
            deprecated: None,
            annotations: marked.annotations,
            location: comments.location(file, field.path(), NAME),
        })
    });
    declared.collect()
}

impl Declared {
    /// The part of it that is in the schema, for comparison.
    fn without_locations(&self) -> String {
        use std::fmt::Write;
        let mut out = format!("{:?}{:?}", self.description, self.annotations);
        match &self.kind {
            DeclaredKind::Object(fields) | DeclaredKind::Input(fields) => {
                for field in fields {
                    let (to, of): (&To, &Ref) = (&field.of.to, &field.of);
                    // Writing to a String cannot fail.
                    let _ = write!(
                        out,
                        ";{} {} {to:?} {} {:?} {:?}",
                        field.name, field.source, of.is_list, field.description, field.annotations
                    );
                }
            }
            DeclaredKind::Enum(values) => {
                for value in values {
                    let _ = write!(out, ";{} {:?}", value.name, value.description);
                }
            }
            DeclaredKind::Union(_) | DeclaredKind::Scalar => {}
        }
        out
    }
}
