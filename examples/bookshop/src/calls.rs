//! Calls through the gateway, where the namespace is a field of every query.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::BoxError;

/// A variable, an alias, and a selection that is nested. Gateways pass on no variables of enum or
/// input types, and no arguments of fields below the root.
pub(crate) async fn books(gateway: &str) -> Result<String, BoxError> {
    let query = "query Novels($first: Int!) {
      shop {
        books(first: $first, genre: NOVEL) {
          title
          author { name books { title } }
          cost: price
        }
      }
    }";
    let variables = json!({ "first": 2 });
    send(gateway, query, &variables).await
}

/// An input object, as a literal.
pub(crate) async fn order(gateway: &str) -> Result<String, BoxError> {
    let query = "mutation Buy { shop { order(order: {book: \"4\", copies: 3, note: \"as a {gift}\"}) { title copies total note } } }";
    send(gateway, query, &Value::Null).await
}

/// A book that is not there: an error with a path. The field may not be null, and so all data is lost.
pub(crate) async fn missing(gateway: &str) -> Result<String, BoxError> {
    let query = "{\n  shop {\n    books(first: 1) { id }\n    book(id: \"9\") { title }\n  }\n}";
    send(gateway, query, &Value::Null).await
}

/// A field that is not there.
pub(crate) async fn wrong(gateway: &str) -> Result<String, BoxError> {
    send(gateway, "{ shop { books { isbn } } }", &Value::Null).await
}

async fn send(gateway: &str, query: &str, variables: &Value) -> Result<String, BoxError> {
    let body = json!({ "query": query, "variables": variables }).to_string();
    let request = hyper::Request::post(format!("{gateway}/api/graphql"))
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body)))?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await?;
    let status = response.status();
    let body = response.into_body().collect().await?.to_bytes();
    let body = String::from_utf8_lossy(&body).into_owned();
    match status.is_success() {
        true => Ok(body),
        false => Err(format!("{status}: {body}").into()),
    }
}
