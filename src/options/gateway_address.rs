//! The addresses of gateways' control planes, as users give them.

use std::fmt;
use std::net::SocketAddr;

use http::Uri;
use tonic::transport::Endpoint;
use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::redact::redacted_url;

use crate::control::address::split_host_port;
use crate::control::{Lookup, Target};

/// The address of a gateway's control plane: `host:port`, an `http(s)` URL, or a tonic `Endpoint`;
/// or an array or `Vec` of these as alternatives: a registration uses one at a time, the first that
/// answers.
///
/// The `timeout`, `concurrency_limit` and `rate_limit` of an `Endpoint` are ignored: a call that is
/// cancelled on the wire can leave an unknown entry on the gateway, and a call that waits behind a
/// limit looks as if the gateway did not answer. Its HTTP/2 window sizes are replaced by small
/// fixed ones (no adaptive window), which bound the memory that a gateway can make this process
/// use. With keep-alive pings more often than every 5 minutes, a gateway closes the connection.
///
/// A tonic `Channel` is not accepted: a balanced one would spread heartbeats over nodes, but a
/// registration lives on the node that accepted it.
#[derive(Clone)]
pub struct GatewayAddress(Given);

#[derive(Clone)]
enum Given {
    Text(String),
    Endpoint(Box<Endpoint>),
    Several(Vec<GatewayAddress>),
    LookedUp(Box<GatewayAddress>, Lookup),
}

// === impl GatewayAddress ===

impl GatewayAddress {
    /// Resolves the addresses of the gateway's nodes with `lookup` instead of the system's
    /// resolver, for service discovery and for tests. It is called before each connection; an empty
    /// result means that no address is known now, and of more than 64 the first count. TLS still
    /// checks the given name, and `lookup` supplies the ports.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::net::SocketAddr;
    /// use tower_gwag::{GatewayAddress, Options};
    ///
    /// let nodes = || vec![SocketAddr::from(([10, 0, 0, 1], 50090))];
    /// let options = Options::new(GatewayAddress::from("gateway:50090").resolved_by(nodes));
    /// ```
    #[must_use]
    pub fn resolved_by(self, lookup: impl Fn() -> Vec<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Given::LookedUp(Box::new(self), Lookup::new(lookup)))
    }

    /// Whether it contains no address.
    pub(crate) fn is_empty(&self) -> bool {
        match &self.0 {
            Given::Text(text) => text.trim().is_empty(),
            Given::Several(addresses) => addresses.is_empty(),
            Given::Endpoint(_) | Given::LookedUp(..) => false,
        }
    }

    /// Whether it parses.
    pub(crate) fn check(&self) -> Result<(), Finding> {
        self.parse(false).map(drop)
    }

    /// All addresses, at least one; `tls_wanted` turns a plain `host:port` into `https`.
    pub(super) fn parse(&self, tls_wanted: bool) -> Result<Vec<Target>, Finding> {
        match &self.0 {
            Given::Text(text) => Ok(vec![parse_text(text.trim(), tls_wanted)?]),
            Given::Endpoint(endpoint) => Ok(vec![Target {
                uri: endpoint.uri().clone(),
                endpoint: Some(endpoint.as_ref().clone()),
                lookup: None,
                #[cfg(feature = "tls")]
                renewal: None,
            }]),
            Given::LookedUp(address, lookup) => {
                let mut targets = address.parse(tls_wanted)?;
                for target in &mut targets {
                    target.lookup = Some(lookup.clone());
                }
                Ok(targets)
            }
            Given::Several(addresses) if addresses.is_empty() => {
                Ok(vec![parse_text("", tls_wanted)?])
            }
            Given::Several(addresses) => {
                let all = addresses.iter().map(|address| address.parse(tls_wanted));
                Ok(all.collect::<Result<Vec<_>, _>>()?.concat())
            }
        }
    }
}

fn parse_text(text: &str, tls_wanted: bool) -> Result<Target, Finding> {
    let fault = |why: &str| {
        let message = format!(
            "the gateway address `{}` {why}: write host:port, http://host:port or \
                 https://host:port of the gateway's control plane",
            redacted_url(text)
        );
        Finding::error(Rule::GatewayAddress, message)
    };
    if text.is_empty() {
        let message = "there is no gateway to register with: write host:port, http://host:port or \
                       https://host:port of its control plane, or set GWAG_GATEWAY and use \
                       `Options::from_env()`; to run without one, `.disabled_if(no_gateway)`";
        return Err(Finding::error(Rule::GatewayAddress, message));
    }
    let with_scheme = match text.split_once("://") {
        Some(("http" | "https", _)) => text.to_owned(),
        Some(_) => return Err(fault("has an unknown scheme")),
        None if tls_wanted => format!("https://{text}"),
        None => format!("http://{text}"),
    };
    let uri: Uri = with_scheme
        .parse()
        .map_err(|cause: http::uri::InvalidUri| fault(&format!("does not parse ({cause})")))?;
    let authority = uri.authority().ok_or_else(|| fault("has no host"))?;
    if uri
        .host()
        .is_none_or(|host| host.is_empty() || host == "[]")
    {
        return Err(fault("has no host"));
    }
    if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
        return Err(fault("has a path"));
    }
    if authority.as_str().contains('@') {
        return Err(fault("has a user name"));
    }
    let bare = !text.contains("://");
    match (split_host_port(authority.as_str()), uri.port_u16()) {
        (_, Some(0)) => return Err(fault("has port 0")),
        (_, Some(_)) => {}
        (None, None) if !bare => {}
        _ if authority.as_str().ends_with(']') && !bare => {}
        _ => return Err(fault("has no valid port")),
    }
    Ok(Target {
        uri,
        endpoint: None,
        lookup: None,
        #[cfg(feature = "tls")]
        renewal: None,
    })
}

impl<A: Into<GatewayAddress>> From<Vec<A>> for GatewayAddress {
    fn from(addresses: Vec<A>) -> Self {
        Self(Given::Several(addresses.into_iter().map(A::into).collect()))
    }
}

impl<A: Into<GatewayAddress>, const N: usize> From<[A; N]> for GatewayAddress {
    fn from(addresses: [A; N]) -> Self {
        Self(Given::Several(addresses.into_iter().map(A::into).collect()))
    }
}

impl From<&str> for GatewayAddress {
    fn from(address: &str) -> Self {
        Self(Given::Text(address.to_owned()))
    }
}

impl From<String> for GatewayAddress {
    fn from(address: String) -> Self {
        Self(Given::Text(address))
    }
}

impl From<&String> for GatewayAddress {
    fn from(address: &String) -> Self {
        Self(Given::Text(address.clone()))
    }
}

impl From<std::net::SocketAddr> for GatewayAddress {
    fn from(address: std::net::SocketAddr) -> Self {
        Self(Given::Text(address.to_string()))
    }
}

impl From<Endpoint> for GatewayAddress {
    fn from(endpoint: Endpoint) -> Self {
        Self(Given::Endpoint(Box::new(endpoint)))
    }
}

impl fmt::Debug for GatewayAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Given::Text(text) => write!(f, "{:?}", redacted_url(text)),
            Given::Endpoint(endpoint) => {
                write!(f, "Endpoint({})", redacted_url(&endpoint.uri().to_string()))
            }
            Given::LookedUp(address, _) => address.fmt(f),
            Given::Several(addresses) => f.debug_list().entries(addresses).finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_can_be_dialled_parse() {
        for (text, host, port) in [
            ("gateway:50090", "gateway", 50090),
            ("http://gateway:50090", "gateway", 50090),
            ("http://gateway:50090/", "gateway", 50090),
            ("http://gateway", "gateway", 80),
            ("https://gateway", "gateway", 443),
            ("[::1]:50090", "::1", 50090),
            ("http://[::1]", "::1", 80),
            (" 127.0.0.1:1 ", "127.0.0.1", 1),
        ] {
            let target = GatewayAddress::from(text).parse(false).unwrap().remove(0);
            assert_eq!(target.host_port(), (host.to_owned(), port), "{text}");
        }
        let https = GatewayAddress::from("gateway:1").parse(true).unwrap();
        assert!(https[0].is_https());
        let several = GatewayAddress::from(["a:1", "b:2"]).parse(false).unwrap();
        assert_eq!(several.len(), 2);
    }

    #[test]
    fn other_addresses_are_refused_with_the_remedy() {
        for text in [
            "",
            " ",
            "gateway",
            "gateway:",
            "gateway:0",
            "gateway:99999",
            "gateway:http",
            ":1",
            "ftp://gateway:1",
            "http://",
            "http://gateway:1/path",
            "http://u@gateway:1",
            "::1:1",
            "gate way:1",
            "dns:///gateway:1",
        ] {
            let error = GatewayAddress::from(text).parse(false).unwrap_err();
            assert_eq!(error.rule(), Rule::GatewayAddress, "{text}");
            assert!(error.message().contains("write host:port"), "{error}");
        }
        let none = GatewayAddress::from(Vec::<String>::new()).parse(false);
        assert_eq!(none.unwrap_err().rule(), Rule::GatewayAddress);
    }
}
