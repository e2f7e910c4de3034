//! All that a check found.

use std::fmt;

use crate::finding::CheckError;
use crate::finding::Finding;
use crate::finding::Rule;

/// All that a check found, in the order of the options and services.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings(Vec<Finding>);

// === impl Findings ===

impl Findings {
    /// Whether nothing was found.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Every finding.
    pub fn iter(&self) -> std::slice::Iter<'_, Finding> {
        self.0.iter()
    }

    /// Those that keep the services from being registered.
    pub fn errors(&self) -> impl Iterator<Item = &Finding> {
        self.iter().filter(|finding| finding.is_error())
    }

    /// Those that are only worth knowing.
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

    /// The value, or a finding and `None`.
    #[doc(hidden)]
    pub fn keep<T>(&mut self, result: Result<T, impl Into<Finding>>) -> Option<T> {
        result.map_err(|fault| self.add(fault)).ok()
    }

    /// Drops what is allowed.
    #[doc(hidden)]
    pub fn allow<'a>(&mut self, allowed: impl IntoIterator<Item = &'a Rule>) {
        for rule in allowed.into_iter().filter(|rule| rule.is_allowable()) {
            self.0.retain(|finding| finding.rule() != *rule);
        }
    }

    /// Says of everything found that it is about a service.
    #[doc(hidden)]
    pub fn name(&mut self, service: &str) {
        for finding in &mut self.0 {
            finding.name(service);
        }
    }

    /// `Err` with everything, if there is an error among it.
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

/// Every finding over several lines, errors first.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, finding) in self.errors().chain(self.warnings()).enumerate() {
            let gap = if at == 0 { "" } else { "\n\n" };
            write!(f, "{gap}{finding}")?;
        }
        Ok(())
    }
}
