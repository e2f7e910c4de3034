//! Options from the environment.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

use super::Options;
use super::reading::{KNOWN, Precedence, Reading, Spelling, flag};
use crate::error::Error;

pub(super) const PREFIX: &str = "GWAG_";

/// The environment variables that [`Options`] can be read from: those of this process, or a custom
/// list, so that no test needs `set_var`.
///
/// Only names that begin with `GWAG_` are kept. Kubernetes' service links, such as
/// `GWAG_GATEWAY_PORT` or `GWAG_GATEWAY_SERVICE_HOST`, are dropped. `Debug` shows the names alone.
///
/// # Examples
///
/// ```
/// use tower_gwag::{Environment, Options};
///
/// let environment: Environment = [("GWAG_GATEWAY", "gateway:50090"), ("GWAG_TTL", "15s")]
///     .into_iter()
///     .collect();
/// let options = Options::from_environment(&environment)?;
///
/// // The code goes before the environment, or the other way round.
/// let process = Environment::of_process();
/// let options = Options::new("other:50090").or_environment(&process)?;
/// let options = Options::new("other:50090").overridden_by_environment(&process)?;
/// # Ok::<(), tower_gwag::Error>(())
/// ```
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

/// Whether no gateway is configured, for [`Options::disabled_if`].
#[must_use]
pub fn no_gateway(options: &Options) -> bool {
    options.gateway.is_empty()
}

// === impl Options ===

impl Options {
    /// Reads options from the environment of this process.
    ///
    /// | variable | option |
    /// |---|---|
    /// | `GWAG_GATEWAY` | [`new`](Self::new); several, separated by commas, are alternatives |
    /// | `GWAG_ENABLED` | `0`, `false`, `off`, `no`: [`disabled`](Self::disabled), and nothing else is read |
    /// | `GWAG_GATEWAY_HTTP` | [`gateway_http`](Self::gateway_http) |
    /// | `GWAG_GATEWAY_RELEASE` | [`gateway_release`](Self::gateway_release), such as `1.4` |
    /// | `GWAG_PREFER_FIRST` | [`prefer_first`](Self::prefer_first), if it is `1`, `true`, `on` or `yes` |
    /// | `GWAG_ADVERTISE` | [`advertise`](Self::advertise) |
    /// | `GWAG_ADVERTISE_HOST` | [`advertise_host`](Self::advertise_host) |
    /// | `GWAG_ADVERTISE_PATH` | [`advertise_path`](Self::advertise_path) |
    /// | `GWAG_ADVERTISE_SCHEME` | [`advertise_scheme`](Self::advertise_scheme) |
    /// | `GWAG_INSTANCE` | [`instance_id`](Self::instance_id) |
    /// | `GWAG_EXCLUSIVE_INSTANCE` | [`exclusive_instance`](Self::exclusive_instance) |
    /// | `GWAG_BUILD_TAG` | [`build_tag`](Self::build_tag); takes precedence over the variable at build time |
    /// | `GWAG_TOKEN`, `GWAG_TOKEN_FILE` | [`bearer_token`](Self::bearer_token), [`bearer_token_file`](Self::bearer_token_file) |
    /// | `GWAG_TLS_CA_FILE`, `GWAG_TLS_CERT_FILE`, `GWAG_TLS_KEY_FILE`, `GWAG_TLS_SERVER_NAME` | `tls` (feature `tls-ring` or `tls-aws-lc`): trust, client certificate with its key, name |
    /// | `GWAG_TTL` | [`ttl`](Self::ttl) |
    /// | `GWAG_HEARTBEAT_INTERVAL` | [`heartbeat_interval`](Self::heartbeat_interval) |
    /// | `GWAG_DRAIN_TIMEOUT`, `GWAG_LEAVE_TIMEOUT` | [`drain_timeout`](Self::drain_timeout), [`leave_timeout`](Self::leave_timeout) |
    /// | `GWAG_READINESS` | [`readiness`](Self::readiness): `serving`, `registered` or `routed` |
    /// | `GWAG_QUIET`, `GWAG_RECLAIM_AFTER` | [`quiet`](Self::quiet), [`reclaim_after`](Self::reclaim_after) |
    ///
    /// Times are written `15s`, `500ms`, `2m` or `1h`, or in seconds. An empty value counts as
    /// unset. Options that the code sets afterwards override the environment, and
    /// [`check`](Self::check) warns about each variable that is not used for that reason. Without
    /// `GWAG_GATEWAY`, the check fails, or you [disable](Self::disabled_if) the registration.
    /// [`check`](Self::check) warns about any other name that begins with `GWAG_`, and suggests the
    /// nearest known one; it ignores Kubernetes' service links.
    ///
    /// # Errors
    ///
    /// Every value that cannot be used, all at once: its name, the value unless it is secret, and
    /// the remedy. [`ErrorKind::InvalidSetting`](crate::ErrorKind::InvalidSetting).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_gwag::{Options, Service, no_gateway};
    ///
    /// let options = Options::from_env()?
    ///     .disabled_if(no_gateway)
    ///     .service(Service::proto_dir("proto", "greeter.proto"));
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    pub fn from_env() -> Result<Self, Error> {
        Self::from_environment(&Environment::of_process())
    }

    /// Like [`from_env`](Self::from_env), with the given variables instead of those of the process.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    ///
    /// # Examples
    ///
    /// See [`Environment`].
    pub fn from_environment(environment: &Environment) -> Result<Self, Error> {
        Self::new("").or_environment(environment)
    }

    /// Fills every option that the code has not set from the environment: the code overrides the
    /// environment, which overrides the defaults. Services, callbacks and headers can only be set
    /// in code. `Options::new("")` leaves the gateway unset.
    ///
    /// | you write | if both have a value |
    /// |---|---|
    /// | `Options::new(…).ttl(…).or_env()?` | the code's is used; a warning names the variable |
    /// | `Options::from_env()?.ttl(…)` | the code's is used; a warning names the variable |
    /// | `Options::new(…).ttl(…).`[`overridden_by_env`](Self::overridden_by_env)`()?` | the environment's is used |
    ///
    /// The start logs such warnings, and [`check`](Self::check) returns them. `GWAG_ENABLED=0`
    /// always disables the registration.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env), also for variables that the code overrides.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use std::time::Duration;
    /// use tower_gwag::Options;
    ///
    /// // `GWAG_TTL` is not used, `GWAG_ADVERTISE_HOST` is.
    /// let options = Options::new("gateway:50090").ttl(Duration::from_secs(15)).or_env()?;
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    pub fn or_env(self) -> Result<Self, Error> {
        self.or_environment(&Environment::of_process())
    }

    /// Like [`or_env`](Self::or_env), with the given variables instead of those of the process.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    ///
    /// # Examples
    ///
    /// See [`Environment`].
    pub fn or_environment(self, environment: &Environment) -> Result<Self, Error> {
        self.with_environment(environment, Precedence::Code)
    }

    /// Replaces every option that the environment sets: the environment overrides the code, whose
    /// values serve as defaults; the opposite of [`or_env`](Self::or_env).
    ///
    /// A variable of TLS (`GWAG_TLS_…`) replaces all of `Options::tls`, and a token that of the code.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    ///
    /// # Examples
    ///
    /// ```no_run
    /// use tower_gwag::Options;
    ///
    /// // Operators can point it elsewhere: `GWAG_GATEWAY=other:50090`.
    /// let options = Options::new("gateway:50090").overridden_by_env()?;
    /// # Ok::<(), tower_gwag::Error>(())
    /// ```
    pub fn overridden_by_env(self) -> Result<Self, Error> {
        self.overridden_by_environment(&Environment::of_process())
    }

    /// Like [`overridden_by_env`](Self::overridden_by_env), with the given variables instead of
    /// those of the process.
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env).
    ///
    /// # Examples
    ///
    /// See [`Environment`].
    pub fn overridden_by_environment(self, environment: &Environment) -> Result<Self, Error> {
        self.with_environment(environment, Precedence::Source)
    }

    fn with_environment(
        self,
        environment: &Environment,
        precedence: Precedence,
    ) -> Result<Self, Error> {
        let mut reading = Reading::new(Spelling::Environment);
        let mut values = BTreeMap::new();
        for (name, value) in &environment.0 {
            let Some(known) = KNOWN.iter().find(|known| *known == name) else {
                reading.warn_of(name);
                continue;
            };
            match value.to_str().map(str::trim) {
                Some("") => {}
                Some(value) => {
                    values.insert(*known, value.to_owned());
                }
                None => reading.fault(known, None, "is not text", "write it in UTF-8"),
            }
        }
        reading.read(&values);
        let mut said = self.said.clone();
        if !reading.options().disabled {
            said.note(values.keys(), reading.options());
        }
        let mut options = reading.into_options(self, precedence)?;
        options.said = said;
        Ok(options)
    }

    /// Disables the registration if `condition` holds, which is logged once; the server still
    /// serves. The condition is usually [`no_gateway`].
    pub fn disabled_if(mut self, condition: impl FnOnce(&Self) -> bool) -> Self {
        self.disabled |= condition(&self);
        self
    }
}

// === impl Environment ===

impl Environment {
    /// The names of the variables, without service links, in alphabetical order.
    ///
    /// # Examples
    ///
    /// ```
    /// use tower_gwag::Environment;
    ///
    /// let variables = [("GWAG_TTL", "15s"), ("GWAG_PORT", "tcp://10.0.0.1:50090"), ("HOME", "/")];
    /// let environment: Environment = variables.into_iter().collect();
    /// assert_eq!(environment.names().collect::<Vec<_>>(), ["GWAG_TTL"]);
    /// ```
    pub fn names(&self) -> impl Iterator<Item = String> {
        self.0.keys().map(|name| format!("{PREFIX}{name}"))
    }

    /// The current variables of this process.
    #[must_use]
    pub fn of_process() -> Self {
        let all = std::env::vars_os();
        all.filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect()
    }
}

impl<K: Into<String>, V: Into<OsString>> FromIterator<(K, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(variables: I) -> Self {
        let ours = variables.into_iter().filter_map(|(name, value)| {
            let name: String = name.into();
            let name = name.strip_prefix(PREFIX)?;
            (!is_service_link(name)).then(|| (name.to_owned(), value.into()))
        });
        Self(ours.collect())
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

/// Whether this is a variable that Kubernetes sets for each service of a namespace.
fn is_service_link(name: &str) -> bool {
    // The Kubernetes service may itself be called `gwag`.
    let name = format!("_{name}");
    let is_of_a_port = |(at, found): (usize, &str)| {
        let mut parts = name[at + found.len()..].split('_');
        let port = parts.next().unwrap_or_default();
        let is_port = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        is_port && matches!(parts.next(), Some("TCP" | "UDP" | "SCTP"))
    };
    name.ends_with("_PORT")
        || name.ends_with("_SERVICE_HOST")
        || name.contains("_SERVICE_PORT_")
        || name.match_indices("_PORT_").any(is_of_a_port)
}

/// Whether the environment disables every registration of the process.
pub(crate) fn process_is_switched_off() -> bool {
    let enabled = std::env::var("GWAG_ENABLED").ok();
    enabled.is_some_and(|text| flag(&text) == Some(false))
}
