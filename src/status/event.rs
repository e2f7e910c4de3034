//! What happens in the life of a registration.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{LeaveReport, Status};

/// What [`Options::on_event`](crate::Options::on_event) was given.
pub(crate) type EventCallback = Arc<dyn Fn(&Event) + Send + Sync>;

/// Something that happened; [`Options::on_event`](crate::Options::on_event) is called with each.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The state changed.
    StatusChanged(Status),
    /// The gateway took the registration, for the first time or again.
    #[non_exhaustive]
    Registered {
        /// The id under which the gateway knows it.
        registration_id: String,
        /// The granted lease.
        ttl: Duration,
        /// The address that was advertised.
        address: String,
    },
    /// The server is wired only in part; the text has the missing line of code.
    HalfWired(String),
    /// The gateway can probably not call the advertised address: it cannot be dialled from another
    /// host, nothing accepts connections there, or the server wants TLS where the gateway has none.
    /// The text says what to do.
    SuspiciousAddress(String),
    /// The service has been listed for five minutes, and no call came: nothing proves that the
    /// gateway reaches it. Said once.
    Uncalled(String),
    /// After its restart the gateway has replicas of the service that no registration stands behind
    /// and nobody can remove; the text says what follows.
    Ghosts(String),
    /// The registration's own task panicked, and goes on if it can; the text says why. Please
    /// report it.
    Panicked(String),
    /// The registration has ended.
    Left(LeaveReport),
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StatusChanged(status) => write!(f, "{status}"),
            Self::Registered {
                registration_id,
                ttl,
                address,
            } => write!(
                f,
                "Registered {address} as {registration_id}, TTL {} s",
                ttl.as_secs()
            ),
            Self::HalfWired(text)
            | Self::SuspiciousAddress(text)
            | Self::Uncalled(text)
            | Self::Ghosts(text)
            | Self::Panicked(text) => f.write_str(text),
            Self::Left(report) => write!(f, "{report}"),
        }
    }
}
