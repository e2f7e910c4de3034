//! One look at the slots: who has them, and by the lists of registrations, whose replicas those are.

use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use tokio::time::{Instant, timeout};

use super::holders::Entries;
use crate::control::{ControlPlane, SlotList};
use crate::observe::verify;
use tower_gwag_schema::service::Resolved;

pub(super) const LIST_TIMEOUT: Duration = Duration::from_secs(3);
/// The timeout for the lists of registrations of all nodes.
const ENTRIES_TIMEOUT: Duration = Duration::from_secs(1);
/// The timeout for finding a difference, which only goes into messages.
pub(super) const DIFFERENCE_TIMEOUT: Duration = Duration::from_millis(600);

/// The gateways to ask.
#[derive(Clone, Debug)]
pub(crate) struct Gateways {
    /// The gateway with the registration.
    pub(crate) control: ControlPlane,
    /// The other gateways of the options, which may be nodes of the same cluster.
    pub(crate) others: Vec<ControlPlane>,
}

/// Slots, and the hashes in them, whose holder must be found out.
pub(super) type Doubts = Vec<(usize, String)>;

/// The result of a look.
pub(super) struct Look {
    pub(super) list: Option<Arc<SlotList>>,
    pub(super) doubts: Doubts,
    /// New lists of registrations, and the number of nodes.
    pub(super) asked: Option<(Arc<Entries>, usize)>,
    pub(super) difference: Option<(usize, String, Option<String>)>,
}

/// An `unstable` slot as last seen.
pub(super) struct Contested {
    pub(super) service: usize,
    pub(super) name: String,
    pub(super) hash: Option<String>,
    pub(super) rival: Option<String>,
}

// === impl Look ===

impl Look {
    /// Lists of registrations are read only for doubts that are not `known`.
    pub(super) async fn at(
        gateways: &Gateways,
        contests: &[Contested],
        known: Option<Doubts>,
    ) -> Self {
        let since = Instant::now();
        let list = timeout(LIST_TIMEOUT, gateways.control.slots(since)).await;
        let mut look = Self {
            list: list.ok().flatten(),
            doubts: Doubts::new(),
            asked: None,
            difference: None,
        };
        let Some(list) = &look.list else {
            return look;
        };
        look.doubts = contests
            .iter()
            .filter_map(|it| {
                let seen = list.hash(&it.name);
                let other = seen.filter(|seen| it.hash.as_deref() != Some(seen));
                let doubt = other.map(str::to_owned).or_else(|| it.rival.clone())?;
                Some((it.service, doubt))
            })
            .collect();
        if look.doubts.is_empty() || known.as_ref() == Some(&look.doubts) {
            return look;
        }
        look.asked = entries(gateways).await;
        look
    }

    /// Compares the first service in doubt with the schema that has its slot, unless that is `told`.
    pub(super) async fn compare(
        &mut self,
        told: Option<&(usize, String)>,
        http: Option<&Uri>,
        services: &[Resolved],
    ) {
        let doubt = self.doubts.first().filter(|it| told != Some(*it));
        let Some((service, hash)) = doubt.cloned() else {
            return;
        };
        if let Some(resolved) = services.get(service) {
            let difference = timeout(DIFFERENCE_TIMEOUT, verify::difference(http, resolved));
            self.difference = Some((service, hash, difference.await.ok().flatten()));
        }
    }
}

/// The registrations of all reachable nodes, and the number of nodes.
async fn entries(gateways: &Gateways) -> Option<(Arc<Entries>, usize)> {
    let control = &gateways.control;
    let (nodes, listed) = tokio::join!(
        timeout(ENTRIES_TIMEOUT, control.nodes()),
        timeout(ENTRIES_TIMEOUT, control.unstable_entries())
    );
    let nodes = nodes.ok()??;
    let mut entries = Entries::of_nodes(nodes);
    match listed {
        Ok(Ok(listed)) => entries.add(listed),
        Ok(Err(_)) | Err(_) => entries.is_unread(),
    }
    if !entries.is_complete() {
        let behind_the_name = control.other_nodes().await;
        for other in gateways.others.iter().chain(&behind_the_name) {
            if let Ok(Ok(listed)) = timeout(ENTRIES_TIMEOUT, other.unstable_entries()).await {
                entries.add(listed);
            }
        }
    }
    Some((Arc::new(entries), nodes))
}
