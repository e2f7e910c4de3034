//! A call of each of the three services, through the gateway.

use std::fmt::Write;

use super::greeter::HelloRequest;
use super::greeter::greeter_client::GreeterClient;
use super::{BoxError, app};

/// The GraphQL query of the shop; each namespace is a field.
pub(crate) const BOOKS: &str = "{ shop { books } }";
/// The same pet as by HTTP.
pub(crate) const PET: &str = "{ Petstore { getPet(id: 1) { id name } } }";

/// (namespace, hash) of the three, as known without a gateway.
pub(crate) fn expected_hashes() -> Result<[(&'static str, String); 3], BoxError> {
    let [proto, openapi, _] = app::services();
    let exact = |service: tower_gwag::Service| -> Result<String, BoxError> {
        let hash = service.hash()?;
        Ok(hash.hex().ok_or("it has no hash")?.to_owned())
    };
    let mut graphql = String::new();
    for byte in hmac_sha256::Hash::hash(app::introspection().as_bytes()) {
        write!(graphql, "{byte:02x}")?;
    }
    Ok([
        ("greeter", exact(proto)?),
        ("Petstore", exact(openapi)?),
        ("shop", graphql),
    ])
}

/// gRPC goes through the control plane's port.
pub(crate) async fn grpc(control_plane: &str) -> Result<String, BoxError> {
    let mut client = GreeterClient::connect(format!("http://{control_plane}")).await?;
    let request = HelloRequest {
        name: "gateway".into(),
        delay_ms: 0,
    };
    Ok(client.hello(request).await?.into_inner().greeting)
}
