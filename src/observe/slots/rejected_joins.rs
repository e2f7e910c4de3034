//! Finds conflicts that no hash shows: the schema's hash is not known here, and a clustered gateway
//! accepts schemas that it never mounts.
//!
//! The gateway counts the replicas that it rejected, slot by slot. If the count grows with our own
//! Register and with our next heartbeat, the rejected replica is ours; somebody else's lurker also
//! makes it grow, but not at both moments.

use std::sync::Arc;
use std::time::Duration;

use ::http::{StatusCode, Uri};
use serde_json::Value;
use tokio::time::{Instant, timeout};

use super::look::{DIFFERENCE_TIMEOUT, LIST_TIMEOUT};
use crate::control::{ControlPlane, SlotList};
use crate::observe::http;
use crate::observe::verify;
use tower_gwag_schema::service::Resolved;

const TIMEOUT: Duration = Duration::from_secs(1);
/// Enough for an answer about more than a thousand services.
const MOST_BYTES: usize = 4 * 1024 * 1024;
/// How long a gateway takes to handle a call.
const SOON: Duration = Duration::from_millis(150);
const LATER: Duration = Duration::from_millis(600);
/// A gateway ignores a heartbeat within a second of the last one.
const BEAT_AFTER: Duration = Duration::from_millis(1_050);
/// A busy gateway may handle a registration late.
const USUAL: Duration = Duration::from_secs(30);
/// How often the count must grow because of us.
const PROOF: u32 = 2;
/// The same after an acquittal: foreign lurkers sometimes send heartbeats at the same moments.
const PROOF_AFTER_ACQUITTAL: u32 = 4;
/// How often a gateway that does not answer is asked again: while it is busy, nothing is known.
const RETRIES: u32 = 2;

/// How often the gateway has rejected a replica of each requested slot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rejected {
    counts: Vec<u64>,
    /// The gateway's latest reasons.
    reasons: Vec<String>,
}

/// The slots with an unknown hash, watched since their registration.
#[derive(Debug)]
pub(super) struct Joins {
    /// Indices into the list of services.
    services: Vec<usize>,
    base: Option<Rejected>,
    strikes: u32,
    /// How many rejections prove a conflict.
    needed: u32,
    /// Counts in a row without an answer.
    missed: u32,
    step: Step,
    due: Instant,
    registered: Instant,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Registered,
    RegisteredLater,
    /// The count just before a heartbeat.
    Beat,
    Beaten,
    Usual,
}

/// What follows from a count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// Send a heartbeat now.
    Beat,
    /// Another schema has the slot of this service; with the gateway's reason.
    Conflict(usize, String),
}

/// The result of a count.
#[derive(Debug, Default)]
pub(super) struct Count {
    pub(super) rejected: Option<Rejected>,
    /// The gateway did not answer.
    pub(super) is_missed: bool,
    /// For the message about a conflict: the gateway's list, and the difference.
    pub(super) list: Option<Arc<SlotList>>,
    pub(super) difference: Option<String>,
}

// === impl Count ===

impl Count {
    /// `doubtful`: the service about which there may be a message.
    pub(super) async fn at(
        http: Option<&Uri>,
        control: &ControlPlane,
        slots: &[String],
        doubtful: Option<&Resolved>,
    ) -> Self {
        let Some(http) = http else {
            return Self::default();
        };
        let asked = ask(http, slots).await;
        let mut count = Self {
            is_missed: asked.is_err(),
            rejected: asked.ok().flatten(),
            ..Self::default()
        };
        if let Some(service) = doubtful {
            let listed = timeout(LIST_TIMEOUT, control.slots(Instant::now())).await;
            count.list = listed.ok().flatten();
            let asked = timeout(DIFFERENCE_TIMEOUT, verify::difference(Some(http), service));
            count.difference = asked.await.ok().flatten();
        }
        count
    }
}

/// Asks the gateway; `None` if it does not say, or is not a gateway.
///
/// # Cancel safety
///
/// Cancel safe: it changes nothing.
pub(super) async fn rejected(base: &Uri, slots: &[String]) -> Option<Rejected> {
    ask(base, slots).await.ok().flatten()
}

/// There was no answer.
struct Missed;

async fn ask(base: &Uri, slots: &[String]) -> Result<Option<Rejected>, Missed> {
    let base = base.to_string();
    let uri = format!("{}/api/admin/services", base.trim_end_matches('/'));
    let Ok(uri) = uri.parse::<Uri>() else {
        return Ok(None);
    };
    let Ok(Ok((status, body))) = timeout(TIMEOUT, http::get(&uri)).await else {
        return Err(Missed);
    };
    if status != StatusCode::OK || weight(&body) > MOST_BYTES {
        return Ok(None);
    }
    let answer = serde_json::from_slice(&body).ok();
    Ok(answer.and_then(|answer| read(&answer, slots)))
}

/// An upper bound for the parsed size of JSON: many short values take far more than their text.
fn weight(json: &[u8]) -> usize {
    let of = |byte| match byte {
        // A tree allocates a node for its first value.
        b'{' => 700,
        b',' | b'[' => 2 * size_of::<Value>(),
        _ => 1,
    };
    json.iter().map(|byte| of(*byte)).sum()
}

/// A slot that is not listed has no rejections yet.
fn read(answer: &Value, slots: &[String]) -> Option<Rejected> {
    let services = answer.get("services")?.as_array()?;
    let of = |slot: &String| {
        let (namespace, version) = slot.rsplit_once('/')?;
        let service = services
            .iter()
            .find(|it| it["namespace"] == namespace && it["version"] == version)?;
        let joins = &service["rejectedJoins"];
        let reason = joins["lastReason"].as_str().unwrap_or_default();
        Some((joins["count"].as_u64()?, reason.to_owned()))
    };
    let found = slots.iter().map(|slot| of(slot).unwrap_or_default());
    let (counts, reasons) = found.unzip();
    Some(Rejected { counts, reasons })
}

// === impl Joins ===

impl Joins {
    /// `base`: the counts before the Register.
    pub(super) fn new(services: Vec<usize>, base: Option<Rejected>, now: Instant) -> Self {
        Self {
            services,
            base,
            strikes: 0,
            needed: PROOF,
            missed: 0,
            step: Step::Registered,
            due: now + SOON,
            registered: now,
        }
    }

    pub(super) fn due(&self) -> Instant {
        self.due
    }

    /// Indices into the list of services.
    pub(super) fn services(&self) -> &[usize] {
        &self.services
    }

    /// Whether the next count may prove a conflict.
    pub(super) fn is_doubtful(&self) -> bool {
        self.step == Step::Beaten && self.strikes > 0
    }

    /// Whether nothing is known about the registration yet.
    pub(super) fn is_open(&self) -> bool {
        self.step != Step::Usual
    }

    /// Acquits the registration: a call from the gateway has arrived, so it has mounted this
    /// replica; or the count did not grow because of us.
    pub(super) fn acquit(&mut self, now: Instant) {
        self.needed = PROOF_AFTER_ACQUITTAL;
        self.rest(now);
    }

    fn rest(&mut self, now: Instant) {
        (self.strikes, self.step, self.due) = (0, Step::Usual, now + USUAL);
    }

    /// The gateway did not answer; whether it is asked again soon.
    pub(super) fn miss(&mut self, now: Instant) -> bool {
        let again = self.is_open() && self.missed < RETRIES;
        if again {
            self.missed += 1;
            self.due = now + SOON;
        }
        again
    }

    pub(super) fn see(&mut self, rejected: Option<Rejected>, now: Instant) -> Found {
        self.missed = 0;
        let Some(rejected) = rejected else {
            // No gateway, or one without counts: nothing can be known.
            self.rest(now);
            return Found::Nothing;
        };
        let grown = self.base.as_ref().and_then(|base| {
            let counts = rejected.counts.iter().zip(&base.counts);
            counts.into_iter().position(|(now, before)| now > before)
        });
        let had_base = self.base.is_some();
        let reasons = rejected.reasons.clone();
        self.base = Some(rejected);
        match (self.step, grown) {
            (Step::Beat, _) => {
                (self.step, self.due) = (Step::Beaten, now + SOON);
                return Found::Beat;
            }
            (Step::Beaten, None) => self.acquit(now),
            (Step::Registered | Step::Beaten, Some(at)) => {
                self.strikes += 1;
                let service = self.services.get(at).copied();
                if let (true, Some(service)) = (self.strikes >= self.needed, service) {
                    self.rest(now);
                    return Found::Conflict(service, reasons.get(at).cloned().unwrap_or_default());
                }
                let earliest = self.registered.max(now - SOON) + BEAT_AFTER;
                (self.step, self.due) = (Step::Beat, earliest.max(now));
            }
            // Heartbeats will show whose rejection it was. The same without an earlier count.
            (Step::RegisteredLater | Step::Usual, Some(_)) => {
                (self.step, self.due) = (Step::Beat, now.max(self.registered + BEAT_AFTER));
            }
            (Step::Registered, None) if had_base => {
                (self.step, self.due) = (Step::RegisteredLater, self.registered + LATER);
            }
            (Step::Registered, None) => {
                (self.step, self.due) = (Step::Beat, self.registered + BEAT_AFTER);
            }
            (Step::RegisteredLater | Step::Usual, None) => self.acquit(now),
        }
        Found::Nothing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rejected(count: u64) -> Option<Rejected> {
        let answer = serde_json::json!({"services": [
            {"namespace": "a", "version": "v1", "replicaCount": 1},
            {"namespace": "b", "version": "v1", "rejectedJoins":
                {"count": count, "lastReason": "different schema hash", "lastUnixMs": 1}},
        ]});
        read(&answer, &["a/v1".to_owned(), "b/v1".to_owned()])
    }

    /// What follows from these counts, one after the other, each when it is due.
    fn found(base: Option<Rejected>, counts: &[u64]) -> (Vec<Found>, Duration) {
        let start = Instant::now();
        let mut joins = Joins::new(vec![3, 5], base, start);
        let see = |count: &u64| joins.see(rejected(*count), joins.due());
        let found = counts.iter().map(see).collect();
        (found, joins.due() - start)
    }

    #[test]
    fn a_count_that_grows_with_the_register_and_a_beat_is_a_conflict() {
        let (found, took) = found(rejected(0), &[1, 1, 2]);
        let conflict = Found::Conflict(5, "different schema hash".to_owned());
        assert_eq!(found, [Found::Nothing, Found::Beat, conflict]);
        assert!(took - USUAL < Duration::from_millis(1_500), "{took:?}");
    }

    #[test]
    fn the_growth_of_somebody_elses_is_none() {
        for counts in [
            &[1, 1, 1][..],
            &[0, 0],
            &[0, 1, 1, 1],
            &[0, 0, 9, 9, 9],
            &[0, 0, 1, 1, 2, 2, 3, 3, 3],
        ] {
            let (found, _) = found(rejected(0), counts);
            assert!(
                !found.iter().any(|it| matches!(it, Found::Conflict(..))),
                "{counts:?}"
            );
        }
    }

    #[test]
    fn a_conflict_that_begins_later_takes_more_beats() {
        let (found, _) = found(rejected(0), &[0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5]);
        let (last, before) = found.split_last().expect("counts");
        assert!(matches!(last, Found::Conflict(5, _)), "{found:?}");
        assert!(!before.iter().any(|it| matches!(it, Found::Conflict(..))));
    }

    #[test]
    fn without_a_count_from_before_two_beats_tell() {
        let (found, _) = found(None, &[7, 7, 8, 8, 9]);
        assert!(
            matches!(found.last(), Some(Found::Conflict(5, _))),
            "{found:?}"
        );
    }

    #[test]
    fn a_gateway_that_does_not_answer_is_asked_again_before_anything_is_claimed() {
        let start = Instant::now();
        let mut joins = Joins::new(vec![3, 5], rejected(0), start);
        assert!(joins.miss(joins.due()));
        assert!(joins.is_open());
        let seen = [1, 1, 2].map(|count| joins.see(rejected(count), joins.due()));
        assert!(matches!(seen[2], Found::Conflict(5, _)), "{seen:?}");
        // Nobody waits forever for a gateway without that page.
        let mut joins = Joins::new(vec![3, 5], rejected(0), start);
        let asked = (0..).take_while(|_| joins.miss(joins.due())).count();
        assert_eq!(asked, 2);
        assert_eq!(joins.see(None, joins.due()), Found::Nothing);
        assert!(!joins.is_open());
    }

    #[test]
    fn what_would_fill_the_memory_is_not_read() {
        let service = r#"{"namespace":"pets","version":"v1","hashHex":"0123456789abcdef0123456789abcdef","replicaCount":3,"rejectedJoins":{"count":0,"lastReason":""}},"#;
        assert!(weight(service.repeat(1_000).as_bytes()) <= MOST_BYTES);
        for hostile in ["0,", "{},", "[],", r#"{"":0},"#, "[0],"] {
            let answer = hostile.repeat(1_000_000 / hostile.len());
            assert!(weight(answer.as_bytes()) > MOST_BYTES, "{hostile}");
        }
    }

    #[test]
    fn a_server_that_is_not_a_gateway_proves_nothing() {
        for answer in [
            serde_json::json!({"data": null, "errors": [{"message": "Must provide an operation."}]}),
            serde_json::json!([]),
            serde_json::json!({"services": null}),
        ] {
            assert_eq!(read(&answer, &["a/v1".to_owned()]), None);
        }
    }
}
