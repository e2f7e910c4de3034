//! Releases of the gateway.

/// A release of the gateway; only those are listed that treat schemas differently.
///
/// # Examples
///
/// ```
/// use tower_gwag_schema::{GatewayRelease, Service, check_for};
///
/// let proto = "syntax = \"proto3\"; message M {} service Greeter { rpc Hello(M) returns (M); }";
/// check_for(&[Service::proto(proto).namespace("greeter")], GatewayRelease::V1_1)?;
/// # Ok::<(), tower_gwag_schema::CheckError>(())
/// ```
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
