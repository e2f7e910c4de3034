//! Counts control-plane calls for the assertions of tests.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

use super::rpc::Rpc;

/// How often one control-plane call was received, and how it ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RpcCount {
    /// Calls whose request arrived completely.
    pub received: u64,
    /// Calls that were answered, including refusals.
    pub answered: u64,
    /// Calls in progress.
    pub in_flight: u64,
    /// Calls that the client gave up on the wire, by a reset or a lost connection.
    pub cancelled: u64,
}

/// All counts of an embedded gateway since its start, across restarts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RpcCounts {
    /// By call; a call that was never received has no entry.
    pub by_rpc: BTreeMap<Rpc, RpcCount>,
    /// The largest number of mutating calls in flight at one time, by registration id (Heartbeat
    /// and Deregister).
    pub most_mutating_by_registration: BTreeMap<String, usize>,
    /// The largest number of mutating calls in flight at one time, by instance id (Register, and
    /// Heartbeat and Deregister of its registrations). The instance id is the free text of Register
    /// and may be empty.
    pub most_mutating_by_instance: BTreeMap<String, usize>,
    /// Mutating calls (Register, Heartbeat, Deregister) that the client gave up on the wire.
    pub mutating_cancelled: u64,
}

impl RpcCounts {
    /// The count of one call, all zero if it was never received.
    #[must_use]
    pub fn of(&self, rpc: Rpc) -> RpcCount {
        self.by_rpc.get(&rpc).copied().unwrap_or_default()
    }
}

/// The registration or instance that a mutating call is about.
#[derive(Clone, Debug)]
pub(super) enum Subject {
    Nobody,
    Instance(String),
    Registration(String),
}

#[derive(Debug, Default)]
pub(super) struct RpcCounter(Mutex<Totals>);

#[derive(Debug, Default)]
struct Totals {
    counts: RpcCounts,
    now_by_registration: BTreeMap<String, usize>,
    now_by_instance: BTreeMap<String, usize>,
    /// Kept forever: a heartbeat may arrive for an id that was evicted.
    instance_of: BTreeMap<String, String>,
}

impl RpcCounter {
    fn books(&self) -> MutexGuard<'_, Totals> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn counts(&self) -> RpcCounts {
        self.books().counts.clone()
    }

    /// Records the instance of a registration id.
    pub(super) fn registered(&self, id: &str, instance: &str) {
        self.books()
            .instance_of
            .insert(id.to_owned(), instance.to_owned());
    }

    /// Records a received call. Dropping the [`Call`] ends its time in flight; dropping the
    /// [`Mutation`] ends its handling, which continues when the client gives up.
    pub(super) fn begin(
        self: &Arc<Self>,
        rpc: Rpc,
        subject: Subject,
        life: CancellationToken,
    ) -> (Call, Arc<Mutation>) {
        let mut books = self.books();
        let count = books.counts.by_rpc.entry(rpc).or_default();
        count.received += 1;
        count.in_flight += 1;
        let (registration, instance) = match subject {
            Subject::Nobody => (None, None),
            Subject::Instance(instance) => (None, Some(instance)),
            Subject::Registration(id) => {
                let instance = books.instance_of.get(&id).cloned();
                (Some(id), instance)
            }
        };
        let Totals {
            counts,
            now_by_registration,
            now_by_instance,
            ..
        } = &mut *books;
        if let Some(id) = &registration {
            let most = &mut counts.most_mutating_by_registration;
            enter(now_by_registration, most, id);
        }
        if let Some(instance) = &instance {
            enter(
                now_by_instance,
                &mut counts.most_mutating_by_instance,
                instance,
            );
        }
        drop(books);
        let call = Call {
            rpc_counter: Arc::clone(self),
            rpc,
            answered: false,
            life,
        };
        let mutation = Mutation {
            rpc_counter: Arc::clone(self),
            registration,
            instance,
        };
        (call, Arc::new(mutation))
    }
}

fn enter(now: &mut BTreeMap<String, usize>, most: &mut BTreeMap<String, usize>, key: &str) {
    let current = change(now, key, |count| count + 1);
    change(most, key, |count| count.max(current));
}

/// Entries stay at zero: ids are few, and heartbeats frequent.
fn leave(now: &mut BTreeMap<String, usize>, key: &str) {
    change(now, key, |count| count.saturating_sub(1));
}

fn change(
    counts: &mut BTreeMap<String, usize>,
    key: &str,
    change: impl FnOnce(usize) -> usize,
) -> usize {
    match counts.get_mut(key) {
        Some(count) => {
            *count = change(*count);
            *count
        }
        None => {
            let count = change(0);
            counts.insert(key.to_owned(), count);
            count
        }
    }
}

/// A call in flight; if dropped before its end is known, the client cancelled it.
#[derive(Debug)]
pub(super) struct Call {
    rpc_counter: Arc<RpcCounter>,
    rpc: Rpc,
    answered: bool,
    /// Cancelled when the gateway is killed: then the client did not give up.
    life: CancellationToken,
}

impl Call {
    pub(super) fn answered(mut self) {
        self.answered = true;
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let mut books = self.rpc_counter.books();
        let counts = &mut books.counts;
        let count = counts.by_rpc.entry(self.rpc).or_default();
        count.in_flight -= 1;
        if self.answered {
            count.answered += 1;
        } else if !self.life.is_cancelled() {
            count.cancelled += 1;
            if self.rpc.is_mutating() {
                counts.mutating_cancelled += 1;
            }
        }
    }
}

/// A mutating call that is being handled.
#[derive(Debug)]
pub(super) struct Mutation {
    rpc_counter: Arc<RpcCounter>,
    registration: Option<String>,
    instance: Option<String>,
}

impl Drop for Mutation {
    fn drop(&mut self) {
        let mut books = self.rpc_counter.books();
        if let Some(id) = &self.registration {
            leave(&mut books.now_by_registration, id);
        }
        if let Some(instance) = &self.instance {
            leave(&mut books.now_by_instance, instance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_seen_by_registration_and_by_instance() {
        let rpc_counter = Arc::new(RpcCounter::default());
        rpc_counter.registered("id", "pod");
        let life = CancellationToken::new();
        let id = || Subject::Registration("id".into());
        let beat = rpc_counter.begin(Rpc::Heartbeat, id(), life.clone());
        let leave = rpc_counter.begin(Rpc::Deregister, id(), life.clone());
        let pod = Subject::Instance("pod".into());
        let register = rpc_counter.begin(Rpc::Register, pod, life.clone());
        let counts = rpc_counter.counts();
        assert_eq!(counts.most_mutating_by_registration["id"], 2);
        assert_eq!(counts.most_mutating_by_instance["pod"], 3);
        assert_eq!(counts.of(Rpc::Heartbeat).in_flight, 1);
        beat.0.answered();
        drop(leave);
        life.cancel();
        drop(register);
        let counts = rpc_counter.counts();
        assert_eq!(counts.of(Rpc::Heartbeat).answered, 1);
        assert_eq!(counts.of(Rpc::Deregister).cancelled, 1);
        assert_eq!(counts.of(Rpc::Register).cancelled, 0);
        assert_eq!(counts.mutating_cancelled, 1);
    }
}
