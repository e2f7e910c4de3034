//! GraphQL at `/api/graphql`, for services that are GraphQL themselves: a query of one namespace,
//! `{ shop { … } }`, is sent to that service without the namespace, and its answer put under it.
//! A real gateway also takes several namespaces at once, and gRPC and HTTP services.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, USER_AGENT};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::{HttpBody, page};
use crate::node::life::Life;

/// What a query or an answer may weigh, in bytes.
const MAX_BODY: usize = 16 << 20;

/// Answers a request; its faults are GraphQL errors, as GraphQL over HTTP has them.
pub(super) async fn call(life: &Life, request: Request<Incoming>) -> Response<HttpBody> {
    let (status, answer) = match answer(life, request).await {
        Ok(answer) => (StatusCode::OK, answer),
        Err((status, message)) => {
            let answer = json!({ "errors": [{ "message": message }] });
            (status, answer.to_string())
        }
    };
    page(status, "application/json", answer)
}

async fn answer(life: &Life, request: Request<Incoming>) -> Result<String, (StatusCode, String)> {
    let bad = |message: String| (StatusCode::BAD_REQUEST, message);
    let upstream = |message: String| (StatusCode::BAD_GATEWAY, message);
    let body = Limited::new(request.into_body(), MAX_BODY).collect().await;
    let body = body.map_err(|error| bad(error.to_string()))?.to_bytes();
    let mut query: Value =
        serde_json::from_slice(&body).map_err(|error| bad(format!("no JSON: {error}")))?;
    let text = query["query"].as_str().unwrap_or_default();
    let inner = unwrap(text).ok_or_else(|| {
        bad("the embedded gateway takes a query of one GraphQL namespace: `{ shop { … } }`".into())
    })?;
    let routes = life.routes();
    let Some(pool) = routes.graphql(&inner.namespace) else {
        return Err(bad(format!(
            "Cannot query field {:?} on type \"Query\".",
            inner.namespace
        )));
    };
    let chosen = pool.choose();
    let Some(endpoint) = chosen.as_ref().and_then(|it| it.replica().endpoint.clone()) else {
        return Err(upstream(format!(
            "no live replicas for {}",
            inner.namespace
        )));
    };
    query["query"] = Value::String(inner.query);
    let request = Request::post(&endpoint)
        .header(CONTENT_TYPE, "application/json")
        .header(ACCEPT, "application/json")
        .header(USER_AGENT, super::ingress::AGENT)
        .body(
            Full::new(Bytes::from(query.to_string()))
                .map_err(|never| match never {})
                .boxed(),
        )
        .map_err(|error| upstream(format!("{endpoint}: {error}")))?;
    let answer = life.forwarder.0.request(request).await;
    let answer = answer.map_err(|error| upstream(format!("{endpoint}: {error}")))?;
    let body = Limited::new(answer.into_body(), MAX_BODY).collect().await;
    let body = body.map_err(|error| upstream(format!("{endpoint}: {error}")))?;
    under(&inner.key, &body.to_bytes())
        .map_err(|error| upstream(format!("{endpoint} does not answer with JSON: {error}")))
}

/// An answer as the gateway gives it: the data under the namespace, and the paths of errors begin
/// there. All else goes through byte for byte: numbers, and the order of fields, which is that of
/// the query.
fn under(key: &str, answer: &[u8]) -> Result<String, serde_json::Error> {
    let members: BTreeMap<String, &RawValue> = serde_json::from_slice(answer)?;
    let mut parts = Vec::new();
    for (name, value) in members {
        let value = match &*name {
            "data" => format!("{{{}:{}}}", json!(key), value.get()),
            "errors" => json!(moved(key, value)?).to_string(),
            _ => value.get().to_owned(),
        };
        parts.push(format!("{}:{value}", json!(name)));
    }
    Ok(format!("{{{}}}", parts.join(",")))
}

/// Errors with their paths below the namespace.
fn moved(key: &str, errors: &RawValue) -> Result<Vec<Value>, serde_json::Error> {
    let mut errors: Vec<Value> = serde_json::from_str(errors.get())?;
    for error in &mut errors {
        if let Some(Value::Array(path)) = error.get_mut("path") {
            path.insert(0, key.into());
        }
    }
    Ok(errors)
}

/// A query without its namespace.
#[derive(Debug, PartialEq, Eq)]
struct Inner {
    /// The name that the answer has: the alias, or the namespace.
    key: String,
    namespace: String,
    /// With blanks for what was taken out, so that the places in errors are those of the query.
    query: String,
}

/// Takes the namespace out of `query($n: Int) { key: namespace { … } }`.
fn unwrap(query: &str) -> Option<Inner> {
    let outer = braces(query)?;
    let (head, body) = (&query[..outer.0], query.get(outer.0 + 1..outer.1)?);
    // Fragments behind it are typed by the gateway's names: they cannot be passed on.
    if !query[outer.1 + 1..].trim().is_empty() {
        return None;
    }
    let selection = braces(body)?;
    if !body[selection.1 + 1..].trim().is_empty() {
        return None;
    }
    let field = body[..selection.0].trim();
    let (key, namespace) = match field.split_once(':') {
        Some((alias, name)) => (alias.trim(), name.trim()),
        None => (field, field),
    };
    if ![key, namespace]
        .iter()
        .all(|name| tower_gwag_schema::name::is_name(name))
    {
        return None;
    }
    Some(Inner {
        key: key.to_owned(),
        namespace: namespace.to_owned(),
        query: format!(
            "{head} {}{}",
            blanks(&body[..selection.0]),
            &body[selection.0..=selection.1]
        ),
    })
}

fn blanks(text: &str) -> String {
    let blank = |c: char| if c.is_whitespace() { c } else { ' ' };
    text.chars().map(blank).collect()
}

/// The first selection set of a text: where its braces are. Braces in strings and comments, and
/// those of object values in parentheses, do not count.
fn braces(text: &str) -> Option<(usize, usize)> {
    let (mut start, mut depth, mut parentheses) = (None, 0_usize, 0_usize);
    let mut at = 0;
    while let Some(c) = text.get(at..)?.chars().next() {
        match c {
            '"' | '#' => {
                at += unread(&text[at..]);
                continue;
            }
            '(' => parentheses += 1,
            ')' => parentheses = parentheses.saturating_sub(1),
            '{' if parentheses == 0 => {
                start.get_or_insert(at);
                depth += 1;
            }
            '}' if parentheses == 0 => {
                depth = depth.checked_sub(1)?;
                if depth == 0 {
                    return Some((start?, at));
                }
            }
            _ => {}
        }
        at += c.len_utf8();
    }
    None
}

/// How long the string, block string or comment is with which a text begins.
fn unread(text: &str) -> usize {
    if text.starts_with('#') {
        return text.find(['\n', '\r']).unwrap_or(text.len());
    }
    let quotes = if text.starts_with("\"\"\"") {
        "\"\"\""
    } else {
        "\""
    };
    let mut at = quotes.len();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        // In a block string only its own end can be escaped.
        let is_escape =
            rest.starts_with('\\') && (quotes.len() == 1 || rest[1..].starts_with(quotes));
        let step = match rest.starts_with(quotes) {
            true => return at + quotes.len(),
            false => rest.chars().next().map_or(1, char::len_utf8),
        };
        at += step;
        if is_escape {
            at += text
                .get(at..)
                .and_then(|it| it.chars().next())
                .map_or(0, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_namespace_is_taken_out() {
        for (query, key, namespace, inner) in [
            (
                "{ shop { items { name } } }",
                "shop",
                "shop",
                "       { items { name } }",
            ),
            (
                "query Q($n: Int = 3) { s: shop { items(by: {n: $n, text: \"}\"}) { name } } }",
                "s",
                "shop",
                "query Q($n: Int = 3)           { items(by: {n: $n, text: \"}\"}) { name } }",
            ),
            (
                "mutation{shop{buy(n:1)}}",
                "shop",
                "shop",
                "mutation     {buy(n:1)}",
            ),
            (
                "# {\nquery {\n  shop { # }\n    a(b: \"\"\" } \" \\\"\"\" } \"\"\", c: \"\\\"}\")\n  }\n}\n",
                "shop",
                "shop",
                "# {\nquery  \n       { # }\n    a(b: \"\"\" } \" \\\"\"\" } \"\"\", c: \"\\\"}\")\n  }",
            ),
        ] {
            let found = unwrap(query).unwrap();
            assert_eq!(
                (&*found.key, &*found.namespace, &*found.query),
                (key, namespace, inner)
            );
        }
        for query in [
            "",
            "{",
            "{ shop }",
            "{ a { b } c { d } }",
            "{ a { ...F } } fragment F on X { y }",
        ] {
            assert_eq!(unwrap(query), None, "{query}");
        }
    }

    #[test]
    fn answers_are_put_under_the_namespace_and_else_as_they_were() {
        let answer = br#"{"data": {"z": 1.50, "a": 18446744073709551616}, "errors":
            [{"message": "m", "path": ["a", 0]}, {"message": "n"}], "extensions": {"cost": 1}}"#;
        assert_eq!(
            under("shop", answer).unwrap(),
            r#"{"data":{"shop":{"z": 1.50, "a": 18446744073709551616}},"errors":[{"message":"m","path":["shop","a",0]},{"message":"n"}],"extensions":{"cost": 1}}"#
        );
        let refused = br#"{"errors":[{"message":"no"}]}"#;
        assert_eq!(under("shop", refused).unwrap().as_bytes(), refused);
        assert!(under("shop", b"<html>").is_err());
    }
}
