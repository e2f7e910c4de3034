//! Options whose faults are ruled out: what the registration's task works with.

use std::collections::HashSet;
use std::time::Duration;

use prost::Message;
use tonic::transport::Endpoint;

use super::{Options, Target};
use crate::control::proto::{RegisterRequest, ServiceBinding};
use crate::error::{Error, ErrorKind};
use crate::registration::address::Advertise;
use crate::rules::address::{AddressForm, form_of};
use crate::service::{Resolved, ServiceKind};

/// The lease a gateway grants when none is asked for (contract § 2).
const DEFAULT_TTL: Duration = Duration::from_secs(30);

/// The largest message a gateway receives (contract § 1).
const MAX_REQUEST_BYTES: usize = 4_194_304;

/// Room for the address, the instance id and a spelling of the address not known yet.
const REQUEST_SLACK_BYTES: usize = 4_096;

#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) target: Target,
    pub(crate) endpoint: Endpoint,
    /// The connection has settings of its own, so that nobody else may share it.
    pub(crate) private: bool,
    pub(crate) services: Vec<Resolved>,
    /// 0: the gateway's default.
    pub(crate) ttl_seconds: u32,
}

// === impl Plan ===

impl Plan {
    pub(crate) fn new(options: &Options) -> Result<Self, Error> {
        let target = target(options)?;
        let (endpoint, private) = endpoint(options, &target)?;
        let services = services(options)?;
        let ttl_seconds = ttl_seconds(options.ttl)?;
        check_instance(options)?;
        check_heartbeat(options)?;
        check_timeouts(options)?;
        options.credentials.check()?;
        check_advertised(&options.advertise, &services)?;
        let plan = Self {
            target,
            endpoint,
            private,
            services,
            ttl_seconds,
        };
        plan.check_size()?;
        Ok(plan)
    }

    /// The request for the advertised address; GraphQL paths are completed with it.
    pub(crate) fn request(&self, address: &str, instance_id: &str) -> RegisterRequest {
        RegisterRequest {
            addr: address.to_owned(),
            services: self.bindings(address),
            ttl_seconds: self.ttl_seconds,
            instance_id: instance_id.to_owned(),
        }
    }

    /// Whether a hold is of use: only gRPC calls are cancelled at a deregistration.
    pub(crate) fn wants_hold(&self) -> bool {
        self.services
            .iter()
            .any(|service| service.kind == ServiceKind::Proto)
    }

    fn bindings(&self, address: &str) -> Vec<ServiceBinding> {
        let complete = |service: &Resolved| {
            let mut binding = service.binding.clone();
            if binding.graphql_endpoint.starts_with('/') {
                let base = match form_of(address) {
                    Ok(AddressForm::BaseUrl) => address.trim_end_matches('/').to_owned(),
                    _ => format!("http://{address}"),
                };
                binding.graphql_endpoint.insert_str(0, &base);
            }
            binding
        };
        self.services.iter().map(complete).collect()
    }

    fn check_size(&self) -> Result<(), Error> {
        let bytes = self.request("", "").encoded_len() + REQUEST_SLACK_BYTES;
        if bytes <= MAX_REQUEST_BYTES {
            return Ok(());
        }
        let largest = self
            .services
            .iter()
            .max_by_key(|service| service.binding.encoded_len());
        let name = largest.map(Resolved::name).unwrap_or_default();
        Err(Error::new(
            ErrorKind::TooLarge,
            format!(
                "the registration takes about {bytes} bytes, and a gateway receives at most \
                 {MAX_REQUEST_BYTES}; the largest service is `{name}`: send fewer or smaller schemas"
            ),
        ))
    }
}

fn target(options: &Options) -> Result<Target, Error> {
    #[cfg(feature = "tls")]
    let tls_wanted = options.tls.is_some();
    #[cfg(not(feature = "tls"))]
    let tls_wanted = false;
    let target = options.gateway.parse(tls_wanted)?;
    let fault = |why: &str| {
        let message = format!("the gateway address `{target}` {why}");
        Error::new(ErrorKind::InvalidTls, message)
    };
    if cfg!(not(feature = "tls")) && target.is_https() && target.endpoint.is_none() {
        return Err(fault(
            "wants TLS: switch the feature `tls` of tower-gwag on",
        ));
    }
    if tls_wanted && !target.is_https() {
        return Err(fault(
            "says http, but TLS is configured: write https:// or leave the scheme out",
        ));
    }
    Ok(target)
}

#[cfg(feature = "tls")]
fn endpoint(options: &Options, target: &Target) -> Result<(Endpoint, bool), Error> {
    use tonic::transport::ClientTlsConfig;

    let plain = target.endpoint.clone();
    let private = plain.is_some();
    let plain = plain.unwrap_or_else(|| Endpoint::from(target.uri.clone()));
    let config = match &options.tls {
        Some(config) => config.clone(),
        None if target.is_https() && !private => ClientTlsConfig::new().with_native_roots(),
        None => return Ok((plain, private)),
    };
    let endpoint = plain.tls_config(config).map_err(|cause| {
        let message = format!(
            "the TLS configuration for the gateway {target} cannot be used: check the CA, the \
             client identity and the server name"
        );
        Error::new(ErrorKind::InvalidTls, message).caused_by(cause)
    })?;
    Ok((endpoint, true))
}

#[cfg(not(feature = "tls"))]
fn endpoint(_: &Options, target: &Target) -> Result<(Endpoint, bool), Error> {
    Ok(match &target.endpoint {
        Some(endpoint) => (endpoint.clone(), true),
        None => (Endpoint::from(target.uri.clone()), false),
    })
}

fn services(options: &Options) -> Result<Vec<Resolved>, Error> {
    if options.services.is_empty() {
        return Err(Error::new(
            ErrorKind::NoServices,
            "there is no service to register: add one with `Options::service(Service::proto(…))`",
        ));
    }
    let services = options
        .services
        .iter()
        .zip(1..)
        .map(|(service, position)| service.resolve(position))
        .collect::<Result<Vec<_>, _>>()?;
    let mut names = HashSet::new();
    for service in &services {
        let name = service.name();
        if service.version.is_unstable()
            && let Some(tag) = options.build_tag.as_deref().filter(|tag| !tag.is_empty())
        {
            return Err(Error::new(
                ErrorKind::UnstableInTaggedBuild,
                format!(
                    "service `{name}`: the build is tagged `{tag}`, and a release must not \
                     register `unstable`: give it a version vN, or build without the tag"
                ),
            ));
        }
        if !names.insert(name.clone()) {
            return Err(Error::new(
                ErrorKind::DuplicateService,
                format!("service `{name}` is given twice: change a namespace or a version"),
            ));
        }
    }
    Ok(services)
}

fn ttl_seconds(ttl: Option<Duration>) -> Result<u32, Error> {
    let Some(ttl) = ttl else { return Ok(0) };
    let fault = |why: &str| {
        let message = format!("the TTL {ttl:?} {why}; leave it out for the gateway's 30 s");
        Error::new(ErrorKind::InvalidTtl, message)
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

fn check_instance(options: &Options) -> Result<(), Error> {
    match options.exclusive.as_deref() {
        Some(identity) if identity.is_empty() || identity.contains('#') => Err(Error::new(
            ErrorKind::InvalidInstance,
            format!(
                "exclusive_instance(`{identity}`) must not be empty or contain `#`, which \
                 separates the incarnation: give the name that only one process has at a time"
            ),
        )),
        _ => Ok(()),
    }
}

fn check_heartbeat(options: &Options) -> Result<(), Error> {
    let Some(interval) = options.heartbeat_interval else {
        return Ok(());
    };
    let ttl = options.ttl.unwrap_or(DEFAULT_TTL);
    let fault = |why: String| {
        let message = format!("the heartbeat interval {interval:?} {why}");
        Err(Error::new(ErrorKind::InvalidHeartbeatInterval, message))
    };
    if interval.is_zero() {
        return fault("is zero; leave it out for a third of the TTL".to_owned());
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

fn check_timeouts(options: &Options) -> Result<(), Error> {
    let fault = |message: String| Err(Error::new(ErrorKind::InvalidTimeout, message));
    let (leave, drain, quiet) = (options.leave_timeout, options.drain_timeout, options.quiet);
    if leave.is_zero() {
        return fault(
            "leave_timeout is zero: leaving needs time for one call; 25 s is usual".into(),
        );
    }
    if drain > leave {
        return fault(format!(
            "drain_timeout {drain:?} is longer than leave_timeout {leave:?}, which holds it: \
             lengthen the latter or shorten the former"
        ));
    }
    if quiet > drain {
        return fault(format!(
            "quiet {quiet:?} is longer than drain_timeout {drain:?}, which holds it: shorten it"
        ));
    }
    Ok(())
}

/// The address must serve every kind of service that is registered under it.
fn check_advertised(advertise: &Advertise, services: &[Resolved]) -> Result<(), Error> {
    let fault = |message: String| Err(Error::new(ErrorKind::InvalidAdvertisedAddress, message));
    let address = match advertise {
        Advertise::Bound => return Ok(()),
        Advertise::Host(host) => {
            if host.is_empty() || host.contains(|c: char| c.is_whitespace() || "/@".contains(c)) {
                return fault(format!(
                    "advertise_host(`{host}`) is not a host name or IP address; the port is added \
                     by itself, for anything else use `advertise`"
                ));
            }
            if form_of(&crate::registration::address::with_port(host, 1)).is_err() {
                return fault(format!(
                    "advertise_host(`{host}`) must not have a port: the bound one is added; use \
                     `advertise` to name both"
                ));
            }
            return Ok(());
        }
        Advertise::Exactly(address) => address,
    };
    let form = match form_of(address) {
        Ok(form) => form,
        Err(why) => {
            return fault(format!(
                "the address `{address}` cannot be advertised: {why}"
            ));
        }
    };
    for service in services {
        let name = service.name();
        match (form, service.kind) {
            (AddressForm::BaseUrl, ServiceKind::Proto) => {
                return fault(format!(
                    "service `{name}` is gRPC, and every call to `{address}` would fail: a gRPC \
                     service is advertised as host:port; put OpenAPI services that need a base \
                     URL into a registration of their own"
                ));
            }
            (AddressForm::GrpcTarget, ServiceKind::OpenApi) => {
                return fault(format!(
                    "service `{name}` is HTTP, and `{address}` is a gRPC target: advertise \
                     host:port or a base URL"
                ));
            }
            (AddressForm::GrpcTarget, ServiceKind::GraphQl)
                if service.binding.graphql_endpoint.starts_with('/') =>
            {
                return fault(format!(
                    "service `{name}` has a GraphQL path, which `{address}` cannot complete: \
                     advertise host:port, or give the endpoint's whole URL"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}
