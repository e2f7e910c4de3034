//! One node of a gateway, from its start to its shutdown, across restarts.

mod clustered;
pub(super) mod life;
mod ports;
mod serve;
mod standalone;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use self::life::Life;
use self::ports::{Ports, Reserved};
use super::builder::{EmbeddedGatewayBuilder, Profile};
use super::cluster::Cluster;
use super::data_plane::changed_calls::Changes;
use super::data_plane::fatal_calls::FatalCalls;
use super::faults::Faults;
use super::freeze::Gate;
use super::journal::Journal;
use super::registry::subscription_token::Signing;
use super::rpc_counts::RpcCounter;
use super::view::GatewayView;
use crate::error::{Error, ErrorKind};

/// A node. It is up while it has a [`Life`]; the other fields survive a kill.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) settings: EmbeddedGatewayBuilder,
    pub(super) signing: Signing,
    pub(super) address: SocketAddr,
    pub(super) http_address: SocketAddr,
    /// What it shares with its peers; `None` if standalone.
    pub(super) cluster: Option<Arc<Cluster>>,
    pub(super) gate: Gate,
    pub(super) faults: Faults,
    pub(super) rpc_counter: Arc<RpcCounter>,
    pub(super) fatal: Arc<FatalCalls>,
    pub(super) losses: Arc<Changes>,
    pub(super) journal: Arc<Journal>,
    /// Bumped after every change that is visible in a view.
    changes: watch::Sender<()>,
    state: Mutex<State>,
    /// Serialises kill and revive.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug)]
enum State {
    Alive(Arc<Life>),
    /// Killed; the ports are kept for the revival.
    Dead(Option<Reserved>),
    /// Shut down for good.
    Ended,
}

impl Node {
    pub(super) async fn start(settings: EmbeddedGatewayBuilder) -> Result<Arc<Self>, Error> {
        let cluster = match (&settings.join, settings.profile) {
            (Some(joined), _) => Some(joined.cluster()?),
            (None, Profile::Clustered) => Some(Arc::default()),
            (None, Profile::Standalone) => None,
        };
        check_boot(cluster.as_deref())?;
        let ports = Ports::bind(&settings.listen, &settings.http_listen).await?;
        let (address, http_address) = ports.addresses()?;
        let signing = Signing {
            tokens: settings.tokens.clone(),
            secret: settings.subscribe_secret.clone(),
        };
        let node = Arc::new(Self {
            settings,
            signing,
            address,
            http_address,
            cluster,
            gate: Gate::default(),
            faults: Faults::default(),
            rpc_counter: Arc::default(),
            fatal: Arc::default(),
            losses: Arc::default(),
            journal: Arc::default(),
            changes: watch::Sender::new(()),
            state: Mutex::new(State::Ended),
            turn: tokio::sync::Mutex::default(),
        });
        if node.settings.strict {
            node.fatal.be_strict(&node);
        }
        let life = Life::begin(&node, ports);
        *node.state() = State::Alive(life);
        Ok(node)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The current life, while the node is up.
    pub(super) fn life(&self) -> Option<Arc<Life>> {
        match &*self.state() {
            State::Alive(life) => Some(Arc::clone(life)),
            State::Dead(_) | State::Ended => None,
        }
    }

    /// Signals a change that is visible in a view.
    pub(super) fn changed(&self) {
        // Costs nothing if there are no waiters.
        let _ = self.changes.send(());
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<()> {
        self.changes.subscribe()
    }

    pub(super) fn view(&self) -> GatewayView {
        let (registrations, services) = self.life().map(|life| life.view()).unwrap_or_default();
        GatewayView {
            registrations,
            services,
            rpc_counts: self.rpc_counter.counts(),
            pending_mounts: self.life().map_or(0, |life| life.pending()),
            alive: self.life().is_some(),
            frozen: self.gate.is_frozen(),
        }
    }

    /// Ends the life at once: closes ports, resets connections, loses the state.
    pub(super) async fn kill(&self, for_good: bool) {
        let _turn = self.turn.lock().await;
        let life = match &*self.state() {
            State::Alive(life) => Some(Arc::clone(life)),
            State::Dead(_) | State::Ended => None,
        };
        if let Some(life) = life {
            life.cancel();
            // A frozen process is killed like any other, and does nothing more.
            self.gate.thaw();
            life.ended().await;
        }
        let next = if for_good || matches!(*self.state(), State::Ended) {
            State::Ended
        } else {
            State::Dead(Reserved::hold(self.address, self.http_address).ok())
        };
        let before = std::mem::replace(&mut *self.state(), next);
        drop(before);
        self.changed();
    }

    /// Listens again on the same ports.
    pub(super) async fn revive(self: &Arc<Self>) -> Result<(), Error> {
        let _turn = self.turn.lock().await;
        let reserved = match &mut *self.state() {
            State::Alive(_) => return Ok(()),
            State::Dead(reserved) => reserved.take(),
            State::Ended => {
                return Err(Error::new(
                    ErrorKind::Misuse,
                    "the embedded gateway was shut down: start another one",
                ));
            }
        };
        if let Err(error) = check_boot(self.cluster.as_deref()) {
            *self.state() = State::Dead(reserved);
            return Err(error);
        }
        let ports = match reserved {
            Some(reserved) => reserved.listen()?,
            None => {
                let (control, http) = (self.address.to_string(), self.http_address.to_string());
                Ports::bind_again(&control, &http).await?
            }
        };
        let life = Life::begin(self, ports);
        *self.state() = State::Alive(life);
        self.changed();
        Ok(())
    }

    /// Ends everything without waiting: for the drop of the last handle.
    pub(super) fn stop(&self) {
        let before = std::mem::replace(&mut *self.state(), State::Ended);
        if let State::Alive(life) = before {
            life.cancel();
        }
        self.gate.thaw();
    }
}

/// A real node exits at its start while the bucket holds an entry that cannot be rendered.
fn check_boot(cluster: Option<&Cluster>) -> Result<(), Error> {
    match cluster.and_then(Cluster::poison) {
        None => Ok(()),
        Some(reason) => Err(Error::new(
            ErrorKind::Poisoned,
            format!(
                "a node cannot start while its cluster holds a service that cannot be rendered \
                 ({reason}): wait 30 s after the service's last heartbeat"
            ),
        )),
    }
}
