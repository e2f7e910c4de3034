//! The options of one registration, with their defaults.

mod advertise;
mod checks;
mod clients;
mod config;
mod environment;
mod gateway_address;
mod overruled;
mod reading;
#[cfg(feature = "serde")]
mod settings;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub(crate) use advertise::{Advertise, advertised};
pub(crate) use checks::{LONGEST_TIMEOUT, gateway_http, instance, ttl_seconds};
pub(crate) use config::{Config, GatewayConfig};
pub use environment::{Environment, no_gateway};
pub use gateway_address::GatewayAddress;
#[cfg(feature = "serde")]
pub use settings::Settings;

use crate::control::Credentials;
#[cfg(feature = "tls")]
use crate::control::tls::Tls;
use crate::control::token::Token;
use crate::error::Error;
use crate::health::Readiness;
use crate::lease::Hold;
use crate::status::{Event, EventCallback};
use tower_gwag_schema::Findings;
use tower_gwag_schema::GatewayRelease;
use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::service::Service;

/// Calls that usually never end.
const ENDLESS: [&str; 2] = ["/grpc.health.v1.Health/Watch", "/grpc.reflection."];

/// What to register, with which gateway, and how.
///
/// | option | default |
/// |---|---|
/// | [`service`](Self::service) | none; at least one is needed |
/// | [`advertise`](Self::advertise), [`advertise_host`](Self::advertise_host) | the bound address; in place of `0.0.0.0` and `[::]`, the address from which this host reaches the gateway |
/// | [`advertise_scheme`](Self::advertise_scheme) | none: the gateway calls in plaintext |
/// | [`advertise_path`](Self::advertise_path) | none |
/// | [`verbatim_address`](Self::verbatim_address) | gRPC addresses are spelled anew at each registration |
/// | [`instance_id`](Self::instance_id) | `<first namespace>@<host name>:<port>` |
/// | [`exclusive_instance`](Self::exclusive_instance) | none: nothing is taken over |
/// | [`ttl`](Self::ttl) | the gateway's own, 30 s |
/// | [`heartbeat_interval`](Self::heartbeat_interval) | min(granted TTL / 3, 10 s), ± 10 % |
/// | [`build_tag`](Self::build_tag) | `GWAG_BUILD_TAG` at build time, else none |
/// | [`bearer_token`](Self::bearer_token), [`bearer_token_file`](Self::bearer_token_file), [`metadata`](Self::metadata) | none |
/// | TLS: `Options::tls` (feature `tls`) | plaintext for `host:port` and `http://`; system roots for `https://` |
/// | [`drain_timeout`](Self::drain_timeout) | 20 s; less if `leave_timeout` is shorter |
/// | [`leave_timeout`](Self::leave_timeout) | 25 s |
/// | [`quiet`](Self::quiet) | 100 ms |
/// | [`hold`](Self::hold) | [`Hold::AtStart`] |
/// | [`exempt_from_drain`](Self::exempt_from_drain) | gRPC health `Watch` and reflection; event streams by their content type |
/// | [`drain_event_streams`](Self::drain_event_streams) | event streams are not waited for |
/// | [`gateway_http`](Self::gateway_http) | none: the registration can diagnose less |
/// | [`gateway_release`](Self::gateway_release) | the newest one that this crate knows |
/// | [`prefer_first`](Self::prefer_first) | a registration stays with the gateway that accepted it |
/// | [`reclaim_after`](Self::reclaim_after) | 2 s |
/// | [`on_refusal`](Self::on_refusal) | [`OnRefusal::KeepServing`] |
/// | [`on_finding`](Self::on_finding) | [`OnFinding::RefuseToStart`] |
/// | [`readiness`](Self::readiness) | [`Readiness::Serving`] |
/// | [`seed`](Self::seed) | random |
/// | [`allow`](Self::allow) | nothing: a service that violates a rule is not registered |
/// | [`unchecked_schemas`](Self::unchecked_schemas) | schemas are checked |
///
/// [`from_env`](Self::from_env), [`or_env`](Self::or_env) and
/// [`overridden_by_env`](Self::overridden_by_env) read the environment.
/// `GWAG_ENABLED=0` in the environment disables every registration of the process.
///
/// # Examples
///
/// What a service in production may set:
///
/// ```
/// use std::time::Duration;
/// use tower_gwag::{OnRefusal, Options, Readiness, Service};
///
/// let pets = Service::openapi(r#"{"openapi": "3.0.3", "info": {"title": "Pets", "version": "1"}, "paths":
///     {"/pets": {"get": {"operationId": "list", "responses": {"200": {"description": "all"}}}}}}"#);
/// let books = Service::graphql("/graphql").namespace("books");
///
/// let options = Options::new(["gateway-a:50090", "gateway-b:50090"])
///     .service(pets) // or .services([pets, books])
///     .service(books)
///     // Where operators see it, and how exact its status is.
///     .instance_id("pets-7f9c")
///     .gateway_http("http://gateway-a:8080")
///     .on_event(|event| println!("{event}"))
///     // When it is ready, and what happens if the gateway refuses it.
///     .readiness(Readiness::Registered)
///     .on_refusal(OnRefusal::Stop)
///     // The shutdown.
///     .drain_timeout(Duration::from_secs(10))
///     .leave_timeout(Duration::from_secs(15))
///     .exempt_from_drain("/metrics/live")
///     .drain_event_streams();
/// options.check()?;
/// # Ok::<(), tower_gwag::Error>(())
/// ```
///
/// The address that the gateway calls, if it is not the bound one. Set one of the first two:
///
/// ```
/// use tower_gwag::Options;
///
/// let behind_nat = Options::new("gateway:50090").advertise("203.0.113.7:50051");
/// let in_a_pod = Options::new("gateway:50090")
///     .advertise_host("10.1.2.3") // with the bound port
///     .advertise_scheme("https") // this server uses TLS
///     .advertise_path("/v2"); // in front of the paths of the OpenAPI document
/// let plain = Options::new("gateway:50090").verbatim_address();
/// ```
///
/// Credentials for the gateway:
///
/// ```
/// use http::HeaderMap;
/// use tower_gwag::Options;
///
/// let fixed = Options::new("gateway:50090").bearer_token("secret").metadata("x-team", "pets");
/// let renewed = Options::new("gateway:50090")
///     .bearer_token_file("/run/secrets/token") // read again for each call
///     .metadata_provider(|| HeaderMap::from_iter([])); // called for each call
/// ```
///
/// Options that are rarely needed:
///
/// ```
/// use std::time::Duration;
/// use tower_gwag::{GatewayRelease, Hold, OnFinding, Options, Rule};
///
/// let options = Options::new(["gateway-a:50090", "gateway-b:50090"])
///     .prefer_first() // go back to gateway-a when it can be reached again
///     .exclusive_instance("pets-0") // the pod of a StatefulSet
///     .ttl(Duration::from_secs(15))
///     .heartbeat_interval(Duration::from_secs(3))
///     .reclaim_after(Duration::from_secs(10))
///     .quiet(Duration::from_millis(200))
///     .hold(Hold::Off)
///     .build_tag("release-7") // refuses the version `unstable`
///     .gateway_release(GatewayRelease::V1_1)
///     .allow(Rule::CallsStreamStatus) // the same for `Service::allow`
///     .on_finding(OnFinding::ServeUnregistered)
///     .seed(7); // the same intervals in each run
///
/// let in_tests_of_gateways = Options::new("gateway:50090").unchecked_schemas();
/// let without_a_gateway = Options::disabled();
/// ```
#[derive(Clone)]
#[must_use = "options do nothing until they are given to GwagRegistrationLayer::new"]
pub struct Options {
    pub(crate) gateway: GatewayAddress,
    pub(crate) disabled: bool,
    pub(crate) services: Vec<Service>,
    pub(crate) advertise: Advertise,
    pub(crate) advertise_scheme: Option<String>,
    pub(crate) advertise_path: Option<String>,
    pub(crate) verbatim_address: bool,
    pub(crate) instance_id: Option<String>,
    pub(crate) exclusive: Option<String>,
    pub(crate) ttl: Option<Duration>,
    pub(crate) heartbeat_interval: Option<Duration>,
    pub(crate) build_tag: Option<String>,
    pub(crate) credentials: Credentials,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
    pub(crate) drain_timeout: Option<Duration>,
    pub(crate) leave_timeout: Option<Duration>,
    pub(crate) quiet: Option<Duration>,
    pub(crate) hold: Hold,
    pub(crate) exempt: Vec<String>,
    pub(crate) drains_event_streams: bool,
    pub(crate) seed: Option<u64>,
    pub(crate) on_event: Option<EventCallback>,
    pub(crate) gateway_http: Option<String>,
    pub(crate) on_refusal: OnRefusal,
    pub(crate) on_finding: OnFinding,
    pub(crate) prefer_first: bool,
    pub(crate) reclaim_after: Option<Duration>,
    pub(crate) gateway_release: Option<GatewayRelease>,
    pub(crate) allowed: Vec<Rule>,
    pub(crate) unchecked: bool,
    /// Warnings about the source of the options.
    pub(crate) noted: Vec<Finding>,
    /// What the environment said, whether it is used or not.
    said: overruled::Said,
    pub(crate) readiness: Option<Readiness>,
}

/// What the server does when a gateway refuses the content of its registration.
///
/// Other failures, such as a gateway that is down, never stop a server.
///
/// For [`Options::on_refusal`]; see [the examples of `Options`](Options#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnRefusal {
    /// The server keeps serving; the status shows the refusal, and the registration is retried
    /// slowly. The default.
    #[default]
    KeepServing,
    /// The registration leaves, then the shutdown future resolves; the report's reason is
    /// `Refused`.
    Stop,
}

/// What happens at the start when the check finds a schema that a gateway could not serve.
///
/// For [`Options::on_finding`]; see [the examples of `Options`](Options#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum OnFinding {
    /// Wrapping the listener, or [`Registration::start`](crate::Registration::start), returns the error.
    /// The default.
    #[default]
    RefuseToStart,
    /// The server serves without a registration: the status is [`Refused`](crate::State::Refused)
    /// with the findings as its reason, and they are logged as an error.
    ServeUnregistered,
}

// === impl Options ===

impl Options {
    /// Registers with the gateway whose control plane is at `gateway`: `host:port`,
    /// `http://host:port`, `https://host:port` (feature `tls`), or a tonic `Endpoint`.
    ///
    /// An array or `Vec` lists alternatives: the registration stays with one gateway and moves to
    /// the next when it cannot reach it. The entry left behind is deregistered as soon as its
    /// gateway can be reached again.
    ///
    /// # Examples
    ///
    /// ```
    /// use std::time::Duration;
    /// use tower_gwag::{Options, Service};
    ///
    /// let options = Options::new("gateway:50090")
    ///     .service(Service::proto("syntax = \"proto3\"; package greeter.v1;").namespace("greeter"))
    ///     .ttl(Duration::from_secs(15));
    /// options.check()?;
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    pub fn new(gateway: impl Into<GatewayAddress>) -> Self {
        Self {
            gateway: gateway.into(),
            disabled: false,
            services: Vec::new(),
            advertise: Advertise::Bound,
            advertise_scheme: None,
            advertise_path: None,
            verbatim_address: false,
            instance_id: None,
            exclusive: None,
            ttl: None,
            heartbeat_interval: None,
            build_tag: None,
            credentials: Credentials::default(),
            #[cfg(feature = "tls")]
            tls: None,
            drain_timeout: None,
            leave_timeout: None,
            quiet: None,
            hold: Hold::default(),
            exempt: ENDLESS.map(str::to_owned).into(),
            drains_event_streams: false,
            seed: None,
            on_event: None,
            gateway_http: None,
            on_refusal: OnRefusal::default(),
            on_finding: OnFinding::default(),
            prefer_first: false,
            reclaim_after: None,
            gateway_release: None,
            allowed: Vec::new(),
            unchecked: false,
            noted: Vec::new(),
            said: overruled::Said::default(),
            readiness: None,
        }
    }

    /// Serves without registering: for your own tests, or to switch the registration off.
    ///
    /// The environment variable `GWAG_ENABLED` set to `0`, `false`, `off` or `no` does the same
    /// to any options.
    pub fn disabled() -> Self {
        let mut options = Self::new("");
        options.disabled = true;
        options
    }

    /// Adds a service. All services of one registration share one address.
    pub fn service(mut self, service: Service) -> Self {
        // Most registrations have a single service.
        self.services.reserve_exact(1);
        self.services.push(service);
        self
    }

    /// Adds several services.
    pub fn services(mut self, services: impl IntoIterator<Item = Service>) -> Self {
        self.services.extend(services);
        self
    }

    /// Free text that identifies this replica to operators in the gateway's list of registrations.
    /// Default: `<first namespace>@<host name>:<port>`.
    ///
    /// For an `unstable` service without a hold, ` (tower-gwag …)` is appended, which tells other
    /// builds of the service that this replica steps aside.
    pub fn instance_id(mut self, id: impl Into<String>) -> Self {
        self.instance_id = Some(id.into());
        self
    }

    /// Declares that only one process at a time has this `identity`, such as the name of a pod in a
    /// StatefulSet. Default: none, and nothing is taken over.
    ///
    /// At the start, the registration removes the entries that an earlier process with this
    /// identity left on the gateway: after a crash they would otherwise stay until their TTL
    /// expires, and calls routed to them would fail. On gateways and nodes that are away at the
    /// start, it does so as soon as they answer. The identity is sent as the instance id
    /// `<identity>#<incarnation>`. When a younger process takes the identity over, the older one
    /// stays out: [`State::Displaced`](crate::State::Displaced).
    pub fn exclusive_instance(mut self, identity: impl Into<String>) -> Self {
        self.exclusive = Some(identity.into());
        self
    }

    /// How long the gateway keeps a registration without heartbeats: whole seconds, at least 1 s.
    /// Default: the gateway's own, 30 s.
    ///
    /// The gateway sweeps every 5 s, so a silent replica disappears after the TTL plus up to 5 s. A
    /// clustered gateway forgets its replicas after 30 s whatever the TTL.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// The time between two heartbeats: at least 10 ms, at most half the TTL. Jitter of ± 10 % is
    /// added. Default: a third of the TTL that the gateway granted, at most 10 s.
    ///
    /// Values above 10 s are capped at 10 s: a clustered gateway forgets a replica after 30 s
    /// without a heartbeat, whatever the TTL.
    pub fn heartbeat_interval(mut self, interval: Duration) -> Self {
        self.heartbeat_interval = Some(interval);
        self
    }

    /// Marks this as a release build: a service with the version `unstable` is refused with an
    /// error that names the tag. An empty text means no tag. Default: the variable `GWAG_BUILD_TAG`
    /// of the build that compiled this crate, else none.
    pub fn build_tag(mut self, tag: impl Into<String>) -> Self {
        self.build_tag = Some(tag.into());
        self
    }

    /// Sends `authorization: Bearer <token>` with every control-plane call.
    pub fn bearer_token(mut self, token: impl AsRef<str>) -> Self {
        self.credentials.add_bearer(token.as_ref());
        self
    }

    /// Sends `authorization: Bearer …` with the token in a file; surrounding white space is
    /// removed. The file is read for each call, so a new token needs no restart; if it cannot be
    /// read, the last token stays in use.
    ///
    /// [`check`](Self::check) reports a file that cannot be read, and a JSON Web Token that has
    /// expired.
    pub fn bearer_token_file(mut self, path: impl Into<std::path::PathBuf>) -> Self {
        self.credentials.set_token(Token::file(path.into()));
        self
    }

    /// Sends `authorization: Bearer …` with a token from `provider`, which is called before every
    /// call to the gateway. If it fails or takes more than 2 s, the last token stays in use.
    ///
    /// It runs on the task that makes the call; for the last call of a process this may be on a
    /// separate runtime.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::Options;
    ///
    /// let options = Options::new("gateway:50090")
    ///     .bearer_token_provider(|| async { std::fs::read_to_string("/run/token") });
    /// ```
    pub fn bearer_token_provider<F, R, E>(mut self, provider: F) -> Self
    where
        F: Fn() -> R + Send + Sync + 'static,
        R: Future<Output = Result<String, E>> + Send + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let provider = Arc::new(move || -> crate::control::token::Asked {
            let asked = provider();
            Box::pin(async { asked.await.map_err(E::into) })
        });
        self.credentials.set_token(Token::provider(provider));
        self
    }

    /// Sends a header with every control-plane call.
    pub fn metadata(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.credentials.add(name.as_ref(), value.as_ref());
        self
    }

    /// Calls `provider` for headers before every control-plane call, for tokens that expire.
    ///
    /// It runs on the thread that makes the call, which for the last call of a process may be a
    /// separate one: it must return at once.
    pub fn metadata_provider(
        mut self,
        provider: impl Fn() -> http::HeaderMap + Send + Sync + 'static,
    ) -> Self {
        self.credentials.set_provider(Arc::new(provider));
        self
    }

    /// TLS towards the gateway: CA, client identity (mutual TLS) and server name, as a [`Tls`] or
    /// tonic's `ClientTlsConfig`.
    ///
    /// Implies `https` for a gateway given as `host:port`.
    #[cfg(feature = "tls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
    pub fn tls(mut self, tls: impl Into<Tls>) -> Self {
        self.tls = Some(tls.into());
        self
    }

    /// How long to wait for calls in flight when leaving: from the deregistration through the
    /// server's own graceful stop, whether or not the layer saw the calls. Calls still open then
    /// are cut. Default: 20 s, or four fifths of a [`leave_timeout`](Self::leave_timeout) below 25
    /// s.
    pub fn drain_timeout(mut self, timeout: Duration) -> Self {
        self.drain_timeout = Some(timeout);
        self
    }

    /// How long a vN must be free before it is registered again after another schema had it.
    /// Default: 2 s.
    ///
    /// A gateway gives a vN to the first schema that registers it. Without this wait, an owner
    /// whose only replica takes long to restart would lose the name to a waiting registration.
    pub fn reclaim_after(mut self, free: Duration) -> Self {
        self.reclaim_after = Some(free);
        self
    }

    /// The upper bound for leaving as a whole, drain included. Default: 25 s. Your platform must wait
    /// longer before it kills the process.
    pub fn leave_timeout(mut self, timeout: Duration) -> Self {
        self.leave_timeout = Some(timeout);
        self
    }

    /// How long nothing may be in flight before the server may stop: a call that the gateway had
    /// already sent may still arrive after the deregistration. Default: 100 ms.
    pub fn quiet(mut self, quiet: Duration) -> Self {
        self.quiet = Some(quiet);
        self
    }

    /// When to make the second registration (the hold), which keeps the gateway's connections open
    /// while the service leaves. Only gRPC services have and need one. Default: [`Hold::AtStart`].
    pub fn hold(mut self, hold: Hold) -> Self {
        self.hold = hold;
        self
    }

    /// Excludes calls whose path begins with `prefix` from the drain: calls that never end by
    /// themselves. Those still open after the drain are cut, so that the server can stop. Excluded
    /// by default: the `Watch` of gRPC health checking, and gRPC reflection.
    pub fn exempt_from_drain(mut self, prefix: impl Into<String>) -> Self {
        self.exempt.push(prefix.into());
        self
    }

    /// Waits for event streams (`text/event-stream`) as for other calls, up to
    /// [`drain_timeout`](Self::drain_timeout). For servers whose event streams end by themselves,
    /// such as an answer that is streamed in pieces. By default they are cut when the other calls
    /// have ended, because most event streams never end.
    pub fn drain_event_streams(mut self) -> Self {
        self.drains_event_streams = true;
        self
    }

    /// Makes the jitter of heartbeats and retries repeatable. Default: random.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// The base URL of the HTTP port (`http://gateway:8080`) of the gateway, or of any node of its
    /// cluster. The registration only reads schemas and lists from it, and never sends it the
    /// credentials of the control plane. With it, the registration can tell whose schema blocks the
    /// gateway, how its own schema differs from one that holds its slot, and whether its own is at
    /// fault.
    ///
    /// It is ignored when there are several independent gateways and another one answers at this
    /// URL. It must be plain `http`; `check` reports any other text as an error.
    pub fn gateway_http(mut self, url: impl Into<String>) -> Self {
        self.gateway_http = Some(url.into());
        self
    }

    /// The release of the gateway: schemas are checked against it, and [`graphql_schema`] follows
    /// it. Default: the newest one that this crate knows.
    ///
    /// [`graphql_schema`]: Self::graphql_schema
    pub fn gateway_release(mut self, release: GatewayRelease) -> Self {
        self.gateway_release = Some(release);
        self
    }

    /// Returns to the first of several gateways when it can be reached again (tested every 5 s):
    /// the registration registers there, then deregisters from the other one. Default: the
    /// registration stays where it is.
    pub fn prefer_first(mut self) -> Self {
        self.prefer_first = true;
        self
    }

    /// What the server does when the gateway refuses the content of the registration. Default: it
    /// keeps serving.
    pub fn on_refusal(mut self, what: OnRefusal) -> Self {
        self.on_refusal = what;
        self
    }

    /// What happens at the start when the check finds an error in a schema that
    /// [`allow`](Self::allow) could permit. Default: the listener is not wrapped, and the error
    /// says why.
    ///
    /// With [`OnFinding::ServeUnregistered`], a rule that is new in a release of this crate does
    /// not keep a server from starting: it serves direct callers, is never ready, and is not
    /// registered until it is restarted with another schema. Other wrong options remain errors, and
    /// [`check`](Self::check) still returns all findings: call it in a test.
    pub fn on_finding(mut self, what: OnFinding) -> Self {
        self.on_finding = what;
        self
    }

    /// Calls `callback` for each event of the registration's life.
    ///
    /// The callback runs where the event happens, on the task of the registration, of a request, or
    /// of the caller that leaves: it must return at once. A panic in it is caught and logged. A
    /// `Registration` that it captures keeps the registration alive until it has left.
    pub fn on_event(mut self, callback: impl Fn(&Event) + Send + Sync + 'static) -> Self {
        self.on_event = Some(Arc::new(callback));
        self
    }

    /// Allows what a rule about schemas forbids. Use it only for a proven false alarm: a gateway
    /// that accepts a schema it cannot serve blocks every other service.
    ///
    /// Rules that every gateway enforces cannot be allowed (see [`Rule::is_allowable`]);
    /// [`check`](Self::check) reports such an attempt.
    pub fn allow(mut self, rule: Rule) -> Self {
        self.allowed.push(rule);
        self
    }

    /// Registers schemas without checking them or their names: for tests of gateways. What every
    /// gateway refuses is still refused.
    pub fn unchecked_schemas(mut self) -> Self {
        self.unchecked = true;
        self
    }

    /// Checks everything that can be checked without a network, and reports all findings at once.
    ///
    /// Wrapping a listener runs the same check first. The check reads proto directories. With the
    /// feature `preflight`, which is on by default, it also checks schemas: it compiles proto
    /// sources and reads OpenAPI documents.
    ///
    /// The returned findings are warnings; they are also logged once when the registration starts.
    ///
    /// # Errors
    ///
    /// At least one [`Finding`](crate::Finding) would keep a gateway from serving: the text lists
    /// each one with its place and remedy, [`Error::findings`] returns them, and the kind is that
    /// of the first.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::{Options, Service};
    ///
    /// let options = Options::new("gateway:50090")
    ///     .service(Service::proto("syntax = \"proto3\"; package greeter.v1;").namespace("my-greeter"))
    ///     .service(Service::graphql("/graphql"));
    /// let error = options.check().unwrap_err();
    /// assert_eq!(error.findings().unwrap().errors().count(), 2);
    /// ```
    pub fn check(&self) -> Result<Findings, Error> {
        if self.is_disabled() {
            return Ok(Findings::default());
        }
        Config::check(self)
    }

    /// The GraphQL schema that a gateway would serve for all services, computed without a gateway:
    /// `Display` prints what `GET /api/schema/graphql?service=…` returns for them.
    ///
    /// # Errors
    ///
    /// A service cannot be registered or the schema cannot be made (the findings are those of
    /// [`check`](Self::check)), or a service is a GraphQL endpoint without [`Service::schema`].
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::{Options, Service};
    ///
    /// let proto = "syntax = \"proto3\"; message M { string text = 1; } service Greeter { rpc Hello(M) returns (M); }";
    /// let greeter = Service::proto(proto).namespace("greeter");
    /// let schema = Options::new("gateway:50090").service(greeter).graphql_schema()?;
    /// assert!(schema.to_string().contains("hello("));
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    #[cfg(feature = "preflight")]
    #[cfg_attr(docsrs, doc(cfg(feature = "preflight")))]
    pub fn graphql_schema(&self) -> Result<tower_gwag_schema::graphql::Schema, Error> {
        let schema = tower_gwag_schema::graphql_schema(&self.services, self.release());
        schema.map_err(Error::from)
    }

    pub(crate) fn is_disabled(&self) -> bool {
        self.disabled || environment::process_is_switched_off()
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("gateway", &self.gateway)
            .field("disabled", &self.disabled)
            .field("services", &self.services)
            .field("advertise", &self.advertise)
            .field("instance_id", &self.instance_id)
            .field("ttl", &self.ttl)
            .field("heartbeat_interval", &self.heartbeat_interval)
            .field("build_tag", &self.build_tag)
            .finish_non_exhaustive()
    }
}
