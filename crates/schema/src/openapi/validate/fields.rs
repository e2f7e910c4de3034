//! The tables: the fields of each object, and how gateways read them.

use super::kinds::Field;
use super::kinds::Kind::{
    self, Callback, Components, Contact, Discriminator, Encoding, Example, ExternalDocs, Flow,
    Flows, Header, Info, License, Link, MediaType, Operation, Parameter, PathItem, Paths,
    RequestBody, Response, Responses, Root, Schema, SecurityScheme, Server, ServerVariable, Tag,
    Xml,
};
use super::kinds::Shape::{
    self, Any, AnyList, AnyMap, Bound, Count, Flag, FlagOr, Many, Named, Number, One, Requirements,
    Text, TextMap, Texts, TextsMap, Types,
};

/// The fields of an object of this kind.
pub(super) const fn of(kind: Kind) -> &'static [Field] {
    match kind {
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

    const fn since_3_1(mut self) -> Self {
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
    field("webhooks", Named(PathItem)).since_3_1(),
    field("jsonSchemaDialect", Text).since_3_1(),
];

const INFO: &[Field] = &[
    field("title", Text),
    field("summary", Text).since_3_1(),
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
    field("identifier", Text).since_3_1(),
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
    field("const", Any).since_3_1(),
    field("examples", AnyList).since_3_1(),
    field("prefixItems", Many(Schema)).since_3_1(),
    field("contains", One(Schema)).since_3_1(),
    field("minContains", Count).since_3_1(),
    field("maxContains", Count).since_3_1(),
    field("patternProperties", Named(Schema)).since_3_1(),
    field("dependentSchemas", Named(Schema)).since_3_1(),
    field("propertyNames", One(Schema)).since_3_1(),
    field("unevaluatedItems", FlagOr(Schema)).since_3_1(),
    field("unevaluatedProperties", FlagOr(Schema)).since_3_1(),
    field("if", One(Schema)).lenient().since_3_1(),
    field("then", One(Schema)).lenient().since_3_1(),
    field("else", One(Schema)).lenient().since_3_1(),
    field("dependentRequired", TextsMap).since_3_1(),
    field("$defs", Named(Schema)).since_3_1(),
    field("$schema", Text).since_3_1(),
    field("$comment", Text).since_3_1(),
    field("$id", Text).since_3_1(),
    field("$anchor", Text).since_3_1(),
    field("$dynamicRef", Text).since_3_1(),
    field("$dynamicAnchor", Text).since_3_1(),
    field("contentMediaType", Text).since_3_1(),
    field("contentEncoding", Text).since_3_1(),
    field("contentSchema", One(Schema)).since_3_1(),
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
