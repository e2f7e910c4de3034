//! Whether the gateway can reach the server at the advertised address, as far as this host can
//! tell. Only ever warns: the network may look different to the gateway.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use crate::control::address;
use crate::control::resolve;
use crate::observe::proof::Proof;
use crate::optional_future::{finished, optional_sleep};
use crate::status::{Board, State};

/// The timeout for connecting to the advertised address from here.
const DIAL_TIMEOUT: Duration = Duration::from_secs(3);
/// A service that is listed this long without a call is worth a warning.
const UNCALLED: Duration = Duration::from_secs(5 * 60);

/// Findings about the advertised address of one registration.
pub(crate) struct Reach {
    board: Arc<Board>,
    proof: Arc<Proof>,
    bound: Option<SocketAddr>,
    /// The address that is being, or was, dialled.
    dialled: Option<(String, u16)>,
    dial: Option<JoinHandle<Dialled>>,
    /// When to report that no call came.
    uncalled_at: Option<Instant>,
    uncalled_said: bool,
    tls_said: bool,
}

/// The result of dialling.
#[derive(Debug)]
struct Dialled {
    /// The addresses of the host name.
    ips: Vec<IpAddr>,
    failure: Option<io::Error>,
}

/// A finding.
#[derive(Debug)]
pub(crate) enum Found {
    /// Nothing accepts connections at the advertised address.
    Dead(io::Error),
    /// The advertised name resolves to this server, at these addresses.
    Here(Vec<IpAddr>),
    /// Listed for [`UNCALLED`], and no call came.
    Uncalled,
    /// The server itself speaks TLS, and no call came.
    Tls,
}

// === impl Reach ===

impl Reach {
    pub(crate) fn new(board: Arc<Board>, proof: Arc<Proof>, bound: Option<SocketAddr>) -> Self {
        Self {
            board,
            proof,
            bound,
            dialled: None,
            dial: None,
            uncalled_at: None,
            uncalled_said: false,
            tls_said: false,
        }
    }

    /// A gateway accepted a registration with this address; returns whether the address differs
    /// from the previous one by more than its spelling.
    pub(crate) fn registered(&mut self, advertised: &str) -> bool {
        let dialled = address::dialled(advertised);
        let is_new = dialled.is_some() && dialled != self.dialled;
        if is_new {
            self.dialled = dialled;
        }
        is_new
    }

    /// Dials the registered address, unless it is that of a wrapped listener.
    pub(crate) fn dial(&mut self, is_serving_wrapped: bool) {
        let Some((host, port)) = self.dialled.clone() else {
            return;
        };
        // A wrapped listener that is polled accepts anyway: a connection to it would show nothing.
        let is_accepting =
            host.parse().is_ok_and(|ip| self.is_bound(ip, port)) && is_serving_wrapped;
        if let Some(dial) = self.dial.take() {
            dial.abort();
        }
        if !is_accepting {
            self.dial = Some(tokio::spawn(dial(host, port)));
        }
    }

    fn is_bound(&self, ip: IpAddr, port: u16) -> bool {
        let dialled = SocketAddr::new(ip, port);
        self.bound
            .is_some_and(|bound| address::is_bound(dialled, bound))
    }

    /// Updates the state of the registration.
    pub(crate) fn stands(&mut self, state: State) {
        self.uncalled_at = match self.uncalled_at {
            _ if state != State::Listed || self.uncalled_said => None,
            None => Some(Instant::now() + UNCALLED),
            since => since,
        };
    }

    /// The next finding; each is reported once.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub(crate) async fn next(&mut self) -> Found {
        let proof = Arc::clone(&self.proof);
        loop {
            tokio::select! {
                biased;
                dialled = finished(&mut self.dial) => {
                    let Some(dialled) = dialled else { continue };
                    if let Some(failure) = dialled.failure {
                        return Found::Dead(failure);
                    }
                    let port = self.dialled.as_ref().map_or(0, |(_, port)| *port);
                    let is_here = |ip: &IpAddr| self.is_bound(*ip, port);
                    if dialled.ips.iter().any(is_here) {
                        return Found::Here(dialled.ips);
                    }
                }
                () = proof.peers.tls_seen(), if !self.tls_said && self.dialled.is_some() => {
                    self.tls_said = true;
                    if !proof.was_called() {
                        return Found::Tls;
                    }
                }
                () = optional_sleep(self.uncalled_at) => {
                    self.uncalled_at = None;
                    // While the gateway is away, it is unknown what it has.
                    self.uncalled_said = self.board.state() == State::Listed;
                    if self.uncalled_said && !proof.was_called() {
                        return Found::Uncalled;
                    }
                }
            }
        }
    }
}

impl Drop for Reach {
    fn drop(&mut self) {
        if let Some(dial) = &self.dial {
            dial.abort();
        }
    }
}

async fn dial(host: String, port: u16) -> Dialled {
    let mut ips = Vec::new();
    let connected = async {
        let addresses = resolve(&host, port).await?;
        ips = addresses.iter().map(|it| it.ip().to_canonical()).collect();
        let stream = TcpStream::connect(&*addresses).await?;
        // The system may use a free port for the very connection that is to reach it.
        if stream.local_addr()? == stream.peer_addr()? {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(())
    };
    let connected = timeout(DIAL_TIMEOUT, connected).await;
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    Dialled {
        failure: connected.err(),
        ips,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(bound: &str) -> Reach {
        let board = Arc::new(Board::new(false, None));
        Reach::new(
            board,
            Arc::default(),
            Some(bound.parse().expect("an address")),
        )
    }

    #[tokio::test]
    async fn an_address_that_nothing_listens_at_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let mut reach = reach("127.0.0.1:1");
        assert!(reach.registered(&format!("http://{address}/v2")));
        reach.dial(false);
        let accepted = timeout(Duration::from_millis(300), reach.next()).await;
        assert!(accepted.is_err(), "{accepted:?}");
        drop(listener);
        // Another spelling is the same address.
        assert!(!reach.registered(&address.to_string().replace(':', ":00")));
        reach.dial(false);
        let found = timeout(Duration::from_secs(10), reach.next()).await;
        assert!(matches!(found, Ok(Found::Dead(_))), "{found:?}");
    }

    #[tokio::test]
    async fn a_name_of_the_bound_address_is_found() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
        let address = listener.local_addr().expect("an address");
        let mut reach = reach(&address.to_string());
        assert!(reach.registered(&format!("dns:///localhost:{}", address.port())));
        reach.dial(false);
        let found = timeout(Duration::from_secs(10), reach.next()).await;
        let Ok(Found::Here(ips)) = found else {
            panic!("{found:?}");
        };
        assert!(ips.contains(&address.ip()), "{ips:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_listed_service_without_a_call_is_found_once() {
        let mut reach = reach("127.0.0.1:1");
        reach.board.set_status(State::Listed, None);
        reach.stands(State::Listed);
        let early = timeout(Duration::from_secs(290), reach.next()).await;
        assert!(early.is_err(), "{early:?}");
        // Said of a time without a break.
        reach.stands(State::Unreachable);
        reach.stands(State::Listed);
        let early = timeout(Duration::from_secs(290), reach.next()).await;
        assert!(early.is_err(), "{early:?}");
        reach.stands(State::Listed);
        let found = timeout(Duration::from_secs(20), reach.next()).await;
        assert!(matches!(found, Ok(Found::Uncalled)), "{found:?}");
        reach.stands(State::Listed);
        let again = timeout(Duration::from_secs(900), reach.next()).await;
        assert!(again.is_err(), "{again:?}");
    }
}
