//! What the nodes of a cluster share: the bucket of replicas, and the list of peers.
//!
//! A node puts its replicas into the bucket, and the reconciler of every node, its own too, mounts
//! them. Entries live 30 s, and expire without a notification.

mod peers;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

pub(super) use self::peers::Forgotten;
use self::peers::Peers;
use super::registry::Lasting;
use super::registry::binding::{Binding, Key};

/// How long an entry lives after it was put.
const ENTRY_LIFE: Duration = Duration::from_secs(30);

/// The largest entry, in bytes.
pub(super) const MAX_ENTRY: usize = 1 << 20;

/// The store closes the connection of a node that puts a longer namespace.
pub(super) const FATAL_NAMESPACE: usize = 4000;

/// One replica in the bucket.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) registration: String,
    pub(super) addr: String,
    pub(super) binding: Arc<Binding>,
    /// The node that accepted the registration.
    pub(super) owner: String,
}

/// A change in the bucket, as nodes receive it.
#[derive(Clone, Debug)]
pub(super) enum Change {
    Put(Arc<Entry>),
    /// The slot and the registration of a replica that left.
    Delete(Key, String),
    Deprecated(Key, Option<String>),
}

/// A change, and when it reaches the node.
#[derive(Debug)]
pub(super) struct Event {
    pub(super) due: Instant,
    pub(super) change: Change,
}

/// A node's subscription to changes.
#[derive(Debug)]
pub(super) struct Watch {
    pub(super) events: mpsc::UnboundedReceiver<Event>,
    /// Events that were sent and not yet handled.
    pub(super) pending: Arc<AtomicUsize>,
}

#[derive(Debug, Default)]
pub(super) struct Cluster {
    lasting: Arc<Mutex<Lasting>>,
    shared: Mutex<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    bucket: BTreeMap<(Key, String), Stored>,
    watchers: BTreeMap<String, Watcher>,
    peers: Peers,
}

#[derive(Debug)]
struct Stored {
    entry: Arc<Entry>,
    put_at: Instant,
}

#[derive(Debug)]
struct Watcher {
    sender: mpsc::UnboundedSender<Event>,
    pending: Arc<AtomicUsize>,
    delay: Duration,
}

impl Watcher {
    fn tell(&self, change: Change) {
        let due = Instant::now() + self.delay;
        self.pending.fetch_add(1, Ordering::SeqCst);
        // Fails if the node is dead; it will be detached soon.
        if self.sender.send(Event { due, change }).is_err() {
            self.pending.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Shared {
    fn tell_all(&self, change: &Change) {
        for watcher in self.watchers.values() {
            watcher.tell(change.clone());
        }
    }

    fn forget_aged(&mut self) {
        self.bucket
            .retain(|_, stored| stored.put_at.elapsed() <= ENTRY_LIFE);
    }
}

impl Cluster {
    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Stable aliases and deprecations, which the store keeps across restarts.
    pub(super) fn lasting(&self) -> Arc<Mutex<Lasting>> {
        Arc::clone(&self.lasting)
    }

    /// Attaches a starting node: it receives everything in the bucket, and then every change.
    pub(super) fn attach(&self, node: &str, name: &str, delay: Duration) -> Watch {
        let mut shared = self.shared();
        shared.forget_aged();
        shared.peers.joined(node, name);
        let (sender, events) = mpsc::unbounded_channel();
        let pending = Arc::new(AtomicUsize::new(0));
        let watcher = Watcher {
            sender,
            pending: Arc::clone(&pending),
            delay,
        };
        // In the order in which they were written: of two entries that want one slot the older one
        // gets it.
        let mut all: Vec<&Stored> = shared.bucket.values().collect();
        all.sort_by_key(|stored| stored.put_at);
        for stored in all {
            watcher.tell(Change::Put(Arc::clone(&stored.entry)));
        }
        shared.watchers.insert(node.to_owned(), watcher);
        Watch { events, pending }
    }

    /// Detaches a dead node. Its entries stay.
    pub(super) fn detach(&self, node: &str) {
        let mut shared = self.shared();
        shared.watchers.remove(node);
        shared.peers.died(node);
    }

    /// Why a node cannot start now: an entry that cannot be rendered.
    pub(super) fn poison(&self) -> Option<String> {
        let mut shared = self.shared();
        shared.forget_aged();
        shared.bucket.values().find_map(|stored| {
            let reason = stored.entry.binding.unrenderable.as_ref()?;
            Some(format!("{}: {reason}", stored.entry.binding.name()))
        })
    }

    /// Called at a Register and at every heartbeat, however soon: real gateways mount the entry
    /// again each time.
    pub(super) fn put(&self, entry: Entry) {
        let mut shared = self.shared();
        let entry = Arc::new(entry);
        let stored = Stored {
            entry: Arc::clone(&entry),
            put_at: Instant::now(),
        };
        let key = (entry.binding.key.clone(), entry.registration.clone());
        shared.bucket.insert(key, stored);
        shared.tell_all(&Change::Put(entry));
    }

    pub(super) fn delete(&self, key: &Key, registration: &str) {
        let mut shared = self.shared();
        let id = (key.clone(), registration.to_owned());
        shared.bucket.remove(&id);
        shared.tell_all(&Change::Delete(id.0, id.1));
    }

    pub(super) fn deprecated(&self, key: Key, reason: Option<String>) {
        self.shared().tell_all(&Change::Deprecated(key, reason));
    }

    pub(super) fn list_peers(&self) -> Vec<tower_gwag::control::proto::Peer> {
        self.shared().peers.list()
    }

    pub(super) fn forget_peer(&self, node: &str) -> Forgotten {
        self.shared().peers.forget(node)
    }
}
