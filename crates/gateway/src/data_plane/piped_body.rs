//! Bodies that a task writes while a caller reads them.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Body, Frame};
use tokio::sync::mpsc;

/// What the reader receives: frames, or an abrupt end.
type Part = Result<Frame<Bytes>, io::Error>;

/// The writer's end.
#[derive(Debug)]
pub(crate) struct Writer(mpsc::Sender<Part>);

/// The reader's end.
#[derive(Debug)]
pub(crate) struct PipedBody(mpsc::Receiver<Part>);

/// A body that buffers one frame.
pub(super) fn pipe() -> (Writer, PipedBody) {
    let (sender, receiver) = mpsc::channel(1);
    (Writer(sender), PipedBody(receiver))
}

impl Writer {
    /// Writes a frame; returns false if the reader is gone.
    pub(super) async fn data(&self, bytes: impl Into<Bytes>) -> bool {
        self.0.send(Ok(Frame::data(bytes.into()))).await.is_ok()
    }

    pub(super) async fn trailers(&self, trailers: HeaderMap) -> bool {
        self.0.send(Ok(Frame::trailers(trailers))).await.is_ok()
    }

    /// Resolves when the reader is gone.
    pub(super) async fn closed(&self) {
        self.0.closed().await;
    }
}

impl Body for PipedBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Part>> {
        self.0.poll_recv(cx)
    }
}
