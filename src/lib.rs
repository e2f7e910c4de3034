//! Registers tonic and axum servers with a gwag gateway, which puts gRPC, OpenAPI and GraphQL
//! services behind one API.
//!
//! [`GwagRegistrationLayer`] is a tower layer. It registers your service when the server starts,
//! keeps it registered, and deregisters it at shutdown without losing a call. You wire it in three
//! places: the layer, the listener, the shutdown. The [`manual`] begins with [whole
//! programs](manual::start).
//!
//! # tonic
//!
//! ```no_run
//! use tokio::net::TcpListener;
//! use tonic::transport::Server;
//! use tower_gwag::{GwagRegistrationLayer, Options, Service, stop_signal};
//!
//! # mod greeter { include!(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/greeter/generated.rs")); }
//! # use greeter::greeter_server::{Greeter, GreeterServer};
//! # use greeter::{GreetingsRequest, HelloReply, HelloRequest};
//! # use tonic::{Request, Response, Status};
//! # struct MyGreeter;
//! # #[tonic::async_trait]
//! # impl Greeter for MyGreeter {
//! #     type GreetingsStream = tokio_stream::Empty<Result<HelloReply, Status>>;
//! #     async fn hello(&self, _: Request<HelloRequest>) -> Result<Response<HelloReply>, Status> { todo!() }
//! #     async fn greetings(&self, _: Request<GreetingsRequest>) -> Result<Response<Self::GreetingsStream>, Status> { todo!() }
//! # }
//! # macro_rules! include_str { ($file:literal) => { "syntax = \"proto3\";" } }
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let service = Service::proto(include_str!("greeter.proto")).namespace("greeter");
//! let layer = GwagRegistrationLayer::new(Options::new("gateway:50090").service(service));
//! let registration = layer.registration();
//! let incoming = registration.incoming(TcpListener::bind("0.0.0.0:50051").await?)?;
//!
//! Server::builder()
//!     .layer(layer)
//!     .add_service(GreeterServer::new(MyGreeter))
//!     .serve_with_incoming_shutdown(incoming, registration.shutdown(stop_signal()))
//!     .await?;
//! println!("{}", registration.finish().await);
//! # Ok(()) }
//! ```
//!
//! # axum
//!
//! ```no_run
//! use axum::{Json, Router, routing::get};
//! use tokio::net::TcpListener;
//! use tower_gwag::{GwagRegistrationLayer, Options, Service, stop_signal};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let service = Service::openapi(std::fs::read("openapi.yaml")?);
//! let layer = GwagRegistrationLayer::new(Options::new("gateway:50090").service(service));
//! let registration = layer.registration();
//! let listener = registration.listener(TcpListener::bind("0.0.0.0:8081").await?)?;
//!
//! let app = Router::new().route("/pets", get(|| async { Json(["Rex", "Tom"]) })).layer(layer);
//! axum::serve(listener, app)
//!     .with_graceful_shutdown(registration.shutdown(stop_signal()))
//!     .await?;
//! println!("{}", registration.finish().await);
//! # Ok(()) }
//! ```
//!
//! Add the layer last: axum's `.layer` wraps only the routes that were added before it.
//!
//! # In one call
//!
//! [`serve`] does all of that for axum, the layer included, and [`serve_tonic`] for tonic:
//!
//! ```no_run
//! # use axum::{Json, Router, routing::get};
//! # use tokio::net::TcpListener;
//! # use tower_gwag::{Options, Service};
//! # async fn run(service: Service) -> Result<(), Box<dyn std::error::Error>> {
//! let options = Options::new("gateway:50090").service(service);
//! let app = Router::new().route("/pets", get(|| async { Json(["Rex", "Tom"]) }));
//! let listener = TcpListener::bind("0.0.0.0:8081").await?;
//! let report = tower_gwag::serve(listener, app, options).await?;
//! # let _ = report;
//! # Ok(()) }
//! ```
//!
//! # Where to look
//!
//! - [`manual`]: getting started, the life of a registration, shutdown, schemas, addresses,
//!   Kubernetes, testing, troubleshooting, and more.
//! - [`Options`]: every option and its default.
//! - [`Service`]: a service to register, from proto files, an OpenAPI document, or a GraphQL
//!   endpoint.
//! - [`Registration`]: the handle: status, leaving, servers other than tonic's and axum's.
//! - [`control`]: the gateway's control plane, for tools: [`control::Client`] and the messages.
//! - [`server`]: the types around a server; you rarely need to name them.
//! - The crate `tower-gwag-build`: proto files checked and bundled by your build script.
//! - The crate `tower-gwag-gateway`: a gateway in your process, to develop and test against.
//!
//! # Features
//!
//! | feature | default | what it adds |
//! |---|---|---|
//! | `tonic` | yes | `Registration::incoming`, [`Incoming`] |
//! | `axum` | yes | `Registration::listener`, [`GwagListener`] |
//! | `preflight` | yes | the full check of schemas, [`graphql`], `Options::graphql_schema` |
//! | `tls-ring`, `tls-aws-lc` | no | `Options::tls`, `Tls`: TLS and mutual TLS towards the gateway, with the crypto provider ring or aws-lc |
//! | `tls` | no | the same, with the crypto provider that the program installed as rustls' default |
//! | `utoipa`, `utoipa5` | no | [`Service::openapi`] takes a document of utoipa 6, or 5 |
//! | `include_dir` | no | [`Service::proto_dir`] takes an `include_dir::Dir` |
//! | `health` | no | `Registration::health_service`: gRPC health checking |
//! | `metrics` | no | metrics, through the crate `metrics` |
//! | `serde` | no | `Settings`: options from a file |

#![cfg_attr(docsrs, feature(doc_cfg))]
// Only in the library: tests and examples may use these.
#![warn(
    clippy::expect_used,
    clippy::print_stderr,
    clippy::print_stdout,
    clippy::unwrap_used
)]

pub mod control;
mod drain;
mod driver;
mod error;
#[cfg_attr(
    not(all(feature = "axum", feature = "health")),
    allow(dead_code, reason = "for probes")
)]
mod health;
mod lease;
mod liveness;
mod optional_future;
// The manual's pages are compiled only for rustdoc.
#[cfg(all(
    any(doc, doctest),
    feature = "axum",
    feature = "preflight",
    feature = "tonic"
))]
pub mod manual;
mod metrics;
mod observe;
mod options;
mod pace;
mod registration;
#[cfg(any(feature = "axum", feature = "tonic"))]
mod serve;
pub mod server;
mod status;

#[cfg(feature = "tls")]
#[cfg_attr(docsrs, doc(cfg(feature = "tls")))]
pub use control::tls::Tls;
pub use error::{Error, ErrorKind};
#[cfg(feature = "health")]
#[cfg_attr(docsrs, doc(cfg(feature = "health")))]
pub use health::HealthService;
pub use health::Readiness;
pub use lease::Hold;
pub use observe::verify::ServedSchema;
#[cfg(feature = "serde")]
#[cfg_attr(docsrs, doc(cfg(feature = "serde")))]
pub use options::Settings;
pub use options::{Environment, GatewayAddress, OnFinding, OnRefusal, Options, no_gateway};
pub use registration::Registration;
#[cfg(feature = "axum")]
pub use serve::serve;
#[cfg(feature = "tonic")]
pub use serve::serve_tonic;
#[cfg(feature = "axum")]
#[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
pub use server::GwagListener;
#[cfg(feature = "tonic")]
#[cfg_attr(docsrs, doc(cfg(feature = "tonic")))]
pub use server::Incoming;
pub use server::{GwagRegistrationLayer, GwagRegistrationService, stop_signal};
pub use status::{
    Cleanness, Event, HoldOutcome, LeaveOutcome, LeaveReason, LeaveReport, State, Status,
};
#[cfg(feature = "preflight")]
#[cfg_attr(docsrs, doc(cfg(feature = "preflight")))]
pub use tower_gwag_schema::graphql;
pub use tower_gwag_schema::{
    CheckError, Finding, Findings, GatewayRelease, IntoOpenApiDocument, InvalidVersion,
    OpenApiDocument, ProtoFiles, Rule, SchemaHash, Service, Severity, UnknownRule, Version,
    VersionText,
};

/// The bytes of the bundle that the build script of this crate wrote under this name, for
/// [`Service::proto_bundle`].
///
/// `tower_gwag_build::bundle` names a bundle after its entry file: `proto/greeter.proto`
/// becomes `greeter`.
///
/// # Examples
///
/// ```ignore
/// let greeter = tower_gwag::Service::proto_bundle(tower_gwag::include_bundle!("greeter"));
/// ```
#[macro_export]
macro_rules! include_bundle {
    ($name:literal) => {
        ::core::include_bytes!(::core::concat!(
            ::core::env!("OUT_DIR"),
            "/",
            $name,
            ".gwag"
        ))
    };
}

/// The README's code compiles.
#[cfg(all(doctest, feature = "tonic", feature = "axum"))]
#[doc = include_str!("../README.md")]
struct Readme;
