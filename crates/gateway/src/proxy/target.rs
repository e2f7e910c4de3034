//! The address strings of gRPC services, parsed as a real gateway does.

/// Where to dial a gRPC service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The value of `:authority`.
    pub(crate) authority: String,
}

/// The default port.
const DEFAULT_PORT: u16 = 443;

/// Whether Register accepts this address: it need not be diallable, but it must be valid in a URL.
pub(crate) fn check(addr: &str) -> Result<(), String> {
    if let Some(control) = addr.bytes().find(|b| *b < 0x20 || *b == 0x7f) {
        return Err(format!("invalid control character {control:#04x} in URL"));
    }
    let mut rest = addr;
    while let Some(at) = rest.find('%') {
        let escape = rest.get(at + 1..at + 3).unwrap_or_default();
        if escape.len() < 2 || !escape.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(format!("invalid URL escape \"%{escape}\""));
        }
        rest = &rest[at + 3..];
    }
    Ok(())
}

/// Parses an address; the error says why every call to it fails.
pub(crate) fn parse(addr: &str) -> Result<Target, String> {
    let endpoint = match addr.split_once("://") {
        None => addr,
        Some(("dns", rest)) => rest.split_once('/').map_or(rest, |(_, endpoint)| endpoint),
        Some(("passthrough", rest)) => rest.trim_start_matches('/'),
        Some((scheme, _)) => {
            return Err(format!("the scheme {scheme:?} cannot be dialled here"));
        }
    };
    let endpoint = endpoint.strip_prefix("dns:").unwrap_or(endpoint);
    if endpoint.is_empty() {
        return Err("an empty address".to_owned());
    }
    let (host, port) = match endpoint.rsplit_once(':') {
        // A bare IPv6 address has colons but no port.
        Some((host, _)) if host.contains(':') && !host.starts_with('[') => (endpoint, ""),
        Some((host, port)) => (host, port),
        None => (endpoint, ""),
    };
    let port = match port {
        "" if endpoint.ends_with(':') => {
            return Err(format!(
                "missing port after port-separator colon in {endpoint:?}"
            ));
        }
        "" => DEFAULT_PORT,
        // Leading zeros are accepted, as by Go's resolver.
        digits => digits
            .parse()
            .map_err(|_| format!("address {digits}: invalid port"))?,
    };
    Ok(Target {
        host: host.trim_matches(['[', ']']).to_owned(),
        port,
        authority: endpoint.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_the_gateway_reads_them() {
        for (addr, host, port) in [
            ("10.0.0.5:50051", "10.0.0.5", 50051),
            ("10.0.0.5:0050051", "10.0.0.5", 50051),
            ("dns:///svc.local:1", "svc.local", 1),
            ("passthrough:///foo:1", "foo", 1),
            ("[::1]:50051", "::1", 50051),
            ("::1", "::1", 443),
            ("localhost", "localhost", 443),
        ] {
            let target = parse(addr).unwrap();
            assert_eq!((target.host.as_str(), target.port), (host, port), "{addr}");
        }
        for addr in ["http://h:1", "unix:///x.sock", "h:99999", "h:", ""] {
            assert!(parse(addr).is_err(), "{addr}");
        }
    }

    #[test]
    fn only_what_breaks_a_url_is_refused_at_register() {
        for good in ["not a url", "http://h", "h:99999", "%41:1", "unix:///x"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in ["%zz", "\x7f", "a%", "a%4"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
