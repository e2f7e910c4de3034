//! What is known of gateways: their releases, and the sizes that they accept (contract § 1 and § 2).

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

/// The largest message a gateway receives.
pub const MAX_REQUEST_BYTES: usize = 4_194_304;

/// The most bytes that a service may take in the store of a clustered gateway: the store's message limit
/// of 1 MiB, minus its overhead.
pub const MAX_STORED_BYTES: usize = 1_048_576 - 4_096;

/// How many bytes a service takes in that store: JSON, with bytes in base64. `files` are the schema and
/// its imports, as (bytes of the name, bytes of the text).
pub fn stored_bytes(files: impl Iterator<Item = (usize, usize)>) -> usize {
    let in_base64 = |(name, text): (usize, usize)| name + 8 + text.div_ceil(3) * 4;
    512 + files.map(in_base64).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_store_was_seen_to_take_fits() {
        let stored = |source| stored_bytes(std::iter::once((0, source)));
        assert!(stored(780_000) <= MAX_STORED_BYTES);
        assert!(stored(1_000_000) > MAX_STORED_BYTES);
    }
}
