//! Whether the program's port accepts connections.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::pin::Pin;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use crate::cli::Run;
use crate::exit_codes::{Fault, RUN};
use crate::output::plain;

const DIAL: Duration = Duration::from_secs(1);

/// Where the program listens, if it can be dialled from here.
#[derive(Clone, Debug)]
pub(super) struct Port {
    places: Vec<(String, u16)>,
}

/// The result of a dial.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialled {
    Accepts,
    /// Nothing listens there.
    Refused,
    /// Unknown: no answer, or an address that cannot be reached from here.
    Unclear,
}

impl Port {
    pub(super) fn of(args: &Run) -> Result<Self, Fault> {
        let mut places = Vec::new();
        if let Some(port) = args.port {
            let loopback = [
                IpAddr::from(Ipv4Addr::LOCALHOST),
                Ipv6Addr::LOCALHOST.into(),
            ];
            let own = args.gateway.iter().filter_map(|it| source_towards(it));
            let mut ips: Vec<IpAddr> = loopback.into_iter().chain(own).collect();
            ips.dedup();
            places.extend(ips.into_iter().map(|it| (it.to_string(), port)));
        } else if let Some(address) = &args.advertise {
            let place = host_port(address).ok_or_else(|| {
                let message = format!(
                    "`{}` has no host and port that can be dialled",
                    plain(address)
                );
                Fault::new(RUN, message)
                    .help("also give --port, the port on which the program listens")
            })?;
            places.push(place);
        }
        Ok(Self { places })
    }

    /// Dials once, at the given time.
    pub(super) fn dial_at(&self, at: Instant) -> Pin<Box<dyn Future<Output = Dialled>>> {
        let port = self.clone();
        Box::pin(async move {
            sleep_until(at).await;
            port.dial().await
        })
    }

    pub(super) async fn dial(&self) -> Dialled {
        let mut found = Dialled::Refused;
        for (host, port) in &self.places {
            match timeout(DIAL, TcpStream::connect((host.as_str(), *port))).await {
                // The kernel may give a free port to the very connection that dials it.
                Ok(Ok(stream)) if stream.local_addr().ok() != stream.peer_addr().ok() => {
                    return Dialled::Accepts;
                }
                Ok(Ok(_)) => {}
                Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => {}
                // A host without IPv6.
                Ok(Err(error))
                    if matches!(
                        error.kind(),
                        ErrorKind::AddrNotAvailable | ErrorKind::NetworkUnreachable
                    ) => {}
                _ => found = Dialled::Unclear,
            }
        }
        found
    }
}

impl std::fmt::Display for Port {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.places.as_slice() {
            [(host, port)] => write!(f, "{host}:{port}"),
            [(_, port), ..] => write!(f, "port {port}"),
            [] => f.write_str("no port"),
        }
    }
}

/// This host's address on the route to the gateway; sends nothing.
fn source_towards(gateway: &str) -> Option<IpAddr> {
    let (host, port) = host_port(gateway)?;
    let target: SocketAddr = format!("{host}:{port}").parse().ok()?;
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

/// Host and port of `host:port` or a URL.
pub(crate) fn host_port(address: &str) -> Option<(String, u16)> {
    let (scheme, rest) = match address.split_once("://") {
        Some((scheme, rest)) => (scheme, rest.trim_start_matches('/')),
        None => ("", address),
    };
    let authority = rest.split(['/', '?']).next()?;
    let default = match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    };
    let (host, port) = match authority.rsplit_once(':') {
        // Ports may have leading zeros.
        Some((host, digits))
            if !digits.is_empty() && digits.bytes().all(|it| it.is_ascii_digit()) =>
        {
            let digits = digits.trim_start_matches('0');
            (host, digits.parse().ok())
        }
        _ => (authority, default),
    };
    let host = host.trim_matches(['[', ']']);
    Some((host.to_owned(), port?)).filter(|(host, _)| !host.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_in_any_spelling_have_a_host_and_a_port() {
        for (address, host, port) in [
            ("10.0.0.5:0050051", "10.0.0.5", 50051),
            ("dns:///a.b:050051", "a.b", 50051),
            ("https://pets.example/v2", "pets.example", 443),
            ("http://[::1]:80/x:y", "::1", 80),
            ("[::1]:8080", "::1", 8080),
        ] {
            assert_eq!(
                host_port(address),
                Some((host.to_owned(), port)),
                "{address}"
            );
        }
        for address in ["", "host", "unix:///run/x", ":80", "host:http"] {
            assert_eq!(host_port(address), None, "{address}");
        }
    }
}
