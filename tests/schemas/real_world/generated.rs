//! Documents that programs make: one of utoipa, and two of tables, so that the repository need not
//! hold what is a hundred times the same.

use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::{IntoParams, OpenApi, ToSchema};

/// A cluster's API: dotted names of components, a web of references, extensions with odd values,
/// and no operationId where the generator had none.
pub(crate) fn cluster() -> Value {
    let kinds = ["Pod", "Service", "ConfigMap", "Secret", "Deployment", "Job"];
    let meta = "io.cluster.apimachinery.pkg.apis.meta.v1";
    let component = |name: &str| json!({"$ref": format!("#/components/schemas/{name}")});
    let mut schemas = json!({
        format!("{meta}.ObjectMeta"): {"type": "object", "properties": {
            "name": {"type": "string"},
            "labels": {"type": "object", "additionalProperties": {"type": "string", "default": ""}},
            "creationTimestamp": {"allOf": [component(&format!("{meta}.Time"))]},
            "ownerReferences": {"type": "array", "x-cluster-patch-merge-key": "uid",
                "items": component(&format!("{meta}.OwnerReference"))}}},
        format!("{meta}.Time"): {"type": "string", "format": "date-time"},
        format!("{meta}.OwnerReference"): {"type": "object", "required": ["kind", "uid"],
            "properties": {"kind": {"type": "string"}, "uid": {"type": "string"}}},
        format!("{meta}.Status"): {"type": "object", "properties": {
            "code": {"type": "integer", "format": "int32"}, "reason": {"type": "string"}},
            "x-cluster-group-version-kind": [{"group": "", "kind": "Status", "version": "v1"}]},
        "io.cluster.apiextensions.JSONSchemaProps": {"type": "object", "properties": {
            "$ref": {"type": "string"}, "$schema": {"type": "string"}, "enum": {"type": "array",
                "items": {"x-any": true}}, "not": component("io.cluster.apiextensions.JSONSchemaProps")}},
    });
    let mut paths = Map::new();
    for kind in kinds {
        let name = format!("io.cluster.api.core.v1.{kind}");
        schemas[&name] = json!({"type": "object", "properties": {
            "apiVersion": {"type": "string"},
            "metadata": {"allOf": [component(&format!("{meta}.ObjectMeta"))], "default": {}},
            "spec": component(&format!("io.cluster.api.core.v1.{kind}Spec")),
            "schema": component("io.cluster.apiextensions.JSONSchemaProps")},
            "x-cluster-group-version-kind": [{"group": "", "kind": kind, "version": "v1"}]});
        schemas[format!("io.cluster.api.core.v1.{kind}Spec")] = json!({"type": "object",
            "properties": {"policy": {"type": "string", "enum": ["Always", "IfNotPresent"]},
                "template": component(&name)}});
        schemas[format!("{name}List")] = json!({"type": "object", "required": ["items"],
            "properties": {"items": {"type": "array", "items": component(&name)}}});
        let plural = format!("{}s", kind.to_lowercase());
        let answer = |name: &str| {
            let schema = component(name);
            json!({"description": "OK", "content": {"application/json": {"schema": schema},
                "application/yaml": {"schema": schema}}})
        };
        let status = || answer(&format!("{meta}.Status"));
        let body = json!({"required": true, "content": {"*/*": {"schema": component(&name)}}});
        let pretty = json!({"name": "pretty", "in": "query", "schema": {"type": "string"}});
        let path = |name: &str| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}});
        let list = answer(&format!("{name}List"));
        // The generator had ids for half of them.
        let identified = |verb: &str| match kind.len() % 2 {
            0 => json!(format!("{verb}CoreV1Namespaced{kind}")),
            _ => Value::Null,
        };
        let operation = |verb: &str, status_code: &str, answer: Value, body: Option<&Value>| {
            let mut operation = json!({"description": format!("{verb} a {kind}"), "tags": ["core_v1"],
                "responses": {status_code: answer, "401": {"description": "Unauthorized"}},
                "x-cluster-action": verb});
            if let Some(body) = body {
                operation["requestBody"] = body.clone();
            }
            if let id @ Value::String(_) = identified(verb) {
                operation["operationId"] = id;
            }
            operation
        };
        paths.insert(
            format!("/api/v1/namespaces/{{namespace}}/{plural}"),
            json!({
                "get": operation("list", "200", list, None),
                "post": operation("create", "201", answer(&name), Some(&body)),
                "delete": operation("deletecollection", "200", status(), None),
                "parameters": [path("namespace"), pretty],
            }),
        );
        paths.insert(
            format!("/api/v1/namespaces/{{namespace}}/{plural}/{{name}}"),
            json!({
                "get": operation("read", "200", answer(&name), None),
                "put": operation("replace", "200", answer(&name), Some(&body)),
                "patch": operation("patch", "200", answer(&name), Some(&body)),
                "delete": operation("delete", "200", status(), None),
                "parameters": [path("namespace"), path("name"), pretty],
            }),
        );
    }
    json!({"openapi": "3.0.0", "info": {"title": "Cluster", "version": "v1.31.0"},
        "paths": paths, "components": {"schemas": schemas}})
}

/// Logistics: 125 operations, links and callbacks, security schemes and examples of every kind.
pub(crate) fn logistics() -> Value {
    let resources = [
        "carrier",
        "container",
        "customs",
        "depot",
        "driver",
        "fleet",
        "freight",
        "invoice",
        "label",
        "lane",
        "manifest",
        "order",
        "pallet",
        "parcel",
        "pickup",
        "quote",
        "rate",
        "return",
        "route",
        "seal",
        "shipment",
        "stop",
        "tariff",
        "tracker",
        "vehicle",
    ];
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in resources {
        let reference = json!({"$ref": format!("#/components/schemas/{resource}")});
        let id = format!("{resource}_id");
        let answer = json!({"description": "OK", "headers": {"ETag": {"schema": {"type": "string"}}},
            "content": {"application/json": {"schema": reference, "examples": {
                "small": {"summary": "A small one", "value": {"id": "1", "$ref": "#/none"}},
                "shared": {"$ref": "#/components/examples/large"}}}}});
        let body = json!({"content": {"application/json": {"schema": reference}}});
        schemas.insert(
            resource.to_owned(),
            json!({"type": "object", "properties": {
            "id": {"type": "string"}, "state": {"type": "string", "enum": ["open", "closed"]},
            "parent": reference, "tags": {"type": "object", "additionalProperties": true}}}),
        );
        let parameter =
            json!({"name": id, "in": "path", "required": true, "schema": {"type": "string"}});
        paths.insert(
            format!("/{resource}s"),
            json!({
                "get": {"operationId": format!("list_{resource}s"), "parameters": [
                    {"name": "limit", "in": "query", "schema": {"type": "integer"}},
                    {"name": "X-Trace", "in": "header", "schema": {"type": "string"}}],
                    "responses": {"200": {"description": "OK", "content": {"application/json": {
                        "schema": {"type": "array", "items": reference}}}}}},
                "post": {"operationId": format!("create_{resource}"), "requestBody": body,
                    "responses": {"201": {"description": "Made", "links": {"made": {
                        "operationId": format!("get_{resource}"),
                        "parameters": {id.clone(): "$response.body#/id"}}}}},
                    "callbacks": {"changed": {"{$request.query.hook-url}": {"post": {
                        "requestBody": body, "responses": {"204": {"description": "Thanks"}}}}}}},
            }),
        );
        paths.insert(
            format!("/{resource}s/{{{id}}}"),
            json!({
                "parameters": [parameter],
                "get": {"operationId": format!("get_{resource}"), "responses": {"200": answer}},
                "put": {"operationId": format!("replace_{resource}"), "requestBody": body,
                    "security": [{"oauth": ["write:all"]}, {"api-key": []}],
                    "responses": {"200": answer}},
                "delete": {"operationId": format!("delete_{resource}"), "deprecated": true,
                    "responses": {"204": {"description": "Gone"}}},
            }),
        );
    }
    json!({"openapi": "3.0.3", "info": {"title": "Logistics", "version": "5"}, "paths": paths,
        "security": [{"api-key": []}, {}],
        "components": {"schemas": schemas,
            "examples": {"large": {"summary": "All of it", "value": {}}},
            "securitySchemes": {
                "api-key": {"type": "apiKey", "in": "header", "name": "X-Api-Key"},
                "oidc": {"type": "openIdConnect", "openIdConnectUrl": "https://id.example/"},
                "oauth": {"type": "oauth2", "flows": {"clientCredentials": {
                    "tokenUrl": "https://id.example/token", "scopes": {"write:all": "Everything"}}}}}}})
}

/// A document as utoipa makes it; without an `operation_id` it takes the function's name.
pub(crate) fn booking() -> utoipa::openapi::OpenApi {
    Booking::openapi()
}

#[derive(OpenApi)]
#[openapi(
    info(title = "Booking", version = "1.0.0"),
    servers((url = "/api", description = "Behind the proxy")),
    paths(list_rooms, book),
    tags((name = "rooms", description = "Rooms and who has them"))
)]
struct Booking;

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
struct Room {
    id: uuid::Number,
    /// How it is reached.
    floor: Option<i32>,
    kind: RoomKind,
    equipment: Vec<Equipment>,
}

mod uuid {
    use serde::Serialize;
    use utoipa::ToSchema;

    #[derive(Serialize, ToSchema)]
    pub(crate) struct Number(pub(crate) u64);
}

#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[allow(dead_code, reason = "it only describes")]
enum RoomKind {
    Single,
    MeetingRoom,
}

#[derive(Serialize, ToSchema)]
#[serde(tag = "type", content = "value")]
#[allow(dead_code, reason = "it only describes")]
enum Equipment {
    Beamer { lumen: u32 },
    Chairs(u8),
    Whiteboard,
}

#[derive(Serialize, ToSchema)]
struct Page<T> {
    items: Vec<T>,
    next: Option<String>,
}

#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code, reason = "it only describes")]
struct Paging {
    /// Rooms a page.
    limit: Option<u32>,
    after: Option<String>,
}

#[utoipa::path(get, path = "/rooms", tag = "rooms", params(Paging),
    responses((status = 200, description = "A page", body = Page<Room>)))]
#[allow(dead_code, reason = "it only describes")]
fn list_rooms() {}

#[utoipa::path(post, path = "/rooms/{id}/bookings", tag = "rooms",
    params(("id" = u64, Path), ("Idempotency-Key" = Option<String>, Header)),
    request_body(content = Room, content_type = "application/json"),
    responses((status = 201, description = "Booked", body = Room), (status = "4XX", description = "Refused")))]
#[allow(dead_code, reason = "it only describes")]
fn book() {}

/// The files of a large tree: 64 that the entry reaches, in layers, and as many that are broken and
/// belong to somebody else.
pub(crate) fn monorepo() -> Vec<(String, String)> {
    let name = |n: usize| format!("acme/layer{}/part{n}/v1/part{n}.proto", n / 8);
    let mut files = Vec::new();
    for n in 0..64 {
        let below: Vec<usize> = match n {
            0..8 => Vec::new(),
            _ => vec![(n / 8 - 1) * 8 + n % 8, (n / 8 - 1) * 8 + (n + 3) % 8],
        };
        let imports: String = below
            .iter()
            .map(|it| format!("import \"{}\";\n", name(*it)))
            .collect();
        let fields: String = below
            .iter()
            .zip(2..)
            .map(|(it, number)| format!("  acme.part{it}.v1.Part{it} part{it} = {number};\n"))
            .collect();
        files.push((name(n), format!(
            "syntax = \"proto3\";\n\npackage acme.part{n}.v1;\n\n{imports}\n// Part {n}.\nmessage Part{n} {{\n  Kind kind = 1;\n{fields}  enum Kind {{\n    KIND_UNSPECIFIED = 0;\n    KIND_{n} = 1;\n  }}\n}}\n"
        )));
        let broken = format!("import \"gone/{n}.proto\";\nmessage {{ string = ;");
        files.push((format!("other_team/{n}.proto"), broken));
    }
    let imports: String = (56..64)
        .map(|it| format!("import \"{}\";\n", name(it)))
        .collect();
    let methods: String = (56..64)
        .map(|it| {
            format!(
                "  rpc Get{it}(acme.part{it}.v1.Part{it}) returns (acme.part{it}.v1.Part{it});\n"
            )
        })
        .collect();
    files.push(("acme/api.proto".to_owned(), format!(
        "syntax = \"proto3\";\n\npackage acme.api.v1;\n\n{imports}\nservice Everything {{\n{methods}}}\n"
    )));
    files
}
