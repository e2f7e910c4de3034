//! GraphQL at `/api/graphql`, for services that are GraphQL themselves: a query of one namespace,
//! `{ shop { … } }`, is sent to that service without the namespace, and its answer put under it.
//! A real gateway also takes several namespaces at once, and gRPC and HTTP services.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use super::{HttpBody, page};
use crate::embedded::node::life::Life;

/// What a query or an answer may weigh, in bytes.
const MAX_BODY: usize = 16 << 20;

/// Answers a request; its faults are GraphQL errors, as GraphQL over HTTP has them.
pub(super) async fn call(life: &Life, request: Request<Incoming>) -> Response<HttpBody> {
    let (status, answer) = match answer(life, request).await {
        Ok(answer) => (StatusCode::OK, answer),
        Err((status, message)) => (status, json!({ "errors": [{ "message": message }] })),
    };
    page(status, "application/json", answer.to_string())
}

async fn answer(life: &Life, request: Request<Incoming>) -> Result<Value, (StatusCode, String)> {
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
    let mut answer: Value = serde_json::from_slice(&body.to_bytes())
        .map_err(|error| upstream(format!("{endpoint} does not answer with JSON: {error}")))?;
    if let Some(data) = answer.get_mut("data") {
        *data = json!({ inner.key: data.take() });
    }
    Ok(answer)
}

/// A query without its namespace.
#[derive(Debug, PartialEq, Eq)]
struct Inner {
    /// The name that the answer has: the alias, or the namespace.
    key: String,
    namespace: String,
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
        .all(|name| crate::rules::name::is_name(name))
    {
        return None;
    }
    Some(Inner {
        key: key.to_owned(),
        namespace: namespace.to_owned(),
        query: format!("{head}{}", &body[selection.0..=selection.1]),
    })
}

/// The first selection set of a text: where its braces are. Braces in strings, and those of object
/// values in parentheses, do not count.
fn braces(text: &str) -> Option<(usize, usize)> {
    let (mut start, mut depth, mut parentheses) = (None, 0_usize, 0_usize);
    let mut string = false;
    let mut escaped = false;
    for (at, c) in text.char_indices() {
        if string {
            string = escaped || c != '"';
            escaped = c == '\\' && !escaped;
            continue;
        }
        match c {
            '"' => string = true,
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
    }
    None
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
                "{ items { name } }",
            ),
            (
                "query Q($n: Int = 3) { s: shop { items(by: {n: $n, text: \"}\"}) { name } } }",
                "s",
                "shop",
                "query Q($n: Int = 3) { items(by: {n: $n, text: \"}\"}) { name } }",
            ),
            (
                "mutation{shop{buy(n:1)}}",
                "shop",
                "shop",
                "mutation{buy(n:1)}",
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
}
