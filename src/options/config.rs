//! Checked options with every default filled in: from here on, nothing reads the options
//! themselves.

use std::sync::Arc;
use std::time::Duration;

use http::Uri;
use tokio::sync::Semaphore;
use tonic::transport::Endpoint;

use super::{Advertise, Options, advertise, checks};
use crate::control::address::{AddressForm, form_of};
use crate::control::proto::ServiceBinding;
use crate::control::{Credentials, Target};
use crate::error::Error;
use crate::lease::Hold;
use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::service::{
    Binding, Checks, Purpose, Resolved, Service, ServiceKind, not_allowable, resolve, sizes,
};
use tower_gwag_schema::{Findings, GatewayRelease, Rule};

/// A timeout of the user's endpoint would cancel calls on the wire, and each may leave an unknown
/// entry on the gateway; a call that waits behind a limit would look unanswered. The registration
/// has its own deadlines.
const NO_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

// Defaults. Leaving may take 5 s longer than the drain.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);
const LEAVE_TIMEOUT: Duration = Duration::from_secs(25);
const RECLAIM_AFTER: Duration = Duration::from_secs(2);
const QUIET: Duration = Duration::from_millis(100);

/// Checked options, with every value filled in.
#[derive(Clone, Debug)]
pub(crate) struct Config {
    /// At least one, in order of preference.
    pub(crate) gateways: Vec<GatewayConfig>,
    pub(crate) credentials: Arc<Credentials>,
    pub(crate) services: Arc<[Resolved]>,
    /// The base URL of the gateway's HTTP port.
    pub(crate) gateway_http: Option<Uri>,
    /// 0: the gateway's default.
    pub(crate) ttl_seconds: u32,
    /// `None`: derived from the granted TTL.
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) advertise: Advertise,
    /// The scheme in front of the advertised address.
    pub(crate) advertise_scheme: Option<String>,
    /// The path behind the advertised address, without a slash at its end.
    pub(crate) advertise_path: Option<String>,
    /// Whether each registration sends the address in a fresh spelling.
    pub(crate) respells: bool,
    /// `None`: made of the first namespace, the host and the port.
    pub(crate) instance_id: Option<String>,
    pub(crate) exclusive: Option<String>,
    /// `None` if no hold is needed: a deregistration cancels gRPC calls only.
    pub(crate) hold: Option<Hold>,
    pub(crate) leave_timeout: Duration,
    pub(crate) quiet: Duration,
    pub(crate) reclaim_after: Duration,
    pub(crate) prefer_first: bool,
    pub(crate) seed: u64,
    /// Warnings of the check.
    pub(crate) warnings: Findings,
}

/// A gateway, and how to connect to it.
#[derive(Clone, Debug)]
pub(crate) struct GatewayConfig {
    pub(crate) target: Target,
    pub(crate) endpoint: Endpoint,
    /// The connection has settings of its own and must not be shared.
    pub(crate) private: bool,
}

// === impl Options ===

impl Options {
    /// The drain timeout, or its default within the leave timeout.
    pub(crate) fn longest_drain(&self) -> Duration {
        // A leave timeout of zero is refused anyway.
        let leave = self.longest_leave();
        let default = match leave.is_zero() {
            true => DRAIN_TIMEOUT,
            false => DRAIN_TIMEOUT.min(leave / 5 * 4),
        };
        self.drain_timeout.unwrap_or(default)
    }

    /// The leave timeout, or its default.
    pub(crate) fn longest_leave(&self) -> Duration {
        self.leave_timeout.unwrap_or(LEAVE_TIMEOUT)
    }

    /// The time for which a vN must be free, or its default.
    pub(crate) fn free_for(&self) -> Duration {
        self.reclaim_after.unwrap_or(RECLAIM_AFTER)
    }

    /// The gateway release that schemas are checked against.
    pub(crate) fn release(&self) -> GatewayRelease {
        self.gateway_release.unwrap_or_default()
    }

    /// The build tag, if any: from the options, or from `GWAG_BUILD_TAG` when this crate was built.
    pub(crate) fn tag(&self) -> Option<&str> {
        let tag = self.build_tag.as_deref();
        tag.or(option_env!("GWAG_BUILD_TAG"))
            .filter(|tag| !tag.is_empty())
    }

    /// The quiet time, or its default within the drain timeout.
    pub(crate) fn quiet_time(&self) -> Duration {
        self.quiet.unwrap_or(QUIET.min(self.longest_drain()))
    }
}

// === impl Config ===

impl Config {
    /// Returns the configuration with its warnings, or all errors at once.
    pub(crate) fn of(options: &Options) -> Result<Self, Error> {
        Self::with(options, Purpose::Register)
    }

    /// Returns the warnings, or all errors at once.
    pub(crate) fn check(options: &Options) -> Result<Findings, Error> {
        Self::with(options, Purpose::Check).map(|config| config.warnings)
    }

    fn with(options: &Options, purpose: Purpose) -> Result<Self, Error> {
        let mut found = Findings::default();
        let gateways = found.keep(gateways(options)).unwrap_or_default();
        let services = services(options, purpose, &mut found);
        let ttl_seconds = found.keep(checks::ttl_seconds(options.ttl));
        found.keep(checks::instance(options));
        found.keep(checks::heartbeat(options));
        found.extend(checks::timeouts(options));
        found.keep(options.credentials.check());
        let gateway_http = found.keep(checks::gateway_http(options)).flatten();
        found.extend(advertise::advertised(options, &services));
        // A user who advertises a path has taken `servers` into account.
        if options.advertise.has_path() || options.advertise_path.is_some() {
            found.allow(&[Rule::CallsBasePath]);
        }
        found.extend(sizes(&services));
        found.extend(checks::unchecked(options));
        found.extend(options.noted.iter().cloned());
        found.extend(options.said.overruled(options, super::environment::PREFIX));
        found.allow(&options.allowed);
        let allowed = options.services.iter().flat_map(Service::allowed);
        found.extend(not_allowable(allowed.chain(&options.allowed)));
        let warnings = found.into_result()?;
        let is_proto = |it: &Resolved| it.kind == ServiceKind::Proto;
        let has_proto = services.iter().any(is_proto);
        Ok(Self {
            gateways,
            credentials: Arc::new(options.credentials.clone()),
            services: services.into(),
            gateway_http,
            ttl_seconds: ttl_seconds.unwrap_or_default(),
            heartbeat_interval: options.heartbeat_interval,
            advertise: options.advertise.clone(),
            advertise_scheme: options.advertise_scheme.clone(),
            advertise_path: options
                .advertise_path
                .as_ref()
                .map(|path| path.trim_end_matches('/').to_owned()),
            // Only gRPC connections have a back-off.
            respells: !options.verbatim_address && has_proto,
            instance_id: options.instance_id.clone(),
            exclusive: options.exclusive.clone(),
            hold: has_proto.then_some(options.hold),
            leave_timeout: options.longest_leave(),
            quiet: options.quiet_time(),
            reclaim_after: options.free_for(),
            prefer_first: options.prefer_first,
            seed: options.seed.unwrap_or_else(random_seed),
            warnings,
        })
    }

    /// The bindings for the advertised address, which completes GraphQL paths. Those are paths of
    /// this server, so the path for OpenAPI services is left out.
    pub(crate) fn bindings(&self, address: &str) -> Vec<ServiceBinding> {
        let path = self.advertise_path.as_deref();
        let address = path
            .and_then(|path| address.strip_suffix(path))
            .unwrap_or(address);
        let base = match form_of(address) {
            Ok(AddressForm::BaseUrl) => address.trim_end_matches('/').to_owned(),
            _ => format!("http://{address}"),
        };
        let complete = |service: &Resolved| {
            let mut binding = on_the_wire(&service.binding);
            if binding.graphql_endpoint.starts_with('/') {
                binding.graphql_endpoint.insert_str(0, &base);
            }
            binding
        };
        self.services.iter().map(complete).collect()
    }

    /// The GraphQL endpoints as configured: URLs, or paths on this server.
    pub(crate) fn graphql_endpoints(&self) -> impl Iterator<Item = &str> {
        let endpoints = self.services.iter();
        endpoints
            .map(|service| &*service.binding.graphql_endpoint)
            .filter(|endpoint| !endpoint.is_empty())
    }

    /// Whether all services are gRPC.
    pub(crate) fn is_all_proto(&self) -> bool {
        let mut services = self.services.iter();
        services.all(|service| service.kind == ServiceKind::Proto)
    }
}

pub(super) fn gateways(options: &Options) -> Result<Vec<GatewayConfig>, Finding> {
    #[cfg(feature = "tls")]
    let tls_wanted = options.tls.is_some();
    #[cfg(not(feature = "tls"))]
    let tls_wanted = false;
    let targets = options.gateway.parse(tls_wanted)?;
    let planned = targets.into_iter().map(|mut target| {
        check_scheme(&target, tls_wanted)?;
        let (endpoint, private) = endpoint(options, &mut target)?;
        Ok(GatewayConfig {
            target,
            endpoint,
            private,
        })
    });
    planned.collect()
}

fn check_scheme(target: &Target, tls_wanted: bool) -> Result<(), Finding> {
    let fault = |why: &str| {
        let message = format!("the gateway address `{target}` {why}");
        Finding::error(Rule::GatewayTls, message)
    };
    if cfg!(not(feature = "tls")) && target.is_https() && target.endpoint.is_none() {
        return Err(fault(
            "wants TLS: enable the feature `tls-ring` or `tls-aws-lc` of tower-gwag",
        ));
    }
    if tls_wanted && !target.is_https() {
        return Err(fault(
            "says http, but TLS is configured: write https:// or remove the scheme",
        ));
    }
    Ok(())
}

#[cfg(feature = "tls")]
fn endpoint(options: &Options, target: &mut Target) -> Result<(Endpoint, bool), Finding> {
    use crate::control::tls::{Renewal, Tls, in_a_line};

    let (plain, private) = plain_endpoint(target);
    let tls = match &options.tls {
        Some(tls) => tls.clone(),
        None if target.is_https() && !private => Tls::new(),
        None => return Ok((plain, private)),
    };
    if tls.is_of_files() {
        target.renewal = Some(Renewal::new(tls.clone()).into());
    }
    let endpoint = tls.applied(plain).map_err(|faults| {
        let message = format!(
            "the TLS configuration for the gateway {target} cannot be used: {}",
            in_a_line(&faults)
        );
        Finding::error(Rule::GatewayTls, message)
    })?;
    Ok((endpoint, true))
}

#[cfg(not(feature = "tls"))]
fn endpoint(_: &Options, target: &mut Target) -> Result<(Endpoint, bool), Finding> {
    Ok(plain_endpoint(target))
}

/// The endpoint without limits that could cancel a call, and whether the user supplied it.
fn plain_endpoint(target: &Target) -> (Endpoint, bool) {
    match target.endpoint.clone() {
        Some(endpoint) => {
            let endpoint = endpoint
                .timeout(NO_TIMEOUT)
                .concurrency_limit(Semaphore::MAX_PERMITS)
                .rate_limit(u64::MAX, Duration::from_secs(1));
            (endpoint, true)
        }
        None => (Endpoint::from(target.uri.clone()), false),
    }
}

/// Every service that resolves to a binding.
fn services(options: &Options, purpose: Purpose, found: &mut Findings) -> Vec<Resolved> {
    if options.services.is_empty() {
        found.add(Finding::error(
            Rule::NoServices,
            "there is no service to register: add one with `Options::service(Service::proto(…))`",
        ));
    }
    let checks = match options.unchecked {
        true => Checks::StructureOnly,
        false => Checks::All(options.release()),
    };
    let services = resolve(&options.services, checks, purpose, found);
    for service in services.iter().filter(|it| it.version.is_unstable()) {
        if let Some(tag) = options.tag() {
            let name = service.name();
            found.add(Finding::error(
                Rule::UnstableInTaggedBuild,
                format!(
                    "service `{name}`: the build is tagged `{tag}`, and a release must not \
                     register `unstable`: give it a version vN, or build without the tag"
                ),
            ));
        }
    }
    services
}

/// The service as a message of the control plane.
fn on_the_wire(binding: &Binding) -> ServiceBinding {
    let binding = binding.clone();
    ServiceBinding {
        namespace: binding.namespace,
        version: binding.version,
        proto_source: binding.proto_source,
        proto_imports: binding.proto_imports,
        openapi_spec: binding.openapi_spec,
        graphql_endpoint: binding.graphql_endpoint,
        max_concurrency: binding.max_concurrency,
        max_concurrency_per_instance: binding.max_concurrency_per_instance,
    }
}

/// Randomness of the standard library, different for each process and hasher.
fn random_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0_u8)
}
