//! The tower layer.

use std::sync::Arc;

use tower_layer::Layer;

use super::service::GwagRegistrationService;
use crate::driver::{Handle, Life};
use crate::options::Options;
use crate::registration::Registration;

/// Registers a tonic or axum server with a gwag gateway; clones are the same registration.
///
/// The layer counts the requests in flight, bodies included. Add it last to an axum router:
/// `Router::layer` wraps only the routes added before it. Requests that it does not see are
/// answered, too, up to [`drain_timeout`](Options::drain_timeout), but the report says "not
/// counted", and the server may stop accepting before they have ended. The registration starts when
/// the server first polls its wrapped listener for a connection: by then the address is known and
/// the server can serve. See the [crate's page](crate) for the whole wiring.
///
/// Making and adding the layer does no I/O and needs no runtime. To switch it off, use
/// [`Options::disabled`]: an optional layer would change the type of the bodies.
///
/// # Examples
///
/// ```
/// use axum::{Router, routing::get};
/// use tower_gwag::{GwagRegistrationLayer, Options};
///
/// # let options = Options::disabled();
/// let layer = GwagRegistrationLayer::new(options);
/// let registration = layer.registration();
/// let app: Router = Router::new().route("/pets", get(|| async { "Rex" })).layer(layer); // last
/// ```
#[derive(Clone, Debug)]
pub struct GwagRegistrationLayer {
    handle: Arc<Handle>,
}

// === impl GwagRegistrationLayer ===

impl GwagRegistrationLayer {
    /// Makes the layer of one registration. Errors in the options are reported by
    /// [`Options::check`] and when the listener is wrapped.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::{GwagRegistrationLayer, Options, Service};
    ///
    /// let layer = GwagRegistrationLayer::new(
    ///     Options::new("gateway:50090")
    ///         .service(Service::openapi(r#"{"info":{"title":"Pets"}}"#)),
    /// );
    /// let registration = layer.registration();
    /// ```
    #[must_use]
    pub fn new(options: Options) -> Self {
        let life = Arc::new(Life::new(options));
        Self {
            handle: Arc::new(Handle { life }),
        }
    }

    /// The handle of this registration: listeners, shutdown, status.
    #[must_use]
    pub fn registration(&self) -> Registration {
        Registration::new(Arc::clone(&self.handle))
    }
}

impl<S> Layer<S> for GwagRegistrationLayer {
    type Service = GwagRegistrationService<S>;

    // axum calls this per route and, for some handlers, per connection: it only clones an Arc.
    fn layer(&self, inner: S) -> Self::Service {
        self.handle.life.drain.wiring.saw_layer();
        GwagRegistrationService::new(inner, Arc::clone(&self.handle))
    }
}
