//! The manual, page by page.
//!
//! | page | |
//! |---|---|
//! | [The life of a registration](life) | from the bound listener to the last heartbeat |
//! | [Shutdown](shutdown) | leaving without losing a call |
//! | [What the check knows](schemas) | schemas, findings, repairs |
//! | [Status and evidence](status) | what each state claims, and why |
//! | [Rolling out schemas](rollouts) | vN, `unstable`, locks, conflicts |
//! | [Addresses](addresses) | NAT, containers, TLS on your own server |
//! | [Several gateways](gateways) | nodes, clusters, failover, takeover |
//! | [Operations](operations) | settings from the environment, TLS and tokens, health, metrics |
//! | [What becomes of calls](calls) | what gateways carry, change and lose |
//! | [Kubernetes](kubernetes) | a manifest and its reasons |
//! | [Testing](testing) | your service with a gateway inside the test |
//! | [Troubleshooting](troubleshooting) | every state, error and report |
//! | [What gateways do](contract) | the behaviour that all this relies on |
//! | [What gateways do wrong](gateway_issues) | and what this crate does about it |
//! | [From the Go client](from_go) | row by row |
//! | [Glossary](glossary) | one word for one thing |
//!
//! The rules of the check are explained in the crate `tower-gwag-schema`, module `rules`.

// The pages link to each other by file name, for repository browsers. In Markdown the first
// definition of a link wins, so these definitions turn the same links into rustdoc's.
macro_rules! pages {
    ($($(#[$gate:meta])* $name:ident = $file:literal;)+) => {$(
        $(#[$gate])*
        #[doc = "[addresses]: crate::manual::addresses"]
        #[doc = "[calls]: crate::manual::calls"]
        #[doc = "[contract]: crate::manual::contract"]
        #[doc = "[from-go]: crate::manual::from_go"]
        #[doc = "[gateway-issues]: crate::manual::gateway_issues"]
        #[doc = "[gateways]: crate::manual::gateways"]
        #[doc = "[glossary]: crate::manual::glossary"]
        #[doc = "[kubernetes]: crate::manual::kubernetes"]
        #[doc = "[life]: crate::manual::life"]
        #[doc = "[operations]: crate::manual::operations"]
        #[doc = "[rollouts]: crate::manual::rollouts"]
        #[doc = "[schemas]: crate::manual::schemas"]
        #[doc = "[shutdown]: crate::manual::shutdown"]
        #[doc = "[status]: crate::manual::status"]
        #[doc = "[testing]: crate::manual::testing"]
        #[doc = "[troubleshooting]: crate::manual::troubleshooting"]
        #[doc = ""]
        #[doc = include_str!(concat!("../docs/", $file))]
        pub mod $name {}
    )+};
}

pages! {
    life = "manual/life.md";
    shutdown = "manual/shutdown.md";
    schemas = "manual/schemas.md";
    calls = "manual/calls.md";
    status = "status.md";
    rollouts = "manual/rollouts.md";
    addresses = "manual/addresses.md";
    gateways = "manual/gateways.md";
    operations = "manual/operations.md";
    kubernetes = "manual/kubernetes.md";
    testing = "manual/testing.md";
    troubleshooting = "manual/troubleshooting.md";
    contract = "contract.md";
    gateway_issues = "gateway-issues.md";
    from_go = "manual/from-go.md";
    glossary = "glossary.md";
}
