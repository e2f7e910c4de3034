//! The slots of one registration: who holds them while it is registered, and when they are free
//! while it is not.
//!
//! All registrations of a process with one gateway look at the same moments and share the results.
//! [`Contest`] decides about an `unstable` slot, [`Waiting`] about registering again, and [`Joins`]
//! finds the conflicts that no hash shows.

mod before_call;
mod contest;
mod holders;
mod look;
mod rejected_joins;
mod waiting;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use tokio::task::JoinHandle;
use tokio::time::Instant;

pub(crate) use before_call::{Before, Guard, is_lost};
use contest::{Contest, Occupant, Step};
use holders::{Entries, Holder};
pub(crate) use holders::{mark, unmarked};
pub(crate) use look::Gateways;
use look::{Contested, Doubts, Look};
use rejected_joins::{Count, Found, Joins};
use waiting::Waiting;

use crate::control::SlotList;
use crate::error::Error;
use crate::observe::verify::{self, Expected};
use crate::optional_future::{finished, optional_sleep};
use crate::status::State;
use tower_gwag_schema::service::Resolved;

/// The interval between looks at an `unstable` slot.
const UNSTABLE_LOOK: Duration = Duration::from_millis(300);
/// The interval between looks at a vN that another schema holds.
const VN_LOOK: Duration = Duration::from_secs(1);
/// The same for each replica that the gateway lists: long lists are requested less often.
const UNSTABLE_LOOK_OF_REPLICA: Duration = Duration::from_micros(1_500);
const VN_LOOK_OF_REPLICA: Duration = Duration::from_millis(4);
const LONGEST_LOOK: Duration = Duration::from_secs(5);
/// The pause after a failed look.
const FAILED_LOOK: Duration = Duration::from_millis(500);
/// How long these lists stay valid if nothing else changes.
const ENTRIES_AGE: Duration = Duration::from_secs(2);
/// What the task should do now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Move {
    /// At most the status has changed.
    None,
    /// Send a heartbeat, to take the slot or to see whose it is.
    Beat,
    /// A newer build holds every slot that matters: deregister the service, keep the hold.
    StepAside,
    /// Register again without the services that are set aside now: the others have no replica
    /// elsewhere.
    Replace,
    /// The slots are free: register.
    Free,
    /// The slots are taken.
    Taken,
    /// Another schema holds the slot of a service: deregister it.
    Conflict,
}

/// The slots of one registration.
pub(crate) struct Slots {
    expected: Arc<[Expected]>,
    services: Arc<[Resolved]>,
    http: Option<Uri>,
    reclaim_after: Duration,
    gateways: Option<Gateways>,
    phase: Phase,
    /// Services that are not registered while the others are.
    aside: BTreeSet<usize>,
    /// The services that the current entry lacks.
    without: BTreeSet<usize>,
    /// Hashes learnt from the gateway's list.
    learnt: Vec<Option<String>>,
    /// The schema to which a slot was lost, until the wait for that slot begins.
    theirs: Option<(usize, String)>,
    is_clustered: Option<bool>,
    replicas: u32,
    entries: Option<(Instant, Doubts, Arc<Entries>)>,
    /// The difference from the schema with this hash.
    difference: Option<(usize, String, Option<String>)>,
    /// The conflict that was reported last.
    conflict: Option<Arc<Error>>,
    look_at: Option<Instant>,
    look: Option<JoinHandle<Look>>,
    count: Option<JoinHandle<Count>>,
}

enum Phase {
    Idle,
    Held {
        own: String,
        /// Contests of the `unstable` services.
        contests: Vec<(usize, Contest)>,
        joins: Option<Joins>,
    },
    Waiting(Waiting),
}

// === impl Slots ===

impl Slots {
    pub(crate) fn new(
        services: Arc<[Resolved]>,
        expected: Arc<[Expected]>,
        http: Option<Uri>,
        reclaim_after: Duration,
    ) -> Self {
        Self {
            learnt: vec![None; expected.len()],
            theirs: None,
            services,
            expected,
            http,
            reclaim_after,
            gateways: None,
            phase: Phase::Idle,
            aside: BTreeSet::new(),
            without: BTreeSet::new(),
            is_clustered: None,
            replicas: 0,
            entries: None,
            difference: None,
            conflict: None,
            look_at: None,
            look: None,
            count: None,
        }
    }

    /// The gateway accepted the registration.
    pub(crate) fn begin(&mut self, gateways: Gateways, own: String, before: Before) {
        self.stop();
        if self.aside.is_empty() {
            self.conflict = None;
        }
        // The set of services aside may have changed during the Register.
        self.without.clone_from(&before.aside);
        let now = Instant::now();
        let unstable = |it: &(usize, &Expected)| it.1.is_unstable && !self.aside.contains(&it.0);
        let contest = |(at, it): (usize, &Expected)| {
            let had = before.list.as_ref().and_then(|list| list.hash(&it.name()));
            let learnt = self.learnt.get(at).cloned().flatten();
            let had = had.map(str::to_owned);
            (at, Contest::new(it.hash.clone(), learnt, had, now))
        };
        let all = || self.expected.iter().enumerate();
        let contests: Vec<_> = all().filter(unstable).map(contest).collect();
        let unsure: Vec<usize> = all()
            .filter(|(_, it)| !it.is_unstable && it.hash.is_none())
            .map(|(at, _)| at)
            .collect();
        let joins = (self.http.is_some() && !unsure.is_empty())
            .then(|| Joins::new(unsure, before.rejected, now));
        if !contests.is_empty() || !self.without.is_empty() {
            self.look_at = Some(gateways.control.next_look(UNSTABLE_LOOK));
        }
        self.gateways = Some(gateways);
        self.phase = Phase::Held {
            own,
            contests,
            joins,
        };
    }

    /// Nothing is registered because another schema holds a slot: waits until it is free. A vN must
    /// be free for a while, because its owner may only be restarting.
    pub(crate) fn wait(&mut self, gateways: Gateways, for_a_vn: bool) {
        self.stop();
        self.aside.clear();
        self.look_at = Some(gateways.control.next_look(self.waiting_look()));
        self.gateways = Some(gateways);
        let theirs = std::mem::take(&mut self.theirs);
        self.phase = Phase::Waiting(Waiting::new(for_a_vn, theirs, Instant::now()));
    }

    /// Another schema holds the slot of this service; the next wait is for that slot.
    pub(crate) fn lost_to(&mut self, service: usize, theirs: &str) {
        if !theirs.is_empty() {
            self.theirs = Some((service, theirs.to_owned()));
        }
    }

    /// Neither registered nor waiting.
    pub(crate) fn pause(&mut self) {
        self.stop();
        self.phase = Phase::Idle;
    }

    fn stop(&mut self) {
        self.look_at = None;
        self.is_clustered = None;
        self.entries = None;
        if let Some(look) = self.look.take() {
            look.abort();
        }
        if let Some(count) = self.count.take() {
            count.abort();
        }
    }

    /// A heartbeat was held back, because a slot is no longer ours.
    pub(crate) fn look_now(&mut self) {
        if let (Some(_), None) = (&self.look_at, &self.look) {
            self.look_at = Some(Instant::now());
        }
    }

    /// A call from the gateway has arrived. A single service is therefore mounted: whatever the
    /// gateway rejects from now on is somebody else's.
    pub(crate) fn routed(&mut self) {
        let is_alone = self.expected.len() == 1;
        let Phase::Held { joins, .. } = &mut self.phase else {
            return;
        };
        if is_alone {
            *joins = None;
        } else if let Some(joins) = joins {
            joins.acquit(Instant::now());
        }
    }

    /// The indices of services that must not be registered now.
    pub(crate) fn aside(&self) -> &BTreeSet<usize> {
        &self.aside
    }

    /// The services that the current entry lacks.
    pub(crate) fn without(&self) -> &BTreeSet<usize> {
        &self.without
    }

    /// The condition under which a heartbeat takes no slot from a newer build.
    pub(crate) fn guard(&self) -> Guard {
        let Phase::Held { contests, .. } = &self.phase else {
            return Guard::new();
        };
        let held = contests
            .iter()
            .filter(|(_, it)| *it.place() == Occupant::Ours && it.rival().is_none());
        let guard = held.filter_map(|(at, it)| {
            let name = self.expected.get(*at)?.name();
            Some((name, it.hash()?.to_owned()))
        });
        guard.collect()
    }

    /// Our hash, as computed here or learnt.
    fn ours(&self, at: usize) -> Option<String> {
        let exact = self.expected.get(at).and_then(|it| it.hash.clone());
        exact.or_else(|| self.learnt.get(at).cloned().flatten())
    }

    fn waiting_look(&self) -> Duration {
        interval(VN_LOOK, VN_LOOK_OF_REPLICA, self.replicas)
    }

    /// The next thing to do.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub(crate) async fn next(&mut self) -> Move {
        loop {
            let count_at = match (&self.phase, &self.count) {
                (
                    Phase::Held {
                        joins: Some(joins), ..
                    },
                    None,
                ) => Some(joins.due()),
                _ => None,
            };
            tokio::select! {
                biased;
                look = finished(&mut self.look) => return self.saw(look),
                count = finished(&mut self.count) => return self.counted(count),
                () = optional_sleep(self.look_at), if self.look.is_none() => self.start_look(),
                () = optional_sleep(count_at), if count_at.is_some() => self.start_count(),
            }
        }
    }

    fn start_look(&mut self) {
        self.look_at = None;
        let Some(gateways) = self.gateways.clone() else {
            return;
        };
        let contests: Vec<Contested> = match &self.phase {
            Phase::Held { contests, .. } => contests
                .iter()
                .map(|(at, it)| Contested {
                    service: *at,
                    name: self.expected[*at].name(),
                    hash: it.hash().map(str::to_owned),
                    rival: it.rival().map(str::to_owned),
                })
                .collect(),
            Phase::Idle | Phase::Waiting(_) => Vec::new(),
        };
        let known = self
            .entries
            .as_ref()
            .and_then(|(at, doubts, _)| (at.elapsed() < ENTRIES_AGE).then(|| doubts.clone()));
        let told = self.difference.as_ref().map(|it| (it.0, it.1.clone()));
        let (http, services) = (self.http.clone(), Arc::clone(&self.services));
        self.look = Some(tokio::spawn(async move {
            let mut look = Look::at(&gateways, &contests, known).await;
            look.compare(told.as_ref(), http.as_ref(), &services).await;
            look
        }));
    }

    fn saw(&mut self, look: Option<Look>) -> Move {
        let now = Instant::now();
        let Some((look, list)) = look.and_then(|look| {
            let list = look.list.clone()?;
            Some((look, list))
        }) else {
            self.look_at = Some(now + FAILED_LOOK);
            return Move::None;
        };
        self.replicas = list.replicas;
        if let Some((entries, nodes)) = look.asked {
            self.is_clustered = Some(nodes > 0);
            self.entries = Some((now, look.doubts.clone(), entries));
        } else if self.entries.as_ref().is_some_and(|it| it.1 != look.doubts) {
            // Old lists say nothing about the current holder of the slot.
            self.entries = None;
        }
        if look.difference.is_some() {
            self.difference = look.difference;
        }
        let step = match &mut self.phase {
            Phase::Idle => return Move::None,
            Phase::Waiting(_) => self.waited(&list, now),
            Phase::Held { .. } => self.contested(&list, &look.doubts, now),
        };
        let unstable = interval(UNSTABLE_LOOK, UNSTABLE_LOOK_OF_REPLICA, self.replicas);
        let usual = match &self.phase {
            Phase::Waiting(waiting) if waiting.is_for_a_vn() => self.waiting_look(),
            _ => unstable,
        };
        if let Some(gateways) = &self.gateways {
            let next = gateways.control.next_look(usual);
            let free_at = match &self.phase {
                Phase::Waiting(waiting) => waiting.free_at(self.reclaim_after),
                _ => None,
            };
            self.look_at = Some(
                free_at
                    .filter(|at| *at > now)
                    .map_or(next, |at| at.min(next)),
            );
        }
        step
    }

    fn waited(&mut self, list: &SlotList, now: Instant) -> Move {
        let ours: Vec<_> = (0..self.expected.len()).map(|at| self.ours(at)).collect();
        let Phase::Waiting(waiting) = &mut self.phase else {
            return Move::None;
        };
        match waiting.see(&self.expected, &ours, list, self.reclaim_after, now) {
            true => Move::Free,
            false => Move::Taken,
        }
    }

    fn contested(&mut self, list: &SlotList, doubts: &Doubts, now: Instant) -> Move {
        let Phase::Held { own, contests, .. } = &mut self.phase else {
            return Move::None;
        };
        let entries = self.entries.as_ref().map(|it| &it.2);
        let is_clustered = self.is_clustered;
        let mut yields = BTreeSet::new();
        let mut beats = false;
        for (at, contest) in contests.iter_mut() {
            let name = self.expected[*at].name();
            let seen = list.hash(&name);
            let doubt = doubts.iter().find(|it| it.0 == *at);
            if doubt.is_some() && is_clustered.is_none() {
                // Everything else depends on whether the gateway is standalone.
                continue;
            }
            // An unreadable holder counts as ours, so that two of ours never compete with
            // heartbeats.
            let holder = doubt.map(|(_, hash)| {
                let own = Some(own.as_str());
                entries.map_or(Holder::Ours, |entries| entries.holder(&name, hash, own))
            });
            match contest.see(seen, holder, is_clustered.unwrap_or(true), now) {
                Step::None => {}
                Step::Beat => beats = true,
                Step::Yield => {
                    yields.insert(*at);
                }
            }
            if let Some(learnt) = self.learnt.get_mut(*at) {
                *learnt = contest.hash().map(str::to_owned);
            }
        }
        let restored = |at: &usize| {
            let seen = self.expected.get(*at).map(Expected::name);
            let seen = seen.as_deref().and_then(|name| list.hash(name));
            seen.is_none() || seen.map(str::to_owned) == self.ours(*at)
        };
        let back: Vec<usize> = self.aside.iter().copied().filter(restored).collect();
        if !yields.is_empty() {
            self.tell_replaced(&yields, list);
            if self.others_are_served(&yields, list) {
                return Move::StepAside;
            }
            self.aside.extend(yields);
            return Move::Replace;
        }
        self.aside.retain(|at| !back.contains(at));
        if self.without != self.aside {
            return Move::Replace;
        }
        self.tell_contest();
        if beats { Move::Beat } else { Move::None }
    }

    /// Whether nothing is lost when all services of the registration go: each of the others has a
    /// replica elsewhere, or is not ours either.
    fn others_are_served(&self, yields: &BTreeSet<usize>, list: &SlotList) -> bool {
        let mut others = self
            .expected
            .iter()
            .enumerate()
            .filter(|(at, _)| !yields.contains(at) && !self.aside.contains(at));
        others.all(|(at, it)| {
            let name = it.name();
            let is_ours = self
                .ours(at)
                .is_none_or(|ours| list.hash(&name) == Some(&ours));
            !is_ours || list.replicas_of(&name) > 1
        })
    }

    fn tell_replaced(&mut self, yields: &BTreeSet<usize>, list: &SlotList) {
        let Some(at) = yields.first().copied() else {
            return;
        };
        let name = self.expected[at].name();
        let theirs = list.hash(&name).unwrap_or_default();
        let (gateway, ours) = (self.gateway(), self.ours(at));
        let conflict = verify::Conflict {
            gateway: &gateway,
            slot: &name,
            ours: ours.as_deref(),
            theirs,
            difference: self.difference_of(at, theirs),
        };
        let error = conflict.replaced();
        self.lost_to(at, theirs);
        self.conflict = Some(Arc::new(error));
    }

    /// The gateway's name in messages.
    fn gateway(&self) -> String {
        let gateways = self.gateways.as_ref();
        let target = gateways.map(|it| it.control.gateway().target().to_string());
        target.unwrap_or_default()
    }

    fn tell_contest(&mut self) {
        let Phase::Held { contests, .. } = &self.phase else {
            return;
        };
        let gateway = self.gateway();
        let told = contests.iter().find_map(|(at, contest)| {
            let theirs = match (contest.rival(), contest.place()) {
                (Some(rival), _) => rival,
                (None, Occupant::Theirs(theirs)) => theirs,
                (None, _) => return None,
            };
            let conflict = verify::Conflict {
                gateway: &gateway,
                slot: &self.expected[*at].name(),
                ours: contest.hash(),
                theirs,
                difference: self.difference_of(*at, theirs),
            };
            Some(match contest.rival() {
                Some(_) => conflict.flapping(),
                None => conflict.not_yet_ours(),
            })
        });
        if self.aside.is_empty() || told.is_some() {
            self.conflict = told.map(Arc::new);
        }
    }

    fn difference_of(&self, at: usize, theirs: &str) -> Option<&str> {
        let known = self.difference.as_ref();
        known
            .filter(|it| it.0 == at && it.1 == theirs)?
            .2
            .as_deref()
    }

    fn start_count(&mut self) {
        let (
            Some(gateways),
            Phase::Held {
                joins: Some(joins), ..
            },
        ) = (&self.gateways, &self.phase)
        else {
            return;
        };
        let services = joins.services();
        let slots: Vec<String> = services
            .iter()
            .map(|at| self.expected[*at].name())
            .collect();
        let doubtful = joins
            .is_doubtful()
            .then(|| services.first().copied())
            .flatten();
        let resolved = Arc::clone(&self.services);
        let (http, control) = (self.http.clone(), gateways.control.clone());
        self.count = Some(tokio::spawn(async move {
            let doubtful = doubtful.and_then(|at| resolved.get(at));
            Count::at(http.as_ref(), &control, &slots, doubtful).await
        }));
    }

    fn counted(&mut self, count: Option<Count>) -> Move {
        let Phase::Held {
            joins: Some(joins), ..
        } = &mut self.phase
        else {
            return Move::None;
        };
        let Count {
            rejected,
            is_missed,
            list,
            difference,
        } = count.unwrap_or_default();
        if is_missed && joins.miss(Instant::now()) {
            return Move::None;
        }
        match joins.see(rejected, Instant::now()) {
            Found::Nothing => Move::None,
            Found::Beat => Move::Beat,
            Found::Conflict(at, reason) => {
                let name = self.expected[at].name();
                let theirs = list
                    .as_ref()
                    .and_then(|it| it.hash(&name))
                    .unwrap_or_default();
                let conflict = verify::Conflict {
                    gateway: &self.gateway(),
                    slot: &name,
                    ours: None,
                    theirs,
                    difference: difference.as_deref(),
                };
                let error = conflict.rejected(&reason);
                self.lost_to(at, theirs);
                self.conflict = Some(Arc::new(error));
                Move::Conflict
            }
        }
    }

    /// What is known beyond what was read back; `None` if nothing is wrong.
    pub(crate) fn standing(&self) -> Option<(State, Option<Arc<Error>>)> {
        let (contests, joins) = match &self.phase {
            Phase::Idle => return None,
            Phase::Held {
                contests, joins, ..
            } => (&contests[..], joins.as_ref()),
            Phase::Waiting(_) => (&[][..], None),
        };
        if let Some(conflict) = &self.conflict {
            return Some((State::Displaced, Some(Arc::clone(conflict))));
        }
        let is_open = joins.is_some_and(Joins::is_open);
        let is_empty = contests
            .iter()
            .any(|(_, it)| *it.place() == Occupant::Empty);
        (is_open || is_empty).then_some((State::Registered, None))
    }

    /// Whether the registration is held.
    pub(crate) fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held { .. })
    }

    /// Why it was deregistered.
    pub(crate) fn conflict(&self) -> Option<Arc<Error>> {
        self.conflict.clone()
    }
}

impl Drop for Slots {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The longer the list, the less frequent the looks.
fn interval(usual: Duration, of_replica: Duration, replicas: u32) -> Duration {
    let longer = of_replica.saturating_mul(replicas).min(LONGEST_LOOK);
    usual.max(longer)
}
