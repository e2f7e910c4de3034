//! The objects of an OpenAPI document and their fields, as gateways read them.

use Kind::{
    Callback, Components, Contact, Discriminator, Encoding, Example, ExternalDocs, Flow, Flows,
    Header, Info, License, Link, MediaType, Operation, Parameter, PathItem, Paths, RequestBody,
    Response, Responses, Root, Schema, SecurityScheme, Server, ServerVariable, Tag, Xml,
};

use super::fields::of as fields;

/// The kind of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    Root,
    Info,
    Contact,
    License,
    Server,
    ServerVariable,
    Tag,
    ExternalDocs,
    Components,
    Paths,
    PathItem,
    Operation,
    Responses,
    Response,
    RequestBody,
    Parameter,
    Header,
    MediaType,
    Encoding,
    Example,
    Link,
    Callback,
    Schema,
    Discriminator,
    Xml,
    SecurityScheme,
    Flows,
    Flow,
}

/// The required shape of a value; `null` counts as missing, or as an empty map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Any,
    AnyList,
    AnyMap,
    Text,
    Texts,
    TextMap,
    TextsMap,
    /// Lists of security requirements.
    Requirements,
    /// A string or a list of strings.
    Types,
    Flag,
    Number,
    /// A non-negative integer.
    Count,
    /// A boolean or a number.
    Bound,
    One(Kind),
    Many(Kind),
    /// A map keyed by names that the user chose.
    Named(Kind),
    FlagOr(Kind),
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Whether gateways check the content after reading it.
    pub(super) is_judged: bool,
    /// Whether gateways follow references in it.
    pub(super) is_linked: bool,
    /// Whether a reference in it may have siblings.
    pub(super) is_lenient: bool,
    /// Whether it exists only since OpenAPI 3.1.
    pub(super) is_new: bool,
}

// === impl Kind ===

impl Kind {
    /// The name in findings.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Root => "the document",
            Info => "`info`",
            Contact => "a contact",
            License => "a license",
            Server => "a server",
            ServerVariable => "a variable of a server",
            Tag => "a tag",
            ExternalDocs => "`externalDocs`",
            Components => "`components`",
            Paths => "`paths`",
            PathItem => "a path item",
            Operation => "an operation",
            Responses => "`responses`",
            Response => "a response",
            RequestBody => "a request body",
            Parameter => "a parameter",
            Header => "a header",
            MediaType => "a media type",
            Encoding => "an encoding",
            Example => "an example",
            Link => "a link",
            Callback => "a callback",
            Schema => "a schema",
            Discriminator => "a discriminator",
            Xml => "`xml`",
            SecurityScheme => "a security scheme",
            Flows => "`flows`",
            Flow => "an OAuth flow",
        }
    }

    /// Whether a reference may replace it.
    pub(super) const fn can_be_reference(self) -> bool {
        matches!(
            self,
            Callback
                | Example
                | Header
                | Link
                | Parameter
                | RequestBody
                | Response
                | Schema
                | SecurityScheme
        )
    }

    /// The kind of its entries, if it is a map in which only `x-…` is different.
    pub(super) const fn entries(self) -> Option<Self> {
        match self {
            Paths | Callback => Some(PathItem),
            Responses => Some(Response),
            _ => None,
        }
    }

    /// Whether unknown fields are refused.
    pub(super) const fn is_closed(self) -> bool {
        !matches!(self, Header)
    }

    pub(super) fn field(self, name: &str) -> Option<&'static Field> {
        fields(self).iter().find(|field| field.name == name)
    }

    pub(super) fn field_of_other_case(self, name: &str) -> Option<&'static Field> {
        let mut fields = fields(self).iter();
        fields.find(|field| field.name.eq_ignore_ascii_case(name))
    }
}
