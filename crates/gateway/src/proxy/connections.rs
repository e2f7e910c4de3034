//! Connections to services: one per address string, shared, counted, and closed when unused.

use std::collections::HashMap;
use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame};
use hyper::body::Incoming;
use hyper::client::conn::http2::{self, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::Status;

use super::backoff::Backoff;
use super::target::{self, Target};
use crate::freeze::{Gate, Gated};

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);

/// The answer to a call whose connection was closed with its last share.
const CLOSING: &str = "grpc: the client connection is closing";

/// Every connection of a node, by the exact address string.
#[derive(Debug)]
pub(crate) struct Upstreams {
    by_addr: Mutex<HashMap<String, Counted>>,
    tasks: Tasks,
    gate: Gate,
}

#[derive(Debug)]
struct Counted {
    upstream: Arc<Upstream>,
    /// How many shares of the connection exist.
    shares: usize,
}

/// What happens to a connection when its last share is released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtZero {
    /// It is closed, which cancels its calls.
    Close,
    /// It stays, with its back-off.
    Keep,
}

/// Where tasks are spawned, and what ends them.
#[derive(Clone, Debug)]
pub(crate) struct Tasks {
    pub(crate) tracker: TaskTracker,
    pub(crate) token: CancellationToken,
}

impl Tasks {
    /// Runs a task until it ends or is cancelled.
    pub(crate) fn spawn<F>(&self, task: F)
    where
        F: Future<Output: Send> + Send + 'static,
    {
        let token = self.token.clone();
        self.tracker.spawn(async move {
            token.run_until_cancelled(task).await;
        });
    }

    fn child(&self) -> Self {
        Self {
            tracker: self.tracker.clone(),
            token: self.token.child_token(),
        }
    }
}

impl<F> hyper::rt::Executor<F> for Tasks
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, task: F) {
        self.spawn(task);
    }
}

impl Upstreams {
    pub(crate) fn new(tasks: Tasks, gate: Gate) -> Self {
        Self {
            by_addr: Mutex::default(),
            tasks,
            gate,
        }
    }

    fn by_addr(&self) -> MutexGuard<'_, HashMap<String, Counted>> {
        self.by_addr.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a share of the connection to an address string, and creates the connection if needed.
    pub(crate) fn acquire(&self, addr: &str) -> Arc<Upstream> {
        let mut by_addr = self.by_addr();
        let counted = by_addr.entry(addr.to_owned()).or_insert_with(|| Counted {
            upstream: Arc::new(Upstream::new(addr, self.tasks.child(), self.gate.clone())),
            shares: 0,
        });
        counted.shares += 1;
        Arc::clone(&counted.upstream)
    }

    /// Releases a share. An address string without a connection is not an error: a real gateway
    /// releases twice what it could not mount.
    pub(crate) fn release(&self, addr: &str, at_zero: AtZero) {
        let mut by_addr = self.by_addr();
        let Some(counted) = by_addr.get_mut(addr) else {
            return;
        };
        counted.shares = counted.shares.saturating_sub(1);
        if counted.shares == 0 && at_zero == AtZero::Close {
            counted.upstream.tasks.token.cancel();
            by_addr.remove(addr);
        }
    }
}

/// The connection of one address string.
#[derive(Debug)]
pub(crate) struct Upstream {
    target: Result<Target, String>,
    link: watch::Sender<Link>,
    tasks: Tasks,
    gate: Gate,
}

/// The body of a request: one message, whose length is not announced (gRPC has no
/// `content-length`).
#[derive(Debug)]
pub(crate) struct OneMessage(Option<Bytes>);

impl OneMessage {
    pub(crate) fn new(message: Bytes) -> Self {
        Self(Some(message))
    }
}

impl Body for OneMessage {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|message| Ok(Frame::data(message))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }
}

/// Why a call has no answer.
#[derive(Debug)]
pub(crate) enum CallFault {
    /// It never left the gateway.
    NotSent(Status),
    /// It did.
    Lost(Status),
}

#[derive(Clone, Debug)]
enum Link {
    Idle,
    Connecting,
    /// The number of this connection, for calls that find it broken.
    Ready(u64, SendRequest<OneMessage>),
    /// The last attempt failed; more are made in the background.
    Failed(String),
}

impl Upstream {
    fn new(addr: &str, tasks: Tasks, gate: Gate) -> Self {
        Self {
            target: target::parse(addr),
            link: watch::Sender::new(Link::Idle),
            tasks,
            gate,
        }
    }

    /// Resolves when the connection was closed with its last share.
    pub(crate) async fn closed(&self) {
        self.tasks.token.cancelled().await;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.tasks.token.is_cancelled()
    }

    /// The status of a call on a connection that was closed with its last share.
    pub(crate) fn closing() -> Status {
        Status::cancelled(CLOSING)
    }

    /// Sends a request, and connects first if needed.
    ///
    /// # Errors
    ///
    /// The status that the caller of the gateway gets.
    pub(crate) async fn call(
        self: &Arc<Self>,
        mut request: http::Request<OneMessage>,
    ) -> Result<http::Response<Incoming>, CallFault> {
        loop {
            let (connection, mut sender) = self.ready().await.map_err(CallFault::NotSent)?;
            match sender.try_send_request(request).await {
                Ok(response) => return Ok(response),
                Err(mut error) => match error.take_message() {
                    // None of it was sent: the connection was about to close.
                    Some(unsent) => {
                        self.forget(connection);
                        request = unsent;
                    }
                    None if self.is_closed() => return Err(CallFault::Lost(Self::closing())),
                    None => return Err(CallFault::Lost(super::status_of(error.into_error()))),
                },
            }
        }
    }

    /// The authority and address of this target, for the request.
    ///
    /// # Errors
    ///
    /// The status of every call to an address that cannot be dialled.
    pub(crate) fn target(&self) -> Result<&Target, Status> {
        self.target.as_ref().map_err(|reason| unavailable(reason))
    }

    async fn ready(self: &Arc<Self>) -> Result<(u64, SendRequest<OneMessage>), Status> {
        let target = self.target()?;
        let mut link = self.link.subscribe();
        loop {
            let now = link.borrow_and_update().clone();
            match now {
                _ if self.is_closed() => return Err(Self::closing()),
                Link::Ready(connection, sender) if sender.is_closed() => self.forget(connection),
                Link::Ready(connection, sender) => return Ok((connection, sender)),
                Link::Failed(text) => return Err(Status::unavailable(text)),
                Link::Connecting => {
                    tokio::select! {
                        _ = link.changed() => {}
                        () = self.closed() => return Err(Self::closing()),
                    }
                }
                Link::Idle => {
                    let first = self.link.send_if_modified(|link| {
                        let idle = matches!(link, Link::Idle);
                        if idle {
                            *link = Link::Connecting;
                        }
                        idle
                    });
                    if first {
                        self.tasks
                            .spawn(Arc::clone(self).keep_connecting(target.clone()));
                    }
                }
            }
        }
    }

    /// Marks a connection as closed: the next call makes a new one.
    fn forget(&self, connection: u64) {
        self.link.send_if_modified(|link| {
            let same = matches!(link, Link::Ready(number, _) if *number == connection);
            if same {
                *link = Link::Idle;
            }
            same
        });
    }

    /// Connects, with back-off between failures, until it succeeds; then publishes the connection.
    async fn keep_connecting(self: Arc<Self>, target: Target) {
        let mut backoff = Backoff::default();
        loop {
            match self.connect(&target).await {
                Ok(sender) => {
                    backoff.reset();
                    let number = super::backoff::random_u64();
                    self.link.send_replace(Link::Ready(number, sender));
                    return;
                }
                Err(reason) => {
                    let text = unavailable(&reason).message().to_owned();
                    self.link.send_replace(Link::Failed(text));
                    tokio::time::sleep(backoff.next()).await;
                }
            }
        }
    }

    async fn connect(&self, target: &Target) -> Result<SendRequest<OneMessage>, String> {
        let attempt = async {
            self.gate.open().await;
            let stream = TcpStream::connect((target.host.as_str(), target.port))
                .await
                .map_err(|error| {
                    format!(
                        "dial tcp {}: {}",
                        target.authority,
                        super::dial_fault(&error)
                    )
                })?;
            let _ = stream.set_nodelay(true);
            let io = TokioIo::new(Gated::new(stream, self.gate.clone()));
            let (sender, connection) = http2::Builder::new(self.tasks.clone())
                .handshake(io)
                .await
                .map_err(|error| error.to_string())?;
            self.tasks.spawn(connection);
            Ok(sender)
        };
        tokio::time::timeout(CONNECT_TIMEOUT, attempt)
            .await
            .unwrap_or_else(|_| Err("context deadline exceeded".to_owned()))
    }
}

fn unavailable(reason: &str) -> Status {
    Status::unavailable(format!(
        "connection error: desc = \"transport: Error while dialing: {reason}\""
    ))
}
