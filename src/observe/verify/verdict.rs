//! The verdict on what a gateway made of the registration, and what to do about it.
//!
//! Pure: evidence and the time go in, a verdict and a remedy come out. Absence of evidence never
//! leads to an action (contract § 6).

#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use crate::pace::Pace;
use tower_gwag_schema::service::evidence::{has_operations, hash_of, routes_of};
use tower_gwag_schema::service::{Resolved, ServiceKind};

use super::gather::{Evidence, HttpPort, Route, SchemaAnswer, Search};

/// The first look after a registration; the wait doubles with each look.
const FIRST_LOOK: Duration = Duration::from_millis(20);
/// The longest wait while the gateway does not list the service yet, which can take a minute on a
/// busy gateway.
const LONGEST_WAIT: Duration = Duration::from_secs(10);
/// The wait while a route may still be being made.
const PROBE_PAUSE: Duration = Duration::from_millis(100);
/// How long a listed service may be without a route: a gateway needs 50-140 ms to rebuild its
/// schema (contract, The hold), and seconds when it is busy.
const MOUNT_PATIENCE: Duration = Duration::from_millis(1_500);
/// The same while a known culprit blocks the gateway.
const BLOCK_PATIENCE: Duration = Duration::from_millis(500);
/// After this time, ask who blocks the gateway, which costs the gateway a rendering.
const SEARCH_AFTER: Duration = Duration::from_millis(300);
/// The pause between looks that are due because calls arrive for one of several services.
const CALLED_PAUSE: Duration = Duration::from_millis(500);
/// The interval while something is wrong.
const DOUBT_INTERVAL: Duration = Duration::from_secs(2);
/// By then, replicas that registered at the same moment are all listed.
pub(super) const SECOND_LOOK: Duration = Duration::from_secs(1);
/// The interval once all is well: only to count replicas, and to notice a displacement.
const USUAL_INTERVAL: Duration = Duration::from_secs(60);
/// The interval between looks at the schema pages, for each replica that the gateway lists.
const PAGES_OF_REPLICA: Duration = Duration::from_millis(300);
/// How long a list may lack a service that it had (contract § 6.1: seen for 20 s), plus a margin.
const ABSENCE_PATIENCE: Duration = Duration::from_secs(30);
/// How long another schema may hold a vN before ours first appears: the gateway mounts late.
const VN_PATIENCE: Duration = Duration::from_secs(1);

/// What the evidence says about a registration. Indices refer to the list of services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Not all services are listed yet, or a route is not there yet.
    NotYet,
    /// Every service is listed with our schema, and nothing disproves its route.
    Listed,
    /// Listed, but not routed: a schema blocks the gateway, or did.
    Blocked { service: usize },
    /// Another schema holds the slot.
    Displaced { service: usize, theirs: String },
    /// The gateway cannot build its schema because of ours.
    Guilty { service: usize, reason: String },
}

/// What to do about a verdict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Remedy {
    None,
    /// Register in a fresh spelling, then deregister the dead entry.
    Cure,
    /// Deregister: a lurking schema would take the slot over when its owner leaves.
    GiveWay,
    /// Deregister for good: the schema harms every other service.
    Withdraw,
}

/// Reaches verdicts from the evidence about one registration.
#[derive(Debug)]
pub(crate) struct Verifier {
    slots: Vec<Slot>,
    pace: Pace,
    verdict: Verdict,
    /// The number of looks since the registration, or since something changed.
    looks: u32,
    refuted_since: Option<Instant>,
    guilty_since: Option<Instant>,
    cures: u32,
    next_cure: Option<Instant>,
    /// A look since the registration found all services listed.
    was_complete: bool,
    /// A call from the gateway has arrived since then.
    is_called: bool,
    /// The same for several services, if it is not known which one was called.
    has_calls: bool,
    /// The registration was made while a schema blocked the gateway, which still shows what it
    /// served before.
    is_amid_block: bool,
    /// When the schema pages last covered every service that they can show.
    pages_at: Option<Instant>,
    /// The number of replicas of all services that the gateway lists.
    replicas: u32,
    /// Since when a service that was listed is missing.
    absent_since: Option<Instant>,
}

/// One service's slot on the gateway.
#[derive(Debug)]
struct Slot {
    /// The exact hash as computed here, otherwise the hash that the gateway first listed.
    hash: Option<String>,
    is_exact: bool,
    is_unstable: bool,
    is_surely_routed: bool,
    /// Whether the schema pages can show it.
    is_visible: bool,
    /// The gateway has had a route for it.
    had_route: bool,
    /// The whole schema has shown it since the registration.
    was_served: bool,
    /// A call arrived although route or schema indicated otherwise.
    is_called_regardless: bool,
    was_ours: bool,
    other_since: Option<Instant>,
}

/// What routes and schemas say.
enum Routing {
    NotRefuted,
    /// They disprove this service's route.
    Refuted(usize),
    /// Unknown: a route that was never seen may never exist.
    Unclear,
    /// They say nothing about the service that was disproved before.
    Silent,
}

/// The current state of one slot.
enum View {
    Ours,
    Absent,
    /// Another schema, perhaps only not replaced yet.
    OtherYet,
    Other(String),
}

/// How the gateway should list and route one service.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    pub(crate) namespace: String,
    pub(crate) version: String,
    pub(crate) is_unstable: bool,
    /// The canonical hash; `None` if only the gateway knows it.
    pub(crate) hash: Option<String>,
    /// Paths of methods that a gateway routes, or may route.
    pub(crate) routes: Vec<String>,
    /// Any gateway with routes has these: "no route" means that it does not serve the service.
    pub(crate) is_surely_routed: bool,
    /// The gateway's public schema must show part of it.
    pub(crate) is_visible: bool,
}

// === impl Expected ===

impl Expected {
    pub(crate) fn of(service: &Resolved) -> Self {
        let is_hidden = service.namespace.starts_with('_');
        let hash = hash_of(service).filter(|hash| hash.is_exact());
        Self {
            namespace: service.namespace.clone(),
            version: service.version.to_string(),
            is_unstable: service.version.is_unstable(),
            hash: hash.and_then(|hash| hash.hex().map(str::to_owned)),
            routes: match is_hidden {
                true => Vec::new(),
                false => routes_of(service),
            },
            is_surely_routed: service.kind == ServiceKind::Proto,
            is_visible: has_operations(service) && !is_hidden,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.namespace, self.version)
    }
}

// === impl Verifier ===

impl Verifier {
    pub(crate) fn new(expected: &[Expected], seed: u64) -> Self {
        Self {
            slots: expected.iter().map(Slot::new).collect(),
            pace: Pace::new(None, seed),
            verdict: Verdict::NotYet,
            looks: 0,
            refuted_since: None,
            guilty_since: None,
            cures: 0,
            next_cure: None,
            was_complete: false,
            is_called: false,
            has_calls: false,
            is_amid_block: false,
            pages_at: None,
            replicas: 0,
            absent_since: None,
        }
    }

    /// A registration was made; returns when to look at it first.
    pub(crate) fn begin(&mut self, now: Instant) -> Instant {
        self.looks = 0;
        self.refuted_since = None;
        self.was_complete = false;
        self.is_called = false;
        self.has_calls = false;
        self.pages_at = None;
        self.absent_since = None;
        // A known problem remains until evidence says otherwise.
        if self.verdict == Verdict::Listed {
            self.verdict = Verdict::NotYet;
        }
        if !matches!(self.verdict, Verdict::Blocked { .. }) {
            self.is_amid_block = false;
        }
        for slot in &mut self.slots {
            slot.begin();
        }
        now + self.pace.about(FIRST_LOOK)
    }

    pub(crate) fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// A call from the gateway has arrived. It outweighs the gateway's own statements: the obstacle
    /// is gone. For several services it proves only one, so the others must be looked at: then
    /// returns how soon.
    pub(crate) fn called(&mut self) -> Option<Duration> {
        let is_in_doubt = matches!(self.verdict, Verdict::NotYet | Verdict::Blocked { .. });
        let [slot] = &mut *self.slots else {
            self.has_calls = true;
            return is_in_doubt.then_some(CALLED_PAUSE);
        };
        self.is_called = true;
        self.is_amid_block = false;
        self.absent_since = None;
        slot.is_called_regardless |= self.refuted_since.take().is_some();
        if is_in_doubt {
            self.verdict = Verdict::Listed;
        }
        None
    }

    /// Whether to read the schema pages. Findings from when the registration was new stay valid
    /// until something contradicts them, and a gateway's whole schema is long. Services that no
    /// route can contradict are looked at again now and then, less often the longer the list.
    pub(crate) fn wants_pages(&self, now: Instant) -> bool {
        if self.verdict != Verdict::Listed || self.refuted_since.is_some() || self.looks == 0 {
            return true;
        }
        let Some(read) = self.pages_at else {
            return true;
        };
        let mut slots = self.slots.iter();
        let only_pages_tell =
            slots.any(|it| it.is_visible && !it.is_surely_routed && !it.had_route);
        let pause = USUAL_INTERVAL.max(PAGES_OF_REPLICA.saturating_mul(self.replicas)) / 2;
        only_pages_tell && now.duration_since(read) >= pause
    }

    /// Something happened that may have changed what the gateway serves.
    pub(crate) fn doubt(&mut self) {
        self.pages_at = None;
    }

    /// Whether the last look contradicted what was known before.
    pub(crate) fn is_doubted(&self) -> bool {
        self.refuted_since.is_some() || self.absent_since.is_some()
    }

    /// Whether to look for the schema that blocks the gateway.
    pub(crate) fn search(&self, now: Instant) -> Search {
        let doubted = |since: Instant| now.duration_since(since) >= SEARCH_AFTER;
        match self.verdict {
            Verdict::Blocked { .. } => Search::Yes,
            _ if self.is_amid_block => Search::Yes,
            _ if self.refuted_since.is_some_and(doubted) => Search::Yes,
            Verdict::NotYet if !self.was_complete && !self.is_called => Search::IfServed,
            _ => Search::No,
        }
    }

    /// Judges the evidence; returns what to do, and when to look again.
    pub(crate) fn see(&mut self, evidence: &Evidence, now: Instant) -> (Remedy, Instant) {
        self.looks = self.looks.saturating_add(1);
        if self.knows_pages(evidence) {
            self.pages_at = Some(now);
        }
        self.replicas = evidence.replicas.unwrap_or(self.replicas);
        let was = self.verdict.clone();
        let remedy = match &evidence.listed {
            Some(listed) => self.judge(listed, evidence, now),
            // The gateway did not say, which proves nothing.
            None => Remedy::None,
        };
        if was != self.verdict && self.verdict == Verdict::Listed {
            self.looks = 0;
        }
        let doubling = FIRST_LOOK * (1 << self.looks.min(12));
        let pause = match &self.verdict {
            _ if self.guilty_since.is_some() && remedy == Remedy::None => PROBE_PAUSE,
            Verdict::NotYet if self.refuted_since.is_some() => PROBE_PAUSE,
            // This ends when the block does.
            Verdict::NotYet if self.is_amid_block => doubling.min(DOUBT_INTERVAL),
            // Listed without further evidence: it may stay that way.
            Verdict::NotYet if self.was_complete => doubling.min(USUAL_INTERVAL),
            Verdict::NotYet => doubling.min(LONGEST_WAIT),
            Verdict::Listed if self.refuted_since.is_some() => PROBE_PAUSE,
            Verdict::Listed if self.absent_since.is_some() => LONGEST_WAIT,
            // Other replicas registering at the same time may come later than this one.
            Verdict::Listed => (SECOND_LOOK * (1 << (2 * self.looks.min(3)))).min(USUAL_INTERVAL),
            Verdict::Guilty { .. } => USUAL_INTERVAL,
            Verdict::Blocked { .. } | Verdict::Displaced { .. } => DOUBT_INTERVAL,
        };
        (remedy, now + self.pace.about(pause))
    }

    fn judge(&mut self, listed: &[Option<String>], evidence: &Evidence, now: Instant) -> Remedy {
        // If another schema holds the slot, the page shows that schema.
        let is_ours = |service: usize| {
            let ours = self.slots.get(service).and_then(|it| it.hash.as_ref());
            let seen = listed.get(service).and_then(Option::as_ref);
            ours.is_none() || seen.is_none() || ours == seen
        };
        let guilty = |(service, answer): (usize, &SchemaAnswer)| match answer {
            SchemaAnswer::Guilty(reason) if is_ours(service) => Some((service, reason.clone())),
            _ => None,
        };
        if let Some((service, reason)) = evidence.schemas.iter().enumerate().find_map(guilty) {
            // A single time may be an accident.
            let since = *self.guilty_since.get_or_insert(now);
            if now.duration_since(since) < BLOCK_PATIENCE {
                return Remedy::None;
            }
            self.verdict = Verdict::Guilty { service, reason };
            return Remedy::Withdraw;
        }
        self.guilty_since = None;
        let mut complete = true;
        let mut lost = None;
        for (service, slot) in self.slots.iter_mut().enumerate() {
            let seen = listed.get(service).cloned().flatten();
            match slot.see(seen, now) {
                View::Ours => {}
                View::Absent | View::OtherYet => complete = false,
                View::Other(theirs) => lost = lost.or(Some((service, theirs))),
            }
        }
        if let Some((service, theirs)) = lost {
            self.verdict = Verdict::Displaced { service, theirs };
            return Remedy::GiveWay;
        }
        if !complete {
            self.absent(now);
            return Remedy::None;
        }
        self.absent_since = None;
        let routing = self.weigh(evidence);
        self.was_complete = true;
        match routing {
            // A known problem remains until evidence says otherwise.
            Routing::Silent => Remedy::None,
            Routing::Refuted(service) => self.refuted(service, evidence.culprit.is_some(), now),
            Routing::Unclear => {
                self.refuted_since = None;
                self.verdict = Verdict::NotYet;
                Remedy::None
            }
            Routing::NotRefuted => {
                self.refuted_since = None;
                self.verdict = Verdict::Listed;
                Remedy::None
            }
        }
    }

    /// Absence means "not yet": a busy gateway may lose a list for a while, and no action follows.
    /// But a service that is missing for long is no longer reported as listed or routed.
    fn absent(&mut self, now: Instant) {
        self.refuted_since = None;
        match self.verdict {
            Verdict::Blocked { .. } => {}
            Verdict::Listed => {
                let since = *self.absent_since.get_or_insert(now);
                if now.duration_since(since) >= ABSENCE_PATIENCE {
                    self.verdict = Verdict::NotYet;
                }
            }
            _ => self.verdict = Verdict::NotYet,
        }
    }

    /// Whether the look returned everything that schema pages can tell.
    fn knows_pages(&self, evidence: &Evidence) -> bool {
        let mut slots = self.slots.iter().enumerate();
        evidence.http == HttpPort::Schema
            && slots.all(|(service, slot)| {
                let answer = evidence.schemas.get(service);
                !slot.is_visible || !matches!(answer, None | Some(SchemaAnswer::Unknown))
            })
    }

    /// Weighs what routes and schemas say about services that are all listed.
    fn weigh(&mut self, evidence: &Evidence) -> Routing {
        let mut routing = Routing::NotRefuted;
        if !self.was_complete {
            self.is_amid_block |= evidence.culprit.is_some();
        }
        let block_is_over = evidence.is_searched && evidence.culprit.is_none();
        let was_late = self.is_amid_block;
        self.is_amid_block &= !block_is_over;
        for (service, slot) in self.slots.iter_mut().enumerate() {
            let route = evidence.routes.get(service).copied();
            let schema = evidence.schemas.get(service);
            if route == Some(Route::Found) {
                slot.had_route = true;
                slot.is_called_regardless = false;
            }
            let is_without_route = route == Some(Route::Absent) && !slot.is_called_regardless;
            let is_known_to_be_routed = slot.is_surely_routed || slot.had_route;
            // The shown schema and the route are older than the block. A service that is alone in
            // its slot was registered after it; with other replicas, this is not known.
            let is_amid_block = self.is_amid_block && !self.is_called;
            let is_late = is_amid_block
                && !self.has_calls
                && (matches!(self.verdict, Verdict::Blocked { .. })
                    || evidence.is_alone.get(service) == Some(&true));
            // A call outweighs a schema that has never shown the service; a schema that has stopped
            // showing it is newer than the call.
            let is_outdated = slot.was_served && !slot.is_called_regardless;
            let is_missing =
                schema == Some(&SchemaAnswer::Missing) && (!self.is_called || is_outdated);
            if is_without_route && is_known_to_be_routed || is_missing || is_late {
                return Routing::Refuted(service);
            }
            slot.was_served |= schema == Some(&SchemaAnswer::Served);
            let is_served =
                schema == Some(&SchemaAnswer::Served) || schema.is_none() && slot.was_served;
            let is_well = is_served || route == Some(Route::Found) || was_late && block_is_over;
            let is_silent = self.verdict == (Verdict::Blocked { service }) && !is_well;
            if is_silent && !self.has_calls {
                return Routing::Silent;
            }
            // Listed here but unknown there: none of the requested evidence was found.
            let is_unheard = schema == Some(&SchemaAnswer::Unheard) && route != Some(Route::Found);
            let is_unclear = (is_without_route && !is_served || is_unheard) && !self.is_called;
            if is_silent || is_amid_block || is_unclear {
                routing = Routing::Unclear;
            }
        }
        routing
    }

    fn refuted(&mut self, service: usize, is_explained: bool, now: Instant) -> Remedy {
        let since = *self.refuted_since.get_or_insert(now);
        let patience = match is_explained {
            true => BLOCK_PATIENCE,
            false => MOUNT_PATIENCE,
        };
        if now.duration_since(since) < patience {
            // After a cure the block is known. If calls arrived, it may be another block.
            if self.verdict == Verdict::Listed && !self.is_called {
                self.verdict = Verdict::NotYet;
            }
            return Remedy::None;
        }
        self.verdict = Verdict::Blocked { service };
        if self.next_cure.is_some_and(|next| now < next) {
            return Remedy::None;
        }
        // The first cure at once, which works even while the block lasts; later ones slowly.
        self.next_cure = Some(now + self.pace.refusal(self.cures));
        self.cures = self.cures.saturating_add(1);
        Remedy::Cure
    }
}

impl Slot {
    fn new(expected: &Expected) -> Self {
        Self {
            hash: expected.hash.clone(),
            is_exact: expected.hash.is_some(),
            is_unstable: expected.is_unstable,
            is_surely_routed: expected.is_surely_routed,
            is_visible: expected.is_visible,
            had_route: false,
            was_served: false,
            is_called_regardless: false,
            was_ours: false,
            other_since: None,
        }
    }

    fn begin(&mut self) {
        if !self.is_exact {
            self.hash = None;
        }
        self.was_served = false;
        self.was_ours = false;
        self.other_since = None;
    }

    fn see(&mut self, seen: Option<String>, now: Instant) -> View {
        let Some(seen) = seen else {
            return View::Absent;
        };
        if *self.hash.get_or_insert_with(|| seen.clone()) == seen {
            self.other_since = None;
            self.was_ours = true;
            return View::Ours;
        }
        if self.is_unstable {
            // `slots` decides about the slot.
            return View::OtherYet;
        }
        let since = *self.other_since.get_or_insert(now);
        if !self.was_ours && now.duration_since(since) < VN_PATIENCE {
            return View::OtherYet;
        }
        View::Other(seen)
    }
}
