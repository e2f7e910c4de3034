//! Plain HTTP, and a TCP forwarder that counts and cuts connections.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::within;

/// An HTTP GET; status and body.
pub async fn get(url: &str) -> (u16, String) {
    request("GET", url, "").await
}

/// An HTTP request; status and body.
pub async fn request(method: &str, url: &str, body: &str) -> (u16, String) {
    let request = hyper::Request::builder()
        .method(method)
        .uri(url)
        .header("content-type", "application/json")
        .body(Full::new(Bytes::from(body.to_owned())))
        .expect("a request");
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = within("an answer", client.request(request))
        .await
        .expect("answered");
    let status = response.status().as_u16();
    let body = within("a body", response.into_body().collect()).await;
    let body = body.expect("a body").to_bytes();
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// A TCP forwarder between a client and a server.
pub struct Forwarder {
    pub address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    cut: Arc<std::sync::Mutex<CancellationToken>>,
    task: JoinHandle<()>,
}

impl Forwarder {
    pub async fn to(target: SocketAddr) -> Self {
        Self::between(([127, 0, 0, 1], 0).into(), target).await
    }

    pub async fn between(here: SocketAddr, target: SocketAddr) -> Self {
        let listener = TcpListener::bind(here).await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let accepted = Arc::new(AtomicUsize::new(0));
        let cut = Arc::new(std::sync::Mutex::new(CancellationToken::new()));
        let (count, cutter) = (Arc::clone(&accepted), Arc::clone(&cut));
        let task = tokio::spawn(async move {
            loop {
                let (mut near, _) = listener.accept().await.expect("accepted");
                count.fetch_add(1, Ordering::SeqCst);
                let cut = cutter.lock().unwrap().clone();
                tokio::spawn(cut.run_until_cancelled_owned(async move {
                    let mut far = TcpStream::connect(target).await?;
                    near.set_nodelay(true)?;
                    far.set_nodelay(true)?;
                    copy_bidirectional(&mut near, &mut far).await
                }));
            }
        });
        Self {
            address,
            accepted,
            cut,
            task,
        }
    }

    /// Connections that were ever made through it.
    pub fn connections(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Ends every connection, and accepts no more.
    pub async fn close(&self) {
        self.task.abort();
        self.cut();
        super::eventually("the port is closed", || self.task.is_finished()).await;
    }

    /// Ends every connection; new ones are forwarded.
    pub fn cut(&self) {
        std::mem::take(&mut *self.cut.lock().unwrap()).cancel();
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.task.abort();
        self.cut();
    }
}
