//! The address of a gateway's control plane.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use http::Uri;
use tonic::transport::Endpoint;
use tower_gwag_schema::redact::redacted_url;

/// How many addresses of a name count. No cluster has as many nodes, and each one that is dialled gets
/// its share of the time.
pub(super) const MOST_ADDRESSES: usize = 64;

/// A parsed gateway address.
#[derive(Clone)]
pub(crate) struct Target {
    /// Scheme, host and port; no path.
    pub(crate) uri: Uri,
    /// The user's own endpoint with its settings, TLS included.
    pub(crate) endpoint: Option<Endpoint>,
    /// Replaces the system's resolver.
    pub(crate) lookup: Option<Lookup>,
    /// Reads certificates again.
    #[cfg(feature = "tls")]
    pub(crate) renewal: Option<Arc<super::tls::Renewal>>,
}

/// Returns the current addresses of the nodes behind a gateway's name.
#[derive(Clone)]
pub(crate) struct Lookup(Arc<dyn Fn() -> Vec<SocketAddr> + Send + Sync>);

// === impl Target ===

impl Target {
    /// The host and port to connect to; without a port, that of the scheme.
    pub(crate) fn host_port(&self) -> (String, u16) {
        let host = self.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let default = if self.is_https() { 443 } else { 80 };
        (host.to_owned(), self.uri.port_u16().unwrap_or(default))
    }

    /// Whether its addresses may change.
    pub(crate) fn is_name(&self) -> bool {
        self.lookup.is_some() || self.host_port().0.parse::<IpAddr>().is_err()
    }

    /// Host and port as written, without user information.
    pub(super) fn authority(&self) -> String {
        let authority = self.uri.authority();
        authority.map_or_else(String::new, |it| redacted_url(it.as_str()))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

/// Without the user information that an `Endpoint` may have.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_https() { "https://" } else { "" };
        write!(f, "{scheme}{}", self.authority())
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({self})")
    }
}

// === impl Lookup ===

impl Lookup {
    pub(crate) fn new(lookup: impl Fn() -> Vec<SocketAddr> + Send + Sync + 'static) -> Self {
        Self(Arc::new(lookup))
    }

    pub(super) fn addresses(&self) -> Vec<SocketAddr> {
        let mut addresses = (self.0)();
        addresses.truncate(MOST_ADDRESSES);
        addresses
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lookup_may_find_any_number_of_addresses() {
        let all: Vec<SocketAddr> = (1..=10_000)
            .map(|port| ([127, 0, 0, 1], port).into())
            .collect();
        let found = Lookup::new({
            let all = all.clone();
            move || all.clone()
        });
        assert_eq!(found.addresses(), all[..64]);
    }
}
