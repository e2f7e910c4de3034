//! Verdicts in words, with what to do next.

use super::gather::{Culprit, HttpPort};
use super::{Evidence, Expected, Verdict};
use crate::error::{Error, ErrorKind};

/// What to do about a vN that somebody else has.
const CONFLICT_ADVICE: &str = "Cut a new version vN for a new schema, or use `unstable`; the slot is \
                               looked at every second, and this one is registered once it was free for \
                               `Options::reclaim_after`";

/// As much as is shown of what a gateway says.
const LONGEST_REASON: usize = 300;

/// Why the registration does not stand as it should; `None` where it does.
pub(in crate::registration) fn explain(
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
        Verdict::Blocked { service } => blocked(&name(*service), evidence, target),
        Verdict::Displaced { service, theirs } => {
            let expected = expected.get(*service)?;
            let ours = expected.hash.as_deref();
            conflict(&expected.name(), ours, theirs, difference)
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

fn blocked(name: &str, evidence: &Evidence, target: &str) -> Error {
    let whose = match (&evidence.culprit, evidence.http) {
        (Some(culprit), _) => format!(
            "{}, which blocks every other service's: have it deregistered or repaired",
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
             named: is it this gateway's HTTP port?"
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

/// Another schema is registered under our vN.
pub(in crate::registration) fn conflict(
    name: &str,
    ours: Option<&str>,
    theirs: &str,
    difference: Option<&str>,
) -> Error {
    Error::new(
        ErrorKind::SchemaConflict,
        format!(
            "another schema is registered as `{name}`: {}{}. {CONFLICT_ADVICE}",
            hashes(ours, theirs),
            differs(difference)
        ),
    )
}

/// The same, where the gateway says that it does not mount what it took.
pub(in crate::registration) fn rejected(
    name: &str,
    theirs: &str,
    reason: &str,
    difference: Option<&str>,
) -> Error {
    let reason: String = reason.chars().take(LONGEST_REASON).collect();
    Error::new(
        ErrorKind::SchemaConflict,
        format!(
            "another schema is registered as `{name}`: {}{}; the gateway does not mount this one \
             ({reason}). {CONFLICT_ADVICE}",
            hashes(None, theirs),
            differs(difference)
        ),
    )
}

/// A newer build has the `unstable` slot.
pub(in crate::registration) fn replaced(
    name: &str,
    ours: Option<&str>,
    theirs: &str,
    difference: Option<&str>,
) -> Error {
    Error::new(
        ErrorKind::SchemaConflict,
        format!(
            "`{name}` was replaced by another schema, which gets the calls now: {}{}. That is usual \
             while a new build is rolled out: stop what is older. This one has stepped aside, and \
             registers again once the slot is empty",
            hashes(ours, theirs),
            differs(difference)
        ),
    )
}

/// Another build has the `unstable` slot, and is about to leave it.
pub(in crate::registration) fn not_yet_ours(
    name: &str,
    ours: Option<&str>,
    theirs: &str,
    difference: Option<&str>,
) -> Error {
    Error::new(
        ErrorKind::SchemaConflict,
        format!(
            "another schema has `{name}` and gets the calls: {}{}. This one takes the slot when the \
             other steps aside, stops, or with its next heartbeat",
            hashes(ours, theirs),
            differs(difference)
        ),
    )
}

/// A foreign client wants the `unstable` slot, too.
pub(in crate::registration) fn flapping(
    name: &str,
    theirs: &str,
    difference: Option<&str>,
) -> Error {
    Error::new(
        ErrorKind::Flapping,
        format!(
            "`{name}` goes back and forth between this schema and another one ({}){}: each \
             heartbeat of either takes the slot. Stop one of the two, or give them versions vN",
            short(theirs),
            differs(difference)
        ),
    )
}

fn hashes(ours: Option<&str>, theirs: &str) -> String {
    match ours {
        Some(ours) => format!("its hash is {}, ours {}", short(theirs), short(ours)),
        None => format!("its hash is {}", short(theirs)),
    }
}

fn differs(difference: Option<&str>) -> String {
    difference.map_or_else(String::new, |difference| format!("; {difference}"))
}

/// As many digits as people compare.
fn short(hash: &str) -> &str {
    hash.get(..12).unwrap_or(hash)
}
