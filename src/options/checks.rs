//! Faults of single options.

use std::time::Duration;

use http::Uri;

use super::Options;
use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::redact::redacted_url;

/// A gateway handles about ten thousand heartbeats a second, for all its services together.
const SHORTEST_INTERVAL: Duration = Duration::from_millis(10);
/// Longer timeouts are mistakes, and would overflow the clock.
pub(crate) const LONGEST_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

/// The lease a gateway grants when none is asked for (contract § 2).
const DEFAULT_TTL: Duration = Duration::from_secs(30);

pub(crate) fn ttl_seconds(ttl: Option<Duration>) -> Result<u32, Finding> {
    let Some(ttl) = ttl else { return Ok(0) };
    let fault = |why: &str| {
        let message = format!("the TTL {ttl:?} {why}; leave it out for the gateway's 30 s");
        Finding::error(Rule::Ttl, message)
    };
    if ttl < Duration::from_secs(1) {
        return Err(fault("is too short: the minimum is 1 s"));
    }
    if ttl.subsec_nanos() != 0 {
        return Err(fault(
            "has a fraction of a second: the wire carries whole seconds",
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
            "is shorter than {SHORTEST_INTERVAL:?}; leave it out for a third of the TTL"
        ));
    }
    if interval > ttl / 2 {
        return fault(format!(
            "is longer than half the TTL of {ttl:?}: one late heartbeat would evict the service; \
             send one at least every {:?}",
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
        fault("a timeout is longer than a day: shorten it".into());
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
        let help = "enable the feature: a schema that a clustered gateway cannot serve blocks \
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
                redacted_url(text)
            ),
        ));
    }
    Ok(uri)
}
