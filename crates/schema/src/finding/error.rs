//! The error of a check: the findings that keep services from being registered.

use std::fmt;

use crate::finding::Findings;
use crate::finding::Rule;

/// A check found something that would keep a gateway from serving.
///
/// `Display` and `Debug` show every [`Finding`](crate::Finding) with its place and remedy.
///
/// # Examples
///
/// ```
/// use tower_gwag_schema::{Rule, Service, check};
///
/// let broken = Service::proto("syntax = \"proto3\"; message M { Missing it = 1; }").namespace("shop");
/// let error = check(&[broken]).unwrap_err();
/// assert_eq!(error.rule(), Rule::ProtoCompile);
/// println!("{error}");
/// assert!(!error.findings().is_empty());
/// let findings = error.into_findings();
/// # assert!(!findings.is_empty());
/// ```
#[derive(Clone)]
pub struct CheckError {
    rule: Rule,
    findings: Findings,
}

// === impl CheckError ===

impl CheckError {
    /// `rule` is the rule of the first error.
    pub(crate) fn new(rule: Rule, findings: Findings) -> Self {
        Self { rule, findings }
    }

    /// The rule of the first finding that is an error.
    #[must_use]
    pub fn rule(&self) -> Rule {
        self.rule
    }

    /// All findings, warnings included.
    #[must_use]
    pub fn findings(&self) -> &Findings {
        &self.findings
    }

    /// All findings, warnings included.
    #[must_use]
    pub fn into_findings(self) -> Findings {
        self.findings
    }
}

impl fmt::Display for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.findings.fmt(f)
    }
}

impl fmt::Debug for CheckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A `main` that returns an error prints it with `Debug`, so this prints the readable findings.
        write!(f, "{:?}\n\n{}\n", self.rule, self.findings)
    }
}

impl std::error::Error for CheckError {}
