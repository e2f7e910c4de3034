//! The hold: a second registration with the service's address that keeps the gateway's
//! connections to it open while the service itself leaves (contract, The hold).

use super::proto::ServiceBinding;

/// Hidden from the public schemas by its leading underscore.
pub(crate) const NAMESPACE: &str = "_tower_gwag_hold";

/// Whether it is the name of a hold in a gateway's list of registrations.
pub(crate) fn is_hold(name: &str) -> bool {
    name.split_once('/')
        .is_some_and(|(namespace, _)| namespace == NAMESPACE)
}

/// Must never change: a vN is locked to its hash, and white space counts.
const PROTO: &str = "\
// Keeps a gateway's connections to a replica open while the replica leaves.
// It routes nothing. Never change this text: gateways lock its hash.
syntax = \"proto3\";

package tower_gwag.hold.v1;

message Hold {}
";

/// `unstable` is for gateways whose tier policy does not accept a vN.
pub(crate) fn binding(unstable: bool) -> ServiceBinding {
    ServiceBinding {
        namespace: NAMESPACE.to_owned(),
        proto_source: PROTO.as_bytes().to_vec(),
        version: if unstable { "unstable" } else { "v1" }.to_owned(),
        ..ServiceBinding::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// FNV-1a, enough to notice a change.
    fn fingerprint(bytes: &[u8]) -> u64 {
        bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
        })
    }

    #[test]
    fn the_text_never_changes() {
        // If this fails, a gateway that knows the old text refuses every new hold: undo the change.
        assert_eq!(PROTO.len(), 212);
        assert_eq!(fingerprint(PROTO.as_bytes()), 0xB304_26DE_9C94_A499);
    }
}
