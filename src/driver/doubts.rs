//! Registers that broke off: the gateway may have an entry whose id nobody knows, and route calls
//! to it until its TTL expires. Before the process ends, it looks for such entries.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use crate::control::proto::Registration;
use crate::control::{CallError, ControlPlane, escaped, hold_binding};
use crate::error::{Error, ErrorKind};
use crate::lease::{Answer, LeaseKind};

/// The timeout for a gateway's list.
const LIST_TIMEOUT: Duration = Duration::from_secs(2);
/// The timeout for a Deregister, whose entry expires in any case.
const DEREGISTER_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a gateway may still be carrying out a Register whose connection has ended.
const CARRIED_OUT: Duration = Duration::from_secs(1);
/// More than there are spellings and nodes to be in doubt about.
const MOST: usize = 64;

/// The Registers of one registration that broke off.
#[derive(Debug, Default)]
pub(super) struct Doubts(Mutex<Vec<Doubt>>);

/// A Register that broke off.
#[derive(Clone, Debug)]
pub(super) struct Doubt {
    pub(super) kind: LeaseKind,
    pub(super) gateway: usize,
    /// The node that it was sent to.
    pub(super) node: Option<SocketAddr>,
    pub(super) address: String,
    pub(super) instance_id: String,
    /// Whether no other process registers with this address and instance id.
    pub(super) is_unique: bool,
    pub(super) since: Instant,
    /// When the gateway has evicted an entry that gets no heartbeats.
    pub(super) until: Instant,
}

// === impl Doubts ===

impl Doubts {
    pub(super) fn add(&self, doubt: Doubt) {
        let mut all = self.all();
        let is_same = |it: &Doubt| {
            (it.kind, it.gateway, it.node) == (doubt.kind, doubt.gateway, doubt.node)
                && it.address == doubt.address
                && it.instance_id == doubt.instance_id
        };
        all.retain(|it| !is_same(it));
        if all.len() == MOST {
            // Sorted by age: it has expired, or is about to.
            all.remove(0);
        }
        all.push(doubt);
    }

    /// Whether a gateway may have an entry that nobody has looked for.
    pub(super) fn are_open(&self) -> bool {
        !self.kinds().is_empty()
    }

    /// The kinds of such entries.
    pub(super) fn kinds(&self) -> Vec<LeaseKind> {
        let now = Instant::now();
        let all = self.all();
        let open = all.iter().filter(|it| it.until > now);
        let kinds: BTreeSet<LeaseKind> = open.map(|it| it.kind).collect();
        kinds.into_iter().collect()
    }

    /// Looks for what the Registers of this kind have left, and deregisters it.
    ///
    /// Not cancel safe, like any Deregister: run it to completion.
    pub(super) async fn settle(
        &self,
        kind: LeaseKind,
        controls: &[ControlPlane],
    ) -> Result<Answer, CallError> {
        let now = Instant::now();
        let (was_recorded, of_kind) = {
            let mut all = self.all();
            let was_recorded = all.iter().any(|it| it.kind == kind);
            all.retain(|it| it.until > now);
            let of_kind = all.iter().filter(|it| it.kind == kind).cloned();
            (was_recorded, of_kind.collect::<Vec<Doubt>>())
        };
        let is_unique = of_kind.iter().all(|it| it.is_unique);
        let (mut found, mut failure) = (0, None);
        for doubt in &of_kind {
            if doubt.is_unique {
                match doubt.settle(&controls[doubt.gateway]).await {
                    Ok(count) => found += count,
                    Err(error) => {
                        failure = Some(error);
                        continue;
                    }
                }
            }
            if doubt.is_unique {
                self.all().retain(|it| it.since != doubt.since);
            }
        }
        match failure {
            Some(error) => Err(error),
            // After a call that panicked, nothing is recorded.
            None if !was_recorded || !is_unique => Ok(Answer::Unknowable),
            None => Ok(Answer::Recalled { found }),
        }
    }

    /// Each change is a single step, so it is valid after a panic.
    fn all(&self) -> MutexGuard<'_, Vec<Doubt>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

// === impl Doubt ===

impl Doubt {
    async fn settle(&self, control: &ControlPlane) -> Result<usize, CallError> {
        let control = match self.node {
            Some(node) => control.at(node),
            None => control.clone(),
        };
        let mut found = self.find(&control).await?;
        if found.is_empty() && self.since.elapsed() < CARRIED_OUT {
            sleep_until(self.since + CARRIED_OUT).await;
            found = self.find(&control).await?;
        }
        let count = found.len();
        for id in found {
            let removed = timeout(DEREGISTER_TIMEOUT, control.deregister(id.clone()));
            removed.await.map_err(|elapsed| {
                let message = format!(
                    "the gateway {} did not answer a Deregister within {DEREGISTER_TIMEOUT:?}: \
                     check that it is not overloaded",
                    control.gateway().target()
                );
                CallError::Broken(Error::new(ErrorKind::TimedOut, message).caused_by(elapsed))
            })??;
            tracing::info!(
                target: "tower_gwag",
                gateway = %control.gateway().target(),
                registration_id = %escaped(&id),
                "removed {}, which the gateway had registered although its connection ended during \
                 Register",
                escaped(&self.address)
            );
        }
        Ok(count)
    }

    /// The ids of the entries that the Register may have left.
    async fn find(&self, control: &ControlPlane) -> Result<Vec<String>, CallError> {
        let is_hold = self.kind == LeaseKind::Hold;
        let is_ours = |it: &Registration| {
            it.addr == self.address
                && it.instance_id == self.instance_id
                && it.namespaces.iter().any(|name| hold_binding::is_hold(name)) == is_hold
        };
        let (_, listed) = control.registrations(LIST_TIMEOUT, is_ours).await?;
        Ok(listed.into_iter().map(|it| it.registration_id).collect())
    }
}
