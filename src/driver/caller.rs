//! Turns the machine's calls into calls to the control plane.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::address::{self, Spellings, host_name};
use super::doubts::{Doubt, Doubts};
use super::takeover::Exclusive;
use crate::control::address::{dialled, is_bound, is_of_this_host, respelled};
use crate::control::hold_binding;
use crate::control::proto::RegisterRequest;
use crate::control::{CallError, ControlPlane, Gateway, Target, ghosts};
use crate::error::{Error, ErrorKind};
use crate::lease::Hold;
use crate::lease::{Answer, Call, Entry, LeaseKind, SWEEP, Verb};
use crate::observe::http;
use crate::observe::proof::Callers;
use crate::observe::slots::{self, Before, Gateways, Guard};
use crate::observe::verify::{self, Expected};
use crate::options::{Advertise, Config, GatewayConfig};
use crate::pace::Pace;
use tower_gwag_schema::service::{Resolved, ServiceKind};

/// The timeout of one look for ghosts.
const GHOST_TIMEOUT: Duration = Duration::from_millis(500);
/// The pause between two of these looks.
const GHOST_PAUSE: Duration = Duration::from_millis(100);
/// How long a list may lag behind a Deregister (contract § 2), plus a margin.
const LIST_LAG: Duration = Duration::from_millis(3_200);
/// The number of looks after a gateway's restart: within this time every replica registers again.
const RESTART_LOOKS: usize = 4;
const RESTART_PAUSE: Duration = Duration::from_secs(1);

/// The timeout for finding out who has a service's slot.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout for finding the difference from another schema that has the slot.
const DIFFERENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout of the look before a heartbeat, which must not be late.
const GUARD_TIMEOUT: Duration = Duration::from_millis(500);

/// How long a gateway keeps an entry without heartbeats at least: a cluster keeps it for 30 s,
/// whatever the TTL (contract § 3).
const SHORTEST_TTL: Duration = Duration::from_secs(30);

/// How long a Deregister that the gateway has confirmed waits for a look at what broken Registers
/// left: less than the time after which a call counts as slow.
const SETTLE_PATIENCE: Duration = Duration::from_millis(1_500);

/// The interval between attempts to tell an unreachable gateway about an abandoned entry.
const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(2);
/// The same once the process leaves; connections are attempted no more often than this.
const LAST_TRY_INTERVAL: Duration = Duration::from_millis(210);

/// Makes calls for one registration.
pub(crate) struct Calls(Arc<Shared>);

struct Shared {
    /// In the order of the options; the machine's gateway numbers are indices into it.
    controls: Vec<ControlPlane>,
    config: Config,
    expected: Arc<[Expected]>,
    exclusive: Option<Exclusive>,
    /// Registers that broke off.
    doubts: Doubts,
    /// `None`: the address keeps its spelling.
    spellings: Option<Mutex<Spellings>>,
    bound: Option<SocketAddr>,
    /// The gateway's addresses as last resolved.
    gateways: Mutex<Vec<SocketAddr>>,
    /// The address advertised to a gateway; hold and service must have it byte by byte.
    address: Mutex<Option<(usize, String)>>,
    /// The addresses of the advertised name, if it is this server.
    named: Mutex<Vec<IpAddr>>,
    /// The gateway's tier policy does not accept a hold with a vN.
    hold_is_unstable: AtomicBool,
    /// Indices of services that are not registered while the others are.
    aside: Mutex<BTreeSet<usize>>,
    /// A gateway has lost an entry, as after a restart.
    was_forgotten: AtomicBool,
    /// The number of ghosts reported while the service was up.
    known_ghosts: AtomicU32,
    /// The last look has found ghosts that may only be replicas removed late.
    suspects_ghosts: AtomicBool,
    leaves: CancellationToken,
}

/// The conditions for a call of the service.
#[derive(Debug, Default)]
pub(crate) struct Terms {
    /// For a heartbeat: each of these slots must have its hash.
    pub(crate) guard: Guard,
    /// For a Register: whether the gateway must first list who has the slots.
    pub(crate) needs_look: bool,
}

/// A call and its result.
pub(crate) struct Reply {
    pub(crate) call: Call,
    pub(crate) answer: Answer,
    pub(crate) took: Duration,
    /// The advertised address, after a Register.
    pub(crate) address: String,
    /// What was seen before a Register of the service.
    pub(crate) before: Before,
    pub(crate) failure: Option<Arc<Error>>,
}

// === impl Calls ===

impl Calls {
    pub(crate) fn new(mut config: Config, bound: Option<SocketAddr>) -> Self {
        // Each process starts with another spelling.
        let is_all_proto = config.is_all_proto();
        let spellings = Spellings::new(config.seed, is_all_proto).into();
        let spellings = config.respells.then_some(spellings);
        let credentials = Arc::clone(&config.credentials);
        let own: Arc<[String]> = config
            .services
            .iter()
            .map(|it| it.namespace.clone())
            .collect();
        let control = |it: GatewayConfig| {
            let gateway = Gateway::shared(&it.target, &it.endpoint, it.private);
            ControlPlane::new(gateway, Arc::clone(&credentials), Arc::clone(&own))
        };
        // An endpoint takes a kilobyte, and the connection has its own copy.
        let gateways = std::mem::take(&mut config.gateways);
        let mut controls: Vec<ControlPlane> = gateways.into_iter().map(control).collect();
        // Collected in place, so the allocation has the size of the endpoints.
        controls.shrink_to_fit();
        Self(Arc::new(Shared {
            controls,
            expected: config.services.iter().map(Expected::of).collect(),
            exclusive: config.exclusive.clone().map(Exclusive::new),
            doubts: Doubts::default(),
            config,
            spellings,
            bound,
            gateways: Mutex::new(Vec::new()),
            address: Mutex::new(None),
            named: Mutex::default(),
            hold_is_unstable: AtomicBool::new(false),
            aside: Mutex::default(),
            was_forgotten: AtomicBool::new(false),
            known_ghosts: AtomicU32::new(0),
            suspects_ghosts: AtomicBool::new(false),
            leaves: CancellationToken::new(),
        }))
    }

    /// All but the gateways, which became [`control`](Self::control).
    pub(crate) fn config(&self) -> &Config {
        &self.0.config
    }

    /// The name of this process in the gateway's list.
    pub(crate) fn instance_id(&self) -> String {
        match &self.0.config.advertise {
            Advertise::Exactly(address) => self.0.instance_id(address),
            _ => self.0.instance_id(""),
        }
    }

    /// The number of gateways.
    pub(crate) fn gateways(&self) -> usize {
        self.0.controls.len()
    }

    pub(crate) fn control(&self, gateway: usize) -> &ControlPlane {
        self.0.control(gateway)
    }

    /// How the gateway should list and route the services.
    pub(crate) fn expected(&self) -> Arc<[Expected]> {
        Arc::clone(&self.0.expected)
    }

    /// Where the calls of the current gateway come from.
    pub(crate) fn callers(&self) -> Callers {
        let gateways = lock(&self.0.gateways);
        let mut hosts: Vec<IpAddr> = gateways.iter().map(SocketAddr::ip).collect();
        drop(gateways);
        let advertised = lock(&self.0.address);
        let advertised = advertised.as_ref().map(|(_, address)| &**address);
        let Some((host, port)) = advertised.and_then(dialled) else {
            let is_bound = false;
            return Callers { hosts, is_bound };
        };
        let ips = match host.parse() {
            Ok(ip) => vec![ip],
            Err(_) => lock(&self.0.named).clone(),
        };
        let is_bound = self.0.bound.is_some_and(|bound| {
            let mut dialled = ips.iter().map(|ip| SocketAddr::new(*ip, port));
            dialled.any(|dialled| is_bound(dialled, bound))
        });
        // A gateway on this host calls from the same address that it dials.
        if hosts.iter().copied().any(is_of_this_host) {
            hosts.extend(ips);
        }
        Callers { hosts, is_bound }
    }

    /// Sets the addresses that the advertised name resolves to.
    pub(crate) fn name_is(&self, ips: Vec<IpAddr>) {
        *lock(&self.0.named) = ips;
    }

    /// The remedy if the server has TLS and one of the gateways dials `address` without it; `None`
    /// if none does (contract, TLS towards the services).
    pub(crate) fn remedy_for_tls(&self, address: &str, gateway: usize) -> Option<&'static str> {
        let gateway_has_tls = self.target(gateway).is_https();
        let address_has_tls = address.starts_with("https://");
        let is_in_plaintext = |it: &&Resolved| match it.kind {
            ServiceKind::Proto => !gateway_has_tls,
            ServiceKind::OpenApi => !address_has_tls,
            // A full URL may lead anywhere.
            ServiceKind::GraphQl => {
                !address_has_tls && it.binding.graphql_endpoint.starts_with('/')
            }
        };
        let mut services = self.0.config.services.iter().filter(is_in_plaintext);
        let kind = services.next()?.kind;
        Some(match kind {
            ServiceKind::Proto => {
                "serve gRPC in plaintext (only a clustered gateway that has TLS itself dials gRPC \
                 services with it)"
            }
            ServiceKind::OpenApi | ServiceKind::GraphQl => {
                "use `Options::advertise_scheme(\"https\")`"
            }
        })
    }

    /// Deregisters an abandoned entry as soon as its gateway can be reached; returns whether that
    /// was before `until`, when the gateway has evicted it by itself.
    pub(crate) fn clean_up(
        &self,
        entry: Entry,
        until: Instant,
    ) -> impl Future<Output = bool> + Send + use<> {
        // A connection of its own: the shared one may be dead without having ended.
        let control = self.control(entry.gateway).apart(entry.node);
        let leaves = self.0.leaves.clone();
        async move {
            let told = async {
                let mut is_hurried = leaves.is_cancelled();
                while control.deregister(entry.id.clone()).await.is_err() {
                    let pause = match is_hurried {
                        true => LAST_TRY_INTERVAL,
                        false => CLEAN_UP_INTERVAL,
                    };
                    tokio::select! {
                        () = leaves.cancelled(), if !is_hurried => is_hurried = true,
                        () = sleep(pause) => {}
                    }
                }
            };
            timeout_at(until, told).await.is_ok()
        }
    }

    /// Whether the entry is on another node than the one that was asked last.
    pub(crate) fn is_elsewhere(&self, entry: &Entry) -> bool {
        let asked = self.control(entry.gateway).node();
        entry.node.is_some_and(|home| asked != Some(home))
    }

    /// The parts of an entry that the last attempt to deregister needs.
    pub(crate) fn last_call(&self, entry: &Entry) -> (LeaseKind, ControlPlane, String) {
        // The shared connections end with their runtime.
        let control = self.control(entry.gateway).apart(entry.node);
        (entry.kind, control, entry.id.clone())
    }

    /// Awaits a call that nobody else awaits any more, and undoes its registration.
    pub(crate) fn take_back(
        &self,
        gateway: usize,
        call: JoinHandle<Reply>,
    ) -> impl Future<Output = bool> + Send + use<> {
        let control = self.control(gateway).clone();
        async move {
            match call.await.map(|reply| reply.answer) {
                Ok(Answer::Registered { id, .. }) => control.deregister(id).await.is_ok(),
                Ok(_) => true,
                Err(_) => false,
            }
        }
    }

    /// The process leaves: abandoned entries count from now on, and are tried once more at once.
    pub(crate) fn leave(&self) {
        self.0.leaves.cancel();
    }

    /// The gateway has lost an entry.
    pub(crate) fn was_forgotten(&self) {
        self.0.was_forgotten.store(true, Ordering::Relaxed);
    }

    /// The last look ended before it was known whether its findings are only removed late.
    pub(super) fn suspects_ghosts(&self) -> bool {
        self.0.suspects_ghosts.load(Ordering::Relaxed)
    }

    /// A gateway may have an entry of a Register that broke off.
    pub(super) fn are_in_doubt(&self) -> bool {
        self.0.doubts.are_open()
    }

    /// Takes the identity over on nodes that were away at the start; the result is why this process
    /// must stay out. `None` if the identity is not exclusive.
    pub(super) fn watch_identity(
        &self,
    ) -> Option<impl Future<Output = Option<Error>> + Send + use<>> {
        self.0.exclusive.as_ref()?;
        let shared = Arc::clone(&self.0);
        let pace = Pace::new(None, shared.config.seed.rotate_left(48));
        Some(async move {
            let exclusive = shared.exclusive.as_ref()?;
            exclusive.watch(&shared.controls, pace).await
        })
    }

    /// Counts the ghosts of the services after a restart of the gateway, in a few looks; `None` if
    /// they cannot be known.
    pub(crate) fn watch_ghosts(
        &self,
        gateway: usize,
    ) -> Option<impl Future<Output = Option<u32>> + Send + use<>> {
        if !self.0.was_forgotten.load(Ordering::Relaxed) {
            return None;
        }
        let shared = Arc::clone(&self.0);
        Some(async move {
            let mut found = None;
            for _ in 0..RESTART_LOOKS {
                sleep(RESTART_PAUSE).await;
                if let Some(count) = shared.count_ghosts(gateway).await {
                    found = Some(found.unwrap_or(count).min(count));
                }
                if found == Some(0) {
                    break;
                }
            }
            let known = found.unwrap_or(0);
            shared.known_ghosts.store(known, Ordering::Relaxed);
            found
        })
    }

    /// Counts the ghosts of the services after the last Deregister; the result is `None` if they
    /// cannot be known.
    pub(crate) fn last_look(
        &self,
        gateway: usize,
        reply: &Reply,
    ) -> Option<impl Future<Output = Option<u32>> + Send + use<>> {
        // The hold is deregistered last.
        let last = match self.0.config.hold {
            Some(Hold::AtStart | Hold::AtLeave) => LeaseKind::Hold,
            Some(Hold::Off) | None => LeaseKind::Service,
        };
        if reply.call.which != last || reply.answer != Answer::Deregistered {
            return None;
        }
        let shared = Arc::clone(&self.0);
        Some(async move { shared.ghosts(gateway).await })
    }

    /// `None` if no hold is needed.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.0.config.hold
    }

    pub(crate) fn target(&self, gateway: usize) -> &Target {
        self.control(gateway).gateway().target()
    }

    /// Why this gateway cannot reach `address`, if so.
    pub(crate) fn unreachable_address(&self, address: &str) -> Option<&'static str> {
        address::unreachable_from(address, &lock(&self.0.gateways))
    }

    /// Whom to ask about a gateway's slots.
    pub(crate) fn gateways_at(&self, gateway: usize) -> Gateways {
        let others = self.0.controls.iter().enumerate();
        let others = others.filter(|(at, _)| *at != gateway);
        Gateways {
            control: self.control(gateway).clone(),
            others: others.map(|(_, control)| control.clone()).collect(),
        }
    }

    /// Excludes these services from the next Register.
    pub(crate) fn set_aside(&self, services: &BTreeSet<usize>) {
        lock(&self.0.aside).clone_from(services);
    }

    /// Makes a call under these conditions; run it to completion.
    pub(crate) fn call(
        &self,
        call: Call,
        gateway: usize,
        terms: Terms,
    ) -> impl Future<Output = Reply> + Send + use<> {
        let shared = Arc::clone(&self.0);
        async move {
            let begun = Instant::now();
            let control = shared.control(gateway);
            let mut address = String::new();
            let mut before = Before::default();
            let result = match call.verb.clone() {
                Verb::Register { spelling } => {
                    let told = (&mut address, &mut before);
                    shared
                        .register(gateway, call.which, spelling, &terms, told)
                        .await
                }
                Verb::Heartbeat(_) if Box::pin(is_lost(control, &terms.guard)).await => {
                    Ok(Answer::HeldBack)
                }
                Verb::Heartbeat(entry) => {
                    let beat = control.heartbeat(entry.id).await;
                    beat.map(|known| Answer::Beat { known })
                }
                Verb::Deregister(Entry { id, node, .. }) => {
                    // Another node also says yes, but removes nothing.
                    let told = match node {
                        Some(home) => match control.at(home).await {
                            Ok(control) => control.deregister(id).await,
                            Err(error) => Err(error),
                        },
                        None => control.deregister(id).await,
                    };
                    if told.is_ok() && call.which != LeaseKind::Former && shared.doubts.are_open() {
                        // The answer must not wait long for it: what stays in doubt is in the
                        // report.
                        let (shared, which) = (Arc::clone(&shared), call.which);
                        let settled = tokio::spawn(async move { shared.settle(which).await });
                        let _ = timeout(SETTLE_PATIENCE, settled).await;
                    }
                    told.map(|()| Answer::Deregistered)
                }
                Verb::Recall => Box::pin(shared.settle(call.which)).await,
            };
            let (answer, failure) = match result {
                Ok(answer) => (answer, None),
                Err(CallError::NotSent(error)) => (Answer::NotSent, Some(error)),
                Err(CallError::Broken(error)) => (Answer::Broken, Some(error)),
                Err(CallError::Refused(error)) => (Answer::Refused(error.kind()), Some(error)),
                Err(CallError::Misrouted(error)) => (Answer::Misrouted(error.kind()), Some(error)),
            };
            Reply {
                call,
                took: begun.elapsed(),
                answer,
                address,
                before,
                failure: failure.map(Arc::new),
            }
        }
    }
}

// === impl Shared ===

impl Shared {
    fn control(&self, gateway: usize) -> &ControlPlane {
        // invariant: there are as many controls as the machine counts gateways, at least one.
        &self.controls[gateway]
    }

    async fn register(
        &self,
        gateway: usize,
        which: LeaseKind,
        spelling: u32,
        terms: &Terms,
        (address, before): (&mut String, &mut Before),
    ) -> Result<Answer, CallError> {
        let control = self.control(gateway);
        *address = self.address(gateway).await.map_err(CallError::NotSent)?;
        if let Some(exclusive) = &self.exclusive {
            Box::pin(exclusive.settle(&self.controls, gateway)).await?;
        }
        if let Some(spellings) = &self.spellings {
            *address = respelled(address, lock(spellings).of_life(spelling));
        }
        let services = match which {
            // A former entry is never registered.
            LeaseKind::Service | LeaseKind::Former => {
                *before = Box::pin(self.look(control, terms.needs_look)).await?;
                let aside = lock(&self.aside).clone();
                before.aside.clone_from(&aside);
                let bindings = self.config.bindings(address).into_iter().enumerate();
                let bindings = bindings.filter(|(at, _)| !aside.contains(at));
                let bindings: Vec<_> = bindings.map(|(_, binding)| binding).collect();
                let urls = bindings.iter().map(|it| &it.graphql_endpoint);
                let urls = urls.filter(|it| !it.is_empty());
                for (path, url) in self.config.graphql_endpoints().zip(urls) {
                    let answers = Box::pin(http::introspect(path, url, self.bound)).await;
                    // Treated as the gateway's own refusal, which it would be: no reason to try
                    // another gateway.
                    answers.map_err(CallError::Refused)?;
                }
                bindings
            }
            LeaseKind::Hold => {
                let unstable = self.hold_is_unstable.load(Ordering::Relaxed);
                vec![hold_binding::binding(unstable)]
            }
        };
        let instance_id = self.instance_id(address) + &self.mark(which);
        let request = RegisterRequest {
            addr: address.clone(),
            services,
            ttl_seconds: self.config.ttl_seconds,
            instance_id: instance_id.clone(),
        };
        let granted = control.register(request).await.inspect_err(|error| {
            let refused = match error {
                CallError::Refused(error) => Some(error.kind()),
                _ => None,
            };
            if which == LeaseKind::Hold && refused == Some(ErrorKind::TierRefused) {
                self.hold_is_unstable.store(true, Ordering::Relaxed);
            }
            let is_broken = matches!(error, CallError::Broken(_));
            if is_broken || refused == Some(ErrorKind::TimedOut) {
                self.doubt(gateway, which, address, instance_id);
            }
        })?;
        let node = control.node();
        if let (Some(exclusive), LeaseKind::Service) = (&self.exclusive, which)
            && let Err(displaced) = Box::pin(exclusive.confirm(&self.controls, gateway)).await
            && control.deregister(granted.id.clone()).await.is_ok()
        {
            return Err(displaced);
        }
        Ok(Answer::Registered {
            id: granted.id,
            ttl: granted.ttl,
            node,
        })
    }

    /// A Register of this address and instance id broke off.
    fn doubt(&self, gateway: usize, kind: LeaseKind, address: &str, instance_id: String) {
        let ttl = Duration::from_secs(self.config.ttl_seconds.into());
        let now = Instant::now();
        // While the port is bound, no other process on this host has this address. A host may be
        // the name of several, and an address anybody's.
        let is_unique = self.exclusive.is_some()
            || match self.config.advertise {
                Advertise::Bound => true,
                Advertise::Host(_) => self.config.instance_id.is_none(),
                Advertise::Exactly(_) => false,
            };
        self.doubts.add(Doubt {
            kind,
            gateway,
            node: self.control(gateway).node(),
            address: address.to_owned(),
            instance_id,
            is_unique,
            since: now,
            until: now + ttl.max(SHORTEST_TTL) + SWEEP,
        });
    }

    /// Removes what Registers of this kind that broke off have left.
    async fn settle(&self, kind: LeaseKind) -> Result<Answer, CallError> {
        self.doubts.settle(kind, &self.controls).await
    }

    /// A clustered gateway accepts a conflicting schema and lets it lurk: so such a schema is not
    /// sent, and one that waits for its slot (`needs_look`) only after the list was seen.
    async fn look(&self, control: &ControlPlane, needs_look: bool) -> Result<Before, CallError> {
        let has_unstable = self.expected.iter().any(|it| it.is_unstable);
        let look = async {
            // A standalone gateway refuses by itself.
            let is_clustered = control.is_clustered().await?;
            let list = match is_clustered || has_unstable {
                true => control.slots(Instant::now()).await,
                false => None,
            };
            Some((list?, is_clustered))
        };
        let rejected = async {
            let unsure = self
                .expected
                .iter()
                .filter(|it| !it.is_unstable && it.hash.is_none());
            let unsure: Vec<String> = unsure.map(Expected::name).collect();
            let base = self
                .config
                .gateway_http
                .as_ref()
                .filter(|_| !unsure.is_empty())?;
            slots::rejected(base, &unsure).await
        };
        let look = timeout(LOOK_TIMEOUT, look);
        let (look, rejected) = tokio::join!(look, rejected);
        let Ok(Some((list, is_clustered))) = look else {
            if needs_look {
                let target = control.gateway().target();
                let text = format!(
                    "the gateway {target} does not list its services, so nobody knows whether the \
                     name that was taken is free: nothing is registered until it does"
                );
                let error = Error::new(ErrorKind::Unavailable, text);
                return Err(CallError::NotSent(error));
            }
            // Without an answer nothing is known.
            return Ok(Before {
                rejected,
                ..Before::default()
            });
        };
        let taken = self
            .expected
            .iter()
            .enumerate()
            .filter(|(_, it)| !it.is_unstable);
        let taken = taken.filter(|_| is_clustered).find_map(|(at, it)| {
            let (ours, theirs) = (it.hash.as_deref()?, list.hash(&it.name())?);
            (ours != theirs).then_some((at, it.name(), ours, theirs))
        });
        if let Some((at, name, ours, theirs)) = taken {
            let difference = async {
                let base = self.config.gateway_http.as_ref();
                verify::difference(base, self.config.services.get(at)?).await
            };
            let difference = timeout(DIFFERENCE_TIMEOUT, difference).await.ok().flatten();
            let conflict = verify::Conflict {
                gateway: &control.gateway().target().to_string(),
                slot: &name,
                ours: Some(ours),
                theirs,
                difference: difference.as_deref(),
            };
            return Err(CallError::Refused(conflict.taken()));
        }
        let list = Some(list);
        Ok(Before {
            list,
            rejected,
            ..Before::default()
        })
    }

    /// Marks the entries of an `unstable` service as this crate's: the mark goes on the hold, if
    /// there is one, so that the service's instance id stays unchanged.
    fn mark(&self, which: LeaseKind) -> String {
        let has_hold = self.config.hold == Some(Hold::AtStart);
        let unstable = self.expected.iter().filter(|it| it.is_unstable);
        let mut hashes = unstable.map(|it| it.hash.as_deref()).peekable();
        match hashes.peek().is_some() && (which == LeaseKind::Hold) == has_hold {
            true => slots::mark(hashes),
            false => String::new(),
        }
    }

    async fn address(&self, gateway: usize) -> Result<String, Error> {
        if let Some((of, address)) = &*lock(&self.address)
            && *of == gateway
        {
            return Ok(address.clone());
        }
        let gateways = self.control(gateway).gateway().addresses().await;
        let mut address = address::advertised(&self.config.advertise, self.bound, &gateways)?;
        if let Some(scheme) = &self.config.advertise_scheme {
            address.insert_str(0, &format!("{scheme}://"));
        }
        // Without the gateway's address the route is a guess, and is made again next time.
        if !gateways.is_empty() {
            *lock(&self.address) = Some((gateway, address.clone()));
        }
        *lock(&self.gateways) = gateways;
        Ok(address)
    }

    /// Looks several times only if it finds new ghosts: a list may lag.
    async fn ghosts(&self, gateway: usize) -> Option<u32> {
        let begun = Instant::now();
        let known = self.known_ghosts.load(Ordering::Relaxed);
        let first = timeout(GHOST_TIMEOUT, self.count_ghosts(gateway)).await;
        let mut found = first.ok().flatten()?;
        self.suspects_ghosts.store(found > 0, Ordering::Relaxed);
        while found > known && begun.elapsed() < LIST_LAG {
            sleep(GHOST_PAUSE).await;
            let again = timeout(GHOST_TIMEOUT, self.count_ghosts(gateway)).await;
            // A node that does not answer now may do so later.
            found = again.ok().flatten().unwrap_or(found).min(found);
        }
        self.suspects_ghosts.store(false, Ordering::Relaxed);
        Some(found)
    }

    /// Asks every known node: those behind the gateway's name, and the other gateways.
    async fn count_ghosts(&self, gateway: usize) -> Option<u32> {
        let control = self.control(gateway);
        let names: Vec<String> = self.config.services.iter().map(Resolved::name).collect();
        let mut nodes = vec![control.clone()];
        nodes.extend(control.other_nodes().await);
        let others = self.controls.iter().enumerate();
        let others = others.filter(|(place, _)| *place != gateway);
        nodes.extend(others.map(|(_, other)| other.apart(None)));
        ghosts::count(&nodes, &names, self.was_forgotten.load(Ordering::Relaxed)).await
    }

    /// Default: `<first namespace>@<host name>:<port>`.
    fn instance_id(&self, advertised: &str) -> String {
        if let Some(exclusive) = &self.exclusive {
            return exclusive.instance_id();
        }
        if let Some(id) = &self.config.instance_id {
            return id.clone();
        }
        let namespace = self.config.services.first().map(|first| &*first.namespace);
        let host = host_name();
        let port = match self.bound {
            Some(bound) => bound.port().to_string(),
            None => advertised.rsplit(':').next().unwrap_or_default().to_owned(),
        };
        format!("{}@{host}:{port}", namespace.unwrap_or_default())
    }
}

/// Whether a slot has another schema than the guard requires.
async fn is_lost(control: &ControlPlane, guard: &Guard) -> bool {
    if guard.is_empty() {
        return false;
    }
    let list = timeout(GUARD_TIMEOUT, control.slots(Instant::now())).await;
    let Ok(Some(list)) = list else { return false };
    let is_other = |(slot, ours): &(String, String)| list.hash(slot).is_some_and(|it| it != ours);
    guard.iter().any(is_other)
}

/// These values are only replaced whole, so they are valid after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
