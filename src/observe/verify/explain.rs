//! Turns verdicts into messages with a remedy.

use std::fmt;

use super::gather::{Culprit, Evidence, HttpPort, SchemaAnswer};
use super::verdict::{Expected, Verdict};
use crate::error::{Error, ErrorKind};

/// What to do about a vN that another schema holds.
const CONFLICT_ADVICE: &str = "Cut a new version vN for a new schema, or use `unstable`; the slot is \
                               looked at every second, and this one is registered once it was free for \
                               `Options::reclaim_after`";

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
                "the gateway {target} cannot make its schema of `{}`: {reason}. It was withdrawn, \
                 because it keeps every other service's changes from being served; repair the \
                 schema and start again",
                name(*service)
            ),
        ),
    };
    Some(error)
}

fn blocked(name: &str, evidence: &Evidence, is_unheard: bool, target: &str) -> Error {
    let whose = match (&evidence.culprit, evidence.http) {
        (Some(culprit), _) => format!(
            "because {}, which blocks every other service's: have it deregistered or repaired",
            accusation(culprit)
        ),
        (None, HttpPort::NotGiven) => {
            "most often because somebody's schema cannot be rendered and blocks the gateway: look \
             into its log, or give `Options::gateway_http`, so that its name can be told"
                .to_owned()
        }
        (None, HttpPort::NoSchema) => {
            "most often because somebody's schema cannot be rendered and blocks the gateway: look \
             into its log. What answers at `gateway_http` shows no schema, so that nobody can be \
             named (is it this gateway's HTTP port?)"
                .to_owned()
        }
        (None, HttpPort::Schema) if is_unheard => {
            "most often because somebody's schema cannot be rendered and blocks the gateway: look \
             into its log. The gateway at `gateway_http` does not know the service (is it this \
             gateway's HTTP port?)"
                .to_owned()
        }
        (None, HttpPort::Schema) => {
            "and no schema of another service was found that cannot be rendered: look into its log"
                .to_owned()
        }
    };
    Error::new(
        ErrorKind::Blocked,
        format!(
            "the gateway {target} lists `{name}` but does not route it, {whose}. It is registered \
             anew, so that it is routed as soon as the gateway can"
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
            "`{slot}` was replaced by another schema on the gateway {gateway}, which sends the calls \
             there now: {self}. That is usual while a new build is rolled out: stop what is older. \
             This one has stepped aside, and registers again once the slot is empty"
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

/// What tells the two schemas apart.
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
