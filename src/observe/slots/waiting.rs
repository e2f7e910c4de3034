//! Waits, with nothing registered, until every slot is free or has our schema.

use std::time::Duration;

use tokio::time::Instant;

use crate::control::SlotList;
use crate::observe::verify::Expected;

/// A wait for the slots of one registration.
#[derive(Debug)]
pub(super) struct Waiting {
    /// Another schema holds, or held, a vN.
    for_a_vn: bool,
    /// Since when every look found every vN free.
    free_since: Option<Instant>,
    /// The service whose slot was lost, and the schema that took it, as far as known.
    lost_to: Option<(usize, String)>,
    /// For services whose hash is not known here: the schema that took the slot, or what was in the
    /// slots at the first look.
    theirs: Option<Vec<Option<String>>>,
    since: Instant,
}

/// The state of a slot.
#[derive(Clone, Copy, PartialEq, Eq)]
enum View {
    Free,
    /// It has our schema.
    Ours,
    Taken,
}

// === impl Waiting ===

impl Waiting {
    pub(super) fn new(for_a_vn: bool, lost_to: Option<(usize, String)>, now: Instant) -> Self {
        Self {
            for_a_vn,
            free_since: None,
            lost_to,
            theirs: None,
            since: now,
        }
    }

    pub(super) fn is_for_a_vn(&self) -> bool {
        self.for_a_vn
    }

    /// When the slots will have been free for long enough.
    pub(super) fn free_at(&self, reclaim_after: Duration) -> Option<Instant> {
        self.free_since?.checked_add(reclaim_after)
    }

    /// Whether to register now. A vN must have been free for `reclaim_after` in every look, unless
    /// it has our schema: then another replica of ours was first.
    pub(super) fn see(
        &mut self,
        expected: &[Expected],
        ours: &[Option<String>],
        list: &SlotList,
        reclaim_after: Duration,
        now: Instant,
    ) -> bool {
        let exact = |at: usize| ours.get(at).and_then(Option::as_deref);
        let is_at_odds = |(at, it): (usize, &Expected)| {
            let seen = list.hash(&it.name());
            exact(at).is_some() && seen.is_some() && seen != exact(at)
        };
        if self.theirs.is_none() {
            // If a schema with a known hash conflicts, that is the conflict.
            let is_known = expected.iter().enumerate().any(is_at_odds);
            let lost_to = self.lost_to.as_ref();
            let seen = |(at, it): (usize, &Expected)| match (exact(at), lost_to) {
                (Some(_), _) => None,
                // Its owner may just be away.
                (None, Some((lost, theirs))) if *lost == at => Some(theirs.clone()),
                (None, None) if !is_known => list.hash(&it.name()).map(str::to_owned),
                (None, _) => None,
            };
            self.theirs = Some(expected.iter().enumerate().map(seen).collect());
        }
        let theirs = |at: usize| self.theirs.as_ref()?.get(at)?.as_deref();
        let view = |at: usize, it: &Expected| match (list.hash(&it.name()), exact(at)) {
            (None, _) => View::Free,
            (Some(seen), Some(ours)) if seen == ours => View::Ours,
            (Some(_), Some(_)) => View::Taken,
            (seen @ Some(_), None) if seen == theirs(at) => View::Taken,
            // A schema seen for the first time may be ours.
            (Some(_), None) => View::Ours,
        };
        let views = expected
            .iter()
            .enumerate()
            .map(|(at, it)| (it.is_unstable, view(at, it)));
        let views: Vec<(bool, View)> = views.collect();
        let vn = |view: View| views.contains(&(false, view));
        if views.iter().any(|(_, view)| *view == View::Taken) {
            self.for_a_vn |= vn(View::Taken);
            if vn(View::Taken) {
                self.free_since = None;
            }
            return false;
        }
        if !self.for_a_vn || vn(View::Ours) && !vn(View::Free) {
            return true;
        }
        let since = *self.free_since.get_or_insert(now);
        now.saturating_duration_since(since.max(self.since)) >= reclaim_after
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::proto::ServiceInfo;

    const RECLAIM: Duration = Duration::from_secs(2);

    fn expected(version: &str) -> Expected {
        Expected {
            namespace: "a".to_owned(),
            version: version.to_owned(),
            is_unstable: version == "unstable",
            hash: None,
            routes: Vec::new(),
            is_surely_routed: true,
            is_visible: true,
        }
    }

    fn list(version: &str, hash: Option<&str>) -> SlotList {
        let info = |hash: &str| ServiceInfo {
            namespace: "a".to_owned(),
            version: version.to_owned(),
            hash_hex: hash.to_owned(),
            replica_count: 1,
            ..ServiceInfo::default()
        };
        SlotList::of(hash.map(info).into_iter().collect())
    }

    /// Whether to register after looks, one a second.
    fn looks(version: &str, ours: Option<&str>, seen: &[Option<&str>]) -> Vec<bool> {
        looks_after(None, version, ours, seen)
    }

    fn looks_after(
        lost_to: Option<(usize, String)>,
        version: &str,
        ours: Option<&str>,
        seen: &[Option<&str>],
    ) -> Vec<bool> {
        let start = Instant::now();
        let mut waiting = Waiting::new(version == "v1", lost_to, start);
        let mut now = start;
        let ours = [ours.map(str::to_owned)];
        let look = |hash: &Option<&str>| {
            let list = list(version, *hash);
            let free = waiting.see(&[expected(version)], &ours, &list, RECLAIM, now);
            now += Duration::from_secs(1);
            free
        };
        seen.iter().map(look).collect()
    }

    #[test]
    fn a_vn_is_reclaimed_once_it_was_free_for_a_while() {
        let ours = Some("ours");
        let (theirs, free) = (Some("theirs"), None);
        let seen = looks("v1", ours, &[theirs, free, free, free]);
        assert_eq!(seen, [false, false, false, true]);
        // An owner that restarts keeps its name.
        let seen = looks("v1", ours, &[theirs, free, free, theirs, free, free]);
        assert!(!seen.contains(&true), "{seen:?}");
        // A second replica of ours was first.
        assert_eq!(
            looks("v1", ours, &[theirs, free, ours]),
            [false, false, true]
        );
    }

    #[test]
    fn an_unstable_slot_is_taken_at_once() {
        let ours = Some("ours");
        assert_eq!(
            looks("unstable", ours, &[Some("theirs"), None]),
            [false, true]
        );
    }

    #[test]
    fn of_a_hash_that_is_not_known_here_only_the_first_one_seen_is_theirs() {
        let seen = looks(
            "v1",
            None,
            &[Some("theirs"), Some("theirs"), Some("perhaps ours")],
        );
        assert_eq!(seen, [false, false, true]);
    }

    /// It is known from the conflict, though the first look finds the slot empty.
    #[test]
    fn an_owner_that_comes_back_after_the_first_look_is_the_one_that_was_there() {
        let lost_to = || Some((0, "theirs".to_owned()));
        let (theirs, free) = (Some("theirs"), None);
        let seen = looks_after(lost_to(), "v1", None, &[free, theirs, theirs]);
        assert_eq!(seen, [false; 3]);
        let seen = looks_after(lost_to(), "v1", None, &[free, theirs, Some("ours")]);
        assert_eq!(seen, [false, false, true]);
    }
}
