//! The objects of an OpenAPI document and their fields, as gateways read them.

use Kind::{
    Callback, Components, Contact, Discriminator, Encoding, Example, ExternalDocs, Flow, Flows,
    Header, Info, License, Link, MediaType, Operation, Parameter, PathItem, Paths, RequestBody,
    Response, Responses, Root, Schema, SecurityScheme, Server, ServerVariable, Tag, Xml,
};
use Shape::{
    Any, AnyList, AnyMap, Bound, Count, Flag, FlagOr, Many, Named, Number, One, Requirements, Text,
    TextMap, Texts, TextsMap, Types,
};

/// What an object is.
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

/// What a value has to be; `null` is as good as none, or as an empty map.
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
    /// A text or several.
    Types,
    Flag,
    Number,
    /// A whole number that is not negative.
    Count,
    /// A flag or a number.
    Bound,
    One(Kind),
    Many(Kind),
    /// By names that the user chose.
    Named(Kind),
    FlagOr(Kind),
}

/// A field of an object.
#[derive(Clone, Copy, Debug)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    /// Whether gateways look at what is in it, once it could be read.
    pub(super) is_judged: bool,
    /// Whether gateways follow the references in it.
    pub(super) is_linked: bool,
    /// Whether a reference in it may have siblings.
    pub(super) is_lenient: bool,
    /// Whether it is there from OpenAPI 3.1 on.
    pub(super) is_new: bool,
}

// === impl Kind ===

impl Kind {
    /// What findings call it.
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

    /// Whether a reference may stand in its place.
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

    /// What its entries are, where it is a map of which only `x-…` is something else.
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
        self.fields().iter().find(|field| field.name == name)
    }

    pub(super) fn field_of_other_case(self, name: &str) -> Option<&'static Field> {
        let mut fields = self.fields().iter();
        fields.find(|field| field.name.eq_ignore_ascii_case(name))
    }

    const fn fields(self) -> &'static [Field] {
        match self {
            Root => ROOT,
            Info => INFO,
            Contact => CONTACT,
            License => LICENSE,
            Server => SERVER,
            ServerVariable => SERVER_VARIABLE,
            Tag => TAG,
            ExternalDocs => EXTERNAL_DOCS,
            Components => COMPONENTS,
            PathItem => PATH_ITEM,
            Operation => OPERATION,
            Response => RESPONSE,
            RequestBody => REQUEST_BODY,
            Parameter => PARAMETER,
            Header => HEADER,
            MediaType => MEDIA_TYPE,
            Encoding => ENCODING,
            Example => EXAMPLE,
            Link => LINK,
            Schema => SCHEMA,
            Discriminator => DISCRIMINATOR,
            Xml => XML,
            SecurityScheme => SECURITY_SCHEME,
            Flows => FLOWS,
            Flow => FLOW,
            Paths | Responses | Callback => &[],
        }
    }
}

// === impl Field ===

const fn field(name: &'static str, shape: Shape) -> Field {
    Field {
        name,
        shape,
        is_judged: true,
        is_linked: true,
        is_lenient: false,
        is_new: false,
    }
}

impl Field {
    const fn only_read(mut self) -> Self {
        self.is_judged = false;
        self
    }

    const fn unlinked(mut self) -> Self {
        self.is_linked = false;
        self
    }

    const fn lenient(mut self) -> Self {
        self.is_lenient = true;
        self
    }

    const fn new(mut self) -> Self {
        self.is_new = true;
        self
    }
}

const ROOT: &[Field] = &[
    field("openapi", Text),
    field("info", One(Info)),
    field("paths", One(Paths)),
    field("components", One(Components)),
    field("security", Requirements),
    field("servers", Many(Server)),
    field("tags", Many(Tag)),
    field("externalDocs", One(ExternalDocs)),
    field("webhooks", Named(PathItem)).new(),
    field("jsonSchemaDialect", Text).new(),
];

const INFO: &[Field] = &[
    field("title", Text),
    field("summary", Text).new(),
    field("description", Text),
    field("termsOfService", Text),
    field("contact", One(Contact)),
    field("license", One(License)),
    field("version", Text),
];

const CONTACT: &[Field] = &[
    field("name", Text),
    field("url", Text),
    field("email", Text),
];

const LICENSE: &[Field] = &[
    field("name", Text),
    field("url", Text),
    field("identifier", Text).new(),
];

const SERVER: &[Field] = &[
    field("url", Text),
    field("description", Text),
    field("variables", Named(ServerVariable)),
];

const SERVER_VARIABLE: &[Field] = &[
    field("enum", Texts),
    field("default", Text),
    field("description", Text),
];

const TAG: &[Field] = &[
    field("name", Text),
    field("description", Text),
    field("externalDocs", One(ExternalDocs)),
];

const EXTERNAL_DOCS: &[Field] = &[field("description", Text), field("url", Text)];

const COMPONENTS: &[Field] = &[
    field("schemas", Named(Schema)),
    field("parameters", Named(Parameter)),
    field("headers", Named(Header)),
    field("requestBodies", Named(RequestBody)),
    field("responses", Named(Response)),
    field("securitySchemes", Named(SecurityScheme)),
    field("examples", Named(Example)),
    field("links", Named(Link)).unlinked(),
    field("callbacks", Named(Callback)),
];

const PATH_ITEM: &[Field] = &[
    field("$ref", Text),
    field("summary", Text),
    field("description", Text),
    field("connect", One(Operation)),
    field("delete", One(Operation)),
    field("get", One(Operation)),
    field("head", One(Operation)),
    field("options", One(Operation)),
    field("patch", One(Operation)),
    field("post", One(Operation)),
    field("put", One(Operation)),
    field("trace", One(Operation)),
    field("servers", Many(Server)).only_read(),
    field("parameters", Many(Parameter)),
];

const OPERATION: &[Field] = &[
    field("tags", Texts),
    field("summary", Text),
    field("description", Text),
    field("operationId", Text),
    field("parameters", Many(Parameter)),
    field("requestBody", One(RequestBody)),
    field("responses", One(Responses)),
    field("callbacks", Named(Callback)).only_read(),
    field("deprecated", Flag),
    field("security", Requirements),
    field("servers", Many(Server)).only_read(),
    field("externalDocs", One(ExternalDocs)),
];

const RESPONSE: &[Field] = &[
    field("description", Text),
    field("headers", Named(Header)),
    field("content", Named(MediaType)),
    field("links", Named(Link)),
];

const REQUEST_BODY: &[Field] = &[
    field("description", Text),
    field("required", Flag),
    field("content", Named(MediaType)),
];

const PARAMETER: &[Field] = &[
    field("name", Text),
    field("in", Text),
    field("description", Text),
    field("style", Text),
    field("explode", Flag),
    field("allowEmptyValue", Flag),
    field("allowReserved", Flag),
    field("deprecated", Flag),
    field("required", Flag),
    field("schema", One(Schema)),
    field("example", Any),
    field("examples", Named(Example)),
    field("content", Named(MediaType)),
];

const HEADER: &[Field] = &[
    field("name", Text),
    field("in", Text),
    field("description", Text),
    field("style", Text),
    field("explode", Flag),
    field("allowEmptyValue", Flag),
    field("allowReserved", Flag),
    field("deprecated", Flag),
    field("required", Flag),
    field("schema", One(Schema)),
    field("example", Any),
    field("examples", Named(Example)).only_read(),
    field("content", Named(MediaType)).unlinked(),
];

const MEDIA_TYPE: &[Field] = &[
    field("schema", One(Schema)),
    field("example", Any),
    field("examples", Named(Example)),
    field("encoding", Named(Encoding)).only_read().unlinked(),
];

const ENCODING: &[Field] = &[
    field("contentType", Text),
    field("headers", Named(Header)),
    field("style", Text),
    field("explode", Flag),
    field("allowReserved", Flag),
];

const EXAMPLE: &[Field] = &[
    field("summary", Text),
    field("description", Text),
    field("value", Any),
    field("externalValue", Text),
];

const LINK: &[Field] = &[
    field("operationRef", Text),
    field("operationId", Text),
    field("description", Text),
    field("parameters", AnyMap),
    field("server", One(Server)).only_read(),
    field("requestBody", Any),
];

const SCHEMA: &[Field] = &[
    field("type", Types),
    field("format", Text),
    field("title", Text),
    field("description", Text),
    field("properties", Named(Schema)),
    field("required", Texts),
    field("items", One(Schema)),
    field("enum", AnyList),
    field("default", Any),
    field("example", Any),
    field("oneOf", Many(Schema)).lenient(),
    field("anyOf", Many(Schema)).lenient(),
    field("allOf", Many(Schema)).lenient(),
    field("not", One(Schema)).lenient(),
    field("additionalProperties", FlagOr(Schema)),
    field("externalDocs", One(ExternalDocs)),
    field("uniqueItems", Flag),
    field("exclusiveMinimum", Bound),
    field("exclusiveMaximum", Bound),
    field("nullable", Flag),
    field("readOnly", Flag),
    field("writeOnly", Flag),
    field("allowEmptyValue", Flag),
    field("deprecated", Flag),
    field("xml", One(Xml)).only_read(),
    field("minimum", Number),
    field("maximum", Number),
    field("multipleOf", Number),
    field("minLength", Count),
    field("maxLength", Count),
    field("pattern", Text),
    field("minItems", Count),
    field("maxItems", Count),
    field("minProperties", Count),
    field("maxProperties", Count),
    field("discriminator", One(Discriminator)).only_read(),
    field("const", Any).new(),
    field("examples", AnyList).new(),
    field("prefixItems", Many(Schema)).new(),
    field("contains", One(Schema)).new(),
    field("minContains", Count).new(),
    field("maxContains", Count).new(),
    field("patternProperties", Named(Schema)).new(),
    field("dependentSchemas", Named(Schema)).new(),
    field("propertyNames", One(Schema)).new(),
    field("unevaluatedItems", FlagOr(Schema)).new(),
    field("unevaluatedProperties", FlagOr(Schema)).new(),
    field("if", One(Schema)).lenient().new(),
    field("then", One(Schema)).lenient().new(),
    field("else", One(Schema)).lenient().new(),
    field("dependentRequired", TextsMap).new(),
    field("$defs", Named(Schema)).new(),
    field("$schema", Text).new(),
    field("$comment", Text).new(),
    field("$id", Text).new(),
    field("$anchor", Text).new(),
    field("$dynamicRef", Text).new(),
    field("$dynamicAnchor", Text).new(),
    field("contentMediaType", Text).new(),
    field("contentEncoding", Text).new(),
    field("contentSchema", One(Schema)).new(),
];

const DISCRIMINATOR: &[Field] = &[field("propertyName", Text), field("mapping", TextMap)];

const XML: &[Field] = &[
    field("name", Text),
    field("namespace", Text),
    field("prefix", Text),
    field("attribute", Flag),
    field("wrapped", Flag),
];

const SECURITY_SCHEME: &[Field] = &[
    field("type", Text),
    field("description", Text),
    field("name", Text),
    field("in", Text),
    field("scheme", Text),
    field("bearerFormat", Text),
    field("flows", One(Flows)),
    field("openIdConnectUrl", Text),
];

const FLOWS: &[Field] = &[
    field("implicit", One(Flow)),
    field("password", One(Flow)),
    field("clientCredentials", One(Flow)),
    field("authorizationCode", One(Flow)),
];

const FLOW: &[Field] = &[
    field("authorizationUrl", Text),
    field("tokenUrl", Text),
    field("refreshUrl", Text),
    field("scopes", TextMap),
];
