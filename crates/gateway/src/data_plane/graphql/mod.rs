//! GraphQL at `/api/graphql`: queries and mutations over HTTP, subscriptions over
//! graphql-transport-ws.
//!
//! Documents are parsed, validated and executed by our own code, which follows the recordings: the
//! gateways' library has an old grammar and its own texts, and cuts answers in its own way.

mod document;
mod execute;
pub(crate) mod graph;
mod introspect;
mod lex;
mod parse;
mod project;
mod serve;
mod subscribe;
mod types;
mod upload;
mod validate;
mod values;
mod websocket;

pub(crate) use serve::call;
