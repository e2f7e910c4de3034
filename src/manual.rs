//! The manual, page by page.
//!
//! | page | |
//! |---|---|
//! | [Getting started](start) | whole programs: tonic with `build.rs`, axum with utoipa |
//! | [The life of a registration](life) | what happens, from the start to the last heartbeat |
//! | [Shutdown](shutdown) | the steps, long streams, the report |
//! | [What the check knows](schemas) | proto, OpenAPI and GraphQL schemas; what gateways cannot serve |
//! | [Status and evidence](status) | what each state of a registration claims |
//! | [Rolling out schemas](rollouts) | versions, locks, conflicts |
//! | [Addresses](addresses) | NAT, containers, TLS on your server |
//! | [Several gateways](gateways) | clusters, failover, crashes |
//! | [What becomes of calls](calls) | what gateways change in calls, and lose |
//! | [Operations](operations) | environment variables, TLS, tokens, health, metrics |
//! | [Kubernetes](kubernetes) | a manifest, and why it is so |
//! | [Testing](testing) | your service with a gateway inside the test |
//! | [The command line](command_line) | the tool `tower-gwag`, for services in any language |
//! | [Troubleshooting](troubleshooting) | every state, error and report |
//! | [From the Go client](from_go) | each of its options, and its counterpart here |
//! | [How gateways behave](contract) | the facts behind all this |
//! | [Known faults of gateways](gateway_issues) | and what this crate does about them |
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
        #[doc = "[command-line]: crate::manual::command_line"]
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
        #[doc = "[start]: crate::manual::start"]
        #[doc = "[status]: crate::manual::status"]
        #[doc = "[testing]: crate::manual::testing"]
        #[doc = "[troubleshooting]: crate::manual::troubleshooting"]
        #[doc = ""]
        #[doc = include_str!(concat!("../docs/", $file))]
        pub mod $name {}
    )+};
}

pages! {
    start = "manual/start.md";
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
    command_line = "manual/command-line.md";
    troubleshooting = "manual/troubleshooting.md";
    contract = "contract.md";
    gateway_issues = "gateway-issues.md";
    from_go = "manual/from-go.md";
    glossary = "glossary.md";
}
