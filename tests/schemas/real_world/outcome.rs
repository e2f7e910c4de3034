//! Where a document ended, and all of them in a table.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use tower_gwag::{Finding, Findings, Options, Rule, Service};

use super::cases::{Case, Kind};

pub(crate) struct Outcome {
    kind: Kind,
    name: &'static str,
    at_once: Findings,
    repaired: Findings,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum End {
    AtOnce,
    AfterRepair,
    Never,
}

impl Outcome {
    pub(crate) fn of(case: &Case) -> Self {
        Self {
            kind: case.kind,
            name: case.name,
            at_once: found(case.service.clone()),
            repaired: found(case.service.clone().repair()),
        }
    }

    pub(crate) fn is_expected(&self, case: &Case) -> bool {
        let set = |rules: &[Rule]| rules.iter().copied().collect::<BTreeSet<_>>();
        let mut warned = rules(self.at_once.warnings());
        // Many documents have such parameters, and every repair hands them down.
        warned.remove(&Rule::OpenApiPathItemParameters);
        // Counted elsewhere.
        warned.retain(|rule| !rule.is_about_calls());
        let is_left = |it: &Finding| it.rule() == Rule::OpenApiPathItemParameters;
        !self.repaired.iter().any(is_left)
            && rules(self.at_once.errors()) == set(case.refused)
            && rules(self.repaired.errors()) == set(case.left)
            && warned == set(case.warned)
    }

    /// The findings about calls of what is registered, or would be.
    pub(crate) fn calls(&self) -> impl Iterator<Item = &Finding> {
        let said = match self.end() {
            End::AtOnce => &self.at_once,
            End::AfterRepair | End::Never => &self.repaired,
        };
        said.iter().filter(|it| it.rule().is_about_calls())
    }

    fn end(&self) -> End {
        match (self.at_once.errors().next(), self.repaired.errors().next()) {
            (None, _) => End::AtOnce,
            (_, None) => End::AfterRepair,
            _ => End::Never,
        }
    }
}

/// All that was found, for the one who has to say what is expected.
impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at_once, repaired) = (&self.at_once, &self.repaired);
        write!(f, "at once:\n{at_once}\nrepaired:\n{repaired}")
    }
}

pub(crate) fn rules<'a>(findings: impl Iterator<Item = &'a Finding>) -> BTreeSet<Rule> {
    findings.map(Finding::rule).collect()
}

fn found(service: Service) -> Findings {
    let checked = Options::new("gateway:1").service(service).check();
    checked.unwrap_or_else(|error| error.findings().cloned().expect("findings"))
}

/// How many lines each document has about calls, and of which rules.
pub(crate) fn calls_table(outcomes: &[Outcome]) -> String {
    let mut text = format!("{:<16} {:>5}\n", "document", "lines");
    for outcome in outcomes {
        let rules: Vec<_> = outcome.calls().map(|it| it.rule().id()).collect();
        let (name, lines) = (outcome.name, rules.len());
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<16} {lines:>5}  {}", rules.join(", "));
    }
    text
}

/// Kinds with their shares, then rules with the documents that break them.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut text = format!(
        "{:<8} {:>9} {:>8} {:>12} {:>6}\n",
        "kind", "documents", "at once", "after repair", "never"
    );
    for (kind, name) in [(Kind::OpenApi, "OpenAPI"), (Kind::Proto, "proto")] {
        let ends: Vec<_> = outcomes.iter().filter(|it| it.kind == kind).collect();
        let count = |end| ends.iter().filter(|it| it.end() == end).count();
        let (all, now, later) = (ends.len(), count(End::AtOnce), count(End::AfterRepair));
        let never = count(End::Never);
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name:<8} {all:>9} {now:>8} {later:>12} {never:>6}");
    }
    let mut by_rule: BTreeMap<Rule, [Vec<&str>; 2]> = BTreeMap::new();
    for outcome in outcomes {
        for (at, findings) in [&outcome.at_once, &outcome.repaired]
            .into_iter()
            .enumerate()
        {
            for rule in rules(findings.errors()) {
                by_rule.entry(rule).or_default()[at].push(outcome.name);
            }
        }
    }
    let _ = writeln!(
        text,
        "\n{:<33} {:>7}  {:>4}",
        "refused by rule", "at once", "left"
    );
    for (rule, [at_once, left]) in by_rule {
        let (before, after) = (at_once.len(), left.len());
        let names = at_once.join(", ");
        let _ = writeln!(text, "{:<33} {before:>7}  {after:>4}  {names}", rule.id());
    }
    text
}
