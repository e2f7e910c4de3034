//! An identity that only one process has at a time: what its former life left on the gateway is
//! removed at the start, and a process whose successor is there stays out (contract, Takeover).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::timeout;

use crate::control::{CallError, ControlPlane};
use crate::error::{Error, ErrorKind};

/// For the list; a gateway that takes longer is asked again.
const LIST_TIMEOUT: Duration = Duration::from_secs(5);

/// One process's claim to an identity.
#[derive(Debug)]
pub(super) struct Exclusive {
    identity: String,
    /// Grows from life to life: milliseconds since 1970, or one more than that of a former life
    /// whose clock was ahead.
    incarnation: AtomicU64,
    taken_over: AtomicBool,
}

// === impl Exclusive ===

impl Exclusive {
    pub(super) fn new(identity: String) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let millis = now.map_or(0, |now| u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        Self {
            identity,
            incarnation: AtomicU64::new(millis),
            taken_over: AtomicBool::new(false),
        }
    }

    /// As it goes over the wire.
    pub(super) fn instance_id(&self) -> String {
        let incarnation = self.incarnation.load(Ordering::Relaxed);
        format!("{}#{incarnation}", self.identity)
    }

    /// Before each Register: takes over at the first, and later looks whether somebody else did.
    pub(super) async fn settle(&self, control: &ControlPlane) -> Result<(), CallError> {
        let listed = timeout(LIST_TIMEOUT, control.registrations()).await;
        let listed = listed.map_err(|elapsed| {
            let message = "the gateway does not list its registrations in time; it is asked again";
            let error = Error::new(ErrorKind::TimedOut, message);
            CallError::NotSent(error.caused_by(elapsed))
        })??;
        let own = self.incarnation.load(Ordering::Relaxed);
        let others = listed
            .into_iter()
            .filter_map(|it| Some((self.incarnation_of(&it.instance_id)?, it)))
            .filter(|(incarnation, _)| *incarnation != own);
        if self.taken_over.load(Ordering::Relaxed) {
            return match others.map(|(incarnation, _)| incarnation).max() {
                Some(youngest) if youngest > own => Err(CallError::Refused(self.displaced())),
                _ => Ok(()),
            };
        }
        let mut youngest = own;
        for (incarnation, former) in others {
            control.deregister(former.registration_id).await?;
            youngest = youngest.max(incarnation.saturating_add(1));
            tracing::info!(
                target: "tower_gwag",
                "took over: removed {} of a former life, {}", former.addr, former.instance_id
            );
        }
        self.incarnation.store(youngest, Ordering::Relaxed);
        self.taken_over.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn incarnation_of(&self, instance_id: &str) -> Option<u64> {
        let (identity, incarnation) = instance_id.rsplit_once('#')?;
        if identity != self.identity {
            return None;
        }
        incarnation.parse().ok()
    }

    fn displaced(&self) -> Error {
        Error::new(
            ErrorKind::Displaced,
            format!(
                "a younger process is `{}` now; this one stays out. Stop it, or give each process \
                 an exclusive_instance of its own",
                self.identity
            ),
        )
    }
}
