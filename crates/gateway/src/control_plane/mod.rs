//! The control-plane port: the 11 calls, and the gRPC ingress for all other paths.

mod calls;
mod deadline;

use std::sync::Arc;

use http::{HeaderValue, Response};
use hyper::body::Incoming;
use tonic::Code;
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
