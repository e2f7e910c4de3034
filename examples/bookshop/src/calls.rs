//! Calls through the gateway, where the namespace is a field of every query.

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::BoxError;

/// Variables, an alias, arguments with defaults, and a selection that is nested.
pub(crate) async fn books(gateway: &str) -> Result<String, BoxError> {
    let query = "query Novels($first: Int!, $genre: Genre) {
      shop {
        books(first: $first, genre: $genre) {
          title
          author { name books { title } }
          dollars: price(currency: USD)
        }
      }
    }";
    let variables = json!({ "first": 2, "genre": "NOVEL" });
    send(gateway, query, &variables).await
}

/// An input object, as a variable.
pub(crate) async fn order(gateway: &str) -> Result<String, BoxError> {
    let query = "mutation Buy($order: OrderInput!) { shop { order(order: $order) { title copies total note } } }";
    let variables = json!({ "order": { "book": "4", "copies": 3, "note": "as a {gift}" } });
    send(gateway, query, &variables).await
}

/// A book that is not there: an error with a path, beside the data of what is there.
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
