//! Which address to advertise, from the one the server is bound to.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use crate::control::address::{dialled, is_of_this_host, with_port};
use crate::error::{Error, ErrorKind};
use crate::options::Advertise;

/// The address to advertise for a server bound to `bound`; `gateways` are the gateway's resolved
/// addresses, best first.
pub(crate) fn advertised(
    advertise: &Advertise,
    bound: Option<SocketAddr>,
    gateways: &[SocketAddr],
) -> Result<String, Error> {
    let needed = || {
        Error::new(
            ErrorKind::InvalidAdvertisedAddress,
            "the listener is not bound to an IP address: say with `Options::advertise` under \
             which address the gateway reaches this server",
        )
    };
    if let (Some(0), false) = (
        bound.map(|bound| bound.port()),
        matches!(advertise, Advertise::Exactly(_)),
    ) {
        return Err(Error::new(
            ErrorKind::InvalidAdvertisedAddress,
            "port 0 cannot be dialled: give the address that the server is bound to, \
             `listener.local_addr()`, or say with `Options::advertise` how it is reached",
        ));
    }
    match (advertise, bound) {
        (Advertise::Exactly(address), _) => Ok(address.clone()),
        (Advertise::Host(host), Some(bound)) => Ok(with_port(host, bound.port())),
        (Advertise::Bound, Some(bound)) => {
            let ip = if bound.ip().is_unspecified() {
                route_source(bound.ip(), gateways)
            } else {
                bound.ip()
            };
            Ok(with_port(&ip.to_canonical().to_string(), bound.port()))
        }
        (_, None) => Err(needed()),
    }
}

/// The source address of the route to the gateway: what an unspecified address stands for, as the
/// gateway sees it. Nothing is sent.
fn route_source(unspecified: IpAddr, gateways: &[SocketAddr]) -> IpAddr {
    let loopback = match unspecified {
        IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
        IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
    };
    gateways
        .iter()
        // 0.0.0.0 takes IPv4 only; [::] takes both.
        .filter(|gateway| gateway.is_ipv4() || unspecified.is_ipv6())
        .find_map(|gateway| {
            let any: SocketAddr = match gateway {
                SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
                SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
            };
            let socket = UdpSocket::bind(any).ok()?;
            socket.connect(gateway).ok()?;
            Some(socket.local_addr().ok()?.ip())
        })
        .filter(|ip| !ip.is_unspecified())
        .unwrap_or(loopback)
}

/// Why a gateway on another host cannot reach `advertised`; `None` when it can, or may.
pub(crate) fn unreachable_from(advertised: &str, gateways: &[SocketAddr]) -> Option<&'static str> {
    let (host, _) = dialled(advertised)?;
    let gateway_is_here = gateways.iter().all(|gateway| is_of_this_host(gateway.ip()));
    if gateways.is_empty() || gateway_is_here {
        return None;
    }
    if host.eq_ignore_ascii_case("localhost") {
        return Some("a loopback name");
    }
    match host.parse::<IpAddr>().ok()?.to_canonical() {
        ip if ip.is_loopback() => Some("a loopback address"),
        IpAddr::V4(ip) if ip.is_link_local() => Some("a link-local address"),
        IpAddr::V6(ip) if ip.is_unicast_link_local() => Some("a link-local address"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAR: &str = "192.0.2.1:50090";

    #[test]
    fn the_bound_address_is_advertised_as_the_gateway_can_dial_it() {
        let near: SocketAddr = "127.0.0.1:50090".parse().unwrap();
        for (bound, address) in [
            ("127.0.0.1:8080", "127.0.0.1:8080"),
            ("10.1.2.3:8080", "10.1.2.3:8080"),
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "127.0.0.1:8080"),
            ("[::1]:8080", "[::1]:8080"),
            ("[::ffff:10.1.2.3]:8080", "10.1.2.3:8080"),
        ] {
            let bound = Some(bound.parse().unwrap());
            let found = advertised(&Advertise::Bound, bound, &[near]).unwrap();
            assert_eq!(found, address, "{bound:?}");
        }
    }

    #[test]
    fn what_the_user_says_goes_first() {
        let bound = Some("0.0.0.0:8080".parse().unwrap());
        let host = Advertise::Host("greeter.svc".into());
        assert_eq!(advertised(&host, bound, &[]).unwrap(), "greeter.svc:8080");
        let host = Advertise::Host("2001:db8::1".into());
        assert_eq!(advertised(&host, bound, &[]).unwrap(), "[2001:db8::1]:8080");
        let exactly = Advertise::Exactly("https://pets/v2".into());
        assert_eq!(advertised(&exactly, None, &[]).unwrap(), "https://pets/v2");
        let error = advertised(&Advertise::Bound, None, &[]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidAdvertisedAddress);
    }

    #[test]
    fn an_address_that_a_far_gateway_cannot_dial_is_noticed() {
        let far = [FAR.parse().unwrap()];
        let near = ["127.0.0.1:1".parse().unwrap()];
        for address in [
            "127.0.0.1:1",
            "[::1]:1",
            "localhost:1",
            "169.254.1.1:1",
            "[fe80::1]:1",
        ] {
            assert!(unreachable_from(address, &far).is_some(), "{address}");
            assert!(unreachable_from(address, &near).is_none(), "{address}");
        }
        for address in ["10.0.0.1:1", "greeter.svc:1", "[2001:db8::1]:1"] {
            assert!(unreachable_from(address, &far).is_none(), "{address}");
        }
    }
}
