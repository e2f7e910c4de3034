//! What users see: the status that follows from what the gateway answers and shows, and warnings.

use std::collections::BTreeSet;
use std::sync::Arc;

use tracing::{Instrument, Level};

use super::Worker;
use crate::error::{Error, ErrorKind};
use crate::lease::{Input, Note, is_of_a_slot};
use crate::observe::reach::Found;
use crate::observe::slots::Move;
use crate::observe::verify::{Remedy, Seen};
use crate::status::{Event, State};
use tower_gwag_schema::redact::redacted;

// === impl Worker ===

impl Worker {
    pub(super) fn tell(&mut self, note: Note) {
        let failure = self.failure.clone();
        match note {
            // Registered only to be withdrawn at once.
            Note::Registered | Note::Alive if self.machine.is_withdrawn() => {}
            Note::Registered => {
                self.begin_looks();
                // Once in a life: it goes on until every node was asked.
                if !self.watches_identity
                    && let Some(watch) = self.calls.watch_identity()
                {
                    self.watches_identity = true;
                    self.identity_watch = Some(tokio::spawn(watch.in_current_span()));
                }
                if let Some(watch) = self.calls.ghosts().after_restart(self.machine.gateway()) {
                    self.stop_ghost_watch();
                    self.ghost_watch = Some(tokio::spawn(watch));
                }
                self.show_standing();
            }
            Note::Alive => self.show_standing(),
            Note::Forgotten => {
                self.calls.ghosts().saw_restart();
                self.life.board.log.of_entry(None);
                self.read_back.pause();
                self.slots.pause();
                self.life.board.set_status(State::Registering, None);
            }
            Note::Unreachable => {
                // A probe found it silent, though no call has failed.
                let silent = || {
                    let text = format!(
                        "the gateway {} does not answer: check that it runs and is not overloaded",
                        self.silent
                    );
                    Arc::new(Error::new(ErrorKind::Unavailable, text))
                };
                let failure = failure.unwrap_or_else(silent);
                self.life
                    .board
                    .set_status(State::Unreachable, Some(failure));
            }
            Note::Refused(kind) => {
                self.life.board.set_status(State::Refused, failure.clone());
                if is_of_a_slot(kind) {
                    self.waits_as = Some((State::Refused, failure));
                    self.wait_for_slots(true);
                }
                self.life.was_refused();
            }
            Note::Displaced => {
                // The failure of the lease that was to be registered first was reported.
                let told = failure.or_else(|| self.hold_failure.clone());
                self.life.board.set_status(State::Displaced, told);
            }
            Note::Waiting => {
                // What is known already says more.
                if self.life.board.state() == State::Registering {
                    let slow = Some(Arc::new(self.slow()));
                    self.life.board.set_status(State::Registering, slow);
                }
            }
            Note::Slow => {
                let slow = self.slow();
                self.life
                    .board
                    .set_status(State::Unreachable, Some(Arc::new(slow)));
            }
        }
    }

    /// A call has not been answered for some time.
    fn slow(&self) -> Error {
        let gateway = self.calls.control(self.machine.gateway()).gateway();
        let text = gateway.silence().unwrap_or_else(|| {
            let target = gateway.target();
            format!(
                "the gateway {target} is slow to answer; still waiting, and nothing is lost yet"
            )
        });
        Error::new(ErrorKind::TimedOut, text)
    }

    /// The gateway has the service: starts to read back what it made of it.
    pub(super) fn begin_looks(&mut self) {
        let gateway = self.machine.gateway();
        self.read_back.begin(&self.calls.address().callers());
        let (own, before) = std::mem::take(&mut self.registered);
        self.slots
            .begin(self.calls.gateways_at(gateway), own, before);
        self.life.board.latch_ready();
        self.life.drain.wiring.check_wiring();
    }

    pub(super) fn saw(&mut self, seen: &Seen) {
        if let Some(replicas) = seen.replicas {
            self.step(Input::Listed { replicas });
        }
        if self
            .read_back
            .standing(self.calls.target(self.machine.gateway()))
            .0
            == State::Routed
        {
            self.slots.routed();
        }
        if self.is_answered() {
            self.show_standing();
        }
        if let Some(text) = self
            .read_back
            .unheard(self.calls.target(self.machine.gateway()))
        {
            self.life.board.say(Level::WARN, None, &text);
        }
        match seen.remedy {
            Remedy::None if seen.is_listed => self.step(Input::Proved),
            Remedy::None => {}
            Remedy::Cure => self.step(Input::Cure),
            Remedy::GiveWay | Remedy::Withdraw => {
                let for_good = seen.remedy == Remedy::Withdraw;
                self.read_back.pause();
                self.step(Input::Withdraw { for_good });
                if for_good {
                    self.slots.pause();
                    self.life.was_refused();
                } else {
                    self.waits_as = Some(
                        self.read_back
                            .standing(self.calls.target(self.machine.gateway())),
                    );
                    if let Some((service, theirs)) = self.read_back.lost_to() {
                        self.slots.lost_to(service, theirs);
                    }
                    self.wait_for_slots(true);
                }
            }
        }
    }

    pub(super) fn saw_slots(&mut self, what: Move) {
        match what {
            Move::None => {}
            Move::Beat => self.step(Input::Beat),
            Move::Free => self.step(Input::Slots { free: true }),
            Move::Taken => {
                self.step(Input::Slots { free: false });
                self.waits_on();
            }
            Move::Replace => {
                self.calls.set_aside(self.slots.aside());
                self.step(Input::Cure);
            }
            Move::StepAside | Move::Conflict => {
                let conflict = self.slots.conflict();
                self.life
                    .board
                    .set_status(State::Displaced, conflict.clone());
                self.waits_as = Some((State::Displaced, conflict));
                self.read_back.pause();
                self.step(Input::Withdraw { for_good: false });
                self.wait_for_slots(what == Move::Conflict);
            }
        }
        if !self.is_answered() {
            return;
        }
        let was_displaced = self.life.board.state() == State::Displaced;
        if was_displaced && self.slots.is_held() && self.slots.standing().is_none() {
            // Earlier proof no longer counts.
            self.read_back.begin(&self.calls.address().callers());
        }
        self.show_standing();
    }

    /// The gateway has answered while only the hold is registered: it can be reached.
    fn waits_on(&mut self) {
        if self.life.board.state() == State::Unreachable
            && self.machine.waits_for_slots()
            && !self.machine.holds_the_service()
            && let Some((state, reason)) = self.waits_as.clone()
        {
            self.life.board.set_status(state, reason);
        }
    }

    pub(super) fn wait_for_slots(&mut self, for_a_vn: bool) {
        self.calls.set_aside(&BTreeSet::new());
        let gateways = self.calls.gateways_at(self.machine.gateway());
        self.slots.wait(gateways, for_a_vn);
    }

    /// Whether the gateway has the service, and answers its heartbeats. Until it does again, nothing
    /// that it lists makes a failure untrue.
    fn is_answered(&self) -> bool {
        self.machine.holds_the_service()
            && !self.machine.is_refused()
            && self.life.board.state() != State::Unreachable
    }

    /// Shows what is known of a registration that the gateway has.
    fn show_standing(&mut self) {
        let gateway = self.calls.target(self.machine.gateway());
        let known = self.read_back.standing(gateway);
        let (state, reason) = match self.slots.standing() {
            // A known problem remains until it is known who has the slot.
            Some((State::Registered, None)) if !is_well(known.0) => known,
            Some(standing) => standing,
            None => known,
        };
        self.life.board.set_status(state, reason);
        self.reach.stands(state);
    }

    /// Reports a finding about the advertised address.
    pub(super) fn found(&mut self, found: Found) {
        let gateway = self.machine.gateway();
        let (address, target) = (&self.advertised, self.calls.target(gateway));
        match found {
            Found::Dead(error) => self.suspect(&format!(
                "nothing accepts connections at the advertised address {address} ({error}), so the \
                 gateway {target} probably cannot call it either: set the right one with \
                 `Options::advertise` or `advertise_host`"
            )),
            Found::Tls => {
                let Some(remedy) = self.calls.remedy_for_tls(address, gateway) else {
                    return;
                };
                self.suspect(&format!(
                    "the server speaks TLS, but the gateway {target} dials {address} in plaintext, \
                     so its calls fail: {remedy}"
                ));
            }
            Found::Here(ips) => {
                self.calls.address().name_is(ips);
                if self.machine.holds_the_service() {
                    self.life.proof.await_from(&self.calls.address().callers());
                }
            }
            Found::Uncalled => {
                let text = format!(
                    "listed for five minutes without a call from the gateway {target}: nothing \
                     proves yet that it can reach {address}. A call through the gateway would"
                );
                self.life.board.say(Level::INFO, None, &text);
                self.life.board.emit(&Event::Uncalled(text));
            }
        }
    }

    /// Compares addresses without regard to their spelling.
    pub(super) fn registered_at(&mut self, address: &str) {
        self.advertised = address.to_owned();
        if !self.reach.registered(address) {
            return;
        }
        if let Some(what) = self.calls.address().unreachable(address) {
            self.suspect(&format!(
                "{address} is {what}, which the gateway {} on another host cannot dial: bind the \
                 server to a routable address, or set the right one with `Options::advertise` or \
                 `advertise_host`",
                self.calls.target(self.machine.gateway())
            ));
        } else {
            self.reach.dial(self.life.drain.wiring.is_serving_wrapped());
        }
    }

    fn suspect(&self, text: &str) {
        let text = redacted(text);
        self.life.board.say(Level::WARN, None, &text);
        self.life.board.emit(&Event::SuspiciousAddress(text));
    }

    /// Reports ghosts of the service.
    pub(super) fn haunted(&mut self, found: Option<u32>) {
        let Some(ghosts) = found else { return };
        self.ghosts = Some(ghosts);
        self.life.board.meter.ghosts(ghosts);
        if ghosts == 0 {
            return;
        }
        let leftovers = match ghosts {
            1 => "a replica of the service that has".to_owned(),
            _ => format!("{ghosts} replicas of the service that have"),
        };
        let text = format!(
            "the gateway {} came back with {leftovers} no registration. Calls work as long as \
             every process serves; once one leaves, calls to its leftover replica fail until the \
             gateway restarts again, more than 30 s after this restart",
            self.calls.target(self.machine.gateway())
        );
        self.life.board.say(Level::WARN, None, &text);
        self.life.board.emit(&Event::Ghosts(text));
    }
}

fn is_well(state: State) -> bool {
    matches!(state, State::Registered | State::Listed | State::Routed)
}
