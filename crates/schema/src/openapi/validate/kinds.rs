//! The objects of an OpenAPI document, and the shapes of their fields, as gateways read them.

use Kind::{
    Callback, Components, Contact, Discriminator, Encoding, Example, ExternalDocs, Flow, Flows,
    Header, Info, License, Link, MediaType, Operation, Parameter, PathItem, Paths, RequestBody,
    Response, Responses, Root, Schema, SecurityScheme, Server, ServerVariable, Tag, Xml,
};

use super::fields::of as fields;
use crate::json::Value;

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

// === impl Shape ===

impl Shape {
    /// Whether a value fits a shape that is not an object of some kind.
    pub(super) fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (_, Value::Null) | (Shape::Any, _) => true,
            (Shape::Text, Value::String(_)) | (Shape::Flag | Shape::Bound, Value::Bool(_)) => true,
            (Shape::Number | Shape::Bound, Value::Number(_))
            | (Shape::AnyList, Value::Array(_)) => true,
            (Shape::AnyMap, Value::Object(_)) | (Shape::Types, Value::String(_)) => true,
            (Shape::Count, Value::Number(number)) => {
                number.is_u64() || number.as_f64().is_some_and(is_count)
            }
            (Shape::Texts | Shape::Types, Value::Array(items)) => items.iter().all(is_text),
            (Shape::TextMap, Value::Object(entries)) => entries.values().all(is_text),
            (Shape::TextsMap, Value::Object(entries)) => {
                entries.values().all(|it| Shape::Texts.fits(it))
            }
            (Shape::Requirements, Value::Array(items)) => {
                items.iter().all(|it| Shape::TextsMap.fits(it))
            }
            _ => false,
        }
    }

    /// The name of a shape in findings.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Shape::Any => "anything",
            Shape::Text => "a string",
            Shape::Texts => "a list of strings",
            Shape::TextMap => "an object of strings",
            Shape::TextsMap => "an object of lists of strings",
            Shape::Requirements => "a list of objects such as `api_key: []`",
            Shape::Types => "a string or a list of strings",
            Shape::Flag => "true or false",
            Shape::Number => "a number",
            Shape::Count => "a whole number that is not negative",
            Shape::Bound => "a number, true or false",
            Shape::AnyList | Shape::Many(_) => "a list",
            Shape::AnyMap | Shape::Named(_) | Shape::One(_) => "an object",
            Shape::FlagOr(_) => "an object, true or false",
        }
    }

    /// The remedy for a value that does not fit.
    pub(super) const fn help(self, value: &Value) -> &'static str {
        match (self, value) {
            (Shape::Text, Value::Number(_) | Value::Bool(_)) => {
                "quote it: YAML reads it as another type"
            }
            (Shape::Flag | Shape::Number | Shape::Count | Shape::Bound, Value::String(_)) => {
                "remove the quotes"
            }
            (Shape::Texts | Shape::AnyList, Value::String(_)) => "put it in brackets",
            _ => "correct it, or remove it",
        }
    }
}

fn is_text(value: &Value) -> bool {
    value.is_string() || value.is_null()
}

/// Numbers from 10²¹ on are printed with an exponent and no longer count as integers.
fn is_count(number: f64) -> bool {
    number.fract() == 0.0 && (0.0..18_446_744_073_709_551_616.0).contains(&number)
}

#[cfg(test)]
mod tests {
    use crate::json::json;

    use super::*;

    #[test]
    fn values_have_their_types() {
        for (shape, good, bad) in [
            (
                Shape::Text,
                json!(["a", "", null]),
                json!([1, true, [], {}]),
            ),
            (Shape::Flag, json!([true, null]), json!(["true", 0])),
            (Shape::Number, json!([1, -1.5]), json!(["1", true])),
            (
                Shape::Count,
                json!([0, 1, 2.0, 1e3]),
                json!([-1, 1.5, "1", 1e20]),
            ),
            (Shape::Bound, json!([1, true]), json!(["1", []])),
            (Shape::Types, json!(["a", ["a", null], []]), json!([1, [1]])),
            (
                Shape::Texts,
                json!([["a"], [], [null]]),
                json!(["a", [1], {}]),
            ),
            (
                Shape::TextMap,
                json!([{}, {"a": "b"}, {"a": null}]),
                json!([{"a": 1}, "a", []]),
            ),
            (
                Shape::Requirements,
                json!([[], [{}], [{"a": []}], [{"a": null}]]),
                json!([{}, [{"a": "b"}]]),
            ),
            (Shape::AnyMap, json!([{"a": 1}]), json!([[], 1])),
        ] {
            for value in good.as_array().unwrap() {
                assert!(shape.fits(value), "{shape:?} {value}");
            }
            for value in bad.as_array().unwrap() {
                assert!(!shape.fits(value), "{shape:?} {value}");
            }
        }
    }
}
