//! The address under which a server is registered, as users give it.

use std::fmt;

use super::Options;
use crate::control::address::{AddressForm, dialled, form_of, with_port};
use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::redact::redacted_url;
use tower_gwag_schema::service::{Resolved, ServiceKind};

/// The address to advertise.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Advertise {
    /// The bound address.
    Bound,
    /// This host with the bound port.
    Host(String),
    /// Exactly this.
    Exactly(String),
}

impl Advertise {
    /// Whether the advertised address is a base URL with a path.
    pub(crate) fn has_path(&self) -> bool {
        let Self::Exactly(address) = self else {
            return false;
        };
        let host_and_path = address.split_once("://").map(|(_, rest)| rest);
        let path = host_and_path.and_then(|it| it.split_once('/'));
        path.is_some_and(|(_, path)| !path.trim_matches('/').is_empty())
    }
}

impl fmt::Debug for Advertise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bound => f.write_str("Bound"),
            Self::Host(host) => write!(f, "Host({:?})", redacted_url(host)),
            Self::Exactly(address) => write!(f, "Exactly({:?})", redacted_url(address)),
        }
    }
}

// === impl Options ===

impl Options {
    /// The address that the gateway dials: `host:port`, or, for OpenAPI services only, a base URL
    /// such as `https://pets.example/v2`. Addresses that cannot be dialled are refused: `0.0.0.0`,
    /// `[::]`, port 0.
    ///
    /// A service becomes [`Routed`](crate::State::Routed) only if this is the address that the
    /// server is bound to: a call to the bound address proves nothing about another one.
    ///
    /// The `host:port` of a gRPC service is sent in a fresh spelling, see
    /// [`verbatim_address`](Self::verbatim_address); any other address is sent exactly as written.
    pub fn advertise(mut self, address: impl Into<String>) -> Self {
        self.advertise = Advertise::Exactly(address.into());
        self
    }

    /// The scheme with which the gateway dials the bound port, or that of
    /// [`advertise_host`](Self::advertise_host): `https` if this server terminates TLS itself,
    /// `http` otherwise. For OpenAPI and GraphQL services only.
    ///
    /// Without it, a gateway dials these services in plaintext. Gateways use no scheme for gRPC
    /// services: a clustered gateway that was started with TLS dials all of them with its own
    /// (mutual) TLS, every other gateway in plaintext.
    pub fn advertise_scheme(mut self, scheme: impl Into<String>) -> Self {
        self.advertise_scheme = Some(scheme.into());
        self
    }

    /// The path in front of the paths of an OpenAPI document, such as `/v2`: gateways ignore the
    /// `servers` of a document. It completes the bound address, or that of
    /// [`advertise_host`](Self::advertise_host); with [`advertise`](Self::advertise), write a base
    /// URL instead. GraphQL endpoints have their own path, and gRPC services none, so that they
    /// need a separate registration.
    pub fn advertise_path(mut self, path: impl Into<String>) -> Self {
        self.advertise_path = Some(path.into());
        self
    }

    /// The host that the gateway dials, with the port that the server is bound to.
    pub fn advertise_host(mut self, host: impl Into<String>) -> Self {
        self.advertise = Advertise::Host(host.into());
        self
    }

    /// Sends the address of gRPC services as written, without leading zeros before the port.
    ///
    /// By default, `10.0.0.5:50051` is sent as, say, `10.0.0.5:00050051`, in a different spelling
    /// at each start and each re-registration: with up to 5 zeros and, if all services are gRPC,
    /// also with `dns:///` in front. A gateway keys its connections, and the back-off after failed
    /// ones, by the spelling; with an unchanged spelling it would not call a service for many
    /// seconds after an outage.
    pub fn verbatim_address(mut self) -> Self {
        self.verbatim_address = true;
        self
    }
}

/// The address must serve every kind of service that is registered under it.
pub(crate) fn advertised(options: &Options, services: &[Resolved]) -> Vec<Finding> {
    let unusable = scheme_fault(options)
        .or_else(|| path_fault(options))
        .or_else(|| match &options.advertise {
            Advertise::Bound => None,
            Advertise::Host(host) => host_fault(host),
            Advertise::Exactly(address) => address_fault(address),
        });
    if let Some(message) = unusable {
        return vec![fault(message)];
    }
    match &options.advertise {
        Advertise::Bound | Advertise::Host(_) => parts_serve(options, services),
        Advertise::Exactly(address) => address_serves(address, services),
    }
}

fn fault(message: String) -> Finding {
    Finding::error(Rule::AdvertisedAddress, message)
}

fn scheme_fault(options: &Options) -> Option<String> {
    let scheme = options.advertise_scheme.as_deref()?;
    if !matches!(scheme, "http" | "https") {
        return Some(format!(
            "advertise_scheme(`{scheme}`) is neither `http` nor `https`, which gateways dial"
        ));
    }
    let Advertise::Exactly(address) = &options.advertise else {
        return None;
    };
    Some(format!(
        "advertise_scheme goes with the bound port: write the scheme into advertise(`{}`)",
        redacted_url(address)
    ))
}

fn path_fault(options: &Options) -> Option<String> {
    let path = options.advertise_path.as_ref()?;
    let uri = path.parse::<http::Uri>();
    let is_plain = uri.is_ok_and(|uri| uri.path() == path);
    if !is_plain || path.trim_matches('/').is_empty() {
        return Some(format!(
            "advertise_path(`{path}`) is not a path: write it as `/v2`, without a host or a query"
        ));
    }
    let Advertise::Exactly(address) = &options.advertise else {
        return None;
    };
    Some(format!(
        "advertise_path goes with the bound address: write the path into advertise(`{}`), as a \
         base URL",
        redacted_url(address)
    ))
}

fn host_fault(host: &str) -> Option<String> {
    if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@".contains(c)) {
        return Some(format!(
            "advertise_host(`{}`) is not a host name or IP address; the bound port is added, for \
             anything else use `advertise`",
            redacted_url(host)
        ));
    }
    if form_of(&with_port(host, 1)).is_err() {
        return Some(format!(
            "advertise_host(`{host}`) must not have a port: the bound one is added; use \
             `advertise` to name both"
        ));
    }
    is_unspecified(host).then(|| {
        format!(
            "advertise_host(`{host}`) is not an address that the gateway can call: name one, or leave it \
             out for the one from which this host reaches the gateway"
        )
    })
}

fn address_fault(address: &str) -> Option<String> {
    let why = match (form_of(address), dialled(address)) {
        (Err(why), _) => why.to_owned(),
        (Ok(_), Some((host, _))) if is_unspecified(&host) => format!(
            "nobody can call `{host}`; leave `advertise` out for the address from which this host \
             reaches the gateway, or use `advertise_host`"
        ),
        (Ok(_), Some((_, 0))) => "port 0 cannot be dialled; leave `advertise` out for the bound \
                                  port, or use `advertise_host`"
            .to_owned(),
        _ => return None,
    };
    let address = redacted_url(address);
    Some(format!(
        "the address `{address}` cannot be advertised: {why}"
    ))
}

/// Reports services that cannot be called at this address.
fn address_serves(address: &str, services: &[Resolved]) -> Vec<Finding> {
    // An address without a form is refused before.
    let Ok(form) = form_of(address) else {
        return Vec::new();
    };
    let address = redacted_url(address);
    let misfit = |service: &Resolved| {
        let name = service.name();
        Some(match (form, service.kind) {
            (AddressForm::BaseUrl, ServiceKind::Proto) => format!(
                "service `{name}` is gRPC, and every call to `{address}` would fail: a gRPC \
                 service is advertised as host:port; put OpenAPI services that need a base URL \
                 into a separate registration"
            ),
            (AddressForm::GrpcTarget, ServiceKind::OpenApi) => format!(
                "service `{name}` is HTTP, and `{address}` is a gRPC target: advertise \
                     host:port or a base URL"
            ),
            (AddressForm::GrpcTarget, ServiceKind::GraphQl)
                if service.binding.graphql_endpoint.starts_with('/') =>
            {
                format!(
                    "service `{name}` has a GraphQL path, which `{address}` cannot complete: \
                     advertise host:port, or give the endpoint's whole URL"
                )
            }
            _ => return None,
        })
    };
    services.iter().filter_map(misfit).map(fault).collect()
}

/// Whether it is a spelling of `0.0.0.0` or `::`.
fn is_unspecified(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let ip = host.parse::<std::net::IpAddr>();
    // Resolvers also accept short and long forms of IPv4 addresses.
    let is_zeros = !host.is_empty() && host.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    is_zeros || ip.is_ok_and(|ip| ip.to_canonical().is_unspecified())
}

/// Reports gRPC services, which a gateway cannot dial with a scheme or a path.
fn parts_serve(options: &Options, services: &[Resolved]) -> Vec<Finding> {
    let part = match (&options.advertise_scheme, &options.advertise_path) {
        (Some(scheme), _) => format!("advertise_scheme(`{scheme}`)"),
        (None, Some(path)) => format!("advertise_path(`{path}`)"),
        (None, None) => return Vec::new(),
    };
    let proto = services.iter().filter(|it| it.kind == ServiceKind::Proto);
    let fault = |service: &Resolved| {
        let name = service.name();
        Finding::error(
            Rule::AdvertisedAddress,
            format!(
                "service `{name}` is gRPC, and every call to it with {part} would fail: put \
                 OpenAPI and GraphQL services that need it into a separate registration"
            ),
        )
    };
    proto.map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::config::Config;
    use tower_gwag_schema::Service;

    #[test]
    fn a_path_for_openapi_is_not_added_to_graphql_endpoints() {
        let service = Service::graphql("/graphql").namespace("books");
        let options = Options::new("gateway:50090").service(service);
        let endpoint = |options: Options, address| {
            let config = Config::of(&options).expect("sound");
            config.bindings(address).remove(0).graphql_endpoint
        };
        let with_path = options.clone().advertise_path("/v2/");
        let found = endpoint(with_path, "http://10.0.0.5:80/v2");
        assert_eq!(found, "http://10.0.0.5:80/graphql");
        let found = endpoint(options, "http://10.0.0.5:80/v2");
        assert_eq!(
            found, "http://10.0.0.5:80/v2/graphql",
            "a base URL is given by hand"
        );
    }
}
