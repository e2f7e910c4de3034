//! Freezing: a gate before every read, write, accept and sweep.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use pin_project_lite::pin_project;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Open, or frozen as by SIGSTOP.
#[derive(Clone, Debug, Default)]
pub(super) struct Gate(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    frozen: bool,
    waiting: Vec<Waker>,
}

impl Gate {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn freeze(&self) {
        self.state().frozen = true;
    }

    pub(super) fn thaw(&self) {
        let waiting = {
            let mut state = self.state();
            state.frozen = false;
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    pub(super) fn is_frozen(&self) -> bool {
        self.state().frozen
    }

    /// Ready unless frozen; a thaw wakes the task.
    fn poll_open(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if !state.frozen {
            return Poll::Ready(());
        }
        if !state
            .waiting
            .iter()
            .any(|waker| waker.will_wake(cx.waker()))
        {
            state.waiting.push(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Waits until the gate is open.
    pub(super) async fn open(&self) {
        std::future::poll_fn(|cx| self.poll_open(cx)).await;
    }
}

pin_project! {
    /// A stream that neither reads nor writes while the gate is frozen.
    #[derive(Debug)]
    pub(super) struct Gated<S> {
        #[pin]
        stream: S,
        gate: Gate,
    }
}

impl<S> Gated<S> {
    pub(super) fn new(stream: S, gate: Gate) -> Self {
        Self { stream, gate }
    }
}

impl<S: AsyncRead> AsyncRead for Gated<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.project();
        std::task::ready!(this.gate.poll_open(cx));
        this.stream.poll_read(cx, buf)
    }
}

impl<S: AsyncWrite> AsyncWrite for Gated<S> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        std::task::ready!(this.gate.poll_open(cx));
        this.stream.poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        std::task::ready!(this.gate.poll_open(cx));
        this.stream.poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.project();
        std::task::ready!(this.gate.poll_open(cx));
        this.stream.poll_shutdown(cx)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.project();
        std::task::ready!(this.gate.poll_open(cx));
        this.stream.poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_frozen_stream_moves_nothing_until_the_thaw() {
        let gate = Gate::default();
        let (near, mut far) = tokio::io::duplex(64);
        let mut near = Gated::new(near, gate.clone());
        gate.freeze();
        far.write_all(b"ping").await.unwrap();
        let mut buf = [0; 4];
        let wait = Duration::from_secs(1);
        assert!(
            tokio::time::timeout(wait, near.read_exact(&mut buf))
                .await
                .is_err()
        );
        assert!(
            tokio::time::timeout(wait, near.write_all(b"pong"))
                .await
                .is_err()
        );
        let reader = tokio::spawn(async move {
            let mut buf = [0; 4];
            near.read_exact(&mut buf).await.map(|_| buf)
        });
        tokio::task::yield_now().await;
        gate.thaw();
        assert_eq!(&reader.await.unwrap().unwrap(), b"ping");
    }
}
