//! `registration.incoming(..)` for tonic's `serve_with_incoming_shutdown`.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_core::Stream;
use tokio::net::TcpStream;
use tonic::transport::server::TcpIncoming;

use super::{Sealed, Tie};
use crate::error::Error;
use crate::registration::Registration;
use crate::server::severable::Severable;

/// A stream of connections for a tonic server that starts its registration at the first poll: what
/// [`Registration::incoming`] returns.
///
/// # Examples
///
/// ```
/// use tokio::net::TcpStream;
/// use tower_gwag::{Incoming, Registration};
///
/// struct Server {
///     incoming: Incoming<TcpStream>,
///     registration: Registration,
/// }
/// ```
pub struct Incoming<Io> {
    inner: Connections<Io>,
    tie: Tie,
}

type Connections<Io> = Pin<Box<dyn Stream<Item = io::Result<Io>> + Send>>;

/// The listeners that [`Registration::incoming`] accepts:
///
/// - tokio's `TcpListener`; TCP_NODELAY is set on its connections,
/// - tokio's `UnixListener`; set [`Options::advertise`](crate::Options::advertise) to `unix:///path`,
/// - tonic's `TcpIncoming`; it keeps its own settings,
/// - a pair of any `Stream<Item = io::Result<Io>>` and the address that it is bound to,
/// - any `axum::serve::Listener` whose connections tonic can serve (feature `axum`).
///
/// `Marker` only tells them apart; it is inferred. The trait is sealed.
///
/// # Examples
///
/// A stream of connections of your own, with its address:
///
/// ```no_run
/// # async fn run(registration: tower_gwag::Registration) -> Result<(), Box<dyn std::error::Error>> {
/// use tokio::net::TcpListener;
/// use tokio_stream::wrappers::TcpListenerStream;
///
/// let listener = TcpListener::bind("0.0.0.0:50051").await?;
/// let address = listener.local_addr()?;
/// let incoming = registration.incoming((TcpListenerStream::new(listener), address))?;
/// # Ok(()) }
/// ```
///
/// A function that takes whatever can be wrapped:
///
/// ```
/// use tower_gwag::server::IntoIncoming;
/// use tower_gwag::{Error, Incoming, Registration};
///
/// fn wrap<L: IntoIncoming<M>, M>(registration: &Registration, listener: L) -> Result<Incoming<L::Io>, Error> {
///     registration.incoming(listener)
/// }
/// ```
pub trait IntoIncoming<Marker>: Sealed<Marker> {
    /// The type of the connections.
    type Io;

    /// Returns the stream of connections and its bound address.
    fn into_incoming(self) -> (Connections<Self::Io>, Option<SocketAddr>);
}

/// Marks a stream of connections with its address.
#[derive(Debug)]
pub struct IsStream(());

/// Marks the listeners that tonic itself can serve.
#[derive(Debug)]
pub struct IsTcp(());

// === impl Registration ===

impl Registration {
    /// Wraps a listener for tonic's `serve_with_incoming_shutdown`: the registration starts when
    /// the server first polls it for a connection, with the address it is bound to.
    ///
    /// # Errors
    ///
    /// The first error in the options (see [`Options::check`](crate::Options::check)), or
    /// [`ErrorKind::Misuse`](crate::ErrorKind::Misuse) for a second listener.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # async fn run(layer: tower_gwag::GwagRegistrationLayer, greeter: tonic::service::Routes) -> Result<(), Box<dyn std::error::Error>> {
    /// use tokio::net::TcpListener;
    /// use tonic::transport::Server;
    /// use tower_gwag::stop_signal;
    ///
    /// let registration = layer.registration();
    /// let incoming = registration.incoming(TcpListener::bind("0.0.0.0:0").await?)?;
    /// Server::builder()
    ///     .layer(layer)
    ///     .add_routes(greeter)
    ///     .serve_with_incoming_shutdown(incoming, registration.shutdown(stop_signal()))
    ///     .await?;
    /// # Ok(()) }
    /// ```
    #[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
    pub fn incoming<I, Marker>(&self, listener: I) -> Result<Incoming<I::Io>, Error>
    where
        I: IntoIncoming<Marker>,
    {
        let (inner, bound) = listener.into_incoming();
        self.life().wire(bound)?;
        let tie = Tie::new(Arc::clone(self.handle()), bound);
        Ok(Incoming { inner, tie })
    }
}

// === impl Incoming ===

impl<Io> Stream for Incoming<Io> {
    type Item = io::Result<Severable<Io>>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.tie.begin();
        let next = ready!(self.inner.as_mut().poll_next(cx));
        Poll::Ready(next.map(|io| Ok(self.tie.connected(io?, None))))
    }
}

impl<Io> fmt::Debug for Incoming<Io> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming")
            .field("bound", &self.tie.bound)
            .finish_non_exhaustive()
    }
}

// === impl IntoIncoming ===

/// With the feature `axum`, a `TcpListener` is covered as one of axum's listeners.
#[cfg(not(feature = "axum"))]
impl Sealed<IsTcp> for tokio::net::TcpListener {}

#[cfg(not(feature = "axum"))]
impl IntoIncoming<IsTcp> for tokio::net::TcpListener {
    type Io = TcpStream;

    fn into_incoming(self) -> (Connections<TcpStream>, Option<SocketAddr>) {
        TcpIncoming::from(self)
            .with_nodelay(Some(true))
            .into_incoming()
    }
}

impl<S> Sealed<IsStream> for (S, SocketAddr) {}

impl<S, Io> IntoIncoming<IsStream> for (S, SocketAddr)
where
    S: Stream<Item = io::Result<Io>> + Send + 'static,
{
    type Io = Io;

    fn into_incoming(self) -> (Connections<Io>, Option<SocketAddr>) {
        (Box::pin(self.0), Some(self.1))
    }
}

#[cfg(all(unix, not(feature = "axum")))]
mod of_unix {
    use super::{
        Connections, Context, IntoIncoming, IsTcp, Pin, Poll, Sealed, SocketAddr, Stream, io,
    };
    use tokio::net::{UnixListener, UnixStream};

    /// The connections of a Unix socket.
    struct Accepted(UnixListener);

    impl Sealed<IsTcp> for UnixListener {}

    /// With the feature `axum`, a `UnixListener` is covered as one of axum's listeners.
    impl IntoIncoming<IsTcp> for UnixListener {
        type Io = UnixStream;

        fn into_incoming(self) -> (Connections<UnixStream>, Option<SocketAddr>) {
            (Box::pin(Accepted(self)), None)
        }
    }

    impl Stream for Accepted {
        type Item = io::Result<UnixStream>;

        fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let accepted = self.0.poll_accept(cx);
            accepted.map(|accepted| Some(accepted.map(|(stream, _)| stream)))
        }
    }
}

impl Sealed<IsTcp> for TcpIncoming {}

impl IntoIncoming<IsTcp> for TcpIncoming {
    type Io = TcpStream;

    fn into_incoming(self) -> (Connections<TcpStream>, Option<SocketAddr>) {
        let bound = self.local_addr().ok();
        (Box::pin(self), bound)
    }
}

#[cfg(feature = "axum")]
mod from_axum {
    use std::any::Any;
    use std::io;
    use std::net::SocketAddr;
    use std::pin::Pin;
    use std::task::{Context, Poll, ready};

    use axum::serve::Listener;
    use futures_core::Stream;
    use tokio::net::TcpStream;

    use super::{Connections, IntoIncoming};
    use crate::server::listener::axum::{IsListener, socket_address};

    type Accepting<L> = Pin<Box<dyn Future<Output = (L, <L as Listener>::Io)> + Send>>;

    /// The connections of an `axum::serve::Listener`.
    struct Accepted<L: Listener>(Accepting<L>);

    impl<L: Listener> IntoIncoming<IsListener> for L
    where
        L::Addr: 'static,
    {
        type Io = L::Io;

        fn into_incoming(self) -> (Connections<L::Io>, Option<SocketAddr>) {
            let bound = self
                .local_addr()
                .ok()
                .and_then(|address| socket_address(&address));
            (Box::pin(Accepted(accept(self))), bound)
        }
    }

    fn accept<L: Listener>(mut listener: L) -> Accepting<L> {
        Box::pin(async move {
            let (mut io, _) = listener.accept().await;
            // tonic's own TCP settings do not apply here; without TCP_NODELAY small responses wait 40
            // ms.
            if let Some(stream) = (&mut io as &mut dyn Any).downcast_mut::<TcpStream>() {
                // A connection that is already gone fails later anyway.
                let _ = stream.set_nodelay(true);
            }
            (listener, io)
        })
    }

    impl<L: Listener> Stream for Accepted<L> {
        type Item = io::Result<L::Io>;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let (listener, io) = ready!(self.0.as_mut().poll(cx));
            self.0 = accept(listener);
            Poll::Ready(Some(Ok(io)))
        }
    }
}
