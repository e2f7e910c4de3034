//! Looks before a call: who holds the slots before a Register, and whether they are still ours
//! before a heartbeat.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use tokio::time::{Instant, timeout};

use super::rejected_joins::{self, Rejected};
use crate::control::{CallError, ControlPlane, SlotList};
use crate::error::{Error, ErrorKind};
use crate::observe::verify::{self, Expected};
use tower_gwag_schema::service::Resolved;

/// The timeout for finding out who has a service's slot.
const LOOK_TIMEOUT: Duration = Duration::from_secs(3);

/// The timeout for finding the difference from another schema that has the slot.
const DIFFERENCE_TIMEOUT: Duration = Duration::from_secs(1);

/// The timeout of the look before a heartbeat, which must not be late.
const GUARD_TIMEOUT: Duration = Duration::from_millis(500);

/// The slots that were last seen to be ours, with our hashes: a heartbeat is sent only while this
/// holds.
pub(crate) type Guard = Vec<(String, String)>;

/// What was seen before a Register.
#[derive(Clone, Debug, Default)]
pub(crate) struct Before {
    /// The services that the Register left out.
    pub(crate) aside: BTreeSet<usize>,
    pub(crate) list: Option<Arc<SlotList>>,
    pub(crate) rejected: Option<Rejected>,
}

// === impl Before ===

impl Before {
    /// A clustered gateway accepts a conflicting schema and lets it lurk: so such a schema is not
    /// sent, and one that waits for its slot (`needs_look`) only after the list was seen.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: it changes nothing.
    pub(crate) async fn look(
        control: &ControlPlane,
        expected: &[Expected],
        services: &[Resolved],
        http: Option<&Uri>,
        needs_look: bool,
    ) -> Result<Self, CallError> {
        let has_unstable = expected.iter().any(|it| it.is_unstable);
        let look = async {
            // A standalone gateway refuses by itself.
            let is_clustered = control.is_clustered().await?;
            let list = match is_clustered || has_unstable {
                true => control.slots(Instant::now()).await,
                false => None,
            };
            Some((list?, is_clustered))
        };
        let rejected = async {
            let unsure = expected
                .iter()
                .filter(|it| !it.is_unstable && it.hash.is_none());
            let unsure: Vec<String> = unsure.map(Expected::name).collect();
            rejected_joins::rejected(http.filter(|_| !unsure.is_empty())?, &unsure).await
        };
        let look = timeout(LOOK_TIMEOUT, look);
        let (look, rejected) = tokio::join!(look, rejected);
        let Ok(Some((list, is_clustered))) = look else {
            if needs_look {
                let target = control.gateway().target();
                let text = format!(
                    "the gateway {target} does not list its services, so it is unknown whether the \
                     taken name is free again: nothing is registered until it does"
                );
                let error = Error::new(ErrorKind::Unavailable, text);
                return Err(CallError::NotSent(error));
            }
            // Without an answer nothing is known.
            return Ok(Self {
                rejected,
                ..Self::default()
            });
        };
        let taken = expected
            .iter()
            .enumerate()
            .filter(|(_, it)| !it.is_unstable);
        let taken = taken.filter(|_| is_clustered).find_map(|(at, it)| {
            let (ours, theirs) = (it.hash.as_deref()?, list.hash(&it.name())?);
            (ours != theirs).then_some((at, it.name(), ours, theirs))
        });
        if let Some((at, name, ours, theirs)) = taken {
            let difference = async { verify::difference(http, services.get(at)?).await };
            let difference = timeout(DIFFERENCE_TIMEOUT, difference).await.ok().flatten();
            let conflict = verify::Conflict {
                gateway: &control.gateway().target().to_string(),
                slot: &name,
                ours: Some(ours),
                theirs,
                difference: difference.as_deref(),
            };
            return Err(CallError::Refused(conflict.taken()));
        }
        Ok(Self {
            list: Some(list),
            rejected,
            ..Self::default()
        })
    }
}

/// Whether a slot has another schema than the guard requires.
pub(crate) async fn is_lost(control: &ControlPlane, guard: &Guard) -> bool {
    if guard.is_empty() {
        return false;
    }
    let list = timeout(GUARD_TIMEOUT, control.slots(Instant::now())).await;
    let Ok(Some(list)) = list else { return false };
    let is_other = |(slot, ours): &(String, String)| list.hash(slot).is_some_and(|it| it != ours);
    guard.iter().any(is_other)
}
