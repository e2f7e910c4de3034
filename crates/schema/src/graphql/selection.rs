//! Selects the services of a gateway whose schema is wanted.

use crate::name::reserved_character;
use crate::version::{Version, VersionFault};

/// Namespaces, or single versions of them; empty selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection(Vec<(String, Option<Version>)>);

impl Selection {
    /// Everything that is registered.
    pub const ALL: Self = Self(Vec::new());

    /// Adds a namespace with all its versions, or one version.
    #[must_use]
    pub fn with(mut self, namespace: impl Into<String>, version: Option<Version>) -> Self {
        self.0.push((namespace.into(), version));
        self
    }

    /// Parses `ns,other:v2` as the schema endpoint does.
    ///
    /// # Errors
    ///
    /// The endpoint's error message for an invalid text.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut selection = Self::ALL;
        for part in text.split(',').map(str::trim).filter(|it| !it.is_empty()) {
            let fault = |why: &str| format!("service selector {part:?}: {why}");
            let (namespace, version) = match part.split_once(':') {
                Some((namespace, version)) => (namespace.trim(), Some(version.trim())),
                None => (part, None),
            };
            if reserved_character(namespace).is_some() {
                let why = format!("namespace {namespace:?} contains reserved character");
                return Err(fault(&why));
            }
            let version = version.map(|it| {
                Version::parse(it).map_err(|why| match why {
                    VersionFault::StableAlias => fault(&format!(
                        "version {it:?}: stable is a computed alias; register vN instead"
                    )),
                    VersionFault::Syntax => fault(&format!("version {it:?}: no vN or unstable")),
                })
            });
            let version = version.transpose()?;
            selection = selection.with(namespace, version);
        }
        Ok(selection)
    }

    /// Whether it selects a version of a namespace.
    #[must_use]
    pub fn has(&self, namespace: &str, version: Version) -> bool {
        self.0.is_empty()
            || self
                .0
                .iter()
                .any(|(name, only)| name == namespace && only.is_none_or(|only| only == version))
    }
}
