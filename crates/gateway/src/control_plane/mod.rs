//! The control-plane port: the 11 calls, and the gRPC ingress for all other paths.

mod calls;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, Response};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::Code;
use tonic::metadata::MetadataMap;
use tower_service::Service;

use self::calls::Calls;
use super::data_plane::grpc;
use super::node::Node;
use super::node::life::Life;
use super::proxy::{self, MAX_MESSAGE};
use super::rpc::Rpc;
use tower_gwag::control::proto::control_plane_server::ControlPlaneServer;

const SERVICE_PREFIX: &str = "/gateway.controlplane.v1.ControlPlane/";

/// Serves the requests of the control-plane port.
#[derive(Clone, Debug)]
pub(super) struct ControlPort {
    calls: ControlPlaneServer<Calls>,
    life: Arc<Life>,
}

impl ControlPort {
    pub(super) fn new(node: Arc<Node>, life: Arc<Life>) -> Self {
        let calls = Calls::new(node, Arc::clone(&life));
        Self {
            calls: ControlPlaneServer::new(calls).max_decoding_message_size(MAX_MESSAGE),
            life,
        }
    }

    pub(super) async fn call(
        &self,
        request: http::Request<Incoming>,
    ) -> Response<tonic::body::Body> {
        let method = request.uri().path().strip_prefix(SERVICE_PREFIX);
        let known = method.is_some_and(|method| Rpc::ALL.iter().any(|rpc| rpc.name() == method));
        if !known {
            return grpc::call(&self.life, request).await;
        }
        let mut calls = self.calls.clone();
        let Ok(mut response) = calls.call(request).await;
        // For a message above the limit tonic returns OUT_OF_RANGE, grpc-go RESOURCE_EXHAUSTED.
        let too_large = response
            .headers()
            .get("grpc-status")
            .is_some_and(|status| status == "11");
        if too_large {
            let headers = response.headers_mut();
            headers.insert(
                "grpc-status",
                HeaderValue::from(Code::ResourceExhausted as i32),
            );
            let text = proxy::too_large();
            if let Ok(text) = HeaderValue::from_str(&text.message().replace(' ', "%20")) {
                headers.insert("grpc-message", text);
            }
        }
        response
    }
}

/// The moment at which the client gives up, from its `grpc-timeout`.
fn deadline_of(metadata: &MetadataMap) -> Option<Instant> {
    let text = metadata.get("grpc-timeout")?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let amount: u64 = digits.parse().ok()?;
    let timeout = match unit {
        "H" => Duration::from_secs(amount.saturating_mul(3600)),
        "M" => Duration::from_secs(amount.saturating_mul(60)),
        "S" => Duration::from_secs(amount),
        "m" => Duration::from_millis(amount),
        "u" => Duration::from_micros(amount),
        "n" => Duration::from_nanos(amount),
        _ => return None,
    };
    Instant::now().checked_add(timeout)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn timeouts_have_units() {
        for (text, timeout) in [
            ("2H", Some(Duration::from_secs(7200))),
            ("3S", Some(Duration::from_secs(3))),
            ("250m", Some(Duration::from_millis(250))),
            ("", None),
            ("5", None),
            ("xS", None),
        ] {
            let mut metadata = MetadataMap::new();
            metadata.insert("grpc-timeout", text.parse().unwrap());
            let expected = timeout.map(|timeout| Instant::now() + timeout);
            assert_eq!(deadline_of(&metadata), expected, "{text}");
        }
        assert_eq!(deadline_of(&MetadataMap::new()), None);
    }
}
