//! GraphQL services: each root field is a separate request to their endpoint.

use std::collections::HashSet;
use std::sync::Arc;

use http::header::{ACCEPT, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method};
use serde_json::Value as Json;

use super::http_client::Asked;
use super::json::{self, Raw, Value};
use super::openapi_services::code_of;
use super::{Fault, admitted, headers};
use crate::node::life::Life;
use crate::registry::slot::Pool;

/// A GraphQL service.
#[derive(Clone, Debug)]
pub(crate) struct Remote {
    /// `namespace/version`, for messages.
    pub(super) service: String,
    pub(super) pool: Arc<Pool>,
}

/// A root field of the HTTP ingress: its scalars, nothing nested (http-gql-hello).
#[derive(Clone, Debug)]
pub(crate) struct RootField {
    remote: Remote,
    name: String,
    query: String,
    /// The arguments that are sent if they have values.
    arguments: Vec<String>,
    is_mutation: bool,
}

impl Remote {
    pub(crate) fn new(service: &str, pool: &Arc<Pool>) -> Self {
        Self {
            service: service.to_owned(),
            pool: Arc::clone(pool),
        }
    }

    /// Sends a request; returns the text of a member of `data`, `null` if there is none.
    pub(super) async fn ask(
        &self,
        life: &Life,
        query: &str,
        variables: Option<&Value>,
        member: &str,
        caller: &HeaderMap,
    ) -> Result<String, Fault> {
        let Some((chosen, _permits)) = admitted(&self.pool).await else {
            return Err(Fault::plain(format!(
                "no live replicas for {}",
                self.service
            )));
        };
        let url = chosen.replica().endpoint.clone().unwrap_or_default();
        let mut body = "{\"query\":".to_owned();
        json::quote(query, &mut body);
        if let Some(variables) = variables {
            body.push_str(",\"variables\":");
            body.push_str(&variables.encode().unwrap_or_else(|| "null".to_owned()));
        }
        body.push('}');
        let mut headers = headers::with_credentials(caller);
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let asked = Asked {
            method: Method::POST,
            url: url.clone(),
            headers,
            body: body.into(),
        };
        let internal = |text: String| Fault::of("INTERNAL", text);
        let fetched = life.forwarder.fetch(asked).await;
        let fetched = fetched.map_err(|why| internal(format!("graphql: {url}: {why}")))?;
        let text = json::lossy(&fetched.body);
        if !(200..300).contains(&fetched.status) {
            let fault = format!("graphql: {url}: {}: {text}", fetched.status_line);
            return Err(Fault::of(code_of(fetched.status), fault));
        }
        let whole = json::whole(&fetched.body).and_then(|_| json::apart(&text));
        let whole = whole.map_err(|why| internal(format!("graphql: decode: {why}: {text}")))?;
        let Raw::Object(members) = whole else {
            return Ok("null".to_owned());
        };
        let apart = |name: &str| members.get(name).and_then(|it| json::apart(it).ok());
        if let Some(Raw::Array(errors)) = apart("errors")
            && let Some(first) = errors.first()
        {
            // One error, as the service wrote it; the rest of the answer is lost.
            if errors.len() > 1 || matches!(apart("data"), Some(Raw::Object(_))) {
                let what = "the caller gets only the first error of the answer";
                life.losses.note(&format!("GraphQL {member}"), what);
            }
            return Err(internal(format!("graphql remote: {first}")));
        }
        let data = match apart("data") {
            Some(Raw::Object(data)) => data,
            _ => return Ok("null".to_owned()),
        };
        Ok(data.get(member).map_or("null", |it| it).to_owned())
    }
}

impl RootField {
    /// The root fields in an introspection, with the HTTP method of each.
    pub(crate) fn all(remote: &Remote, introspection: &str) -> Vec<(&'static str, Self)> {
        let data: Json = serde_json::from_str(introspection).unwrap_or_default();
        let types = data.pointer("/__schema/types").and_then(Json::as_array);
        let of_name = |name: &str| types.into_iter().flatten().find(|it| it["name"] == name);
        let reaching = reaching(types.map_or(&[], Vec::as_slice));
        let mut out = Vec::new();
        for (root, word, method) in [
            ("queryType", "query", "GET"),
            ("mutationType", "mutation", "POST"),
        ] {
            let name = data
                .pointer(&format!("/__schema/{root}/name"))
                .and_then(Json::as_str);
            let Some(object) = name.and_then(of_name) else {
                continue;
            };
            for field in object["fields"].as_array().into_iter().flatten() {
                let Some(name) = field["name"].as_str() else {
                    continue;
                };
                // A group has no path (more-gql-http-inside).
                let has_arguments = field["args"].as_array().is_some_and(|it| !it.is_empty());
                if !has_arguments && object_of(field).is_some_and(|it| reaching.contains(it)) {
                    continue;
                }
                let mut sent = Vec::new();
                let (mut declared, mut passed) = (Vec::new(), Vec::new());
                for argument in field["args"].as_array().into_iter().flatten() {
                    let Some(name) = argument["name"].as_str() else {
                        continue;
                    };
                    declared.push(format!("${name}: {}", type_text(&argument["type"])));
                    passed.push(format!("{name}: ${name}"));
                    if matches!(named(&argument["type"])["kind"].as_str(), Some("SCALAR")) {
                        sent.push(name.to_owned());
                    }
                }
                let (declared, passed) = match declared.is_empty() {
                    true => (" ".to_owned(), String::new()),
                    false => (
                        format!("({}) ", declared.join(", ")),
                        format!("({})", passed.join(", ")),
                    ),
                };
                let selection = match named(&field["type"])["name"].as_str().and_then(of_name) {
                    Some(of) => scalars(of),
                    None => String::new(),
                };
                let query = format!("{word}{declared}{{ {name}{passed}{selection} }}");
                let is_mutation = word == "mutation";
                let (remote, name, arguments) = (remote.clone(), name.to_owned(), sent);
                out.push((
                    method,
                    Self {
                        remote,
                        name,
                        query,
                        arguments,
                        is_mutation,
                    },
                ));
            }
        }
        out
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Calls the field with the arguments in the query of the request.
    pub(super) async fn call(
        &self,
        life: &Life,
        mut values: std::collections::BTreeMap<String, Value>,
        caller: &HeaderMap,
    ) -> Result<String, Fault> {
        values.retain(|name, _| self.arguments.contains(name));
        // more-gql-http-add-post: the body of a mutation is ignored.
        let variables = (!values.is_empty() && !self.is_mutation).then_some(Value::Object(values));
        let text = self
            .remote
            .ask(life, &self.query, variables.as_ref(), &self.name, caller)
            .await?;
        let value = json::whole(text.as_bytes())
            .and_then(Value::with_doubles)
            .map_err(Fault::plain)?;
        Ok(value.encode().unwrap_or_default())
    }
}

/// The object type of a field, unless it is a list.
fn object_of(field: &Json) -> Option<&str> {
    let mut of = &field["type"];
    if of["kind"] == "NON_NULL" {
        of = &of["ofType"];
    }
    (of["kind"] == "OBJECT")
        .then(|| of["name"].as_str())
        .flatten()
}

/// The object types from which a field with arguments can be reached.
fn reaching(types: &[Json]) -> HashSet<&str> {
    let fields = |of: &'_ Json| of["fields"].as_array().cloned().unwrap_or_default();
    let mut found = HashSet::new();
    loop {
        let before = found.len();
        for of in types.iter().filter(|it| it["kind"] == "OBJECT") {
            let reaches = fields(of).iter().any(|field| {
                field["args"].as_array().is_some_and(|it| !it.is_empty())
                    || object_of(field).is_some_and(|it| found.contains(it))
            });
            if reaches {
                found.extend(of["name"].as_str());
            }
        }
        if found.len() == before {
            return found;
        }
    }
}

fn named(mut of: &Json) -> &Json {
    while let Some(inner) = of.get("ofType").filter(|it| !it.is_null()) {
        of = inner;
    }
    of
}

fn type_text(of: &Json) -> String {
    match of["kind"].as_str() {
        Some("NON_NULL") => format!("{}!", type_text(&of["ofType"])),
        Some("LIST") => format!("[{}]", type_text(&of["ofType"])),
        _ => of["name"].as_str().unwrap_or_default().to_owned(),
    }
}

/// The selection of an object's own scalars.
fn scalars(of: &Json) -> String {
    let kind = of["kind"].as_str().unwrap_or_default();
    if !matches!(kind, "OBJECT" | "INTERFACE" | "UNION") {
        return String::new();
    }
    let mut names = vec!["__typename"];
    for field in of["fields"].as_array().into_iter().flatten() {
        let is_leaf = matches!(
            named(&field["type"])["kind"].as_str(),
            Some("SCALAR" | "ENUM")
        );
        names.extend(field["name"].as_str().filter(|_| is_leaf));
    }
    format!(" {{ {} }}", names.join(" "))
}
