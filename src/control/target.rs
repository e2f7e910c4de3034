//! Where a gateway's control plane is.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;

use http::Uri;
use tonic::transport::Endpoint;
use tower_gwag_schema::masked::masked_url;

/// A gateway address that parses.
#[derive(Clone)]
pub(crate) struct Target {
    /// Scheme, host and port; no path.
    pub(crate) uri: Uri,
    /// Settings of the user's own endpoint, its TLS included.
    pub(crate) endpoint: Option<Endpoint>,
    /// Instead of the system's resolver.
    pub(crate) lookup: Option<Lookup>,
    /// Reads certificates anew.
    #[cfg(feature = "tls")]
    pub(crate) renewal: Option<Arc<super::tls::Renewal>>,
}

/// Where the nodes of a gateway's name are now.
#[derive(Clone)]
pub(crate) struct Lookup(Arc<dyn Fn() -> Vec<SocketAddr> + Send + Sync>);

// === impl Target ===

impl Target {
    /// Host and port to connect to; the scheme's port where none is written.
    pub(crate) fn host_port(&self) -> (String, u16) {
        let host = self.uri.host().unwrap_or_default();
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let default = if self.is_https() { 443 } else { 80 };
        (host.to_owned(), self.uri.port_u16().unwrap_or(default))
    }

    /// Host and port as they were written, without whoever calls.
    pub(super) fn authority(&self) -> String {
        let authority = self.uri.authority();
        authority.map_or_else(String::new, |it| masked_url(it.as_str()))
    }

    pub(crate) fn is_https(&self) -> bool {
        self.uri.scheme_str() == Some("https")
    }
}

/// Without whoever calls, which an `Endpoint` may have.
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
        (self.0)()
    }
}

impl fmt::Debug for Lookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lookup")
    }
}
