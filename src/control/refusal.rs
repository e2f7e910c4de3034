//! Classifies failed calls.
//!
//! A gateway's refusals are classified by their text: every application error has the code UNKNOWN
//! (contract § 2), so that only the text tells them apart.

use tonic::{Code, Status};

use super::connection::{root_of, tls_remedy};
use super::escape::escaped;
use super::exchange::{Failure, Refusal};
use super::peer_protocol::{Spoken, no_control_plane, no_grpc};
use super::target::Target;
use crate::error::{Error, ErrorKind};

/// Texts about a store or a deadline inside the gateway, never about the content of a request.
const TRANSIENT: [&str; 3] = ["kv put", "nats", "context"];

/// Texts about the size of a request, whatever the code.
const SIZE: [&str; 2] = ["larger than max", "maximum payload"];

/// Characteristic fragments, most specific first.
const BY_TEXT: [(&str, ErrorKind); 33] = [
    ("contains reserved character", ErrorKind::InvalidNamespace),
    ("is not in --allow-tier policy", ErrorKind::TierRefused),
    ("must be \"unstable\" or \"vN\"", ErrorKind::InvalidVersion),
    ("stable is a computed alias", ErrorKind::InvalidVersion),
    ("compile proto", ErrorKind::InvalidProto),
    ("parse openapi spec", ErrorKind::InvalidOpenApi),
    ("openapi: validate", ErrorKind::InvalidOpenApi),
    ("parse introspection", ErrorKind::IntrospectionFailed),
    ("introspect ", ErrorKind::IntrospectionFailed),
    ("different schema hash", ErrorKind::SchemaConflict),
    ("different concurrency caps", ErrorKind::CapsConflict),
    ("already registered as", ErrorKind::KindConflict),
    ("Names must match", ErrorKind::InvalidName),
    ("collides with op", ErrorKind::Unrenderable),
    ("field collision", ErrorKind::Unrenderable),
    ("not valid in input position", ErrorKind::Unrenderable),
    ("unique named types", ErrorKind::Unrenderable),
    ("has no stable set", ErrorKind::NotFound),
    ("not currently registered", ErrorKind::NotFound),
    ("may set only one of", ErrorKind::InvalidRequest),
    ("must set proto_source", ErrorKind::InvalidRequest),
    ("duplicate (namespace=", ErrorKind::InvalidRequest),
    ("addr is required", ErrorKind::InvalidRequest),
    ("at least one ServiceBinding", ErrorKind::InvalidRequest),
    ("requires explicit namespace", ErrorKind::InvalidRequest),
    ("dial ", ErrorKind::InvalidRequest),
    (
        "is not lower than current stable",
        ErrorKind::InvalidRequest,
    ),
    ("must be >= 1", ErrorKind::InvalidRequest),
    ("is required", ErrorKind::InvalidRequest),
    ("are required", ErrorKind::InvalidRequest),
    ("cluster not configured", ErrorKind::InvalidRequest),
    ("refuse to forget self", ErrorKind::InvalidRequest),
    ("is still alive", ErrorKind::InvalidRequest),
];

/// The kind of a gateway's refusal.
fn classify(code: Code, text: &str) -> ErrorKind {
    if SIZE.iter().any(|fragment| text.contains(fragment)) {
        return ErrorKind::TooLarge;
    }
    match code {
        Code::DeadlineExceeded | Code::Cancelled => return ErrorKind::TimedOut,
        Code::Unauthenticated | Code::PermissionDenied => return ErrorKind::Unauthorized,
        Code::Unknown => {}
        _ => return ErrorKind::Unavailable,
    }
    if TRANSIENT.iter().any(|fragment| text.contains(fragment)) {
        return ErrorKind::Unavailable;
    }
    BY_TEXT
        .iter()
        .find(|(fragment, _)| text.contains(fragment))
        .map_or(ErrorKind::Unavailable, |(_, kind)| *kind)
}

/// The remedy for a kind.
fn remedy(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidNamespace | ErrorKind::InvalidName => {
            "choose another one with `Service::namespace`"
        }
        ErrorKind::InvalidVersion => "choose another one with `Service::version`",
        ErrorKind::TierRefused => {
            "choose a version that the gateway accepts, or have its operator change `--allow-tier`"
        }
        ErrorKind::InvalidProto | ErrorKind::InvalidOpenApi | ErrorKind::Unrenderable => {
            "fix the schema; `Options::check` finds most faults"
        }
        ErrorKind::IntrospectionFailed => {
            "make sure that the endpoint answers introspection queries from the gateway's host"
        }
        ErrorKind::SchemaConflict => "use a new version vN for a new schema, or `unstable`",
        ErrorKind::CapsConflict => {
            "use the concurrency caps of the other replicas, or a new version"
        }
        ErrorKind::KindConflict => "choose another namespace, or stop the other service",
        ErrorKind::TooLarge => "send fewer or smaller schemas, in several registrations if need be",
        ErrorKind::Unauthorized => {
            "check the credentials, `Options::bearer_token` or `Options::metadata`"
        }
        ErrorKind::InvalidRequest => "check that the gateway is of a release that this crate knows",
        _ => "look into the gateway's log",
    }
}

/// Whether a control plane has sent a refusal: it has the service, but not this method of it.
fn lacks_a_method(refusal: &Refusal) -> bool {
    refusal.code == Code::Unimplemented
        && !refusal.is_of_http
        && refusal.text.contains("unknown method")
        && refusal.text.contains("controlplane")
}

/// Whether it may be a proxy's temporary answer, as during a rollout: no such route, or too many
/// requests.
fn may_be_of_a_proxy(refusal: &Refusal, kind: ErrorKind) -> bool {
    match refusal.code {
        Code::Unimplemented => !lacks_a_method(refusal),
        Code::ResourceExhausted => kind != ErrorKind::TooLarge,
        // A gateway's own status is gRPC.
        Code::Unauthenticated | Code::PermissionDenied => refusal.is_of_http,
        _ => false,
    }
}

/// Why a call has no valid answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// It never left this process.
    NotSent(Error),
    /// The connection ended: the gateway may have carried it out.
    Broken(Error),
    /// The gateway refused.
    Refused(Error),
    /// The answer comes from another server, or from a proxy whose routes are not there yet.
    Misrouted(Error),
    /// The peer does not even speak HTTP/2, so that it has carried nothing out.
    Foreign(Error),
}

/// A call without a valid answer.
pub(super) enum Failed {
    /// There is no connection.
    NotSent(Error),
    /// The call failed; with the peer's protocol.
    Call(Failure, Spoken),
}

/// The call that failed, for messages.
#[derive(Clone, Copy)]
pub(super) struct Asked<'a> {
    pub(super) target: &'a Target,
    pub(super) method: &'static str,
    /// The services of a Register, as "namespace/version".
    pub(super) services: &'a [String],
}

// === impl Asked ===

impl Asked<'_> {
    /// Why the call has no answer.
    pub(super) fn failed(&self, failed: Failed) -> CallError {
        let Self { target, method, .. } = self;
        let (failure, spoken) = match failed {
            Failed::NotSent(error) => return CallError::NotSent(error),
            Failed::Call(failure, spoken) => (failure, spoken),
        };
        let (cause, what, error): (_, _, fn(Error) -> CallError) = match failure {
            Failure::NotSent(cause) => {
                let what = format!("ends each connection before {method} is sent");
                (cause, what, CallError::NotSent)
            }
            Failure::Broken(cause) => {
                let what = format!("ended the connection during {method}");
                (cause, what, CallError::Broken)
            }
            Failure::Malformed(text) => return self.malformed(&text),
            Failure::Refused(refusal) => return self.refused(&refusal),
        };
        if let Some(mistake) = spoken.mistake(target) {
            let mistake = Error::new(ErrorKind::Unavailable, mistake);
            return CallError::Foreign(mistake.caused_by(cause));
        }
        let why = escaped(&root_of(&*cause).to_string());
        let message = match (tls_remedy(&why), spoken.closes(target)) {
            (Some(remedy), _) => format!("the gateway {target} {what} ({why}): {remedy}"),
            (None, Some(closes)) => closes,
            (None, None) => format!("the gateway {target} {what} ({why})"),
        };
        error(Error::new(ErrorKind::Unavailable, message).caused_by(cause))
    }

    /// The call may have been carried out.
    pub(super) fn malformed(&self, text: &str) -> CallError {
        let Self { target, method, .. } = self;
        let message = format!(
            "the gateway {target} answered {method} with {text}: check that a gwag control plane \
             listens there"
        );
        CallError::Broken(Error::new(ErrorKind::Unavailable, message))
    }

    fn refused(&self, refusal: &Refusal) -> CallError {
        let Self { target, method, .. } = self;
        let (code, text) = (refusal.code, escaped(&refusal.text));
        let kind = match lacks_a_method(refusal) {
            true => ErrorKind::InvalidRequest,
            false => classify(code, &refusal.text),
        };
        let why = match text.trim().is_empty() {
            true => "no reason given",
            false => &text,
        };
        let message = match code {
            Code::Unimplemented if refusal.is_of_http => no_grpc(target, &text),
            Code::Unimplemented if lacks_a_method(refusal) => {
                format!("the gateway {target} does not know {method} ({text}): update the gateway")
            }
            Code::Unimplemented => {
                let why = match text.is_empty() {
                    true => "it is another gRPC server".to_owned(),
                    false => format!("it is another gRPC server ({text})"),
                };
                no_control_plane(target, &why)
            }
            _ if refusal.is_of_http && kind == ErrorKind::Unauthorized => format!(
                "something at {target} refuses the call ({text}), and it is not a gateway, which \
                 would answer in gRPC: {}, or the address",
                remedy(kind)
            ),
            _ if refusal.is_of_http => format!(
                "{target} does not answer gRPC calls at the moment ({text}): check the address, \
                 and any proxy between this service and the gateway"
            ),
            _ if kind == ErrorKind::TimedOut => {
                format!(
                    "the gateway {target} did not {} in time: {why}; {}",
                    self.aim(),
                    remedy(kind)
                )
            }
            Code::Unknown => format!(
                "the gateway {target} refused to {}: {why}; {}",
                self.aim(),
                remedy(kind)
            ),
            code => format!(
                "the gateway {target} refused to {} ({code:?}): {why}; {}",
                self.aim(),
                remedy(kind)
            ),
        };
        let error = Error::new(kind, message).caused_by(Status::new(code, text));
        match may_be_of_a_proxy(refusal, kind) {
            true => CallError::Misrouted(error),
            false => CallError::Refused(error),
        }
    }

    fn aim(&self) -> String {
        match self.services {
            [] => format!("answer {}", self.method),
            services => format!("register `{}`", services.join("`, `")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The contract's name of each kind.
    fn kind_named(name: &str) -> ErrorKind {
        match name {
            "invalid_request" => ErrorKind::InvalidRequest,
            "invalid_namespace" => ErrorKind::InvalidNamespace,
            "invalid_name" => ErrorKind::InvalidName,
            "invalid_version" => ErrorKind::InvalidVersion,
            "tier_refused" => ErrorKind::TierRefused,
            "proto_compile" => ErrorKind::InvalidProto,
            "openapi_invalid" => ErrorKind::InvalidOpenApi,
            "introspection" => ErrorKind::IntrospectionFailed,
            "schema_conflict" => ErrorKind::SchemaConflict,
            "caps_conflict" => ErrorKind::CapsConflict,
            "kind_conflict" => ErrorKind::KindConflict,
            "schema_unrenderable" => ErrorKind::Unrenderable,
            "not_found" => ErrorKind::NotFound,
            "unavailable" => ErrorKind::Unavailable,
            "deadline_exceeded" => ErrorKind::TimedOut,
            other => panic!("no kind for {other}"),
        }
    }

    #[test]
    fn every_refusal_of_the_contract_has_its_class() {
        let cases = include_str!("../../crates/gateway/tests/data/cases.json");
        let cases: serde_json::Value = serde_json::from_str(cases).unwrap();
        let mut checked = 0;
        for case in cases
            .as_object()
            .unwrap()
            .values()
            .flat_map(|list| list.as_array().unwrap())
        {
            let text = case["message_contains"].as_str();
            let code = match case["code"].as_str().unwrap() {
                "OK" => continue,
                "UNKNOWN" if text.is_none() && case["kind"] == "invalid_request" => continue,
                "UNKNOWN" => Code::Unknown,
                "DEADLINE_EXCEEDED" => Code::DeadlineExceeded,
                other => panic!("no code for {other}"),
            };
            let text = format!("… {} …", text.unwrap_or("something else"));
            let kind = kind_named(case["kind"].as_str().unwrap());
            assert_eq!(classify(code, &text), kind, "{}: {text}", case["id"]);
            checked += 1;
        }
        assert!(checked > 140, "only {checked} cases were checked");
    }

    #[test]
    fn texts_of_the_store_and_unknown_texts_are_transient() {
        for text in [
            "controlplane: kv put: nats: connection closed",
            "introspect http://x: context deadline exceeded",
            "something that nobody has seen",
            "",
        ] {
            assert!(classify(Code::Unknown, text).is_transient(), "{text}");
        }
        let text = "gateway: a/v1 already registered with different schema hash";
        assert!(!classify(Code::Unknown, text).is_transient());
    }

    fn refusal(code: Code, text: &str) -> Refusal {
        Refusal {
            code,
            text: text.to_owned(),
            is_of_http: false,
        }
    }

    #[test]
    fn a_size_limit_is_distinguished_from_a_busy_proxy() {
        for (code, text) in [
            (
                Code::ResourceExhausted,
                "grpc: received message larger than max (5 vs. 4)",
            ),
            (
                Code::Unknown,
                "controlplane: kv put: nats: maximum payload exceeded",
            ),
        ] {
            let kind = classify(code, text);
            assert_eq!(kind, ErrorKind::TooLarge, "{text}");
            assert!(!may_be_of_a_proxy(&refusal(code, text), kind));
        }
        let (code, text) = (Code::ResourceExhausted, "too many requests");
        let kind = classify(code, text);
        assert_eq!(kind, ErrorKind::Unavailable);
        assert!(may_be_of_a_proxy(&refusal(code, text), kind));
    }

    /// grpc-go's texts.
    #[test]
    fn an_old_gateway_is_distinguished_from_another_server() {
        let old = "unknown method Undeprecate for service gateway.controlplane.v1.ControlPlane";
        assert!(lacks_a_method(&refusal(Code::Unimplemented, old)));
        let other = "unknown service gateway.controlplane.v1.ControlPlane";
        assert!(!lacks_a_method(&refusal(Code::Unimplemented, other)));
        assert!(!lacks_a_method(&refusal(Code::Unimplemented, "")));
    }
}
