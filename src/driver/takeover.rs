//! An identity that only one process has at a time: at the start, the entries of its former life
//! are removed from every gateway that can be reached, and from the others when they can be; a
//! process whose successor exists stays out (contract, Takeover).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::{Instant, sleep, timeout};

use crate::control::proto::Registration;
use crate::control::{CallError, ControlPlane, escaped};
use crate::error::{Error, ErrorKind};
use crate::observe::slots::unmarked;
use crate::pace::Pace;

/// The timeout for the list; a slower gateway is asked again.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// The timeout for a gateway that is only an alternative.
const OTHERS_TIMEOUT: Duration = Duration::from_secs(2);

/// The intervals at which nodes that were away are asked: the first, and the longest.
const AWAY_INTERVALS: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(30)];

/// An entry without a heartbeat for so long belongs to a process that is gone: live ones send one
/// every 10 s with jitter, and one may be lost.
const SILENCE: Duration = Duration::from_secs(25);

/// More nodes than a cluster has had; beyond that, they are asked again.
const MOST_ASKED: usize = 1_024;

/// One process's claim to an identity.
#[derive(Debug)]
pub(crate) struct Exclusive {
    identity: String,
    /// Grows with each life: microseconds since 1970, or one more than that of a former life whose
    /// clock was ahead.
    incarnation: AtomicU64,
    /// The gateways on which nothing of a former life remains.
    taken_over: Mutex<BTreeSet<usize>>,
    /// The nodes of them that were asked, by gateway and address.
    asked: Mutex<BTreeSet<(usize, SocketAddr)>>,
}

/// What was found on a node that was away.
enum Late {
    /// Nothing of a former life.
    Settled,
    /// It is still away, or it is not clear yet whether a younger process lives.
    Open,
    /// An entry of a younger process that lives.
    Younger,
}

/// Entries with a later incarnation: their last heartbeats, and since when they have not changed.
type Silent = HashMap<String, (u64, Instant)>;

// === impl Exclusive ===

impl Exclusive {
    pub(crate) fn new(identity: String) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let micros = now.map_or(0, |now| u64::try_from(now.as_micros()).unwrap_or(u64::MAX));
        Self {
            identity,
            incarnation: AtomicU64::new(micros),
            taken_over: Mutex::default(),
            asked: Mutex::default(),
        }
    }

    /// The instance id that is sent.
    pub(crate) fn instance_id(&self) -> String {
        let incarnation = self.incarnation.load(Ordering::Relaxed);
        format!("{}#{incarnation}", self.identity)
    }

    /// Called before each Register: the first call takes over on every reachable gateway, later
    /// calls check whether another process has taken over.
    pub(crate) async fn settle(
        &self,
        controls: &[ControlPlane],
        gateway: usize,
    ) -> Result<(), CallError> {
        let begins = self.settled().is_empty();
        if self.settled().contains(&gateway) {
            return self.stay_or_step_back(&controls[gateway]).await;
        }
        let node = if begins {
            self.take_over(&controls[gateway]).await?
        } else {
            // A younger process has started since.
            self.stay_or_remove(&controls[gateway]).await?
        };
        self.settled().insert(gateway);
        self.note_asked(gateway, node);
        if begins {
            // `watch` deals with gateways that cannot be reached now.
            self.take_over_nodes(gateway, &controls[gateway], node)
                .await;
            let others = (0..controls.len()).filter(|it| *it != gateway);
            for other in others {
                if let Some(node) = self.takes_over(&controls[other]).await {
                    self.settled().insert(other);
                    self.note_asked(other, node);
                    self.take_over_nodes(other, &controls[other], node).await;
                }
            }
        }
        Ok(())
    }

    /// Takes over on the nodes behind one name, but for the one that was asked.
    async fn take_over_nodes(&self, gateway: usize, control: &ControlPlane, asked: SocketAddr) {
        for node in control.nodes_beside(Some(asked)).await {
            if let Some(node) = self.takes_over(&node).await {
                self.note_asked(gateway, node);
            }
        }
    }

    fn note_asked(&self, gateway: usize, node: SocketAddr) {
        let mut asked = self.asked();
        if asked.len() >= MOST_ASKED {
            asked.clear();
        }
        asked.insert((gateway, node));
    }

    fn asked(&self) -> MutexGuard<'_, BTreeSet<(usize, SocketAddr)>> {
        // Single insertions leave the set valid after a panic.
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over on every node that was away at the start, as soon as it can be reached. Returns
    /// why this process must stay out, if a younger one lives on such a node; `None` once every
    /// node was asked. Names are resolved again and again, because some leave out nodes that are
    /// away.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: a Deregister that has begun runs to its end.
    pub(crate) async fn watch(&self, controls: &[ControlPlane], mut pace: Pace) -> Option<Error> {
        let [mut interval, longest] = AWAY_INTERVALS;
        let mut silent: BTreeMap<(usize, SocketAddr), Silent> = BTreeMap::new();
        loop {
            sleep(pace.about(interval)).await;
            interval = (2 * interval).min(longest);
            let mut is_open = false;
            let mut former = std::mem::take(&mut silent);
            for (gateway, control) in controls.iter().enumerate() {
                let nodes = control.gateway().addresses().await;
                is_open |= nodes.is_empty() || control.gateway().target().is_name();
                for node in nodes {
                    if self.asked().contains(&(gateway, node)) {
                        continue;
                    }
                    let before = former.remove(&(gateway, node)).unwrap_or_default();
                    let after = silent.entry((gateway, node)).or_default();
                    match self
                        .ask_late(control.apart(Some(node)), before, after)
                        .await
                    {
                        Late::Settled => self.note_asked(gateway, node),
                        Late::Open => is_open = true,
                        Late::Younger => return Some(self.displaced()),
                    }
                }
            }
            if !is_open {
                return None;
            }
        }
    }

    /// The clock of a former life may have been ahead of ours, and it is too late to outgrow it: so
    /// a later incarnation counts only if it lives.
    /// Only entries that the node still lists are kept from one look to the next.
    async fn ask_late(&self, node: ControlPlane, before: Silent, after: &mut Silent) -> Late {
        let Ok(Ok((_, others))) = timeout(OTHERS_TIMEOUT, self.others(&node)).await else {
            *after = before;
            return Late::Open;
        };
        let own = self.incarnation.load(Ordering::Relaxed);
        let mut gone = Vec::new();
        let mut late = Late::Settled;
        for (incarnation, it) in others {
            let beat = it.last_heartbeat_unix_ms;
            if incarnation > own {
                let seen = before.get(&it.registration_id).copied();
                let (last, since) = seen.unwrap_or_else(|| (beat, Instant::now()));
                after.insert(it.registration_id.clone(), (last, since));
                if last != beat {
                    return Late::Younger;
                }
                if since.elapsed() < SILENCE {
                    late = Late::Open;
                    continue;
                }
            }
            gone.push((incarnation, it));
        }
        // Never cancelled: a timeout only ends the wait.
        let removed = tokio::spawn(remove(node, gone));
        match timeout(OTHERS_TIMEOUT, removed).await {
            Ok(Ok(Ok(()))) => late,
            _ => Late::Open,
        }
    }

    /// The node on which nothing of a former life remains.
    async fn takes_over(&self, control: &ControlPlane) -> Option<SocketAddr> {
        let others = timeout(OTHERS_TIMEOUT, self.others(control)).await;
        let (node, others) = others.ok()?.ok()?;
        self.outgrow(&others);
        // Never cancelled: a timeout only ends the wait.
        let removed = tokio::spawn(remove(control.at(node), others));
        let removed = timeout(OTHERS_TIMEOUT, removed).await;
        matches!(removed, Ok(Ok(Ok(())))).then_some(node)
    }

    fn settled(&self) -> MutexGuard<'_, BTreeSet<usize>> {
        // Single insertions leave the set valid after a panic.
        self.taken_over
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The node that answered, and its entries of this identity from other lives, with their
    /// incarnations.
    async fn others(
        &self,
        control: &ControlPlane,
    ) -> Result<(SocketAddr, Vec<(u64, Registration)>), CallError> {
        let of_us = |it: &Registration| self.incarnation_of(&it.instance_id).is_some();
        let (node, listed) = control.registrations(LIST_TIMEOUT, of_us).await?;
        let own = self.incarnation.load(Ordering::Relaxed);
        let others = listed
            .into_iter()
            .filter_map(|it| Some((self.incarnation_of(&it.instance_id)?, it)))
            .filter(|(incarnation, _)| *incarnation != own);
        Ok((node, others.collect()))
    }

    async fn take_over(&self, control: &ControlPlane) -> Result<SocketAddr, CallError> {
        let (node, others) = self.others(control).await?;
        self.outgrow(&others);
        remove(control.at(node), others).await?;
        Ok(node)
    }

    /// Raises the incarnation if the clock of a former life was ahead.
    fn outgrow(&self, others: &[(u64, Registration)]) {
        for (incarnation, _) in others {
            let younger = incarnation.saturating_add(1);
            self.incarnation.fetch_max(younger, Ordering::Relaxed);
        }
    }

    async fn stay_or_step_back(&self, control: &ControlPlane) -> Result<(), CallError> {
        let own = self.incarnation.load(Ordering::Relaxed);
        let (_, others) = self.others(control).await?;
        if others.iter().any(|(incarnation, _)| *incarnation > own) {
            return Err(CallError::Refused(self.displaced()));
        }
        Ok(())
    }

    async fn stay_or_remove(&self, control: &ControlPlane) -> Result<SocketAddr, CallError> {
        let own = self.incarnation.load(Ordering::Relaxed);
        let (node, others) = self.others(control).await?;
        if others.iter().any(|(incarnation, _)| *incarnation > own) {
            return Err(CallError::Refused(self.displaced()));
        }
        remove(control.at(node), others).await?;
        Ok(node)
    }

    /// Called after each Register of the service: two processes that start at the same moment do
    /// not see each other before it. Afterwards both do, or at least the one that registered last;
    /// the younger one stays. Nodes that do not answer in time are ignored.
    pub(crate) async fn confirm(
        &self,
        controls: &[ControlPlane],
        gateway: usize,
    ) -> Result<(), CallError> {
        let own = self.incarnation.load(Ordering::Relaxed);
        let looks = async {
            let mut nodes = vec![controls[gateway].clone()];
            nodes.extend(controls[gateway].other_nodes().await);
            let others = controls.iter().enumerate();
            nodes.extend(
                others
                    .filter(|(at, _)| *at != gateway)
                    .map(|(_, control)| control.clone()),
            );
            for control in nodes {
                let Ok((node, others)) = self.others(&control).await else {
                    continue;
                };
                let (younger, older): (Vec<_>, Vec<_>) = others
                    .into_iter()
                    .partition(|(incarnation, _)| *incarnation > own);
                if !younger.is_empty() {
                    return Err(CallError::Refused(self.displaced()));
                }
                if !older.is_empty() {
                    // Never cancelled: a timeout only ends the wait.
                    let _ = tokio::spawn(remove(control.at(node), older)).await;
                }
            }
            Ok(())
        };
        timeout(OTHERS_TIMEOUT, looks).await.unwrap_or(Ok(()))
    }

    fn incarnation_of(&self, instance_id: &str) -> Option<u64> {
        let (identity, incarnation) = unmarked(instance_id).rsplit_once('#')?;
        if identity != self.identity {
            return None;
        }
        incarnation.parse().ok()
    }

    fn displaced(&self) -> Error {
        Error::new(
            ErrorKind::Displaced,
            format!(
                "a younger process has the identity `{}`, so this one stays unregistered: stop \
                 this process, or give each its own exclusive_instance",
                self.identity
            ),
        )
    }
}

/// Not cancel safe, like any Deregister: run it to completion.
async fn remove(control: ControlPlane, others: Vec<(u64, Registration)>) -> Result<(), CallError> {
    for (_, former) in others {
        let id = escaped(&former.registration_id);
        control.deregister(former.registration_id).await?;
        tracing::info!(
            target: "tower_gwag",
            gateway = %control.gateway().target(),
            registration_id = %id,
            "took over: removed the entry that a former process left for {}, {}",
            escaped(&former.addr),
            escaped(&former.instance_id)
        );
    }
    Ok(())
}
