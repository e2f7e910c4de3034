//! Turns the machine's calls into calls to the control plane.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tokio_util::sync::CancellationToken;

use super::advertised_address::{self, Address};
use super::doubts::{Doubt, Doubts};
use super::takeover::Exclusive;
use crate::control::hold_binding;
use crate::control::proto::RegisterRequest;
use crate::control::{CallError, ControlPlane, Gateway, Target};
use crate::error::{Error, ErrorKind};
use crate::lease::Hold;
use crate::lease::{Answer, Call, Entry, LeaseKind, SWEEP, Verb};
use crate::observe::ghosts::Ghosts;
use crate::observe::http;
use crate::observe::slots::{self, Before, Gateways, Guard};
use crate::observe::verify::Expected;
use crate::options::{Advertise, Config, GatewayConfig};
use crate::pace::Pace;

/// How long a gateway keeps an entry without heartbeats at least: a cluster keeps it for 30 s,
/// whatever the TTL (contract § 3).
const SHORTEST_TTL: Duration = Duration::from_secs(30);

/// How long a Deregister that the gateway has confirmed waits for a look at what broken Registers
/// left: less than the time after which a call counts as slow.
const SETTLE_PATIENCE: Duration = Duration::from_millis(1_500);

/// The interval between attempts to deregister an abandoned entry at an unreachable gateway.
const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(2);
/// The same once the process leaves; connections are attempted no more often than this.
const LAST_TRY_INTERVAL: Duration = Duration::from_millis(210);

/// Makes calls for one registration.
pub(crate) struct Calls(Arc<Shared>);

struct Shared {
    /// In the order of the options; the machine's gateway numbers are indices into it.
    controls: Arc<[ControlPlane]>,
    config: Config,
    expected: Arc<[Expected]>,
    exclusive: Option<Exclusive>,
    /// Registers that broke off.
    doubts: Doubts,
    address: Address,
    /// The gateway's tier policy does not accept a hold with a vN.
    hold_is_unstable: AtomicBool,
    /// Indices of services that are not registered while the others are.
    aside: Mutex<BTreeSet<usize>>,
    ghosts: Arc<Ghosts>,
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
        let address = Address::new(&config, bound);
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
        let controls: Arc<[ControlPlane]> = gateways.into_iter().map(control).collect();
        let expected: Arc<[Expected]> = config.services.iter().map(Expected::of).collect();
        let ghosts = Ghosts::new(Arc::clone(&controls), Arc::clone(&expected));
        Self(Arc::new(Shared {
            controls,
            expected,
            ghosts: Arc::new(ghosts),
            address,
            exclusive: config.exclusive.clone().map(Exclusive::new),
            doubts: Doubts::default(),
            config,
            hold_is_unstable: AtomicBool::new(false),
            aside: Mutex::default(),
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

    pub(super) fn address(&self) -> &Address {
        &self.0.address
    }

    /// The remedy if the server has TLS and this gateway dials `address` without it.
    pub(super) fn remedy_for_tls(&self, address: &str, gateway: usize) -> Option<&'static str> {
        let gateway_has_tls = self.target(gateway).is_https();
        advertised_address::remedy_for_tls(&self.0.config.services, address, gateway_has_tls)
    }

    /// How the gateway should list and route the services.
    pub(crate) fn expected(&self) -> Arc<[Expected]> {
        Arc::clone(&self.0.expected)
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

    /// Awaits a call that nobody else awaits, and undoes its registration.
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

    pub(super) fn ghosts(&self) -> &Arc<Ghosts> {
        &self.0.ghosts
    }

    /// A gateway may have an entry of a Register that broke off.
    pub(super) fn are_in_doubt(&self) -> bool {
        self.0.doubts.are_open()
    }

    /// The kinds of entries that are in doubt.
    pub(super) fn in_doubt(&self) -> Vec<LeaseKind> {
        self.0.doubts.kinds()
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

    /// `None` if no hold is needed.
    pub(crate) fn hold(&self) -> Option<Hold> {
        self.0.config.hold
    }

    pub(crate) fn target(&self, gateway: usize) -> &Target {
        self.control(gateway).gateway().target()
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
                Verb::Heartbeat(_) if Box::pin(slots::is_lost(control, &terms.guard)).await => {
                    Ok(Answer::HeldBack)
                }
                Verb::Heartbeat(entry) => {
                    let beat = control.heartbeat(entry.id).await;
                    beat.map(|known| Answer::Beat { known })
                }
                Verb::Deregister(Entry { id, node, .. }) => {
                    // Another node also says yes, but removes nothing.
                    let told = match node {
                        Some(home) => control.at(home).deregister(id).await,
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
                Err(CallError::Misrouted(error)) => (Answer::Misrouted, Some(error)),
                Err(CallError::Foreign(error)) => (Answer::Foreign, Some(error)),
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
        let found = self.address.at(gateway, control.gateway(), &self.config);
        *address = found.await.map_err(CallError::NotSent)?;
        if let Some(exclusive) = &self.exclusive {
            Box::pin(exclusive.settle(&self.controls, gateway)).await?;
        }
        self.address.respell(address, spelling);
        let services = match which {
            // A former entry is never registered.
            LeaseKind::Service | LeaseKind::Former => {
                let config = &self.config;
                let look = Before::look(
                    control,
                    &self.expected,
                    &config.services,
                    config.gateway_http.as_ref(),
                    terms.needs_look,
                );
                *before = Box::pin(look).await?;
                let aside = lock(&self.aside).clone();
                before.aside.clone_from(&aside);
                let bindings = self.config.bindings(address).into_iter().enumerate();
                let bindings = bindings.filter(|(at, _)| !aside.contains(at));
                let bindings: Vec<_> = bindings.map(|(_, binding)| binding).collect();
                let urls = bindings.iter().map(|it| &it.graphql_endpoint);
                let urls = urls.filter(|it| !it.is_empty());
                for (path, url) in self.config.graphql_endpoints().zip(urls) {
                    let answers = Box::pin(http::introspect(path, url, self.address.bound())).await;
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

    fn instance_id(&self, advertised: &str) -> String {
        match (&self.exclusive, &self.config.instance_id) {
            (Some(exclusive), _) => exclusive.instance_id(),
            (None, Some(id)) => id.clone(),
            (None, None) => self.address.default_instance_id(&self.config, advertised),
        }
    }
}

/// These values are only replaced whole, so they are valid after a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
