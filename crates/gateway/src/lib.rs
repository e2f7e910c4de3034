//! A gwag gateway in this process, to develop and test services against.
//!
//! [`EmbeddedGateway`] listens on real sockets and answers as a real gateway does: the 11 RPCs of
//! the control plane, the gRPC ingress on the same port, and the HTTP ingress on a second port.
//! Hooks make it misbehave on purpose: evict, refuse, delay, freeze, kill. It is a development and
//! test tool, never a gateway for production.
//!
//! What it leaves out: GraphQL calls and subscriptions, TLS, protobuf editions, the refusal of
//! idle pings, and quotas. Its schema endpoints give a sketch of the GraphQL schema, no more.
//!
//! ```no_run
//! # async fn example() -> Result<(), tower_gwag_gateway::Error> {
//! use tower_gwag_gateway::EmbeddedGateway;
//!
//! let gateway = EmbeddedGateway::builder().start().await?;
//! println!("register at {}", gateway.target());
//! gateway.wait_until(|now| !now.registrations.is_empty()).await;
//! gateway.shutdown().await;
//! # Ok(())
//! # }
//! ```

// In the library only: tests and examples may.
#![warn(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod builder;
mod cluster;
mod control_plane;
mod error;
mod faults;
mod gate;
mod gateway;
mod http;
mod ledger;
mod node;
mod proxy;
mod registry;
mod rpc;
mod view;

pub use builder::{EmbeddedGatewayBuilder, Profile, Tier};
pub use error::{Error, ErrorKind};
pub use gateway::EmbeddedGateway;
pub use ledger::{RpcCount, RpcCounts};
pub use rpc::Rpc;
pub use view::{GatewayView, RegistrationView, ServiceView};
