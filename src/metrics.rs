//! Metrics for the `metrics` facade (feature `metrics`); without the feature, nothing.
//!
//! Names and units follow OpenMetrics. Each metric has the label `service`: the services of the
//! registration, such as `greeter/v1`.

#[cfg(feature = "metrics")]
pub(crate) use with_facade::Meter;
#[cfg(not(feature = "metrics"))]
pub(crate) use without::Meter;

#[cfg(not(feature = "metrics"))]
mod without {
    use std::time::Duration;

    use crate::lease::{Answer, Call};
    use crate::status::{LeaveReport, State};

    /// Counts nothing.
    #[derive(Debug, Default)]
    pub(crate) struct Meter(());

    #[allow(clippy::unused_self, reason = "as with the feature")]
    impl Meter {
        pub(crate) fn of_services(&self, _: &str) {}
        pub(crate) fn state(&self, _: State) {}
        pub(crate) fn called(&self, _: &Call, _: &Answer, _: Duration) {}
        pub(crate) fn registered(&self) {}
        pub(crate) fn ghosts(&self, _: u32) {}
        pub(crate) fn left(&self, _: &LeaveReport) {}
    }
}

#[cfg(feature = "metrics")]
mod with_facade {
    use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    use metrics::{
        SharedString, Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge,
        histogram,
    };
    use tokio::time::{Instant, MissedTickBehavior, interval};

    use crate::driver::Life;
    use crate::lease::{Answer, Call, LeaseKind, Verb};
    use crate::status::{LeaveReport, State};

    const STATE: &str = "gwag_registration_state";
    const BEAT: &str = "gwag_heartbeat_last_success_timestamp_seconds";
    const AGE: &str = "gwag_heartbeat_age_seconds";
    const CALLS: &str = "gwag_calls_total";
    const DURATION: &str = "gwag_call_duration_seconds";
    const REREGISTRATIONS: &str = "gwag_reregistrations_total";
    const IN_FLIGHT: &str = "gwag_requests_in_flight";
    const LATE: &str = "gwag_requests_late_total";
    const CUT: &str = "gwag_requests_cut_total";
    const LEAVE: &str = "gwag_leave_duration_seconds";
    const GHOSTS: &str = "gwag_ghost_replicas";
    const ABANDONED: &str = "gwag_abandoned_entries_total";

    /// How often values without an event of their own are sampled.
    const SAMPLE: Duration = Duration::from_secs(1);

    const STATES: [(State, &str); 12] = [
        (State::Idle, "idle"),
        (State::Registering, "registering"),
        (State::Registered, "registered"),
        (State::Listed, "listed"),
        (State::Routed, "routed"),
        (State::Blocked, "blocked"),
        (State::Unreachable, "unreachable"),
        (State::Refused, "refused"),
        (State::Displaced, "displaced"),
        (State::Leaving, "leaving"),
        (State::Left, "left"),
        (State::Disabled, "disabled"),
    ];

    /// The metrics of one registration.
    #[derive(Debug, Default)]
    pub(crate) struct Meter(Mutex<Counted>);

    #[derive(Debug, Default)]
    struct Counted {
        service: SharedString,
        last_beat: Option<Instant>,
        was_registered: bool,
        /// What has gone wrong since the last registration.
        trouble: Option<&'static str>,
    }

    // === impl Meter ===

    impl Meter {
        /// Fields are replaced one by one, so they stay valid after a panic.
        fn counted(&self) -> MutexGuard<'_, Counted> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn service(&self) -> SharedString {
            self.counted().service.clone()
        }

        /// Sets the names of the services.
        pub(crate) fn of_services(&self, names: &str) {
            let service = SharedString::from(names.to_owned());
            self.counted().service = service.clone();
            describe();
            counter!(LATE, "service" => service.clone()).absolute(0);
            counter!(CUT, "service" => service.clone()).absolute(0);
            counter!(ABANDONED, "service" => service.clone()).absolute(0);
            gauge!(GHOSTS, "service" => service.clone()).set(0.0);
            gauge!(IN_FLIGHT, "service" => service).set(0.0);
            self.state(State::Idle);
        }

        pub(crate) fn state(&self, now: State) {
            let trouble = match now {
                State::Unreachable | State::Blocked | State::Refused | State::Displaced => {
                    STATES.iter().find(|(state, _)| *state == now)
                }
                _ => None,
            };
            let service = {
                let mut counted = self.counted();
                if let Some((_, name)) = trouble {
                    counted.trouble = Some(name);
                }
                counted.service.clone()
            };
            for (state, name) in STATES {
                let is_now = f64::from(u8::from(state == now));
                gauge!(STATE, "service" => service.clone(), "state" => name).set(is_now);
            }
        }

        /// Counts a call that has ended, of any entry.
        pub(crate) fn called(&self, call: &Call, answer: &Answer, took: Duration) {
            let service = self.service();
            let name = match call.verb {
                Verb::Register { .. } => "register",
                Verb::Heartbeat(_) => "heartbeat",
                Verb::Deregister(_) | Verb::Recall => "deregister",
            };
            let result = match answer {
                Answer::Registered { .. } | Answer::Deregistered | Answer::Recalled { .. } => "ok",
                Answer::Beat { known: true } => "ok",
                Answer::Beat { known: false } => "unknown",
                Answer::HeldBack | Answer::Unknowable => return,
                Answer::NotSent => "unreachable",
                Answer::Broken => "broken",
                Answer::Refused(_) => "refused",
                Answer::Misrouted | Answer::Foreign => "misrouted",
            };
            let entry = match call.which {
                LeaseKind::Hold => "hold",
                _ => "service",
            };
            let labels = [
                ("service", service.clone()),
                ("call", name.into()),
                ("entry", entry.into()),
                ("result", result.into()),
            ];
            counter!(CALLS, &labels).increment(1);
            histogram!(DURATION, "service" => service.clone(), "call" => name).record(took);
            let is_good = matches!(
                answer,
                Answer::Registered { .. } | Answer::Beat { known: true }
            );
            if is_good && call.which == LeaseKind::Service {
                self.counted().last_beat = Some(Instant::now());
                let now = SystemTime::now().duration_since(UNIX_EPOCH);
                let now = now.unwrap_or_default().as_secs_f64();
                gauge!(BEAT, "service" => service.clone()).set(now);
                gauge!(AGE, "service" => service).set(0.0);
            }
        }

        /// Counts an accepted registration.
        pub(crate) fn registered(&self) {
            let (service, cause) = {
                let mut counted = self.counted();
                let was_registered = std::mem::replace(&mut counted.was_registered, true);
                let cause = counted.trouble.take().unwrap_or("forgotten");
                (counted.service.clone(), was_registered.then_some(cause))
            };
            if let Some(cause) = cause {
                counter!(REREGISTRATIONS, "service" => service, "cause" => cause).increment(1);
            }
        }

        pub(crate) fn ghosts(&self, count: u32) {
            gauge!(GHOSTS, "service" => self.service()).set(count);
        }

        pub(crate) fn left(&self, report: &LeaveReport) {
            let service = self.service();
            let many = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
            counter!(LATE, "service" => service.clone()).increment(report.late());
            counter!(CUT, "service" => service.clone()).increment(many(report.cut()));
            counter!(ABANDONED, "service" => service.clone()).increment(many(report.abandoned()));
            if let Some(ghosts) = report.ghosts() {
                self.ghosts(ghosts);
            }
            gauge!(IN_FLIGHT, "service" => service.clone()).set(0.0);
            histogram!(LEAVE, "service" => service).record(report.total());
        }

        /// Samples the values without an event each second until the registration has ended.
        pub(crate) fn sample(life: &Arc<Life>) {
            let life = Arc::downgrade(life);
            tokio::spawn(async move {
                let mut ticks = interval(SAMPLE);
                ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
                loop {
                    ticks.tick().await;
                    let Some(life) = Weak::upgrade(&life) else {
                        return;
                    };
                    if life.board.state() == State::Left {
                        return;
                    }
                    let meter = &life.board.meter;
                    let (service, last) = {
                        let counted = meter.counted();
                        (counted.service.clone(), counted.last_beat)
                    };
                    let open = u32::try_from(life.drain.in_flight.count()).unwrap_or(u32::MAX);
                    gauge!(IN_FLIGHT, "service" => service.clone()).set(open);
                    if let Some(last) = last {
                        gauge!(AGE, "service" => service).set(last.elapsed());
                    }
                }
            });
        }
    }

    fn describe() {
        describe_gauge!(
            STATE,
            "1 for the state that the registration is in, 0 for all others"
        );
        describe_gauge!(
            BEAT,
            Unit::Seconds,
            "When the gateway last confirmed the service, since 1970"
        );
        describe_gauge!(
            AGE,
            Unit::Seconds,
            "How long ago the gateway last confirmed the service"
        );
        describe_counter!(
            CALLS,
            "Calls of the control plane that changed or kept an entry, by result"
        );
        describe_histogram!(DURATION, Unit::Seconds, "How long these calls took");
        describe_counter!(
            REREGISTRATIONS,
            "Registrations after the first, by the trouble before them"
        );
        describe_gauge!(IN_FLIGHT, "Requests in flight, bodies included");
        describe_counter!(LATE, "Requests that arrived after leaving had begun");
        describe_counter!(
            CUT,
            "Requests that were cut because they had not ended in time"
        );
        describe_histogram!(LEAVE, Unit::Seconds, "How long leaving took");
        describe_gauge!(GHOSTS, "Replicas on the gateway without a registration");
        describe_counter!(
            ABANDONED,
            "Entries that were left on gateways until their TTL was over"
        );
    }
}
