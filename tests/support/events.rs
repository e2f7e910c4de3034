//! Everything that a registration passed to its `on_event` callback.

use std::sync::Arc;

use tokio::sync::watch;
use tower_gwag::{Event, Options, State};

use super::within;

/// Clones are the same list.
#[derive(Clone)]
pub struct Events(Arc<watch::Sender<Vec<Event>>>);

impl Events {
    /// Options that write into a new list.
    pub fn of(options: Options) -> (Options, Self) {
        let events = Self(Arc::new(watch::Sender::new(Vec::new())));
        let list = events.clone();
        let options = options.on_event(move |event| {
            list.0.send_modify(|events| events.push(event.clone()));
        });
        (options, events)
    }

    /// What somebody else writes into.
    pub fn on(list: Arc<watch::Sender<Vec<Event>>>) -> Self {
        Self(list)
    }

    pub fn all(&self) -> Vec<Event> {
        self.0.borrow().clone()
    }

    pub async fn until(&self, what: &str, mut condition: impl FnMut(&[Event]) -> bool) {
        let mut events = self.0.subscribe();
        let found = within(what, events.wait_for(|events| condition(events)));
        found.await.expect("the list is alive");
    }

    /// Waits until it was registered for the `count`th time.
    pub async fn until_registered(&self, count: usize) {
        let registered = |event: &&Event| matches!(event, Event::Registered { .. });
        self.until(&format!("registered {count} times"), |events| {
            events.iter().filter(registered).count() >= count
        })
        .await;
    }

    /// The states gone through, in their order.
    /// What is known beyond `Registered` comes when it comes, and is left out.
    pub fn states(&self) -> Vec<State> {
        let state = |event: &Event| match event {
            Event::StatusChanged(status) if status.is_registered() => Some(State::Registered),
            Event::StatusChanged(status) => Some(status.state()),
            _ => None,
        };
        let mut states: Vec<State> = self.0.borrow().iter().filter_map(state).collect();
        states.dedup();
        states
    }

    /// Every state.
    pub fn all_states(&self) -> Vec<State> {
        let state = |event: &Event| match event {
            Event::StatusChanged(status) => Some(status.state()),
            _ => None,
        };
        self.0.borrow().iter().filter_map(state).collect()
    }

    /// The complaints about wiring.
    pub fn half_wired(&self) -> Vec<String> {
        let text = |event: &Event| match event {
            Event::HalfWired(text) => Some(text.clone()),
            _ => None,
        };
        self.0.borrow().iter().filter_map(text).collect()
    }
}
