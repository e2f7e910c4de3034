//! A peer at the gateway's address, on threads of its own.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Notify;

/// The last part of the path, the number of the call, and the message.
pub(crate) type Handler = Arc<dyn Fn(&str, u64, Bytes) -> Response<Body> + Send + Sync>;

type Listener = Box<dyn Fn(&str) + Send + Sync>;

/// Connections wait until it begins; it is over when the process is.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

/// What a peer is to do with its connections.
#[derive(Default)]
pub(crate) struct Orders {
    /// Says GOAWAY on the one with the next call.
    pub(crate) goes_away_once: AtomicBool,
    goes_away: AtomicBool,
    ends: AtomicBool,
    /// Ends all.
    restarts: Notify,
}

impl Orders {
    pub(crate) fn restart(&self) {
        self.restarts.notify_waiters();
    }
}

#[derive(Default)]
struct Shared {
    begun: Mutex<bool>,
    begins: Condvar,
    connections: AtomicU64,
    calls: AtomicU64,
    orders: Arc<Orders>,
    heard: Mutex<Option<Listener>>,
}

impl Peer {
    fn new(connected: impl Fn(TcpStream, &Arc<Shared>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::<Shared>::default();
        let here = Arc::clone(&shared);
        let connected = Arc::new(connected);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let Ok(stream) = stream else { return };
                {
                    let begun = here.begun.lock().expect("no panic");
                    let waited = here.begins.wait_while(begun, |begun| !*begun);
                    drop(waited.expect("no panic"));
                }
                here.connections.fetch_add(1, Ordering::Relaxed);
                let (connected, here) = (Arc::clone(&connected), Arc::clone(&here));
                std::thread::spawn(move || connected(stream, &here));
            }
        });
        Self { address, shared }
    }

    /// What it does with a connection, byte by byte.
    pub(crate) fn raw(connected: fn(&TcpStream)) -> Self {
        Self::new(move |stream, _| {
            // A peer that is left alone must end.
            let _ = stream.set_write_timeout(Some(Duration::from_secs(30)));
            let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
            connected(&stream);
        })
    }

    /// An HTTP server.
    pub(crate) fn http(handler: Handler) -> Self {
        Self::new(move |stream, shared| {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime");
            stream.set_nonblocking(true).expect("not blocking");
            runtime.block_on(async {
                let stream = tokio::net::TcpStream::from_std(stream).expect("a stream");
                serve(stream, shared, &handler).await;
            });
        })
    }

    /// An HTTP server on the runtime of the test, whose clock it has. Does not wait until it begins.
    pub(crate) async fn http_here(handler: Handler) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let shared = Arc::<Shared>::default();
        let here = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                here.connections.fetch_add(1, Ordering::Relaxed);
                let (here, handler) = (Arc::clone(&here), Arc::clone(&handler));
                tokio::spawn(async move { serve(stream, &here, &handler).await });
            }
        });
        Self { address, shared }
    }

    pub(crate) fn going_away(self) -> Self {
        self.shared.orders.goes_away.store(true, Ordering::Relaxed);
        self
    }

    pub(crate) fn ending(self) -> Self {
        self.shared.orders.ends.store(true, Ordering::Relaxed);
        self
    }

    pub(crate) fn orders(&self) -> Arc<Orders> {
        Arc::clone(&self.shared.orders)
    }

    /// Hears the method of each call.
    pub(crate) fn listen(&self, heard: impl Fn(&str) + Send + Sync + 'static) {
        *self.shared.heard.lock().expect("no panic") = Some(Box::new(heard));
    }

    pub(crate) fn begin(&self) {
        *self.shared.begun.lock().expect("no panic") = true;
        self.shared.begins.notify_all();
    }

    pub(crate) fn connections(&self) -> u64 {
        self.shared.connections.load(Ordering::Relaxed)
    }

    pub(crate) fn calls(&self) -> u64 {
        self.shared.calls.load(Ordering::Relaxed)
    }
}

async fn serve(stream: tokio::net::TcpStream, shared: &Arc<Shared>, handler: &Handler) {
    let answered = Arc::new(Notify::new());
    let service = service_fn({
        let (shared, answered) = (Arc::clone(shared), Arc::clone(&answered));
        let handler = Arc::clone(handler);
        move |request: Request<Incoming>| {
            let number = shared.calls.fetch_add(1, Ordering::Relaxed);
            let shared = Arc::clone(&shared);
            let (handler, answered) = (Arc::clone(&handler), Arc::clone(&answered));
            async move {
                let (head, body) = request.into_parts();
                let path = head.uri.path();
                let method = path.rsplit('/').next().unwrap_or_default();
                if let Some(heard) = &*shared.heard.lock().expect("no panic") {
                    heard(method);
                }
                let message = match body.collect().await {
                    // Behind the flag and the length.
                    Ok(body) => body.to_bytes().split_off(5),
                    Err(_) => Bytes::new(),
                };
                let response = handler(method, number, message);
                answered.notify_one();
                Ok::<_, Infallible>(response)
            }
        }
    });
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    server.max_header_list_size(1024 * 1024);
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let orders = &shared.orders;
    let restarted = orders.restarts.notified();
    tokio::pin!(connection, restarted);
    loop {
        tokio::select! {
            _ = &mut connection => return,
            () = &mut restarted => return,
            () = answered.notified() => {
                let once = orders.goes_away_once.swap(false, Ordering::Relaxed);
                if once || orders.goes_away.load(Ordering::Relaxed) {
                    connection.as_mut().graceful_shutdown();
                }
                if orders.ends.load(Ordering::Relaxed) {
                    // For the answer to go out.
                    let moment = tokio::time::sleep(Duration::from_millis(20));
                    tokio::select! {
                        _ = &mut connection => {}
                        () = moment => {}
                    }
                    return;
                }
            }
        }
    }
}
