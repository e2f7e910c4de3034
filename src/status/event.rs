//! The events in the life of a registration.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{LeaveReport, Status};

/// The callback of [`Options::on_event`](crate::Options::on_event).
pub(crate) type EventCallback = Arc<dyn Fn(&Event) + Send + Sync>;

/// An event in the life of a registration, for [`Options::on_event`](crate::Options::on_event).
///
/// # Examples
///
/// ```
/// use tower_gwag::{Event, Options};
///
/// let options = Options::new("gateway:50090").on_event(|event| match event {
///     Event::StatusChanged(status) => println!("{status}"),
///     Event::Left(report) => println!("{report}"),
///     other => eprintln!("{other}"),
/// });
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The state changed.
    StatusChanged(Status),
    /// The gateway accepted the registration, for the first time or again.
    #[non_exhaustive]
    Registered {
        /// The id under which the gateway knows it.
        registration_id: String,
        /// The granted lease.
        ttl: Duration,
        /// The address that was advertised.
        address: String,
    },
    /// The server is wired incompletely; the text has the missing line of code.
    HalfWired(String),
    /// The gateway can probably not call the advertised address: it cannot be dialled from another
    /// host, nothing accepts connections there, or the server wants TLS where the gateway has none.
    /// The text says what to do.
    SuspiciousAddress(String),
    /// The service has been listed for five minutes without a call: nothing proves that the gateway
    /// can reach it. Reported once.
    Uncalled(String),
    /// After a restart, the gateway has replicas of the service without an entry, which nobody can
    /// remove; the text describes the consequences.
    Ghosts(String),
    /// The registration's own task panicked; it continues if it can. The text has the panic
    /// message. Please report it.
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
