//! The log lines of one registration: one for each event, with the fields by which it is found.

use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use tracing::{Level, Span};

use super::State;
use crate::error::ErrorKind;

/// What goes before all lines of a registration, as far as it is known.
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
    /// Each of them is replaced whole, so that they are valid after a panic.
    fn fields(&self) -> MutexGuard<'_, Fields> {
        self.fields.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The services are known, as "namespace/version".
    pub(crate) fn of_services(&self, names: impl Iterator<Item = String>) {
        let namespaces = names.collect::<Vec<_>>().join(",");
        self.span
            .get_or_init(|| tracing::info_span!(target: "tower_gwag", "registration", %namespaces));
        self.fields().namespaces = Some(namespaces);
    }

    pub(crate) fn of_instance(&self, instance: String) {
        self.fields().instance = Some(instance);
    }

    /// The gateway that is talked to from now on.
    pub(crate) fn of_gateway(&self, gateway: String) {
        self.fields().gateway = Some(gateway);
    }

    /// What the gateway knows it by; `None` when it knows it no more.
    pub(crate) fn of_entry(&self, registration_id: Option<String>) {
        self.fields().registration_id = registration_id;
    }

    /// The span of the registration, from when its services are known.
    pub(crate) fn span(&self) -> Span {
        self.span.get().cloned().unwrap_or_else(Span::none)
    }

    /// Says it in one line.
    pub(crate) fn say(&self, level: Level, state: State, kind: Option<ErrorKind>, text: &str) {
        let line: Vec<&str> = text.lines().map(str::trim).collect();
        let line = line.join("; ");
        let state = state.to_string();
        let kind = kind.map(|kind| format!("{kind:?}"));
        // Not held while others' code runs.
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
