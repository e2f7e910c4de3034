//! GraphQL at `/api/graphql`: queries and mutations by HTTP, subscriptions by graphql-transport-ws.
//!
//! Documents are read, validated and executed by code of our own, after the recordings: the library
//! that gateways use has an old grammar and its own words, and it cuts answers in its own way.

mod document;
mod execute;
pub(crate) mod graph;
mod introspect;
mod serve;
mod socket;
mod subscribe;
mod types;
mod validate;
mod values;

pub(crate) use serve::call;
