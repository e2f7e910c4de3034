//! `registration.listener(..)` for `axum::serve`.

use std::any::Any;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use ::axum::serve::{Listener, ListenerExt, TapIo};

use super::{Sealed, Tie};
use crate::error::Error;
use crate::registration::Registration;
use crate::server::severable::Severable;

/// A listener for `axum::serve` that starts its registration when it is first polled for a
/// connection.
///
/// You rarely name it: [`GwagListener`] is what [`Registration::listener`] returns, and has an
/// example.
pub struct Listening<L: Listener> {
    inner: L,
    tie: Tie,
    peer: fn(&L::Addr) -> Option<SocketAddr>,
}

/// The return type of [`Registration::listener`]: axum's `TapIo` around a [`Listening`], so that
/// `ConnectInfo<SocketAddr>` keeps working.
///
/// # Examples
///
/// ```
/// use tokio::net::TcpListener;
/// use tower_gwag::{GwagListener, Registration};
///
/// struct Server {
///     listener: GwagListener<TcpListener>,
///     registration: Registration,
/// }
/// ```
pub type GwagListener<L> = TapIo<Listening<L>, fn(&mut Severable<<L as Listener>::Io>)>;

/// The listeners that [`Registration::listener`] accepts:
///
/// - tokio's `TcpListener` and `UnixListener` (for the latter, set
///   [`Options::advertise`](crate::Options::advertise) to `unix:///path`),
/// - any other `axum::serve::Listener`,
/// - tonic's `TcpIncoming` (feature `tonic`).
///
/// `Marker` only tells them apart; it is inferred. The trait is sealed.
///
/// # Examples
///
/// ```
/// use tower_gwag::server::IntoListener;
/// use tower_gwag::{Error, GwagListener, Registration};
///
/// /// Wraps whatever can be wrapped.
/// fn wrap<L, M>(registration: &Registration, listener: L) -> Result<GwagListener<L::Listener>, Error>
/// where
///     L: IntoListener<M>,
///     <L::Listener as axum::serve::Listener>::Addr: 'static,
/// {
///     registration.listener(listener)
/// }
/// ```
pub trait IntoListener<Marker>: Sealed<Marker> {
    /// The resulting listener.
    type Listener: Listener;

    /// Converts to the listener.
    fn into_listener(self) -> Self::Listener;
}

/// Marks types that already are listeners.
#[derive(Debug)]
pub struct IsListener(());

// === impl Registration ===

impl Registration {
    /// Wraps a listener for `axum::serve`: the registration starts when the server first polls it
    /// for a connection, with the address it is bound to.
    ///
    /// `ConnectInfo<SocketAddr>` keeps working.
    ///
    /// # Errors
    ///
    /// The first error in the options (see [`Options::check`](crate::Options::check)), or
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) for a second listener.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn run(registration: tower_gwag::Registration, app: axum::Router) -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::net::TcpListener;
    /// use tower_gwag::stop_signal;
    ///
    /// let listener = TcpListener::bind("0.0.0.0:0").await?;
    /// axum::serve(registration.listener(listener)?, app)
    ///     .with_graceful_shutdown(registration.shutdown(stop_signal()))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
    pub fn listener<I, Marker>(&self, listener: I) -> Result<GwagListener<I::Listener>, Error>
    where
        I: IntoListener<Marker>,
        <I::Listener as Listener>::Addr: 'static,
    {
        let inner = listener.into_listener();
        let bound = inner
            .local_addr()
            .ok()
            .and_then(|address| socket_address(&address));
        self.life().wire(bound)?;
        let tie = Tie::new(Arc::clone(self.handle()), bound);
        let listening = Listening {
            inner,
            tie,
            peer: socket_address,
        };
        Ok(listening.tap_io(|_| {}))
    }
}

/// The IP address behind a listener's own address type, if there is one.
pub(super) fn socket_address<A: 'static>(address: &A) -> Option<SocketAddr> {
    (address as &dyn Any).downcast_ref().copied()
}

// === impl Listening ===

impl<L: Listener> Listener for Listening<L> {
    type Io = Severable<L::Io>;
    type Addr = L::Addr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        self.tie.begin();
        let (io, address) = self.inner.accept().await;
        let peer = (self.peer)(&address);
        (self.tie.connected(io, peer), address)
    }

    fn local_addr(&self) -> io::Result<Self::Addr> {
        self.inner.local_addr()
    }
}

impl<L: Listener + fmt::Debug> fmt::Debug for Listening<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listening")
            .field("inner", &self.inner)
            .finish_non_exhaustive()
    }
}

// === impl IntoListener ===

impl<L: Listener> Sealed<IsListener> for L {}

impl<L: Listener> IntoListener<IsListener> for L {
    type Listener = L;

    fn into_listener(self) -> L {
        self
    }
}

#[cfg(feature = "tonic")]
pub use from_tonic::IncomingListener;

#[cfg(feature = "tonic")]
mod from_tonic {
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::time::Duration;

    use ::axum::serve::Listener;
    use futures_core::Stream;
    use tokio::net::TcpStream;
    use tonic::transport::server::TcpIncoming;

    use super::{IntoListener, Sealed};

    /// Marks tonic's `TcpIncoming`.
    #[derive(Debug)]
    pub struct IsTcpIncoming(());

    /// tonic's `TcpIncoming` as a listener; it keeps its TCP settings.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # fn run(registration: tower_gwag::Registration) -> Result<(), Box<dyn std::error::Error>> {
    /// use tonic::transport::server::TcpIncoming;
    /// use tower_gwag::GwagListener;
    /// use tower_gwag::server::IncomingListener;
    ///
    /// let incoming = TcpIncoming::bind("0.0.0.0:8081".parse()?)?.with_nodelay(Some(true));
    /// let listener: GwagListener<IncomingListener> = registration.listener(incoming)?;
    /// # Ok(()) }
    /// ```
    #[derive(Debug)]
    pub struct IncomingListener(TcpIncoming);

    impl Sealed<IsTcpIncoming> for TcpIncoming {}

    impl IntoListener<IsTcpIncoming> for TcpIncoming {
        type Listener = IncomingListener;

        fn into_listener(self) -> IncomingListener {
            IncomingListener(self)
        }
    }

    impl Listener for IncomingListener {
        type Io = TcpStream;
        type Addr = SocketAddr;

        async fn accept(&mut self) -> (TcpStream, SocketAddr) {
            loop {
                let next = std::future::poll_fn(|cx| Pin::new(&mut self.0).poll_next(cx)).await;
                match next.map(|stream| stream.and_then(|io| Ok((io.peer_addr()?, io)))) {
                    Some(Ok((peer, io))) => return (io, peer),
                    Some(Err(error)) => super::pause_after(&error).await,
                    // invariant: a TcpIncoming never ends; if it did, no connection could follow.
                    None => std::future::pending().await,
                }
            }
        }

        fn local_addr(&self) -> io::Result<SocketAddr> {
            self.0.local_addr()
        }
    }

    pub(super) const PAUSE: Duration = Duration::from_secs(1);
}

/// A connection that failed before it was accepted needs no pause; for any other error (usually too
/// many open files), only waiting helps.
#[cfg(feature = "tonic")]
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, NotConnected};

    if !matches!(
        error.kind(),
        ConnectionAborted | ConnectionRefused | ConnectionReset | NotConnected
    ) {
        tracing::error!(
            target: "tower_gwag",
            "accepting a connection failed, trying again: {error}"
        );
        tokio::time::sleep(from_tonic::PAUSE).await;
    }
}
