//! What of an OpenAPI document goes over HTTP, without the names that do not: ids of
//! operations, names of path parameters and of components, and the words of enums.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};
use tower_gwag_gateway::Profile;

use super::cases::{Case, Kind};
use super::{gateway, schema};

/// References are followed so deep; recursion has no end.
const DEPTH: usize = 5;

const METHODS: [&str; 8] = [
    "get", "put", "post", "delete", "options", "head", "patch", "trace",
];

/// A document as it was before: JSON by itself, YAML through a gateway that takes what it cannot
/// serve. `None` where there is none to compare, or the gateway does not show it.
pub(crate) async fn read(case: &Case) -> Option<Value> {
    if case.kind != Kind::OpenApi {
        return None;
    }
    if let Ok(json) = serde_json::from_slice(&case.document) {
        return Some(json);
    }
    let gateway = gateway(Profile::Clustered).await;
    let mut client = crate::control::client(&gateway.target()).await;
    let binding = crate::control::proto::ServiceBinding {
        namespace: case.name.to_owned(),
        openapi_spec: case.document.clone(),
        ..Default::default()
    };
    let request = crate::control::proto::RegisterRequest {
        addr: "127.0.0.1:1".to_owned(),
        services: vec![binding],
        ..Default::default()
    };
    client.register(request).await.ok()?;
    let mounted = gateway.wait_until(|now| now.pending_mounts == 0);
    super::within("mounted", mounted).await;
    let (status, text) = schema(&gateway, "openapi", case.name).await;
    assert_eq!(status, 200, "{text}");
    // By namespace and version; nothing where it is not mounted.
    let page: Value = serde_json::from_str(&text).expect("JSON");
    page.get(case.name)?.get("v1").cloned()
}

#[track_caller]
pub(crate) fn assert_same(name: &str, before: &Value, after: &Value) {
    let (before, after) = (wire(before), wire(after));
    let places = |of: &BTreeMap<String, Value>| of.keys().cloned().collect::<Vec<_>>();
    assert_eq!(places(&before), places(&after), "{name}");
    for (place, meant) in before {
        assert_eq!(after[&place], meant, "{name}: {place}");
    }
}

fn wire(root: &Value) -> BTreeMap<String, Value> {
    let mut places = BTreeMap::new();
    for key in ["servers", "security", "tags", "webhooks"] {
        let value = root.get(key).unwrap_or(&Value::Null);
        places.insert(key.to_owned(), meant(root, value, key == "webhooks", DEPTH));
    }
    let security = root.pointer("/components/securitySchemes");
    places.insert("securitySchemes".to_owned(), json!(security));
    for (path, item) in root["paths"].as_object().into_iter().flatten() {
        let item = target(root, item);
        for method in METHODS.iter().filter(|it| item.get(**it).is_some()) {
            let mut operation = meant(root, &item[*method], false, DEPTH);
            operation["parameters"] = parameters(root, path, item, method);
            let replaced = places.insert(place(method, path), operation);
            assert_eq!(replaced, None, "two operations of {path}");
        }
    }
    places
}

/// `GET /pets/{}`.
fn place(method: &str, path: &str) -> String {
    let parts = path.split('{').map(|part| match part.split_once('}') {
        Some((_, rest)) => format!("}}{rest}"),
        None => part.to_owned(),
    });
    let path = parts.collect::<Vec<_>>().join("{");
    format!("{} {path}", method.to_uppercase())
}

fn target<'a>(root: &'a Value, value: &'a Value) -> &'a Value {
    let Some(reference) = value.get("$ref").and_then(Value::as_str) else {
        return value;
    };
    let plain = reference
        .replace("%20", " ")
        .replace("%7B", "{")
        .replace("%7D", "}");
    let found = root.pointer(plain.strip_prefix('#').expect("inside"));
    found.unwrap_or_else(|| panic!("{reference} leads nowhere"))
}

/// Those of the path, replaced by those of the operation; in a path a place instead of a name.
fn parameters(root: &Value, path: &str, item: &Value, method: &str) -> Value {
    let mut found = BTreeMap::new();
    for holder in [item, &item[method]] {
        let parameters = holder["parameters"].as_array();
        for parameter in parameters.into_iter().flatten() {
            let parameter = target(root, parameter);
            let (name, place) = (parameter["name"].as_str(), parameter["in"].as_str());
            let (name, place) = (name.expect("a name"), place.expect("a place"));
            let known_as = match place {
                "path" => format!(
                    "no. {:?}",
                    path.find(&format!("{{{name}}}"))
                        .map(|at| path[..at].matches('{').count())
                ),
                _ => name.to_owned(),
            };
            let mut meant = meant(root, parameter, false, DEPTH);
            meant["name"] = known_as.clone().into();
            found.insert(format!("{place} {known_as}"), meant);
        }
    }
    json!(found)
}

/// A value with its references followed, and without what is at home only.
fn meant(root: &Value, value: &Value, in_map: bool, depth: usize) -> Value {
    match value {
        Value::Object(entries) if !in_map && entries.contains_key("$ref") => match depth {
            0 => Value::Null,
            _ => meant(root, target(root, value), false, depth - 1),
        },
        Value::Object(entries) if in_map => {
            let entries = entries.iter();
            let entries = entries.map(|(key, it)| (key.clone(), meant(root, it, false, depth)));
            Value::Object(entries.collect())
        }
        Value::Object(entries) => Value::Object(of_keywords(root, entries, depth)),
        Value::Array(items) => {
            let items = items.iter();
            items.map(|it| meant(root, it, false, depth)).collect()
        }
        other => other.clone(),
    }
}

fn of_keywords(root: &Value, entries: &Map<String, Value>, depth: usize) -> Map<String, Value> {
    let mut meant_of = Map::new();
    let texts = entries.get("enum").and_then(Value::as_array);
    let texts = texts.into_iter().flatten().filter_map(Value::as_str);
    let is_told_in_words = texts.into_iter().any(|it| !is_name(it));
    for (key, value) in entries {
        let is_map = matches!(
            &**key,
            "properties" | "responses" | "content" | "headers" | "callbacks" | "links" | "encoding"
        );
        let kept = match &**key {
            "description" | "operationId" | "parameters" => continue,
            "enum" if is_told_in_words => continue,
            key if key.starts_with("x-") => continue,
            "discriminator" => discriminated(root, entries, value, depth),
            "default" | "example" | "examples" | "enum" | "const" => value.clone(),
            _ => meant(root, value, is_map, depth),
        };
        meant_of.insert(key.clone(), kept);
    }
    // A link names an operation; it means what that is.
    let linked = entries.get("operationId").and_then(Value::as_str);
    if let Some(id) = linked.filter(|_| !entries.contains_key("responses")) {
        let place = place_of(root, id).unwrap_or_else(|| panic!("nothing is called {id}"));
        meant_of.insert("operation".to_owned(), place.into());
        let parameters = entries.get("parameters").cloned();
        meant_of.insert("parameters".to_owned(), parameters.unwrap_or_default());
    }
    meant_of
}

/// The values on the wire, and what each stands for.
fn discriminated(root: &Value, schema: &Map<String, Value>, value: &Value, depth: usize) -> Value {
    let mut found = BTreeMap::new();
    for choice in ["oneOf", "anyOf"]
        .iter()
        .filter_map(|it| schema.get(*it)?.as_array())
        .flatten()
    {
        let reference = choice["$ref"].as_str().expect("a reference");
        let component = reference.rsplit('/').next().expect("a name");
        let mapping = value["mapping"].as_object();
        let stands_for =
            |it: &Value| it.as_str() == Some(reference) || it.as_str() == Some(component);
        let named = mapping.into_iter().flatten().find(|(_, it)| stands_for(it));
        let on_the_wire = named.map_or(component, |(value, _)| value);
        found.insert(on_the_wire.to_owned(), meant(root, choice, false, depth));
    }
    json!({"propertyName": value["propertyName"], "values": found})
}

fn place_of(root: &Value, id: &str) -> Option<String> {
    let paths = root["paths"].as_object().into_iter().flatten();
    let mut all = paths.flat_map(|(path, item)| {
        METHODS
            .iter()
            .map(move |method| (path, method, &item[*method]))
    });
    let (path, method, _) = all.find(|(_, _, it)| it["operationId"] == id)?;
    Some(place(method, path))
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c == '_' || c.is_ascii_alphanumeric())
}
