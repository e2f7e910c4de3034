//! Introspection of a GraphQL endpoint during Register.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::value::RawValue;
use tokio::net::TcpStream;
use tokio::time::Instant;
use tonic::Status;

use crate::freeze::{Gate, Gated};

/// The largest reply, in bytes.
const MAX_REPLY: usize = 64 << 20;

/// The timeout if the caller set no deadline; a real gateway waits forever.
const LONGEST: Duration = Duration::from_secs(600);

const QUERY: &str = "query IntrospectionQuery { __schema { queryType { name } mutationType { name } \
subscriptionType { name } types { ...FullType } directives { name description locations args { ...InputValue } } } } \
fragment FullType on __Type { kind name description fields(includeDeprecated: true) { name description \
args { ...InputValue } type { ...TypeRef } isDeprecated deprecationReason } inputFields { ...InputValue } \
interfaces { ...TypeRef } enumValues(includeDeprecated: true) { name description isDeprecated deprecationReason } \
possibleTypes { ...TypeRef } } \
fragment InputValue on __InputValue { name description type { ...TypeRef } defaultValue } \
fragment TypeRef on __Type { kind name ofType { kind name ofType { kind name ofType { kind name ofType { kind name \
ofType { kind name ofType { kind name ofType { kind name } } } } } } } }";

/// Fetches the schema: the `data` member of the reply, byte for byte; `None` if it has none.
///
/// # Errors
///
/// The refusal that Register answers with.
pub(super) async fn introspect(
    url: &str,
    gate: &Gate,
    deadline: Option<Instant>,
) -> Result<Option<String>, Status> {
    let deadline = deadline.unwrap_or_else(|| Instant::now() + LONGEST);
    let refusal = |reason: String| {
        Status::unknown(format!(
            "controlplane: introspect {url}: graphql: {url}: {reason}"
        ))
    };
    match tokio::time::timeout_at(deadline, fetch(url, gate)).await {
        Err(_) => Err(Status::deadline_exceeded(format!(
            "controlplane: introspect {url}: context deadline exceeded"
        ))),
        Ok(Err(reason)) => Err(refusal(reason)),
        Ok(Ok(body)) => data_of(&body).map_err(refusal),
    }
}

async fn fetch(url: &str, gate: &Gate) -> Result<Bytes, String> {
    let uri: http::Uri = url.parse().map_err(|error| format!("not a URL: {error}"))?;
    if uri.scheme_str() != Some("http") {
        return Err("not an http:// URL, and this gateway has no TLS".to_owned());
    }
    let authority = uri.authority().ok_or("a URL without a host")?;
    let host = authority.host().trim_matches(['[', ']']);
    let address = (host, authority.port_u16().unwrap_or(80));
    let stream = TcpStream::connect(address)
        .await
        .map_err(|error| format!("dial: {error}"))?;
    let io = TokioIo::new(Gated::new(stream, gate.clone()));
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(|error| error.to_string())?;
    let body = serde_json::json!({ "query": QUERY, "operationName": "IntrospectionQuery" });
    let request = http::Request::post(uri.path_and_query().map_or("/", |path| path.as_str()))
        .header(http::header::HOST, authority.as_str())
        .header(http::header::CONTENT_TYPE, "application/json")
        .header(http::header::ACCEPT, "application/json")
        .body(Full::new(Bytes::from(body.to_string())))
        .map_err(|error| error.to_string())?;
    let exchange = async {
        let reply = sender
            .send_request(request)
            .await
            .map_err(|error| error.to_string())?;
        let status = reply.status();
        let body = Limited::new(reply.into_body(), MAX_REPLY)
            .collect()
            .await
            .map_err(|error| error.to_string())?
            .to_bytes();
        if status.is_success() {
            Ok(body)
        } else {
            // Clients that can register must not see the endpoint's text.
            Err(status.to_string())
        }
    };
    // One task for both halves: dropping this future leaves nothing behind.
    tokio::pin!(exchange, connection);
    tokio::select! {
        biased;
        reply = &mut exchange => reply,
        end = &mut connection => match end {
            Ok(()) => exchange.await,
            Err(error) => Err(error.to_string()),
        },
    }
}

fn data_of(body: &[u8]) -> Result<Option<String>, String> {
    let members: BTreeMap<String, &RawValue> =
        serde_json::from_slice(body).map_err(|error| format!("decode: {error}"))?;
    if let Some(errors) = members.get("errors")
        && !matches!(errors.get(), "null" | "[]")
    {
        return Err("introspection errors".to_owned());
    }
    Ok(members.get("data").map(|data| data.get().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_taken_byte_for_byte() {
        let reply = br#" { "data" : {"b": 1,  "a":[ ] } , "extensions": {} } "#;
        assert_eq!(
            data_of(reply).unwrap().as_deref(),
            Some(r#"{"b": 1,  "a":[ ] }"#)
        );
        assert_eq!(
            data_of(b"{\"data\":null}").unwrap().as_deref(),
            Some("null")
        );
        assert_eq!(data_of(b"{}").unwrap(), None);
        assert!(data_of(b"<html>").unwrap_err().starts_with("decode"));
        assert!(data_of(br#"{"errors":[{"message":"no"}]}"#).is_err());
    }
}
