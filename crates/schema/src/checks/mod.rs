//! The findings about a schema: what a gateway refuses, cannot render, or does to calls, in words.

pub(crate) mod graphql;
pub(crate) mod openapi;
pub(crate) mod proto;
