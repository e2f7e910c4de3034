//! Who has a name on the gateway: `unstable` builds that overlap, a vN that another schema has, and
//! conflicts that no hash shows. Against the clustered gateway that `GWAG_GATEWAY` (control plane,
//! `host:port`) and `GWAG_GATEWAY_HTTP` (base URL) name, one after the other, else embedded ones.

mod overlap;
pub(crate) mod place;
mod processes;
mod reclaim;
pub(crate) mod unsure;
