//! Clients of the control planes that options name.

use std::sync::Arc;

use super::config::{self, GatewayConfig};
use super::{GatewayAddress, Options};
use crate::control::{Client, ControlPlane, Gateway};
use crate::error::{Error, ErrorKind};
use tower_gwag_schema::Findings;

// === impl Options ===

impl Options {
    /// Typed clients of the control planes, one for each gateway, with the TLS and the credentials
    /// of these options; all other options are ignored.
    ///
    /// # Errors
    ///
    /// The gateway's address, the TLS configuration or a header is wrong, or
    /// [`ErrorKind::Misuse`] outside a tokio runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), tower_gwag::Error> {
    /// use tower_gwag::Options;
    ///
    /// let options = Options::new(["a:50090", "b:50090"]).bearer_token_file("/run/secrets/token");
    /// # let options = Options::new(["a:50090", "b:50090"]);
    /// let targets: Vec<_> = options.control_clients()?.iter().map(|it| it.target()).collect();
    /// assert_eq!(targets, ["a:50090", "b:50090"]);
    /// # Ok(()) }
    /// ```
    pub fn control_clients(&self) -> Result<Vec<Client>, Error> {
        let mut found = Findings::default();
        let gateways = found.keep(config::gateways(self)).unwrap_or_default();
        found.keep(self.credentials.check());
        found.into_result()?;
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(Error::new(
                ErrorKind::Misuse,
                "a client of a control plane was created outside a tokio runtime: create it within \
                 one",
            ));
        }
        let credentials = Arc::new(self.credentials.clone());
        let client = |it: GatewayConfig| {
            let gateway = Gateway::shared(&it.target, &it.endpoint, it.private);
            Client::of(ControlPlane::new(
                gateway,
                Arc::clone(&credentials),
                Arc::default(),
            ))
        };
        Ok(gateways.into_iter().map(client).collect())
    }
}

// === impl Client ===

impl Client {
    /// A client of the control plane at `gateway`, without credentials; of several addresses, the
    /// first is used. For TLS settings or credentials, use
    /// [`Options::control_clients`](crate::Options::control_clients).
    ///
    /// # Errors
    ///
    /// The address is wrong, or [`ErrorKind::Misuse`] outside a tokio runtime.
    pub fn new(gateway: impl Into<GatewayAddress>) -> Result<Self, Error> {
        let clients = Options::new(gateway).control_clients()?;
        // invariant: an empty list of addresses is refused.
        clients.into_iter().next().ok_or_else(|| {
            Error::new(
                ErrorKind::InvalidGatewayAddress,
                "there is no gateway address",
            )
        })
    }
}
