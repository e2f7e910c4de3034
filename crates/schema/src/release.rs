//! Releases of the gateway.

/// A release of the gateway, as far as what it makes of schemas differs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum GatewayRelease {
    /// 1.1: what comes from OpenAPI has nullable items in its lists, and headers and cookies must be
    /// GraphQL names.
    V1_1,
    /// 1.4, the newest that is known.
    #[default]
    V1_4,
}
