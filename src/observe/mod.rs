//! What the gateway made of a registration, as far as it shows: read back, proved by its calls, and
//! seen in the slots that others want, too.

pub(crate) mod http;
pub(crate) mod peers;
pub(crate) mod proof;
pub(crate) mod reach;
pub(crate) mod slots;
pub(crate) mod verify;
