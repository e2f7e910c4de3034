//! A peer at the gateway's address, on threads of its own.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::sync::Notify;

pub(crate) type Handler = Arc<dyn Fn(&str, u64) -> Response<Body> + Send + Sync>;

/// Connections wait until it begins; it is over when the process is.
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    begun: Mutex<bool>,
    begins: Condvar,
    connections: AtomicU64,
    calls: AtomicU64,
    goes_away: AtomicBool,
    ends: AtomicBool,
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
    pub(crate) fn raw(connected: fn(TcpStream)) -> Self {
        Self::new(move |stream, _| {
            // A peer that is left alone must end.
            let _ = stream.set_write_timeout(Some(Duration::from_secs(30)));
            let _ = stream.set_read_timeout(Some(Duration::from_secs(30)));
            connected(stream);
        })
    }

    /// An HTTP server: the last part of the path, and the number of the call.
    pub(crate) fn http(handler: Handler) -> Self {
        Self::new(move |stream, shared| serve(stream, shared, &handler))
    }

    pub(crate) fn going_away(self) -> Self {
        self.shared.goes_away.store(true, Ordering::Relaxed);
        self
    }

    pub(crate) fn ending(self) -> Self {
        self.shared.ends.store(true, Ordering::Relaxed);
        self
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

fn serve(stream: TcpStream, shared: &Arc<Shared>, handler: &Handler) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    stream.set_nonblocking(true).expect("not blocking");
    let answered = Arc::new(Notify::new());
    let service = service_fn({
        let (shared, answered) = (Arc::clone(shared), Arc::clone(&answered));
        let handler = Arc::clone(handler);
        move |request: Request<Incoming>| {
            let number = shared.calls.fetch_add(1, Ordering::Relaxed);
            let path = request.uri().path();
            let response = handler(path.rsplit('/').next().unwrap_or_default(), number);
            answered.notify_one();
            async move { Ok::<_, Infallible>(response) }
        }
    });
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::from_std(stream).expect("a stream");
        let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
        server.max_header_list_size(1024 * 1024);
        let connection = server.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        loop {
            tokio::select! {
                _ = &mut connection => return,
                () = answered.notified() => {
                    if shared.goes_away.load(Ordering::Relaxed) {
                        connection.as_mut().graceful_shutdown();
                    }
                    if shared.ends.load(Ordering::Relaxed) {
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
    });
}
