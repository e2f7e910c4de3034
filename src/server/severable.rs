//! A connection that can be ended when its server stops.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::registration::sever::SeverWatch;

/// A connection of a wrapped listener.
///
/// It is ended 1 s after the shutdown let the server stop: tonic and axum wait without end for
/// connections that are silent, or whose callers do not read.
#[derive(Debug)]
pub struct Severable<Io> {
    io: Io,
    watch: SeverWatch,
}

// === impl Severable ===

impl<Io> Severable<Io> {
    pub(super) fn new(io: Io, watch: SeverWatch) -> Self {
        Self { io, watch }
    }

    /// The wrapped connection.
    pub fn get_ref(&self) -> &Io {
        &self.io
    }

    /// The wrapped connection.
    pub fn get_mut(&mut self) -> &mut Io {
        &mut self.io
    }

    /// The wrapped connection; it is not ended by anybody else any more.
    pub fn into_inner(self) -> Io {
        self.io
    }

    fn check(&self, cx: &mut Context<'_>) -> io::Result<()> {
        if self.watch.is_severed(cx) {
            return Err(io::Error::new(
                io::ErrorKind::ConnectionAborted,
                "the server has stopped",
            ));
        }
        Ok(())
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Severable<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Severable<Io> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(cx)?;
        Pin::new(&mut self.io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }
}

#[cfg(feature = "tonic")]
impl<Io: tonic::transport::server::Connected> tonic::transport::server::Connected
    for Severable<Io>
{
    type ConnectInfo = Io::ConnectInfo;

    fn connect_info(&self) -> Io::ConnectInfo {
        self.io.connect_info()
    }
}
