//! What the gateway visibly made of a registration: read back, proved by calls, and seen in the
//! slots that other schemas want, too.

pub(crate) mod ghosts;
pub(crate) mod http;
pub(crate) mod peers;
pub(crate) mod proof;
pub(crate) mod reach;
pub(crate) mod slots;
pub(crate) mod verify;
