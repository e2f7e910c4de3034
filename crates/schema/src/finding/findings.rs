//! All findings of a check, and the error if they keep services from being registered.

use std::collections::BTreeMap;
use std::fmt;

use crate::finding::{Finding, Rule};

/// Further findings about one service are only counted.
pub(crate) const MOST_FINDINGS: usize = 100;

/// All findings of a check, in the order of the options and services.
///
/// # Examples
///
/// ```
/// use tower_gwag_schema::{Service, check};
///
/// let chat = "syntax = \"proto3\"; message M { string text = 1; }
///     service Chat { rpc Talk(stream M) returns (M); }";
/// let found = check(&[Service::proto(chat).namespace("chat")])?;
/// assert_eq!(found.errors().count(), 0); // otherwise `check` fails
/// assert_eq!(found.warnings().count(), found.len());
/// if !found.is_empty() {
///     println!("{found}");
/// }
/// for finding in found.iter() {
///     println!("{}", finding.rule());
/// }
/// # Ok::<(), tower_gwag_schema::CheckError>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

// === impl Findings ===

impl Findings {
    /// Whether there are no findings.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of findings.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All findings.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.0.iter()
    }

    /// The errors: findings that keep the services from being registered.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.iter().filter(|finding| finding.is_error())
    }

    /// The warnings: the services are registered all the same.
    pub fn warnings(&self) -> impl Iterator<Item = &Finding> {
        self.iter().filter(|finding| !finding.is_error())
    }

    #[doc(hidden)]
    pub fn add(&mut self, finding: impl Into<Finding>) {
        self.0.push(finding.into());
    }

    #[doc(hidden)]
    pub fn extend(&mut self, findings: impl IntoIterator<Item = Finding>) {
        self.0.extend(findings);
    }

    /// Returns the value, or adds a finding and returns `None`.
    #[doc(hidden)]
    pub fn keep<T>(&mut self, result: Result<T, impl Into<Finding>>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    /// Replaces lines by JSON pointers: the text of a generated document is nowhere to be read.
    pub(crate) fn point(&mut self) {
        self.0.iter_mut().for_each(Finding::point);
    }

    /// Removes the findings of allowed rules.
    #[doc(hidden)]
    pub fn allow<'a>(&mut self, allowed: impl IntoIterator<Item = &'a Rule>) {
        for rule in allowed.into_iter().filter(|rule| rule.is_allowable()) {
            self.0.retain(|finding| finding.rule() != *rule);
        }
    }

    /// Keeps the first findings, errors first, and adds a count of the rest for each rule.
    pub(crate) fn cap(&mut self) {
        let has_more = self.iter().any(|it| it.stands_for() > 0);
        if self.len() <= MOST_FINDINGS && !has_more {
            return;
        }
        // Keeps the original order.
        let mut left = MOST_FINDINGS;
        let mut keep = vec![false; self.0.len()];
        for wanted in [true, false] {
            for (keep, finding) in keep.iter_mut().zip(&self.0) {
                if left > 0 && finding.is_error() == wanted && finding.stands_for() == 0 {
                    *keep = true;
                    left -= 1;
                }
            }
        }
        let mut more: BTreeMap<(bool, Rule), usize> = BTreeMap::new();
        let mut keep = keep.into_iter();
        self.0.retain(|finding| {
            let stays = keep.next().unwrap_or_default();
            if !stays {
                *more
                    .entry((finding.is_error(), finding.rule()))
                    .or_default() += finding.stands_for().max(1);
            }
            stays
        });
        for ((is_error, rule), count) in more {
            let message = format!("{count} more of this rule are not shown");
            self.add(match is_error {
                true => Finding::error(rule, message),
                false => Finding::warning(rule, message),
            });
        }
    }

    /// Attributes every finding to a service.
    #[doc(hidden)]
    pub fn name(&mut self, service: &str) {
        for finding in &mut self.0 {
            finding.name(service);
        }
    }

    /// `Err` with all findings if one of them is an error.
    #[doc(hidden)]
    pub fn into_result(self) -> Result<Self, CheckError> {
        let first = self.errors().next().map(Finding::rule);
        match first {
            Some(rule) => Err(CheckError::new(rule, self)),
            None => Ok(self),
        }
    }
}

impl FromIterator<Finding> for Findings {
    fn from_iter<I: IntoIterator<Item = Finding>>(findings: I) -> Self {
        Self(findings.into_iter().collect())
    }
}

impl<'a> IntoIterator for &'a Findings {
    type Item = &'a Finding;
    type IntoIter = std::slice::Iter<'a, Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Findings {
    type Item = Finding;
    type IntoIter = std::vec::IntoIter<Finding>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
    }
}

/// Prints every finding over several lines, errors first.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.errors().chain(self.warnings()).enumerate() {
            let gap = if at == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{finding}")?;
        }
        Ok(())
    }
}

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
