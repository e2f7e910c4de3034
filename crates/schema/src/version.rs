//! Versions: `unstable` or `vN` (contract § 2).

use std::fmt;
use std::str::FromStr;

/// Why a text is not a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionFault {
    /// `stable`, an alias that the gateway computes.
    StableAlias,
    /// Anything else that is not `unstable` or `vN`.
    Syntax,
}

/// The text is neither `unstable` nor `vN`; for an example see [`Version`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidVersion(String);

/// The version under which a service is registered.
///
/// # Examples
///
/// ```
/// use tower_gwag::Version;
///
/// assert_eq!("v2".parse(), Ok(Version::numbered(2).expect("not zero")));
/// assert!("2".parse::<Version>().is_err());
/// assert_eq!(Version::V1.number(), Some(1));
/// assert!(Version::UNSTABLE.is_unstable());
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(Tier);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Tier {
    Unstable,
    Numbered(u64),
}

impl Default for Tier {
    fn default() -> Self {
        Self::Numbered(1)
    }
}

impl Version {
    /// `unstable`: the one slot of a namespace whose schema may change at any time.
    pub const UNSTABLE: Self = Self(Tier::Unstable);
    /// `v1`, the default.
    pub const V1: Self = Self(Tier::Numbered(1));

    /// `vN`; `None` for 0 and for numbers above `i64::MAX`, which gateways refuse.
    #[must_use]
    pub const fn numbered(n: u64) -> Option<Self> {
        if n == 0 || n > i64::MAX as u64 {
            None
        } else {
            Some(Self(Tier::Numbered(n)))
        }
    }

    /// The N of `vN`; `None` for `unstable`.
    #[must_use]
    pub const fn number(self) -> Option<u64> {
        match self.0 {
            Tier::Unstable => None,
            Tier::Numbered(n) => Some(n),
        }
    }

    /// Whether this is `unstable`.
    #[must_use]
    pub const fn is_unstable(self) -> bool {
        matches!(self.0, Tier::Unstable)
    }

    /// Parses a version as a gateway does: empty is `v1`, and so is `v+1`.
    ///
    /// # Errors
    ///
    /// Why the text is not a version.
    pub fn parse(text: &str) -> Result<Self, VersionFault> {
        match text {
            "" => return Ok(Self::V1),
            "unstable" => return Ok(Self::UNSTABLE),
            "stable" => return Err(VersionFault::StableAlias),
            _ => {}
        }
        let number = text.strip_prefix('v').ok_or(VersionFault::Syntax)?;
        if number.starts_with('0') {
            return Err(VersionFault::Syntax);
        }
        // `u64::from_str` accepts one leading `+`, exactly as the gateway does.
        let number: u64 = number.parse().map_err(|_| VersionFault::Syntax)?;
        Self::numbered(number).ok_or(VersionFault::Syntax)
    }
}

impl FromStr for Version {
    type Err = InvalidVersion;

    /// Parses `unstable` or `vN`, as a gateway does.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).map_err(|_| InvalidVersion(text.to_owned()))
    }
}

impl fmt::Display for InvalidVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = &self.0;
        write!(
            f,
            "`{text}` is not a version: write `unstable` or `vN` with N from 1"
        )
    }
}

impl std::error::Error for InvalidVersion {}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Tier::Unstable => f.write_str("unstable"),
            Tier::Numbered(n) => write!(f, "v{n}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_as_the_gateway_reads_them() {
        for (text, shown) in [
            ("", "v1"),
            ("v1", "v1"),
            ("v10", "v10"),
            ("v+1", "v1"),
            ("v4294967296", "v4294967296"),
            ("v9223372036854775807", "v9223372036854775807"),
            ("unstable", "unstable"),
        ] {
            assert_eq!(Version::parse(text).unwrap().to_string(), shown, "{text}");
        }
        for text in [
            "v",
            "V1",
            "1",
            "v-1",
            "v0",
            "v01",
            "v1 ",
            " v1",
            "v1.0",
            "v1beta1",
            "latest",
            "Unstable",
            "vN",
            "v１",
            "v++1",
            "v9223372036854775808",
        ] {
            assert_eq!(Version::parse(text), Err(VersionFault::Syntax), "{text}");
        }
        assert_eq!(Version::parse("stable"), Err(VersionFault::StableAlias));
    }
}
