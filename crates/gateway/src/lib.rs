//! A gwag gateway in this process, to develop and test services against.
//!
//! [`EmbeddedGateway`] listens on real sockets and answers as a real gateway does: the 11 RPCs of
//! the control plane, the gRPC ingress on the same port, and HTTP and GraphQL on a second port.
//! Hooks make it misbehave on purpose: evict, refuse, delay, freeze, kill. It is a development and
//! test tool, never a gateway for production.
//!
//! It treats calls as a real gateway does, over gRPC, HTTP and GraphQL: it loses headers and
//! statuses, changes numbers and names, and drops messages. [`EmbeddedGateway::changed_calls`]
//! lists the changes that it noticed. [`EmbeddedGateway::fatal_calls`] lists the calls that would
//! end a real gateway.
//!
//! It does not support TLS, protobuf editions, the refusal of idle pings, quotas, or MCP. As with real
//! gateways, only a [clustered](Profile::Clustered) one has an HTTP ingress.
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

// For the library only: tests and examples may use them.
#![warn(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

mod builder;
mod cluster;
mod control_plane;
mod data_plane;
mod error;
mod faults;
mod freeze;
mod gateway;
mod http_port;
mod journal;
mod node;
mod proxy;
mod random;
mod registry;
mod rpc;
mod rpc_counts;
mod view;

pub use builder::{EmbeddedGatewayBuilder, Profile, Tier};
pub use data_plane::changed_calls::ChangedCall;
pub use data_plane::fatal_calls::{FatalCall, Ingress};
pub use error::{Error, ErrorKind};
pub use gateway::EmbeddedGateway;
pub use journal::CallCount;
pub use rpc::Rpc;
pub use rpc_counts::{RpcCount, RpcCounts};
pub use view::{GatewayView, RegistrationView, ServiceView};
