//! The log lines of one registration: one for each event, with the fields that identify it.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::{Level, Span};

use super::State;
use crate::error::ErrorKind;

/// The fields of all log lines of a registration, as far as they are known.
#[derive(Debug, Default)]
pub(crate) struct Log {
    span: OnceLock<Span>,
    fields: Mutex<Fields>,
}

#[derive(Clone, Debug, Default)]
struct Fields {
    namespaces: Option<String>,
    instance: Option<String>,
    gateway: Option<String>,
    registration_id: Option<String>,
}

// === impl Log ===

impl Log {
    /// Each field is only replaced whole, so all are valid after a panic.
    fn fields(&self) -> MutexGuard<'_, Fields> {
        self.fields.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets the services, as "namespace/version".
    pub(crate) fn of_services(&self, names: impl Iterator<Item = String>) {
        let namespaces = names.collect::<Vec<_>>().join(",");
        // Without fields: each line has them, and would show them twice.
        self.span
            .get_or_init(|| tracing::info_span!(target: "tower_gwag", "registration"));
        self.fields().namespaces = Some(namespaces);
    }

    pub(crate) fn of_instance(&self, instance: String) {
        self.fields().instance = Some(instance);
    }

    /// Sets the gateway that the registration talks to from now on.
    pub(crate) fn of_gateway(&self, gateway: String) {
        self.fields().gateway = Some(gateway);
    }

    /// Sets the registration's id at the gateway; `None` when the gateway no longer knows it.
    pub(crate) fn of_entry(&self, registration_id: Option<String>) {
        self.fields().registration_id = registration_id;
    }

    /// The span of the registration, once its services are known.
    pub(crate) fn span(&self) -> Span {
        self.span.get().cloned().unwrap_or_else(Span::none)
    }

    /// Writes one log line.
    pub(crate) fn say(&self, level: Level, state: State, kind: Option<ErrorKind>, text: &str) {
        let line: Vec<&str> = text.lines().map(str::trim).collect();
        let line = line.join("; ");
        let state = state.to_string();
        let kind = kind.map(|kind| format!("{kind:?}"));
        // Cloned, so that the lock is not held while a subscriber runs.
        let fields = self.fields().clone();
        let parent = self.span().id();
        macro_rules! say {
            ($level:expr) => {
                tracing::event!(
                    target: "tower_gwag",
                    parent: parent,
                    $level,
                    namespaces = fields.namespaces.as_deref(),
                    instance = fields.instance.as_deref(),
                    gateway = fields.gateway.as_deref(),
                    state = &*state,
                    kind = kind.as_deref(),
                    registration_id = fields.registration_id.as_deref(),
                    "{line}"
                )
            };
        }
        match level {
            Level::ERROR => say!(Level::ERROR),
            Level::WARN => say!(Level::WARN),
            Level::INFO => say!(Level::INFO),
            _ => say!(Level::DEBUG),
        }
    }
}
