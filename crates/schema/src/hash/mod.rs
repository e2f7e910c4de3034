//! The canonical hash of a schema, by which a gateway tells two schemas apart.

#[cfg(feature = "preflight")]
mod canonical;
#[cfg(feature = "preflight")]
mod encode;

use std::fmt;

#[cfg(feature = "preflight")]
pub use canonical::*;

/// The hash by which a gateway tells two schemas apart (`hash_hex` in its list of services), as far
/// as it can be computed without asking one.
///
/// It is exact for proto3, custom options included, for protos without a `syntax` line and for
/// OpenAPI documents. It is unsure if a gateway's compiler may describe the source differently than
/// the one used here (your own `descriptor.proto`, extension ranges, groups, some proto2 defaults,
/// editions): then an equal hash still proves an equal schema, but a different one proves nothing.
///
/// # Examples
///
/// ```
/// use tower_gwag_schema::Service;
///
/// let proto = "syntax = \"proto3\"; message M {} service Greeter { rpc Hello(M) returns (M); }";
/// let hash = Service::proto(proto).namespace("greeter").hash()?;
/// assert!(hash.is_exact() && hash.doubt().is_none());
/// assert_eq!(hash.hex().unwrap().len(), 64);
/// # Ok::<(), tower_gwag_schema::CheckError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SchemaHash {
    hex: Option<String>,
    doubt: Option<String>,
}

// === impl SchemaHash ===

impl SchemaHash {
    pub(crate) fn exact(hex: String) -> Self {
        Self {
            hex: Some(hex),
            doubt: None,
        }
    }

    pub(crate) fn unsure(hex: Option<String>, doubt: impl Into<String>) -> Self {
        Self {
            hex,
            doubt: Some(doubt.into()),
        }
    }

    /// 64 lower-case hex digits; `None` if this crate cannot compile the source at all.
    #[must_use]
    pub fn hex(&self) -> Option<&str> {
        self.hex.as_deref()
    }

    /// Whether every gateway computes this hash.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.doubt.is_none()
    }

    /// Why a gateway may compute another hash; `None` if it is exact.
    #[must_use]
    pub fn doubt(&self) -> Option<&str> {
        self.doubt.as_deref()
    }
}

/// The hex digits, and for an unsure hash the reason.
impl fmt::Display for SchemaHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.hex().unwrap_or("unknown"))?;
        match self.doubt() {
            None => Ok(()),
            Some(doubt) => write!(f, " (unsure: {doubt})"),
        }
    }
}
