//! The peers of a wrapped listener's connections, and so of the calls on them.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::Extensions;
use tokio::sync::Notify;
use tokio::task;

/// The connections of one server; clones share them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peers(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    /// The peers of the open connections, with the number of connections each.
    open: Mutex<Vec<(Option<IpAddr>, usize)>>,
    is_tls: AtomicBool,
    tls: Notify,
}

/// One connection of a wrapped listener, until it is dropped.
#[derive(Debug)]
#[cfg_attr(
    not(any(feature = "axum", feature = "tonic")),
    allow(dead_code, reason = "for wrapped listeners")
)]
pub(crate) struct Connection {
    peers: Peers,
    peer: Option<IpAddr>,
    /// The first byte received, and the first byte sent.
    asked: Option<u8>,
    answered: Option<u8>,
}

/// The types of TLS records that come first.
const ALERT: u8 = 0x15;
const HANDSHAKE: u8 = 0x16;

thread_local! {
    /// The task that last read from a connection on this thread, and that connection's peer. Over
    /// HTTP/1, the task that reads also answers the requests.
    static READER: Cell<Option<(task::Id, IpAddr)>> = const { Cell::new(None) };
}

// === impl Peers ===

#[cfg_attr(
    not(any(feature = "axum", feature = "tonic")),
    allow(dead_code, reason = "for wrapped listeners")
)]
impl Peers {
    pub(crate) fn connected(&self, peer: Option<SocketAddr>) -> Connection {
        let peer = peer.map(|peer| peer.ip().to_canonical());
        let mut open = self.open();
        match open.iter_mut().find(|(other, _)| *other == peer) {
            Some((_, count)) => *count += 1,
            None => open.push((peer, 1)),
        }
        drop(open);
        Connection {
            peers: self.clone(),
            peer,
            asked: None,
            answered: None,
        }
    }

    fn saw_tls(&self) {
        if !self.0.is_tls.swap(true, Ordering::Relaxed) {
            self.0.tls.notify_one();
        }
    }

    fn open(&self) -> MutexGuard<'_, Vec<(Option<IpAddr>, usize)>> {
        // Each change is a single step, so the list is valid after a panic.
        self.0.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peers {
    /// Resolves once the server has shown that it speaks TLS above our connections. For one task
    /// only.
    pub(crate) async fn tls_seen(&self) {
        while !self.0.is_tls.load(Ordering::Relaxed) {
            self.0.tls.notified().await;
        }
    }

    /// Whether a request came from one of these hosts. If the server does not expose a request's
    /// peer, and one task reads while another answers (HTTP/2), this is known only if every
    /// connection comes from them.
    pub(crate) fn came_from(&self, extensions: &Extensions, hosts: &[IpAddr]) -> bool {
        if let Some(peer) = told_peer(extensions) {
            return hosts.contains(&peer.ip().to_canonical());
        }
        if let (Some((reader, peer)), Some(current)) = (READER.get(), task::try_id())
            && reader == current
        {
            return hosts.contains(&peer);
        }
        let open = self.open();
        let is_theirs = |peer: &Option<IpAddr>| peer.is_some_and(|peer| hosts.contains(&peer));
        !open.is_empty() && open.iter().all(|(peer, _)| is_theirs(peer))
    }
}

// === impl Connection ===

#[cfg_attr(
    not(any(feature = "axum", feature = "tonic")),
    allow(dead_code, reason = "for wrapped listeners")
)]
impl Connection {
    /// The current task reads from the connection.
    #[inline]
    pub(crate) fn is_read(&self) {
        READER.set(self.peer.and_then(|peer| Some((task::try_id()?, peer))));
    }

    /// Bytes were received.
    #[inline]
    pub(crate) fn heard(&mut self, bytes: &[u8]) {
        if self.asked.is_none() {
            self.asked = bytes.first().copied();
        }
    }

    /// Bytes are sent. A plaintext server answers a handshake in plaintext; a TLS server answers
    /// anything with a record.
    #[inline]
    pub(crate) fn sends(&mut self, bytes: &[u8]) {
        if self.answered.is_none() {
            self.answered = bytes.first().copied();
            if matches!(self.answered, Some(ALERT | HANDSHAKE)) {
                self.peers.saw_tls();
            }
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Nothing shows that the handshake was not understood.
        if self.asked == Some(HANDSHAKE) && self.answered.is_none() {
            self.peers.saw_tls();
        }
        let mut open = self.peers.open();
        if let Some(place) = open.iter().position(|(peer, _)| *peer == self.peer) {
            open[place].1 -= 1;
            if open[place].1 == 0 {
                open.swap_remove(place);
            }
        }
    }
}

/// The peer, if the server exposes it.
#[cfg_attr(
    not(any(feature = "axum", feature = "tonic")),
    allow(unused_variables, reason = "only these servers tell")
)]
fn told_peer(extensions: &Extensions) -> Option<SocketAddr> {
    #[cfg(feature = "tonic")]
    {
        use tonic::transport::server::TcpConnectInfo;
        if let Some(peer) = extensions.get().and_then(TcpConnectInfo::remote_addr) {
            return Some(peer);
        }
    }
    #[cfg(feature = "axum")]
    {
        use axum::extract::ConnectInfo;
        if let Some(ConnectInfo(peer)) = extensions.get::<ConnectInfo<SocketAddr>>() {
            return Some(*peer);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    const THEIRS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 1, 2, 3));

    #[tokio::test]
    async fn a_request_comes_from_the_connection_that_its_task_reads() {
        let peers = Peers::default();
        let came = |peers: &Peers| peers.came_from(&Extensions::new(), &[THEIRS]);
        assert!(!came(&peers), "nobody is connected");
        let gateway = peers.connected(Some(SocketAddr::new(THEIRS, 1)));
        let again = peers.connected(Some(SocketAddr::new(THEIRS, 2)));
        assert!(came(&peers), "whoever it was");
        let stranger = peers.connected(Some(([10, 9, 9, 9], 3).into()));
        assert!(!came(&peers), "it may have been the stranger");
        // One task for each connection, as in servers, all on one thread.
        let read = async |connection: Connection| {
            let peers = peers.clone();
            let task = tokio::spawn(async move {
                connection.is_read();
                (came(&peers), connection)
            });
            task.await.expect("no panic")
        };
        let (found, gateway) = read(gateway).await;
        assert!(found);
        let (found, stranger) = read(stranger).await;
        assert!(!found);
        let elsewhere = tokio::spawn({
            let peers = peers.clone();
            async move { came(&peers) }
        });
        assert!(!elsewhere.await.expect("no panic"));
        drop(stranger);
        assert!(came(&peers));
        drop((gateway, again));
        assert!(!came(&peers));
    }

    #[tokio::test]
    async fn only_a_server_that_answers_with_tls_speaks_it() {
        for (asked, answered, expected) in [
            (
                &b"GET / HTTP/1.1\r\n"[..],
                &b"HTTP/1.1 200 OK\r\n"[..],
                false,
            ),
            (b"PRI * HTTP/2.0", b"\0\0\x18\x04", false),
            (b"\x16\x03\x01\x02", b"HTTP/1.1 400 Bad Request", false),
            (b"GET / HTTP/1.1\r\n", b"", false),
            (b"\x16\x03\x01\x02", b"\x16\x03\x03", true),
            (b"PRI * HTTP/2.0", b"\x15\x03\x01", true),
            (b"\x16\x03\x01\x02", b"", true),
        ] {
            let peers = Peers::default();
            let mut connection = peers.connected(None);
            for byte in asked {
                connection.heard(&[*byte]);
            }
            connection.sends(answered);
            drop(connection);
            let now = std::time::Duration::from_millis(10);
            let seen = tokio::time::timeout(now, peers.tls_seen()).await.is_ok();
            assert_eq!(seen, expected, "{asked:?} {answered:?}");
        }
    }
}
