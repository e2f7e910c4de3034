//! Releases of the gateway.

/// A release of the gateway; listed are only those that treat schemas differently.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GatewayRelease {
    /// 1.1: lists that come from OpenAPI have nullable items, and headers and cookies must be GraphQL
    /// names.
    V1_1,
    /// 1.4, the newest known release.
    #[default]
    V1_4,
}
