//! The two ports of a node: bound, listening, and reserved while the node is dead.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::{Instant, sleep};

use crate::error::{Error, ErrorKind};

const BACKLOG: u32 = 1024;
/// How long to wait for a port that is taken.
const PATIENCE: Duration = Duration::from_secs(5);
const PAUSE: Duration = Duration::from_millis(20);

#[derive(Debug)]
pub(super) struct Ports {
    pub(super) control: TcpListener,
    pub(super) http: TcpListener,
}

impl Ports {
    pub(super) async fn bind(control: &str, http: &str) -> Result<Self, Error> {
        Ok(Self {
            control: bind(control).await?,
            http: bind(http).await?,
        })
    }

    /// Binds the ports of a former life. Another process's connection may have got one of them as
    /// its source port before it was reserved; such a connection ends soon.
    pub(super) async fn bind_again(control: &str, http: &str) -> Result<Self, Error> {
        let patience = Instant::now() + PATIENCE;
        loop {
            match Self::bind(control, http).await {
                Err(_) if Instant::now() < patience => sleep(PAUSE).await,
                ports => return ports,
            }
        }
    }

    pub(super) fn addresses(&self) -> Result<(SocketAddr, SocketAddr), Error> {
        let of = |listener: &TcpListener| {
            listener
                .local_addr()
                .map_err(|error| fault("a bound port", error))
        };
        Ok((of(&self.control)?, of(&self.http)?))
    }
}

async fn bind(address: &str) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| fault(address, error))
}

fn fault(address: &str, error: io::Error) -> Error {
    Error::new(
        ErrorKind::Listen,
        format!("the embedded gateway cannot listen on {address}: give another `host:port`"),
    )
    .caused_by(error)
}

/// Ports that are bound but not listening: connects are refused, and no other process can take
/// them.
#[derive(Debug)]
pub(super) struct Reserved {
    control: TcpSocket,
    http: TcpSocket,
}

impl Reserved {
    pub(super) fn hold(control: SocketAddr, http: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            control: hold(control)?,
            http: hold(http)?,
        })
    }

    pub(super) fn listen(self) -> Result<Ports, Error> {
        let listen = |socket: TcpSocket| {
            socket
                .listen(BACKLOG)
                .map_err(|error| fault("its former port", error))
        };
        Ok(Ports {
            control: listen(self.control)?,
            http: listen(self.http)?,
        })
    }
}

fn hold(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // Connections of the former life may linger in TIME_WAIT.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}
