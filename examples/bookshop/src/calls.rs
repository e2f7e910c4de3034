//! Calls through the gateway, where the namespace is a field of every query.

use serde_json::{Value, json};

use crate::support::{BoxError, send};

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
    ask(gateway, query, &variables).await
}

/// An input object, as a literal.
pub(crate) async fn order(gateway: &str) -> Result<String, BoxError> {
    let query = "mutation Buy { shop { order(order: {book: \"4\", copies: 3, note: \"as a {gift}\"}) { title copies total note } } }";
    ask(gateway, query, &Value::Null).await
}

/// A book that is not there: an error with a path. The field may not be null, and so all data is lost.
pub(crate) async fn missing(gateway: &str) -> Result<String, BoxError> {
    let query = "{\n  shop {\n    books(first: 1) { id }\n    book(id: \"9\") { title }\n  }\n}";
    ask(gateway, query, &Value::Null).await
}

/// A field that is not there.
pub(crate) async fn wrong(gateway: &str) -> Result<String, BoxError> {
    ask(gateway, "{ shop { books { isbn } } }", &Value::Null).await
}

async fn ask(gateway: &str, query: &str, variables: &Value) -> Result<String, BoxError> {
    let body = json!({ "query": query, "variables": variables }).to_string();
    send("POST", &format!("{gateway}/api/graphql"), &body).await
}
