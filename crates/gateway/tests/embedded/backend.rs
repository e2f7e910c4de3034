//! A service behind the gateway: gRPC methods and HTTP paths on one port, in a handful of lines.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::body::Body;
use axum::extract::Path;
use axum::http::{HeaderMap, Response};
use axum::routing::{get, post};
use http_body_util::StreamBody;
use hyper::body::{Bytes, Frame};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio_stream::wrappers::ReceiverStream;

pub(crate) const PROTO: &str = r#"syntax = "proto3";
package demo.v1;
message Req { string a = 1; }
message Resp { string b = 1; }
service Demo {
  rpc Ping(Req) returns (Resp);
  rpc Hold(Req) returns (Resp);
  rpc Watch(Req) returns (stream Resp);
  rpc Upload(stream Req) returns (Resp);
}
"#;

pub(crate) const OPENAPI: &str = r#"{"openapi":"3.0.3","info":{"title":"Pets","version":"1"},"paths":{
    "/pets/{id}":{"get":{"operationId":"getPet","responses":{"200":{"description":"ok"}},
        "parameters":[{"name":"id","in":"path","required":true,"schema":{"type":"string"}}]}},
    "/pets":{"post":{"operationId":"addPet","responses":{"201":{"description":"ok"}}}}}}"#;

/// A running service; it stops when this is dropped.
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    /// Calls that began.
    pub(crate) calls: Arc<AtomicUsize>,
    /// Calls of Hold go on when they get a permit.
    pub(crate) release: Arc<Semaphore>,
    /// What the last call said of its caller.
    pub(crate) agents: mpsc::UnboundedReceiver<String>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Backend {
    pub(crate) async fn start(name: &'static str) -> Self {
        Self::start_at(name, "127.0.0.1:0").await
    }

    pub(crate) async fn start_at(name: &'static str, address: &str) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let calls = Arc::new(AtomicUsize::new(0));
        let release = Arc::new(Semaphore::new(0));
        let (seen, agents) = mpsc::unbounded_channel();
        let (count, gate) = (Arc::clone(&calls), Arc::clone(&release));
        let ping = {
            let count = Arc::clone(&count);
            async move |headers: HeaderMap, _: Bytes| {
                count.fetch_add(1, Ordering::SeqCst);
                let agent = headers.get("user-agent").and_then(|it| it.to_str().ok());
                let _ = seen.send(agent.unwrap_or_default().to_owned());
                reply(vec![name])
            }
        };
        let hold = async move || {
            count.fetch_add(1, Ordering::SeqCst);
            // Used up: the next call has to wait for one of its own.
            if let Ok(permit) = gate.acquire().await {
                permit.forget();
            }
            reply(vec![name])
        };
        let app = Router::new()
            .route("/demo.v1.Demo/Ping", post(ping))
            .route("/demo.v1.Demo/Hold", post(hold))
            .route("/before.v1.Demo/Ping", post(async || reply(vec![name])))
            .route(
                "/demo.v1.Demo/Watch",
                post(async || reply(vec!["1", "2", "3"])),
            )
            .route(
                "/base/pets/{id}",
                get(async |Path(id): Path<String>| axum::Json(format!("pet {id}"))),
            )
            .route(
                "/base/pets",
                post(async |body: String| axum::Json(format!("added {body}"))),
            );
        let task = tokio::spawn(async move {
            let _ = axum::serve(listener, app).await;
        });
        Self {
            address,
            calls,
            release,
            agents,
            task,
        }
    }
}

/// Messages of the type Resp, and the status OK in trailers.
fn reply(texts: Vec<&'static str>) -> Response<Body> {
    let (sender, frames) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(8);
    tokio::spawn(async move {
        for text in texts {
            let _ = sender.send(Ok(Frame::data(frame(text)))).await;
        }
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", 0.into());
        let _ = sender.send(Ok(Frame::trailers(trailers))).await;
    });
    Response::builder()
        .header("content-type", "application/grpc")
        .body(Body::new(StreamBody::new(ReceiverStream::new(frames))))
        .unwrap()
}

/// A message with one string field, and the prefix that gRPC puts before it.
fn frame(text: &str) -> Bytes {
    let mut message = vec![0x0a, u8::try_from(text.len()).unwrap()];
    message.extend_from_slice(text.as_bytes());
    let mut out = vec![0];
    out.extend_from_slice(&u32::try_from(message.len()).unwrap().to_be_bytes());
    out.extend_from_slice(&message);
    out.into()
}
