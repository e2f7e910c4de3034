//! An `unstable` slot that two schemas want. The newest takes it, and on a clustered gateway each
//! heartbeat of the older one takes it back: so one of them must yield.
//!
//! Of two builds using this crate, the older one yields: the one that had the slot when the other
//! schema arrived. If both registered between two looks, the one without the slot a moment later
//! yields. A foreign client never yields, and against it neither does this crate.

use std::time::Duration;

use tokio::time::Instant;

use super::holders::Holder;

/// The time a gateway needs to mount a registration, plus a margin.
const SETTLE: Duration = Duration::from_secs(1);
/// How long after a newer schema arrived a heartbeat may still bring the older one back.
const GRACE: Duration = Duration::from_secs(3);
/// The interval between heartbeats for an empty slot: a busy gateway handles them late.
const BEATS: Duration = Duration::from_millis(250);
/// An invisible foreign client counts as gone when the slot stays ours for this long.
const CALM: Duration = Duration::from_secs(15);

/// What a registration does about a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    None,
    /// Take the slot with a heartbeat.
    Beat,
    /// The slot belongs to the other build.
    Yield,
}

/// The last seen occupant of the slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Occupant {
    /// The gateway has not handled the registration yet.
    Unseen,
    Ours,
    Empty,
    Theirs(String),
}

/// A slot from the moment at which its service was registered.
#[derive(Debug)]
pub(super) struct Contest {
    /// As computed here, otherwise as the gateway lists it.
    hash: Option<String>,
    is_exact: bool,
    /// The hash that had the slot when this service was registered.
    before: Option<String>,
    registered: Instant,
    /// When the slot was first seen to be ours.
    held_since: Option<Instant>,
    place: Occupant,
    /// When a heartbeat was sent because the slot was empty.
    beaten: Option<Instant>,
    /// A foreign schema that takes the slot repeatedly, and since when the slot is ours again.
    rival: Option<(String, Option<Instant>)>,
}

// === impl Contest ===

impl Contest {
    /// `learnt`: what the gateway listed for an earlier registration of this process, used if the
    /// hash is not `exact`; the schema may have changed since.
    pub(super) fn new(
        exact: Option<String>,
        learnt: Option<String>,
        before: Option<String>,
        now: Instant,
    ) -> Self {
        Self {
            is_exact: exact.is_some(),
            hash: exact.or(learnt),
            before,
            registered: now,
            held_since: None,
            place: Occupant::Unseen,
            beaten: None,
            rival: None,
        }
    }

    pub(super) fn place(&self) -> &Occupant {
        &self.place
    }

    pub(super) fn hash(&self) -> Option<&str> {
        self.hash.as_deref()
    }

    /// The foreign schema that alternates with ours in the slot.
    pub(super) fn rival(&self) -> Option<&str> {
        self.rival.as_ref().map(|(hash, _)| hash.as_str())
    }

    /// Processes what the gateway lists, and the holder of a schema that is not ours, or of the
    /// [`rival`](Self::rival); `None` if the holder is not known yet. A standalone gateway keeps
    /// the newest schema, and heartbeats do not change that.
    pub(super) fn see(
        &mut self,
        seen: Option<&str>,
        holder: Option<Holder>,
        is_clustered: bool,
        now: Instant,
    ) -> Step {
        let Some(seen) = seen else {
            return self.empty(now);
        };
        self.learn(seen, is_clustered, holder, now);
        if self.hash.as_deref() == Some(seen) {
            self.held_since.get_or_insert(now);
            self.place = Occupant::Ours;
            self.calm_down(holder, now);
            return Step::None;
        }
        let is_new = now.saturating_duration_since(self.registered) < SETTLE;
        if self.held_since.is_none() && is_new && is_clustered {
            return Step::None;
        }
        self.place = Occupant::Theirs(seen.to_owned());
        if !is_clustered {
            return Step::Yield;
        }
        match holder {
            None => Step::None,
            Some(Holder::Ours) if self.was_there_before(seen, now) => Step::None,
            Some(Holder::Ours) => Step::Yield,
            Some(Holder::Foreign) => {
                self.rival = Some((seen.to_owned(), None));
                Step::Beat
            }
            Some(Holder::Nobody) => Step::Beat,
        }
    }

    /// Right after a registration, empty means "not yet". Later, the occupant has left the slot,
    /// perhaps after a last heartbeat that took it from us before we saw that it was ours.
    fn empty(&mut self, now: Instant) -> Step {
        let is_new = now.saturating_duration_since(self.registered) < SETTLE;
        if self.place == Occupant::Unseen && self.before.is_none() && is_new {
            return Step::None;
        }
        self.place = Occupant::Empty;
        self.rival = None;
        let is_late = |last: Instant| now.saturating_duration_since(last) >= BEATS;
        if self.beaten.is_none_or(is_late) {
            self.beaten = Some(now);
            return Step::Beat;
        }
        Step::None
    }

    fn learn(&mut self, seen: &str, is_clustered: bool, holder: Option<Holder>, now: Instant) {
        if self.is_exact || self.hash.as_deref() == Some(seen) {
            return;
        }
        let settled = now.saturating_duration_since(self.registered) >= SETTLE;
        let is_new = self.before.as_deref() != Some(seen);
        let unknown = self.hash.is_none() && (is_new || settled || !is_clustered);
        // A schema that nobody else has registered is ours.
        let nobodys = self.hash.is_some() && holder == Some(Holder::Nobody);
        if unknown || nobodys {
            self.hash = Some(seen.to_owned());
        }
    }

    /// An older build that has not seen the newer one sends one more heartbeat, then yields.
    fn was_there_before(&self, seen: &str, now: Instant) -> bool {
        let is_early = |since: Instant| now.saturating_duration_since(since) < GRACE;
        self.before.as_deref() == Some(seen) && self.held_since.is_none_or(is_early)
    }

    fn calm_down(&mut self, holder: Option<Holder>, now: Instant) {
        if let Some((_, ours_since)) = &mut self.rival {
            let since = *ours_since.get_or_insert(now);
            let is_calm = now.saturating_duration_since(since) >= CALM;
            if is_calm || holder == Some(Holder::Nobody) {
                self.rival = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(300);

    struct Watched {
        contest: Contest,
        now: Instant,
    }

    impl Watched {
        fn new(hash: Option<&str>, before: Option<&str>) -> Self {
            let now = Instant::now();
            let [hash, before] = [hash, before].map(|it| it.map(str::to_owned));
            let contest = Contest::new(hash, None, before, now);
            Self { contest, now }
        }

        fn see(&mut self, seen: Option<&str>, holder: Holder) -> Step {
            self.now += LOOK;
            self.contest.see(seen, Some(holder), true, self.now)
        }
    }

    #[test]
    fn the_older_of_two_builds_yields_and_the_newer_waits() {
        let mut old = Watched::new(Some("old"), None);
        assert_eq!(old.see(Some("old"), Holder::Nobody), Step::None);
        assert_eq!(old.see(Some("new"), Holder::Ours), Step::Yield);
        let mut new = Watched::new(Some("new"), Some("old"));
        assert_eq!(new.see(Some("old"), Holder::Ours), Step::None);
        assert_eq!(*new.contest.place(), Occupant::Unseen, "not mounted yet");
        assert_eq!(new.see(Some("new"), Holder::Nobody), Step::None);
        // A beat of the older one, which has not looked since.
        assert_eq!(new.see(Some("old"), Holder::Ours), Step::None);
        assert_eq!(*new.contest.place(), Occupant::Theirs("old".to_owned()));
        // It stops at that moment.
        assert_eq!(new.see(None, Holder::Nobody), Step::Beat);
        assert_eq!(new.see(Some("new"), Holder::Nobody), Step::None);
        // The same where the newer one has never seen the slot to be its own.
        let mut new = Watched::new(Some("new"), Some("old"));
        assert_eq!(new.see(None, Holder::Nobody), Step::Beat);
        let mut first = Watched::new(Some("new"), None);
        assert_eq!(first.see(None, Holder::Nobody), Step::None, "not yet");
        let mut new = Watched::new(Some("new"), Some("old"));
        assert_eq!(new.see(Some("new"), Holder::Nobody), Step::None);
        // A roll-back: the same schema again, started anew.
        new.now += GRACE;
        assert_eq!(new.see(Some("old"), Holder::Ours), Step::Yield);
    }

    #[test]
    fn of_two_that_start_together_the_one_without_the_slot_yields() {
        let mut one = Watched::new(Some("one"), None);
        for _ in 0..2 {
            assert_eq!(one.see(Some("other"), Holder::Ours), Step::None);
        }
        one.now += SETTLE;
        assert_eq!(one.see(Some("other"), Holder::Ours), Step::Yield);
    }

    #[test]
    fn nobody_yields_to_a_foreign_client_and_its_end_is_seen_at_once() {
        let mut ours = Watched::new(Some("ours"), None);
        ours.see(Some("ours"), Holder::Nobody);
        for _ in 0..5 {
            assert_eq!(ours.see(Some("theirs"), Holder::Foreign), Step::Beat);
            assert_eq!(ours.see(Some("ours"), Holder::Foreign), Step::None);
            assert_eq!(ours.contest.rival(), Some("theirs"));
        }
        ours.see(Some("ours"), Holder::Nobody);
        assert_eq!(ours.contest.rival(), None);
        // Where its node cannot be asked, after a while.
        ours.see(Some("theirs"), Holder::Foreign);
        ours.see(Some("ours"), Holder::Ours);
        ours.now += CALM;
        ours.see(Some("ours"), Holder::Ours);
        assert_eq!(ours.contest.rival(), None);
    }

    #[test]
    fn a_standalone_gateway_has_the_newest_by_right() {
        let mut old = Watched::new(Some("old"), None);
        old.see(Some("old"), Holder::Nobody);
        let step = old.contest.see(Some("new"), None, false, old.now);
        assert_eq!(step, Step::Yield);
    }

    #[test]
    fn a_hash_that_only_the_gateway_knows_is_learnt() {
        let mut new = Watched::new(None, Some("old"));
        assert_eq!(new.see(Some("old"), Holder::Ours), Step::None);
        assert_eq!(new.contest.hash(), None);
        assert_eq!(new.see(Some("new"), Holder::Nobody), Step::None);
        assert_eq!(new.contest.hash(), Some("new"));
        // The same schema as before, which takes a moment to be sure of.
        let mut same = Watched::new(None, Some("old"));
        same.now += SETTLE;
        assert_eq!(same.see(Some("old"), Holder::Nobody), Step::None);
        assert_eq!(*same.contest.place(), Occupant::Ours);
    }

    /// The document behind a GraphQL endpoint may have changed between two registrations.
    #[test]
    fn what_was_learnt_once_may_change_with_the_next_registration() {
        let now = Instant::now();
        let learnt = Contest::new(None, Some("first".to_owned()), None, now);
        let mut again = Watched {
            contest: learnt,
            now,
        };
        again.now += SETTLE;
        assert_eq!(again.see(Some("second"), Holder::Nobody), Step::None);
        assert_eq!(again.contest.hash(), Some("second"));
        assert_eq!(*again.contest.place(), Occupant::Ours);
        // One that is computed here never does.
        let mut exact = Watched::new(Some("first"), None);
        exact.now += SETTLE;
        assert_eq!(exact.see(Some("second"), Holder::Nobody), Step::Beat);
    }
}
