//! Those who call through the gateway, and those who register with it.

use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use tonic::client::Grpc;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

pub(crate) use tower_gwag::control::proto;

use self::proto::control_plane_client::ControlPlaneClient;

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// One connection to the control-plane port.
#[derive(Clone)]
pub(crate) struct Caller(Channel);

impl Caller {
    pub(crate) async fn connect(target: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{target}")).unwrap();
        Self(endpoint.connect_lazy())
    }

    pub(crate) fn control(&self) -> ControlPlaneClient<Channel> {
        ControlPlaneClient::new(self.0.clone())
    }

    /// A unary call; the text of field 1 of the answer.
    pub(crate) async fn call(&self, path: &str, request: &'static [u8]) -> Result<String, Status> {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let path: PathAndQuery = path.parse().unwrap();
        let request = Request::new(Bytes::from_static(request));
        let answer = grpc.unary(request, path, Raw).await?;
        Ok(text(&answer.into_inner()))
    }

    pub(crate) async fn stream(&self, path: &str) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = Grpc::new(self.0.clone());
        grpc.ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let path: PathAndQuery = path.parse().unwrap();
        let answer = grpc
            .server_streaming(Request::new(Bytes::new()), path, Raw)
            .await?;
        Ok(answer.into_inner())
    }

    /// Registers a proto under `namespace` v1, and returns the id.
    pub(crate) async fn register(&self, addr: &str, namespace: &str, source: &str) -> String {
        let binding = proto::ServiceBinding {
            namespace: namespace.to_owned(),
            proto_source: source.as_bytes().to_vec(),
            ..Default::default()
        };
        self.register_binding(addr, binding).await.unwrap()
    }

    pub(crate) async fn register_binding(
        &self,
        addr: &str,
        binding: proto::ServiceBinding,
    ) -> Result<String, Status> {
        let request = proto::RegisterRequest {
            addr: addr.to_owned(),
            services: vec![binding],
            instance_id: "test".to_owned(),
            ..Default::default()
        };
        let answer = self.control().register(request).await?;
        Ok(answer.into_inner().registration_id)
    }

    pub(crate) async fn beat(&self, id: &str) -> Result<bool, Status> {
        let registration_id = id.to_owned();
        let request = proto::HeartbeatRequest { registration_id };
        Ok(self.control().heartbeat(request).await?.into_inner().ok)
    }

    pub(crate) async fn deregister(&self, id: &str) -> Result<(), Status> {
        let registration_id = id.to_owned();
        let request = proto::DeregisterRequest { registration_id };
        self.control().deregister(request).await.map(drop)
    }
}

/// The string in field 1.
pub(crate) fn text(message: &Bytes) -> String {
    String::from_utf8(message.get(2..).unwrap_or_default().to_vec()).unwrap()
}

/// One HTTP/1.1 exchange on a connection of its own.
pub(crate) async fn http(base: &str, method: &str, path: &str, body: &str) -> (u16, Vec<u8>) {
    use http_body_util::BodyExt;
    let authority = base.trim_start_matches("http://");
    let stream = tokio::net::TcpStream::connect(authority).await.unwrap();
    let io = hyper_util::rt::TokioIo::new(stream);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", authority)
        .body(body.to_owned())
        .unwrap();
    let answer = sender.send_request(request).await.unwrap();
    let status = answer.status().as_u16();
    let bytes = answer.into_body().collect().await.unwrap().to_bytes();
    (status, bytes.to_vec())
}

/// Ends a test that waits forever.
pub(crate) async fn soon<F: Future>(what: F) -> F::Output {
    tokio::time::timeout(Duration::from_secs(20), what)
        .await
        .expect("within the deadline")
}
