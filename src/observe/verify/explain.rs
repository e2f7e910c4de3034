//! Turns verdicts into messages with a remedy.

use std::fmt;

use super::gather::{Culprit, Evidence, HttpPort, SchemaAnswer};
use super::verdict::{Expected, Verdict};
use crate::error::{Error, ErrorKind};

/// What to do about a vN that another schema holds.
const CONFLICT_ADVICE: &str = "Use a new version vN for a new schema, or `unstable`. The name is \
                               checked every second, and this schema is registered once the name \
                               has been free for `Options::reclaim_after`";

/// How much of a gateway's reason is shown.
const LONGEST_REASON: usize = 300;

/// Why the registration is not in its expected state; `None` if it is.
pub(crate) fn explain(
    verdict: &Verdict,
    expected: &[Expected],
    evidence: &Evidence,
    target: &str,
) -> Option<Error> {
    let difference = evidence.difference.as_ref();
    let difference = difference.and_then(|it| it.text.as_deref());
    let name = |service: usize| {
        expected
            .get(service)
            .map(Expected::name)
            .unwrap_or_default()
    };
    let error = match verdict {
        Verdict::NotYet | Verdict::Listed => return None,
        Verdict::Blocked { service } => {
            let is_unheard = evidence.schemas.get(*service) == Some(&SchemaAnswer::Unheard);
            blocked(&name(*service), evidence, is_unheard, target)
        }
        Verdict::Displaced { service, theirs } => {
            let expected = expected.get(*service)?;
            let conflict = Conflict {
                gateway: target,
                slot: &expected.name(),
                ours: expected.hash.as_deref(),
                theirs,
                difference,
            };
            conflict.taken()
        }
        Verdict::Guilty { service, reason } => Error::new(
            ErrorKind::Unrenderable,
            format!(
                "the gateway {target} cannot render the schema of `{}`: {reason}. It was \
                 deregistered, because it keeps the changes of every other service from being \
                 served: fix the schema and start again",
                name(*service)
            ),
        ),
    };
    Some(error)
}

fn blocked(name: &str, evidence: &Evidence, is_unheard: bool, target: &str) -> Error {
    let whose = match (&evidence.culprit, evidence.http) {
        (Some(culprit), _) => format!(
            "because {}, which blocks the changes of every other service: deregister or fix it",
            accusation(culprit)
        ),
        (None, HttpPort::NotGiven) => {
            "most often because the schema of another service cannot be rendered and blocks the \
             gateway: look into the gateway's log, or set `Options::gateway_http`, so that this \
             message can name the service"
                .to_owned()
        }
        (None, HttpPort::NoSchema) => {
            "most often because the schema of another service cannot be rendered and blocks the \
             gateway: look into the gateway's log. `gateway_http` returns no schema that could \
             tell which service (is it this gateway's HTTP port?)"
                .to_owned()
        }
        (None, HttpPort::Schema) if is_unheard => {
            "most often because the schema of another service cannot be rendered and blocks the \
             gateway: look into the gateway's log. The gateway at `gateway_http` does not know the \
             service (is it this gateway's HTTP port?)"
                .to_owned()
        }
        (None, HttpPort::Schema) => {
            "and no service was found whose schema cannot be rendered: look into the gateway's log"
                .to_owned()
        }
    };
    Error::new(
        ErrorKind::Blocked,
        format!(
            "the gateway {target} lists `{name}` but does not route it, {whose}. It was registered \
             again, so that it is routed as soon as the gateway can"
        ),
    )
}

/// How many of several culprits are named.
const MOST_CULPRITS: usize = 4;

fn accusation(culprit: &Culprit) -> String {
    let name = |service: &String| match service.split_once(':') {
        Some((namespace, version)) => format!("`{namespace}` ({version})"),
        None => format!("`{service}`"),
    };
    let names: Vec<String> = culprit
        .services
        .iter()
        .take(MOST_CULPRITS)
        .map(name)
        .collect();
    let reason = &culprit.reason;
    match (culprit.services.len(), names.as_slice()) {
        (1, [one]) => format!("the schema of {one} cannot be rendered ({reason})"),
        (all, names) if all > names.len() => format!(
            "the schemas of {} and {} more cannot be rendered together ({reason})",
            names.join(", "),
            all - names.len()
        ),
        (_, names) => format!(
            "the schemas of {} cannot be rendered together ({reason})",
            names.join(" and ")
        ),
    }
}

/// Two schemas that want one slot, for messages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Conflict<'a> {
    pub(crate) gateway: &'a str,
    /// `namespace/version`.
    pub(crate) slot: &'a str,
    /// The hashes; ours only if it is known here.
    pub(crate) ours: Option<&'a str>,
    pub(crate) theirs: &'a str,
    /// The difference, if known.
    pub(crate) difference: Option<&'a str>,
}

// === impl Conflict ===

impl Conflict<'_> {
    /// Another schema is registered under our vN.
    pub(crate) fn taken(&self) -> Error {
        let Self { gateway, slot, .. } = self;
        self.error(&format!(
            "the gateway {gateway} has another schema registered as `{slot}`: {self}. \
             {CONFLICT_ADVICE}"
        ))
    }

    /// The same, when the gateway says that it does not mount what it accepted.
    pub(crate) fn rejected(&self, reason: &str) -> Error {
        let Self { gateway, slot, .. } = self;
        let reason: String = reason.chars().take(LONGEST_REASON).collect();
        self.error(&format!(
            "the gateway {gateway} has another schema registered as `{slot}`: {self}; it does not \
             mount this one ({reason}). {CONFLICT_ADVICE}"
        ))
    }

    /// A newer build has the `unstable` slot.
    pub(crate) fn replaced(&self) -> Error {
        let Self { gateway, slot, .. } = self;
        self.error(&format!(
            "`{slot}` was replaced by another schema on the gateway {gateway}, which sends the \
             calls there now: {self}. That is usual while a new build is rolled out: stop the \
             older one. This one has stepped aside, and registers again once the slot is empty"
        ))
    }

    /// Another build holds the `unstable` slot, and is about to leave it.
    pub(crate) fn not_yet_ours(&self) -> Error {
        let Self { gateway, slot, .. } = self;
        self.error(&format!(
            "another schema has `{slot}` on the gateway {gateway} and gets the calls: {self}. This \
             one takes the slot when the other steps aside, stops, or with its next heartbeat"
        ))
    }

    /// A foreign client wants the `unstable` slot, too.
    pub(crate) fn flapping(&self) -> Error {
        let Self { gateway, slot, .. } = self;
        let text = format!(
            "`{slot}` goes back and forth between this schema and another one on the gateway \
             {gateway}: {self}. Each heartbeat of either takes the slot: stop one of the two, or \
             give them versions vN"
        );
        Error::new(ErrorKind::Flapping, text)
    }

    fn error(&self, text: &str) -> Error {
        Error::new(ErrorKind::SchemaConflict, text)
    }
}

/// The difference between the two schemas.
impl fmt::Display for Conflict<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.theirs, self.ours) {
            ("", _) => f.write_str("its hash is not known")?,
            (theirs, Some(ours)) => {
                write!(f, "its hash is {}, ours {}", short(theirs), short(ours))?;
            }
            (theirs, None) => write!(f, "its hash is {}", short(theirs))?,
        }
        match self.difference {
            Some(difference) => write!(f, "; {difference}"),
            None => Ok(()),
        }
    }
}

/// As many digits of a hash as people compare.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}

/// Those that no situation of a test leads to for certain; the others are in
/// `tests/life/words/messages.txt`.
#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_that_another_build_holds_for_a_moment() {
        let conflict = Conflict {
            gateway: "gateway:50090",
            slot: "greeter/unstable",
            ours: Some("0123456789abcdef"),
            theirs: "",
            difference: None,
        };
        assert_eq!(
            conflict.not_yet_ours().to_string(),
            "another schema has `greeter/unstable` on the gateway gateway:50090 and gets the calls: \
             its hash is not known. This one takes the slot when the other steps aside, stops, or \
             with its next heartbeat"
        );
    }

    #[test]
    fn several_services_that_cannot_be_rendered_together() {
        let of = |names: &[&str]| {
            accusation(&Culprit {
                services: names.iter().map(|name| (*name).to_owned()).collect(),
                reason: "multiple types named JSON".to_owned(),
            })
        };
        assert_eq!(
            of(&["a:v1", "admin"]),
            "the schemas of `a` (v1) and `admin` cannot be rendered together (multiple types named \
             JSON)"
        );
        assert_eq!(
            of(&["a", "b", "c", "d", "e", "f"]),
            "the schemas of `a`, `b`, `c`, `d` and 2 more cannot be rendered together (multiple \
             types named JSON)"
        );
    }
}
