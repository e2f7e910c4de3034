//! The tasks of a life: accepting on both ports, and the sweep.

use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::MissedTickBehavior;

use super::Node;
use super::life::Life;
use super::ports::Ports;
use crate::control_plane::ControlPort;
use crate::data_plane::http_ingress::HangUp;
use crate::freeze::Gated;
use crate::http_port;
use crate::journal::Noted;

/// The pause after an accept failed, for example for want of file descriptors.
const ACCEPT_REST: Duration = Duration::from_millis(10);

/// How long the head of a request may take.
const HEADERS: Duration = Duration::from_secs(60);

/// The shortest interval: a timer without a pause would spin.
const SHORTEST_SWEEP: Duration = Duration::from_millis(1);

pub(super) fn start(node: &Arc<Node>, life: &Arc<Life>, ports: Ports) {
    let control = ControlPort::new(Arc::clone(node), Arc::clone(life));
    life.tasks.spawn(accept(
        Arc::clone(node),
        Arc::clone(life),
        ports.control,
        move |request| {
            let control = control.clone();
            async move { control.call(request).await }
        },
    ));
    let page = Arc::clone(life);
    life.tasks.spawn(accept(
        Arc::clone(node),
        Arc::clone(life),
        ports.http,
        move |request| {
            let life = Arc::clone(&page);
            async move { http_port::serve(&life, request).await }
        },
    ));
    life.tasks.spawn(sweep(Arc::clone(node), Arc::clone(life)));
}

/// Accepts until the life ends; a frozen node leaves connections in the kernel's queue.
async fn accept<S, F, B>(node: Arc<Node>, life: Arc<Life>, listener: TcpListener, serve: S)
where
    S: Fn(http::Request<hyper::body::Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = http::Response<B>> + Send + 'static,
    B: http_body::Body<Data = bytes::Bytes, Error: std::error::Error + Send + Sync>
        + Send
        + 'static,
{
    loop {
        node.gate.open().await;
        match listener.accept().await {
            Ok((stream, _)) => {
                life.tasks.spawn(connection(
                    Arc::clone(&node),
                    Arc::clone(&life),
                    stream,
                    serve.clone(),
                ));
            }
            Err(error) => {
                tracing::debug!(%error, "the embedded gateway cannot accept");
                tokio::time::sleep(ACCEPT_REST).await;
            }
        }
    }
}

async fn connection<S, F, B>(node: Arc<Node>, life: Arc<Life>, stream: TcpStream, serve: S)
where
    S: Fn(http::Request<hyper::body::Incoming>) -> F + Clone + Send + 'static,
    F: Future<Output = http::Response<B>> + Send + 'static,
    B: http_body::Body<Data = bytes::Bytes, Error: std::error::Error + Send + Sync>
        + Send
        + 'static,
{
    let _ = stream.set_nodelay(true);
    let io = TokioIo::new(Gated::new(stream, node.gate.clone()));
    let journal = Arc::clone(&node.journal);
    let service = service_fn(move |request| {
        let entry = journal.open(&request);
        let answer = serve(request);
        async move {
            let answer = answer.await;
            let answer = match entry {
                Some(entry) => entry.answered(answer),
                None => answer.map(Noted::unwatched),
            };
            match answer.extensions().get::<HangUp>() {
                None => Ok(answer),
                Some(_) => Err(io::Error::other("the call ends its connection")),
            }
        }
    });
    // Ends with its client, or with the life.
    let mut server = auto::Builder::new(life.tasks.clone());
    // As grpc-go: no limit on calls per connection, and a megabyte of metadata.
    server
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS);
    server
        .http2()
        .max_concurrent_streams(None)
        .max_header_list_size(1 << 20);
    let end = server.serve_connection_with_upgrades(io, service).await;
    if let Err(error) = end {
        tracing::trace!(error, "a connection of the embedded gateway ended");
    }
}

async fn sweep(node: Arc<Node>, life: Arc<Life>) {
    let interval = node.settings.sweep_interval.max(SHORTEST_SWEEP);
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks.tick().await;
    loop {
        ticks.tick().await;
        node.gate.open().await;
        if life.sweep() > 0 {
            node.changed();
        }
    }
}
