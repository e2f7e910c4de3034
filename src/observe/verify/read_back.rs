//! Looks at what the gateway made of a registration, whenever a look is due.

use std::sync::Arc;
use std::time::Duration;

use ::http::Uri;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::explain::explain;
use super::gather::{Evidence, Inquiry, SchemaAnswer};
use super::verdict::{Expected, Remedy, SECOND_LOOK, Verdict, Verifier};
use crate::control::{ControlPlane, Target};
use crate::error::Error;
use crate::observe::proof::{Callers, Proof};
use crate::optional_future::{finished, optional_sleep};
use crate::status::State;
use tower_gwag_schema::redact::redacted_url;
use tower_gwag_schema::service::Resolved;

/// Reads a registration back from its making until the gateway loses it or it leaves.
pub(crate) struct ReadBack {
    proof: Arc<Proof>,
    services: Arc<[Resolved]>,
    expected: Arc<[Expected]>,
    http: Option<Uri>,
    verifier: Verifier,
    /// The evidence of the last look.
    evidence: Evidence,
    look_at: Option<Instant>,
    look: Option<JoinHandle<Evidence>>,
    /// When the registration was made.
    begun: Instant,
    /// The number of replicas of all services at the gateway, as far as it is known.
    replicas: Option<u32>,
    routed: bool,
    /// Already reported that the gateway of the HTTP port does not know the service.
    unheard_said: bool,
}

/// How long the nodes of one cluster may differ.
const UNHEARD_PATIENCE: Duration = Duration::from_secs(3);
/// A look this soon after a registration may show only the first of many replicas: it counts
/// several times, or a gateway that restarts right then would get most replicas back at the same
/// moment.
const EARLY: Duration = Duration::from_millis(800);
const EARLY_FACTOR: u32 = 4;

/// The result of a look, or of a call from the gateway.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) remedy: Remedy,
    /// The number of replicas of all services at the gateway, as far as it is known.
    pub(crate) replicas: Option<u32>,
    /// Every service is listed correctly.
    pub(crate) is_listed: bool,
}

// === impl ReadBack ===

impl ReadBack {
    pub(crate) fn new(
        proof: Arc<Proof>,
        services: Arc<[Resolved]>,
        expected: Arc<[Expected]>,
        http: Option<Uri>,
        seed: u64,
    ) -> Self {
        Self {
            proof,
            verifier: Verifier::new(&expected, seed),
            services,
            expected,
            http,
            evidence: Evidence::default(),
            look_at: None,
            look: None,
            begun: Instant::now(),
            replicas: None,
            routed: false,
            unheard_said: false,
        }
    }

    /// A gateway accepted the registration; `callers` describes its calls.
    pub(crate) fn begin(&mut self, callers: &Callers) {
        self.pause();
        self.begun = Instant::now();
        self.look_at = Some(self.verifier.begin(self.begun));
        self.proof.await_from(callers);
    }

    /// A Register is in flight: a gateway introspects GraphQL during it, which proves nothing.
    pub(crate) fn distrust_calls(&self) {
        self.proof.forget();
    }

    /// The Register failed, and the previous registration stays.
    pub(crate) fn trust_calls(&self) {
        if (self.look_at.is_some() || self.look.is_some()) && !self.routed {
            self.proof.await_again();
        }
    }

    /// Something happened that may have changed what the gateway knows: looks again soon.
    pub(crate) fn doubt(&mut self) {
        self.verifier.doubt();
        if let Some(at) = &mut self.look_at {
            *at = (*at).min(Instant::now() + SECOND_LOOK);
        }
    }

    /// There is nothing to read back, for good or for now.
    pub(crate) fn pause(&mut self) {
        self.proof.forget();
        self.look_at = None;
        self.routed = false;
        if let Some(look) = self.look.take() {
            look.abort();
        }
    }

    /// The next observation of `control`, which has the registration.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: nothing is lost.
    pub(crate) async fn next(&mut self, control: &ControlPlane) -> Seen {
        let proof = Arc::clone(&self.proof);
        loop {
            tokio::select! {
                biased;
                () = proof.found() => {
                    self.routed = true;
                    if let Some(soon) = self.verifier.called()
                        && let Some(at) = &mut self.look_at
                    {
                        *at = (*at).min(Instant::now() + soon);
                    }
                    return self.seen(Remedy::None);
                }
                evidence = finished(&mut self.look) => {
                    self.evidence = evidence.unwrap_or_default();
                    let now = Instant::now();
                    let early = now.duration_since(self.begun) < EARLY;
                    let factor = if early { EARLY_FACTOR } else { 1 };
                    let (remedy, next) = self.verifier.see(&self.evidence, now);
                    self.look_at = Some(next);
                    let is_listed = *self.verifier.verdict() == Verdict::Listed;
                    if let Some(listed) = self.evidence.replicas {
                        let listed = listed.saturating_mul(factor);
                        // A gateway that does not list us has lost the others, too.
                        let known = self.replicas.filter(|_| !is_listed);
                        self.replicas = Some(listed.max(known.unwrap_or(0)));
                    }
                    if self.routed && (!is_listed || self.verifier.is_doubted()) {
                        // Another call would outweigh the gateway's statements.
                        self.proof.await_again();
                    }
                    self.routed &= is_listed;
                    return self.seen(remedy);
                }
                () = optional_sleep(self.look_at), if self.look.is_none() => {
                    self.look_at = None;
                    let inquiry = Inquiry {
                        control: control.clone(),
                        http: self.http.clone(),
                        services: Arc::clone(&self.services),
                        expected: Arc::clone(&self.expected),
                        wants_pages: self.verifier.wants_pages(Instant::now()),
                        search: self.verifier.search(Instant::now()),
                        difference: self.evidence.difference.clone(),
                    };
                    self.look = Some(tokio::spawn(inquiry.gather()));
                }
            }
        }
    }

    /// A message, once, if the gateway of the HTTP port does not know a listed service: the
    /// configured port may be another gateway's.
    pub(crate) fn unheard(&mut self, gateway: &Target) -> Option<String> {
        let is_unheard = |answer: &SchemaAnswer| *answer == SchemaAnswer::Unheard;
        let service = self.evidence.schemas.iter().position(is_unheard)?;
        if self.unheard_said || self.begun.elapsed() < UNHEARD_PATIENCE {
            return None;
        }
        self.unheard_said = true;
        Some(format!(
            "the gateway {gateway} lists `{}`, but the one whose HTTP port is at {} \
             (`gateway_http`) does not know it: is it another gateway's port? Until that is \
             corrected, less is known about whether the service is served",
            self.expected.get(service)?.name(),
            redacted_url(&self.http.as_ref()?.to_string())
        ))
    }

    fn seen(&self, remedy: Remedy) -> Seen {
        Seen {
            remedy,
            replicas: self.replicas,
            is_listed: *self.verifier.verdict() == Verdict::Listed,
        }
    }

    /// Which service lost its slot, and to which schema.
    pub(crate) fn lost_to(&self) -> Option<(usize, &str)> {
        match self.verifier.verdict() {
            Verdict::Displaced { service, theirs } => Some((*service, theirs)),
            _ => None,
        }
    }

    /// The state of a registration that the gateway has, and why.
    pub(crate) fn standing(&self, gateway: &Target) -> (State, Option<Arc<Error>>) {
        let state = match self.verifier.verdict() {
            Verdict::Listed if self.routed => State::Routed,
            Verdict::Listed => State::Listed,
            Verdict::NotYet => State::Registered,
            Verdict::Blocked { .. } => State::Blocked,
            Verdict::Displaced { .. } => State::Displaced,
            Verdict::Guilty { .. } => State::Refused,
        };
        let reason = explain(
            self.verifier.verdict(),
            &self.expected,
            &self.evidence,
            &gateway.to_string(),
        );
        (state, reason.map(Arc::new))
    }
}

impl Drop for ReadBack {
    fn drop(&mut self) {
        self.pause();
    }
}
