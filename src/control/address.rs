//! The forms of address under which a gateway dials a service (contract § 2): a gRPC target for
//! proto bindings, a base URL for OpenAPI bindings; `host:port` serves both.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// What an advertised address can serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AddressForm {
    /// `host:port`: gRPC and, as `http://host:port`, OpenAPI.
    HostPort,
    /// `dns:///host:port`, `unix:///path` and the like: gRPC only.
    GrpcTarget,
    /// `http://…` or `https://…`: OpenAPI only; every gRPC call to it fails.
    BaseUrl,
}

/// The form of an advertised address, or why it is invalid.
pub(crate) fn form_of(address: &str) -> Result<AddressForm, &'static str> {
    if address.is_empty() {
        return Err("it is empty");
    }
    if address.contains(|c: char| c.is_whitespace() || c.is_control()) {
        return Err("it contains white space");
    }
    if address.contains('%') && address.parse::<http::Uri>().is_err() {
        return Err("it is not a URL that a gateway can parse");
    }
    if let Some(rest) = strip_scheme(address) {
        let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
        if authority.is_empty() {
            return Err("it has no host");
        }
        return Ok(AddressForm::BaseUrl);
    }
    if address.contains("://") || address.starts_with("unix:") || address.starts_with("dns:") {
        return Ok(AddressForm::GrpcTarget);
    }
    let (host, port) = split_host_port(address).ok_or("it has no port: write host:port")?;
    if host.is_empty() {
        return Err("it has no host");
    }
    if !port.bytes().all(|b| b.is_ascii_digit()) {
        return Err("its port is not a number");
    }
    match port.parse::<u32>() {
        Ok(1..=65535) => Ok(AddressForm::HostPort),
        Ok(0) => Err("port 0 cannot be dialled"),
        _ => Err("its port is not between 1 and 65535"),
    }
}

fn strip_scheme(address: &str) -> Option<&str> {
    address
        .strip_prefix("http://")
        .or_else(|| address.strip_prefix("https://"))
}

/// The number of spellings of a `host:port`: with up to 5 leading zeros.
pub(crate) const SPELLINGS: usize = 6;

/// The same `host:port` in another spelling: leading zeros before the port, which the gateway's
/// resolver accepts (contract, Address strings), and from [`SPELLINGS`] on as a gRPC target.
/// Connections, and the back-off after failed ones, are keyed by the spelling, so a fresh one
/// starts without either. Other forms are unchanged.
pub(crate) fn respelled(address: &str, spelling: usize) -> String {
    match (form_of(address), split_host_port(address)) {
        (Ok(AddressForm::HostPort), Some((host, port))) => {
            let zeros = "0".repeat(spelling % SPELLINGS);
            let scheme = if spelling < SPELLINGS { "" } else { "dns:///" };
            format!("{scheme}{host}:{zeros}{}", port.trim_start_matches('0'))
        }
        _ => address.to_owned(),
    }
}

/// Splits at the last colon; an IPv6 host has brackets.
pub(crate) fn split_host_port(address: &str) -> Option<(&str, &str)> {
    let (host, port) = address.rsplit_once(':')?;
    let bare_ipv6 = host.contains(':') && !(host.starts_with('[') && host.ends_with(']'));
    (!bare_ipv6).then_some((host, port))
}

/// Joins host and port; an IPv6 host gets brackets.
pub(crate) fn with_port(host: &str, port: u16) -> String {
    if host.parse::<std::net::Ipv6Addr>().is_ok() {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// The host and port that a gateway dials for an advertised address; `None` for anything but TCP.
pub(crate) fn dialled(advertised: &str) -> Option<(String, u16)> {
    let (rest, default_port) = if let Some(rest) = advertised.strip_prefix("http://") {
        (rest, Some(80))
    } else if let Some(rest) = advertised.strip_prefix("https://") {
        (rest, Some(443))
    } else if let Some((scheme, rest)) = advertised.split_once("://") {
        // `dns:///host:port`, `dns://resolver/host:port`.
        let tcp = matches!(scheme, "dns" | "passthrough");
        (rest.split_once('/').filter(|_| tcp)?.1, Some(443))
    } else if let Some(rest) = advertised.strip_prefix("dns:") {
        (rest, Some(443))
    } else if advertised.starts_with("unix:") {
        return None;
    } else {
        (advertised, None)
    };
    let authority = rest.split(['/', '?', '#']).next()?;
    let authority = authority.rsplit('@').next()?;
    let bare = |host: &str| host.trim_matches(['[', ']']).to_owned();
    match split_host_port(authority) {
        Some((host, port)) if !host.is_empty() => Some((bare(host), port.parse().ok()?)),
        Some(_) => None,
        None if authority.is_empty() => None,
        None => Some((bare(authority), default_port?)),
    }
}

/// Whether dialling `dialled` reaches a server that is bound to `bound`.
pub(crate) fn is_bound(dialled: SocketAddr, bound: SocketAddr) -> bool {
    let (ip, at) = (dialled.ip().to_canonical(), bound.ip().to_canonical());
    let is_there = ip == at || at.is_unspecified() && is_of_this_host(ip);
    dialled.port() == bound.port() && is_there
}

/// Whether it is an address of this host: no other can be bound.
pub(crate) fn is_of_this_host(ip: IpAddr) -> bool {
    ip.is_loopback() || UdpSocket::bind((ip, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_follow_the_contract() {
        for (address, form) in [
            ("10.0.0.5:50051", AddressForm::HostPort),
            ("10.0.0.5:0050051", AddressForm::HostPort),
            ("[::1]:80", AddressForm::HostPort),
            ("greeter.svc:80", AddressForm::HostPort),
            ("dns:///greeter:80", AddressForm::GrpcTarget),
            ("unix:///run/g.sock", AddressForm::GrpcTarget),
            ("http://pets/v2", AddressForm::BaseUrl),
            ("https://pets", AddressForm::BaseUrl),
        ] {
            assert_eq!(form_of(address), Ok(form), "{address}");
        }
        for address in [
            "",
            "pets",
            ":80",
            "::1:80",
            "pets:",
            "pets:0",
            "pets:99999",
            "pets:http",
            "http://",
            "a b:80",
            "%zz",
        ] {
            assert!(form_of(address).is_err(), "{address}");
        }
    }

    #[test]
    fn spellings_are_one_address_and_many_strings() {
        assert_eq!(respelled("10.0.0.5:50051", 0), "10.0.0.5:50051");
        assert_eq!(respelled("10.0.0.5:50051", 2), "10.0.0.5:0050051");
        assert_eq!(respelled("[::1]:080", 1), "[::1]:080");
        assert_eq!(respelled("g:80", SPELLINGS + 5), "dns:///g:0000080");
        let all: std::collections::HashSet<_> =
            (0..2 * SPELLINGS).map(|n| respelled("g:80", n)).collect();
        assert_eq!(all.len(), 2 * SPELLINGS);
        assert!(all.iter().all(|it| form_of(it).is_ok()));
        for other in ["dns:///g:80", "unix:///g", "https://g:80/x"] {
            assert_eq!(respelled(other, 3), other);
        }
    }
}
