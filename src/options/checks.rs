//! Faults of single options.

use std::time::Duration;

use http::Uri;

use super::{Advertise, Options};
use crate::control::address::{AddressForm, dialled, form_of, with_port};
use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::masked::masked_url;
use tower_gwag_schema::service::{Resolved, ServiceKind};

/// A gateway handles about ten thousand heartbeats a second, for all its services together.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// Longer timeouts are mistakes, and would overflow the clock.
const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The lease a gateway grants when none is asked for (contract § 2).
const DEFAULT_TTL: Duration = Duration::from_secs(30);

pub(crate) fn ttl_seconds(ttl: Option<Duration>) -> Result<u32, Finding> {
    let Some(ttl) = ttl else { return Ok(0) };
    let fault = |why: &str| {
        let message = format!("the TTL {ttl:?} {why}; leave it out for the gateway's 30 s");
        Finding::error(Rule::Ttl, message)
    };
    if ttl < Duration::from_secs(1) {
        return Err(fault("is too short: 1 s is the least"));
    }
    if ttl.subsec_nanos() != 0 {
        return Err(fault(
            "has a fraction of a second: the wire takes whole seconds",
        ));
    }
    u32::try_from(ttl.as_secs()).map_err(|_| fault("does not fit into the wire's 32 bits"))
}

pub(crate) fn instance(options: &Options) -> Result<(), Finding> {
    match options.exclusive.as_deref() {
        Some(identity) if identity.is_empty() || identity.contains('#') => Err(Finding::error(
            Rule::ExclusiveInstance,
            format!(
                "exclusive_instance(`{identity}`) must not be empty or contain `#`, which \
                 separates the incarnation: give the name that only one process has at a time"
            ),
        )),
        _ => Ok(()),
    }
}

pub(super) fn heartbeat(options: &Options) -> Result<(), Finding> {
    let Some(interval) = options.heartbeat_interval else {
        return Ok(());
    };
    let ttl = options.ttl.unwrap_or(DEFAULT_TTL);
    let fault = |why: String| {
        let message = format!("the heartbeat interval {interval:?} {why}");
        Err(Finding::error(Rule::HeartbeatInterval, message))
    };
    if interval < SHORTEST_INTERVAL {
        return fault(format!(
            "is shorter than {SHORTEST_INTERVAL:?}, zero among them; leave it out for a third of \
             the TTL"
        ));
    }
    if interval > ttl / 2 {
        return fault(format!(
            "is longer than half the TTL of {ttl:?}: one late beat would evict the service; \
             beat at least every {:?}",
            ttl / 2
        ));
    }
    Ok(())
}

pub(super) fn timeouts(options: &Options) -> Vec<Finding> {
    let (leave, drain) = (options.longest_leave(), options.longest_drain());
    let quiet = options.quiet_time();
    let mut found = Vec::new();
    let mut fault = |message: String| found.push(Finding::error(Rule::Timeouts, message));
    if [leave, drain, quiet].iter().any(|it| *it > LONGEST_TIMEOUT) {
        fault("a timeout is longer than a day: nobody waits so long for a stop".into());
    }
    if leave.is_zero() {
        fault("leave_timeout is zero: leaving needs time for one call; 25 s is usual".into());
    }
    if drain > leave {
        fault(format!(
            "drain_timeout {drain:?} is longer than leave_timeout {leave:?}, which includes it: \
             lengthen the latter or shorten the former"
        ));
    }
    if quiet > drain {
        fault(format!(
            "quiet {quiet:?} is longer than drain_timeout {drain:?}, which includes it: shorten it"
        ));
    }
    found
}

/// Warns if the schemas were not checked.
pub(super) fn unchecked(options: &Options) -> Option<Finding> {
    if options.unchecked {
        let message = "the schemas are not checked, because `unchecked_schemas` is set";
        return Some(Finding::warning(Rule::SchemasUnchecked, message));
    }
    cfg!(not(feature = "preflight")).then(|| {
        let message = "the schemas are not checked: tower-gwag was built without `preflight`";
        let help = "switch the feature on: a schema that a clustered gateway cannot serve blocks \
                    every other service";
        Finding::warning(Rule::SchemasUnchecked, message).help(help)
    })
}

/// The base URL of the gateway's HTTP port, which never receives the control plane's credentials.
pub(crate) fn gateway_http(options: &Options) -> Result<Option<Uri>, Finding> {
    let Some(text) = &options.gateway_http else {
        return Ok(None);
    };
    let uri = text.parse::<Uri>().ok().filter(|uri| {
        let is_bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        uri.scheme_str() == Some("http") && uri.host().is_some() && is_bare
    });
    if uri.is_none() {
        return Err(Finding::error(
            Rule::GatewayHttp,
            format!(
                "gateway_http(`{}`) is not the base URL of a gateway's HTTP port: write \
                 `http://host:port`, without a path",
                masked_url(text)
            ),
        ));
    }
    Ok(uri)
}

/// The address must serve every kind of service that is registered under it.
pub(crate) fn advertised(options: &Options, services: &[Resolved]) -> Vec<Finding> {
    let fault = |message: String| vec![Finding::error(Rule::AdvertisedAddress, message)];
    let scheme = options.advertise_scheme.as_deref();
    if let Some(scheme) = scheme
        && !matches!(scheme, "http" | "https")
    {
        return fault(format!(
            "advertise_scheme(`{scheme}`) is neither `http` nor `https`, which gateways dial"
        ));
    }
    let address = match &options.advertise {
        Advertise::Bound => return scheme_serves(scheme, services),
        Advertise::Host(host) => {
            if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@".contains(c)) {
                return fault(format!(
                    "advertise_host(`{}`) is not a host name or IP address; the port is added \
                     by itself, for anything else use `advertise`",
                    masked_url(host)
                ));
            }
            if form_of(&with_port(host, 1)).is_err() {
                return fault(format!(
                    "advertise_host(`{host}`) must not have a port: the bound one is added; use \
                     `advertise` to name both"
                ));
            }
            if is_unspecified(host) {
                return fault(format!(
                    "advertise_host(`{host}`) is not an address that the gateway can call: name one, or leave it \
                     out for the one from which this host reaches the gateway"
                ));
            }
            return scheme_serves(scheme, services);
        }
        Advertise::Exactly(address) if scheme.is_some() => {
            return fault(format!(
                "advertise_scheme goes with the bound port: write the scheme into \
                 advertise(`{}`)",
                masked_url(address)
            ));
        }
        Advertise::Exactly(address) => address,
    };
    let (given, address) = (address, &masked_url(address));
    let form = match form_of(given) {
        Ok(form) => form,
        Err(why) => {
            return fault(format!(
                "the address `{address}` cannot be advertised: {why}"
            ));
        }
    };
    match dialled(given) {
        Some((host, _)) if is_unspecified(&host) => {
            return fault(format!(
                "the address `{address}` cannot be advertised: nobody can call `{host}`; leave \
                 `advertise` out for the address from which this host reaches the gateway, or use \
                 `advertise_host`"
            ));
        }
        Some((_, 0)) => {
            return fault(format!(
                "the address `{address}` cannot be advertised: port 0 cannot be dialled; leave \
                 `advertise` out for the bound port, or use `advertise_host`"
            ));
        }
        _ => {}
    }
    let mut found = Vec::new();
    for service in services {
        let name = service.name();
        found.extend(match (form, service.kind) {
            (AddressForm::BaseUrl, ServiceKind::Proto) => fault(format!(
                "service `{name}` is gRPC, and every call to `{address}` would fail: a gRPC \
                     service is advertised as host:port; put OpenAPI services that need a base \
                     URL into a registration of their own"
            )),
            (AddressForm::GrpcTarget, ServiceKind::OpenApi) => fault(format!(
                "service `{name}` is HTTP, and `{address}` is a gRPC target: advertise \
                     host:port or a base URL"
            )),
            (AddressForm::GrpcTarget, ServiceKind::GraphQl)
                if service.binding.graphql_endpoint.starts_with('/') =>
            {
                fault(format!(
                    "service `{name}` has a GraphQL path, which `{address}` cannot complete: \
                     advertise host:port, or give the endpoint's whole URL"
                ))
            }
            _ => Vec::new(),
        });
    }
    found
}

/// Whether it is a spelling of `0.0.0.0` or `::`.
fn is_unspecified(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    let ip = host.parse::<std::net::IpAddr>();
    // Resolvers also accept short and long forms of IPv4 addresses.
    let is_zeros = !host.is_empty() && host.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    is_zeros || ip.is_ok_and(|ip| ip.to_canonical().is_unspecified())
}

/// Reports gRPC services, which a gateway cannot dial with a scheme.
fn scheme_serves(scheme: Option<&str>, services: &[Resolved]) -> Vec<Finding> {
    let Some(scheme) = scheme else {
        return Vec::new();
    };
    let proto = services.iter().filter(|it| it.kind == ServiceKind::Proto);
    let fault = |service: &Resolved| {
        let name = service.name();
        Finding::error(
            Rule::AdvertisedAddress,
            format!(
                "service `{name}` is gRPC, and every call to it with advertise_scheme(`{scheme}`) \
                 would fail: put OpenAPI and GraphQL services that need a scheme into a \
                 registration of their own"
            ),
        )
    };
    proto.map(fault).collect()
}
