//! Readiness and liveness, for probes over HTTP (axum) and gRPC health checking (feature `health`).

use crate::control::address::{dialled, is_bound};
use crate::driver::{Life, advertised_address};
use crate::error::{Error, ErrorKind};
use crate::options::{Advertise, Options};
use std::net::SocketAddr;

/// When a server becomes ready; it then stays ready until it leaves.
///
/// Later trouble with the gateway does not take the service away from direct callers.
///
/// For [`Options::readiness`]; see [the examples of `Options`](Options#examples).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Readiness {
    /// As soon as it serves, whatever the gateway does: an unreachable gateway takes no server out
    /// of rotation. The default.
    #[default]
    Serving,
    /// Once the gateway has accepted the registration.
    Registered,
    /// Once a call from the gateway has arrived, which proves that the service is routed. This
    /// takes a call, so it does not suit a service that is called only when it is ready. Refused if
    /// the advertised address is not the bound one, because nothing can prove it there.
    Routed,
}

/// Whether the server is ready, and why.
struct Verdict {
    is_ready: bool,
    why: &'static str,
}

// === impl Options ===

impl Options {
    /// When the server counts as ready for [`Registration::readyz`](crate::Registration::readyz)
    /// and the gRPC health service. Default: [`Readiness::Serving`].
    pub fn readiness(mut self, when: Readiness) -> Self {
        self.readiness = Some(when);
        self
    }
}

// === impl Readiness ===

impl Readiness {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Serving => "serving",
            Self::Registered => "registered",
            Self::Routed => "routed",
        }
    }

    /// Whether the server can ever become ready with the advertised address. Names are not resolved
    /// here.
    pub(crate) fn check(
        self,
        advertise: &Advertise,
        bound: Option<SocketAddr>,
    ) -> Result<(), Error> {
        if self != Self::Routed || *advertise == Advertise::Bound {
            return Ok(());
        }
        let advertised = advertised_address::advertised(advertise, bound, &[])?;
        let may_be_bound = match (dialled(&advertised), bound) {
            (Some((host, port)), Some(bound)) => match host.parse() {
                Ok(ip) => is_bound(SocketAddr::new(ip, port), bound),
                Err(_) => port == bound.port(),
            },
            _ => false,
        };
        if may_be_bound {
            return Ok(());
        }
        let message = format!(
            "the readiness `Routed` cannot be proved: `{}` is advertised, and a call to the bound \
             address proves nothing about another one; use `Readiness::Registered`",
            tower_gwag_schema::redact::redacted_url(&advertised)
        );
        Err(Error::new(ErrorKind::InvalidAdvertisedAddress, message))
    }
}

// === impl Life ===

impl Life {
    fn verdict(&self) -> Verdict {
        let board = &self.board;
        let (is_ready, why) = if self.is_closing() {
            (false, "the server is leaving")
        } else if board.is_disabled() {
            (true, "registration is switched off")
        } else if !self.began() {
            (false, "the server does not accept connections yet")
        } else {
            match self.readiness {
                Readiness::Serving => (true, "the server serves"),
                Readiness::Registered if board.was_registered() => {
                    (true, "the gateway has accepted the registration")
                }
                Readiness::Registered => {
                    (false, "the gateway has not accepted the registration yet")
                }
                Readiness::Routed if board.was_routed() => (true, "the gateway has called it"),
                Readiness::Routed => (false, "no call from the gateway has arrived yet"),
            }
        };
        Verdict { is_ready, why }
    }

    /// The readiness as JSON, for people and probes.
    #[cfg(feature = "axum")]
    fn readiness_report(&self) -> (bool, serde_json::Value) {
        let verdict = self.verdict();
        let status = self.board.status();
        let status = status.borrow();
        let mut report = serde_json::json!({
            "ready": verdict.is_ready,
            "why": verdict.why,
            "mode": self.readiness.name(),
            "state": status.state().to_string(),
            "state_seconds": status.elapsed().as_secs(),
        });
        if let Some(reason) = status.reason() {
            report["reason"] = reason.to_string().into();
        }
        (verdict.is_ready, report)
    }
}

#[cfg(feature = "axum")]
mod of_http {
    use std::future::{Ready, ready};
    use std::sync::Arc;

    use axum::response::{IntoResponse, Response};
    use http::{StatusCode, header};

    use crate::registration::Registration;

    impl Registration {
        /// An axum handler for readiness probes: 200 or 503, with JSON that gives the reason.
        ///
        /// [`Options::readiness`](crate::Options::readiness) defines when the server is ready; from
        /// the first moment of leaving it is not. The handler does not keep the registration alive,
        /// so it may run on another server.
        ///
        /// # Examples
        ///
        /// ```
        /// # use tower_gwag::{GwagRegistrationLayer, Options};
        /// use axum::{Router, routing::get};
        ///
        /// let layer = GwagRegistrationLayer::new(Options::disabled());
        /// let registration = layer.registration();
        /// let probes: Router = Router::new()
        ///     .route("/readyz", get(registration.readyz()))
        ///     .route("/livez", get(registration.livez()));
        /// ```
        #[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
        pub fn readyz(
            &self,
        ) -> impl Fn() -> Ready<Response> + Clone + Send + Sync + 'static + use<> {
            let life = Arc::clone(self.life());
            move || {
                let (is_ready, report) = life.readiness_report();
                let status = match is_ready {
                    true => StatusCode::OK,
                    false => StatusCode::SERVICE_UNAVAILABLE,
                };
                ready(answer(status, &report))
            }
        }

        /// An axum handler for liveness probes: always 200, because a process that answers is
        /// alive, and no state of a gateway is a reason to restart it.
        #[cfg_attr(docsrs, doc(cfg(feature = "axum")))]
        pub fn livez(
            &self,
        ) -> impl Fn() -> Ready<Response> + Clone + Send + Sync + 'static + use<> {
            let life = Arc::clone(self.life());
            move || {
                let state = life.board.state().to_string();
                let report = serde_json::json!({ "alive": true, "state": state });
                ready(answer(StatusCode::OK, &report))
            }
        }
    }

    fn answer(status: StatusCode, report: &serde_json::Value) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "application/json"),
            (header::CACHE_CONTROL, "no-store"),
        ];
        (status, headers, format!("{report}\n")).into_response()
    }
}

#[cfg(feature = "health")]
pub use of_grpc::HealthService;

#[cfg(feature = "health")]
mod of_grpc {
    use std::pin::Pin;
    use std::sync::Arc;
    use std::task::{Context, Poll, ready};

    use futures_core::Stream;
    use tokio::sync::watch;
    use tonic::{Request, Response, Status};
    use tonic_health::pb::health_check_response::ServingStatus;
    use tonic_health::pb::health_server::{Health, HealthServer};
    use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};

    use crate::driver::Life;
    use crate::registration::Registration;

    /// gRPC health checking (`grpc.health.v1.Health`) of a registration: what
    /// [`Registration::health_service`] serves, and has an example of.
    #[derive(Clone, Debug)]
    pub struct HealthService {
        life: Arc<Life>,
        services: Arc<[String]>,
    }

    type Changed = Pin<Box<dyn Future<Output = watch::Receiver<()>> + Send>>;

    /// The status, and each change of it.
    struct Watch {
        life: Arc<Life>,
        is_known: bool,
        last: Option<ServingStatus>,
        changed: Changed,
    }

    impl Registration {
        /// gRPC health checking for a tonic server: SERVING or NOT_SERVING according to
        /// [`Options::readiness`](crate::Options::readiness), and NOT_SERVING from the first moment
        /// of leaving.
        ///
        /// It answers for the server as a whole (the empty name) and for the given `services`, such
        /// as `GreeterServer::<Greeter>::NAME`; other names are not found.
        ///
        /// # Examples
        ///
        /// ```no_run
        /// # async fn run(layer: tower_gwag::GwagRegistrationLayer, greeter: tonic::service::Routes) -> Result<(), Box<dyn std::error::Error>> {
        /// use tokio::net::TcpListener;
        /// use tonic::transport::Server;
        /// use tower_gwag::stop_signal;
        ///
        /// let registration = layer.registration();
        /// let incoming = registration.incoming(TcpListener::bind("0.0.0.0:50051").await?)?;
        /// Server::builder()
        ///     .layer(layer)
        ///     .add_routes(greeter)
        ///     .add_service(registration.health_service(["greeter.v1.Greeter"]))
        ///     .serve_with_incoming_shutdown(incoming, registration.shutdown(stop_signal()))
        ///     .await?;
        /// # Ok(()) }
        /// ```
        #[cfg_attr(docsrs, doc(cfg(feature = "health")))]
        pub fn health_service<S: Into<String>>(
            &self,
            services: impl IntoIterator<Item = S>,
        ) -> HealthServer<HealthService> {
            HealthServer::new(HealthService {
                life: Arc::clone(self.life()),
                services: services.into_iter().map(S::into).collect(),
            })
        }
    }

    fn serving(life: &Life) -> ServingStatus {
        match life.verdict().is_ready {
            true => ServingStatus::Serving,
            false => ServingStatus::NotServing,
        }
    }

    fn response(status: ServingStatus) -> HealthCheckResponse {
        let status = status.into();
        HealthCheckResponse { status }
    }

    fn next(mut pulse: watch::Receiver<()>) -> Changed {
        Box::pin(async move {
            if pulse.changed().await.is_err() {
                // The stream owns the registration and keeps it alive.
                std::future::pending::<()>().await;
            }
            pulse
        })
    }

    impl HealthService {
        fn knows(&self, service: &str) -> bool {
            service.is_empty() || self.services.iter().any(|it| it == service)
        }
    }

    #[tonic::async_trait]
    impl Health for HealthService {
        async fn check(
            &self,
            request: Request<HealthCheckRequest>,
        ) -> Result<Response<HealthCheckResponse>, Status> {
            if !self.knows(&request.get_ref().service) {
                return Err(Status::not_found("service not registered"));
            }
            Ok(Response::new(response(serving(&self.life))))
        }

        type WatchStream = Pin<Box<dyn Stream<Item = Result<HealthCheckResponse, Status>> + Send>>;

        async fn watch(
            &self,
            request: Request<HealthCheckRequest>,
        ) -> Result<Response<Self::WatchStream>, Status> {
            let watch = Watch {
                is_known: self.knows(&request.get_ref().service),
                last: None,
                changed: next(self.life.board.pulse()),
                life: Arc::clone(&self.life),
            };
            Ok(Response::new(Box::pin(watch)))
        }
    }

    impl Stream for Watch {
        type Item = Result<HealthCheckResponse, Status>;

        fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            loop {
                let now = match self.is_known {
                    true => serving(&self.life),
                    false => ServingStatus::ServiceUnknown,
                };
                if self.last != Some(now) {
                    self.last = Some(now);
                    return Poll::Ready(Some(Ok(response(now))));
                }
                let pulse = ready!(self.changed.as_mut().poll(cx));
                self.changed = next(pulse);
            }
        }
    }
}
