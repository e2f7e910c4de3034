//! Settings from outside the code: from the environment, or from a file.
//!
//! Both share one parser and the same settings under two spellings, `GWAG_TTL` and `ttl`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::{Findings, GatewayRelease, Rule};

use crate::control::escaped;
use crate::error::Error;
use crate::health::Readiness;
use crate::options::{self, GatewayAddress, Options};

pub(super) const PREFIX: &str = "GWAG_";

/// Every setting, named as in the environment without the prefix.
const KNOWN: &[&str] = &[
    "ADVERTISE",
    "ADVERTISE_HOST",
    "ADVERTISE_SCHEME",
    "BUILD_TAG",
    "DRAIN_TIMEOUT",
    "ENABLED",
    "EXCLUSIVE_INSTANCE",
    "GATEWAY",
    "GATEWAY_HTTP",
    "GATEWAY_RELEASE",
    "HEARTBEAT_INTERVAL",
    "INSTANCE",
    "LEAVE_TIMEOUT",
    "PREFER_FIRST",
    "QUIET",
    "READINESS",
    "RECLAIM_AFTER",
    "TLS_CA_FILE",
    "TLS_CERT_FILE",
    "TLS_KEY_FILE",
    "TLS_SERVER_NAME",
    "TOKEN",
    "TOKEN_FILE",
    "TTL",
];

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

/// Settings from a file, for serde (feature `serde`): the variables of the
/// [environment](Environment) without `GWAG_`, in lower case.
///
/// Values are strings, numbers, booleans, or lists of strings. An unknown name is an error.
///
/// # Examples
///
/// ```
/// use tower_gwag::{Options, Settings};
///
/// let file = r#"{"gateway": ["a:50090", "b:50090"], "ttl": "15s", "leave_timeout": 20}"#;
/// let settings: Settings = serde_json::from_str(file)?;
/// let options = Options::from_settings(&settings)?;
///
/// // The code goes before the environment, and that before the file.
/// let options = Options::new("other:50090").or_env()?.or_settings(&settings)?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[cfg(feature = "serde")]
#[derive(Clone, Default)]
pub struct Settings(BTreeMap<String, String>);

/// How settings are spelled in their source.
#[derive(Clone, Copy)]
enum Spelling {
    Environment,
    #[cfg(feature = "serde")]
    File,
}

/// Options while they are read, and the findings so far.
struct Reading {
    options: Options,
    /// Yes or no, where the source says so.
    enabled: Option<bool>,
    prefer_first: Option<bool>,
    spelling: Spelling,
    found: Findings,
}

/// Whose value is used where the code and the source have one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Precedence {
    Code,
    Source,
}

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
    /// | you write | where both have a value, |
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
                None => reading.fault(known, None, "is no text", "write it in UTF-8"),
            }
        }
        reading.read(&values);
        let mut said = self.said.clone();
        if !reading.options.disabled {
            said.note(values.keys(), &reading.options);
        }
        let mut options = reading.into_options(self, precedence)?;
        options.said = said;
        Ok(options)
    }

    /// Reads options from a file that serde has deserialized (feature `serde`).
    ///
    /// # Errors
    ///
    /// As [`from_env`](Self::from_env), and for an unknown name.
    ///
    /// # Examples
    ///
    /// See [`Settings`].
    #[cfg(feature = "serde")]
    pub fn from_settings(settings: &Settings) -> Result<Self, Error> {
        Self::new("").or_settings(settings)
    }

    /// Fills every option that is still unset from a file (feature `serde`):
    /// `Options::from_env()?.or_settings(&file)?` prefers the environment, then the file, then
    /// defaults.
    ///
    /// # Errors
    ///
    /// As [`from_settings`](Self::from_settings).
    ///
    /// # Examples
    ///
    /// See [`Settings`].
    #[cfg(feature = "serde")]
    pub fn or_settings(self, settings: &Settings) -> Result<Self, Error> {
        let mut reading = Reading::new(Spelling::File);
        let mut values = BTreeMap::new();
        for (name, value) in &settings.0 {
            match KNOWN.iter().find(|known| known.eq_ignore_ascii_case(name)) {
                Some(known) if !value.trim().is_empty() => {
                    values.insert(*known, value.trim().to_owned());
                }
                Some(_) => {}
                None => reading.warn_of(name),
            }
        }
        reading.read(&values);
        reading.into_options(self, Precedence::Code)
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

#[cfg(feature = "serde")]
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(feature = "serde")]
mod of_serde {
    use std::collections::BTreeMap;
    use std::fmt;

    use serde::de::{Deserialize, Deserializer, Error, SeqAccess, Visitor};

    use super::Settings;

    /// A value, converted to the text that the environment would have.
    struct Value(String);

    struct ValueVisitor;

    impl<'de> Deserialize<'de> for Settings {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let values = BTreeMap::<String, Value>::deserialize(deserializer)?;
            let values = values.into_iter().map(|(name, value)| (name, value.0));
            Ok(Self(values.collect()))
        }
    }

    impl<'de> Deserialize<'de> for Value {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            deserializer.deserialize_any(ValueVisitor).map(Self)
        }
    }

    impl<'de> Visitor<'de> for ValueVisitor {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text, a number, a boolean, or a list of texts")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_bool<E: Error>(self, value: bool) -> Result<String, E> {
            Ok(value.to_string())
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_f64<E: Error>(self, number: f64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_unit<E: Error>(self) -> Result<String, E> {
            Ok(String::new())
        }

        fn visit_none<E: Error>(self) -> Result<String, E> {
            Ok(String::new())
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<String, A::Error> {
            let mut all = Vec::<String>::new();
            while let Some(item) = items.next_element()? {
                all.push(item);
            }
            Ok(all.join(","))
        }
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

// === impl Reading ===

impl Reading {
    fn new(spelling: Spelling) -> Self {
        Self {
            options: Options::new(""),
            enabled: None,
            prefer_first: None,
            spelling,
            found: Findings::default(),
        }
    }

    /// The setting's name as spelled in its source.
    fn spelled(&self, name: &str) -> String {
        match self.spelling {
            Spelling::Environment => format!("{PREFIX}{name}"),
            #[cfg(feature = "serde")]
            Spelling::File => name.to_ascii_lowercase(),
        }
    }

    /// Warns about an unknown name.
    fn warn_of(&mut self, name: &str) {
        let upper = name.to_ascii_uppercase();
        let nearest = KNOWN.iter().min_by_key(|known| distance(known, &upper));
        // invariant: `KNOWN` is not empty.
        let nearest = self.spelled(nearest.copied().unwrap_or_default());
        let message = match self.spelling {
            Spelling::Environment => format!(
                "the environment has `{}`, which tower-gwag does not know",
                escaped(&self.spelled(name))
            ),
            #[cfg(feature = "serde")]
            Spelling::File => format!("the setting `{}` is not known", escaped(name)),
        };
        let finding = match self.spelling {
            Spelling::Environment => Finding::warning(Rule::SettingName, message),
            #[cfg(feature = "serde")]
            Spelling::File => Finding::error(Rule::SettingName, message),
        };
        self.found
            .add(finding.help(format!("the nearest that it knows is `{nearest}`")));
    }

    fn fault(&mut self, name: &str, value: Option<&str>, why: &str, help: &str) {
        let name = self.spelled(name);
        let message = match value {
            Some(value) => format!("{name}=`{}` {why}", escaped(value)),
            None => format!("{name} {why}"),
        };
        let finding = Finding::error(Rule::SettingValue, message);
        self.found.add(match help {
            "" => finding,
            help => finding.help(help),
        });
    }

    /// Records the finding of an option's own check, if any.
    fn keep(&mut self, name: &str, result: Result<(), Finding>) {
        if let Err(finding) = result {
            let why = format!("cannot be used: {}", finding.message());
            self.fault(name, None, &why, finding.remedy().unwrap_or_default());
        }
    }

    fn read(&mut self, values: &BTreeMap<&str, String>) {
        let get = |name: &str| values.get(name).map(String::as_str);
        if let Some(text) = get("ENABLED") {
            self.enabled = flag(text);
            match self.enabled {
                Some(false) => {
                    // A user who disables the registration need not fix unused settings.
                    self.found = Findings::default();
                    self.options.disabled = true;
                    return;
                }
                Some(true) => {}
                None => self.no_flag("ENABLED", text),
            }
        }
        for (name, text) in values {
            self.one(name, text);
        }
        self.tls(get);
        let both = [("ADVERTISE", "ADVERTISE_HOST"), ("TOKEN", "TOKEN_FILE")];
        for (name, other) in both {
            if get(name).is_some() && get(other).is_some() {
                let why = format!("is set beside {}", self.spelled(other));
                self.fault(name, None, &why, "leave one of them out");
            }
        }
    }

    fn one(&mut self, name: &str, text: &str) {
        match name {
            // Read elsewhere.
            "ENABLED" => {}
            name if name.starts_with("TLS_") => {}
            "GATEWAY" => self.gateway(text),
            "GATEWAY_HTTP" => {
                self.options.gateway_http = Some(text.to_owned());
                let checked = options::gateway_http(&self.options).map(drop);
                self.keep(name, checked);
            }
            "GATEWAY_RELEASE" => match release(text) {
                Some(release) => self.options.gateway_release = Some(release),
                None => {
                    let help = "write `1.1` or `1.4`, or leave it out for the newest";
                    self.fault(name, Some(text), "is no release that is known", help);
                }
            },
            "READINESS" => match text {
                "serving" => self.options.readiness = Some(Readiness::Serving),
                "registered" => self.options.readiness = Some(Readiness::Registered),
                "routed" => self.options.readiness = Some(Readiness::Routed),
                _ => {
                    let help = "write `serving`, `registered` or `routed`";
                    self.fault(name, Some(text), "is no readiness", help);
                }
            },
            "PREFER_FIRST" => match flag(text) {
                Some(is_wanted) => {
                    self.options.prefer_first = is_wanted;
                    self.prefer_first = Some(is_wanted);
                }
                None => self.no_flag(name, text),
            },
            "ADVERTISE" | "ADVERTISE_HOST" | "ADVERTISE_SCHEME" => {
                let alone = Options::new("");
                let alone = match name {
                    "ADVERTISE" => alone.advertise(text),
                    "ADVERTISE_HOST" => alone.advertise_host(text),
                    _ => alone.advertise_scheme(text),
                };
                for finding in options::advertised(&alone, &[]) {
                    self.keep(name, Err(finding));
                }
                match name {
                    "ADVERTISE_SCHEME" => self.options.advertise_scheme = alone.advertise_scheme,
                    _ => self.options.advertise = alone.advertise,
                }
            }
            "INSTANCE" => self.options.instance_id = Some(text.to_owned()),
            "EXCLUSIVE_INSTANCE" => {
                self.options.exclusive = Some(text.to_owned());
                let checked = options::instance(&self.options);
                self.keep(name, checked);
            }
            "BUILD_TAG" => self.options.build_tag = Some(text.to_owned()),
            "TOKEN" | "TOKEN_FILE" => {
                let alone = Options::new("");
                let alone = match name {
                    "TOKEN" => alone.bearer_token(text),
                    _ => alone.bearer_token_file(PathBuf::from(text)),
                };
                self.keep(name, alone.credentials.check());
                self.options.credentials = alone.credentials;
            }
            _ => self.time(name, text),
        }
    }

    #[cfg(feature = "tls")]
    fn tls<'a>(&mut self, get: impl Fn(&str) -> Option<&'a str>) {
        use crate::control::tls::{Part, Tls};

        let (ca, name) = (get("TLS_CA_FILE"), get("TLS_SERVER_NAME"));
        let identity = (get("TLS_CERT_FILE"), get("TLS_KEY_FILE"));
        if [ca, name, identity.0, identity.1]
            .iter()
            .all(Option::is_none)
        {
            return;
        }
        let mut tls = Tls::new();
        if let Some(ca) = ca {
            tls = tls.ca_file(ca);
        }
        if let Some(name) = name {
            tls = tls.server_name(name);
        }
        match identity {
            (Some(certificate), Some(key)) => tls = tls.identity_files(certificate, key),
            (None, None) => {}
            (Some(_), None) => self.lonely("TLS_CERT_FILE", "TLS_KEY_FILE"),
            (None, Some(_)) => self.lonely("TLS_KEY_FILE", "TLS_CERT_FILE"),
        }
        for fault in tls.check() {
            let name = match fault.part {
                Part::Authority => "TLS_CA_FILE",
                Part::Certificate | Part::Whole => "TLS_CERT_FILE",
                Part::Key => "TLS_KEY_FILE",
                Part::Name => "TLS_SERVER_NAME",
            };
            self.fault(
                name,
                None,
                &format!("cannot be used: {}", fault.message),
                "",
            );
        }
        self.options.tls = Some(tls);
    }

    #[cfg(feature = "tls")]
    fn lonely(&mut self, name: &str, other: &str) {
        let why = format!("is set without {}", self.spelled(other));
        let help = "a client certificate needs its key: set both, or none";
        self.fault(name, None, &why, help);
    }

    #[cfg(not(feature = "tls"))]
    fn tls<'a>(&mut self, get: impl Fn(&str) -> Option<&'a str>) {
        for name in KNOWN.iter().filter(|name| name.starts_with("TLS_")) {
            if get(name).is_some() {
                let help = "switch the feature `tls-ring` or `tls-aws-lc` of tower-gwag on";
                self.fault(name, None, "needs TLS, which this program has not", help);
            }
        }
    }

    fn gateway(&mut self, text: &str) {
        let mut gateways: Vec<&str> = text.split(',').map(str::trim).collect();
        gateways.retain(|gateway| !gateway.is_empty());
        if gateways.is_empty() {
            let help = "write host:port, with commas between several";
            return self.fault("GATEWAY", Some(text), "names no gateway", help);
        }
        for gateway in &gateways {
            let parsed = GatewayAddress::from(*gateway).check();
            self.keep("GATEWAY", parsed);
        }
        self.options.gateway = match &gateways[..] {
            [gateway] => (*gateway).into(),
            several => several.to_vec().into(),
        };
    }

    fn time(&mut self, name: &str, text: &str) {
        let Some(time) = time(text) else {
            let help = "write `15s`, `500ms`, `2m` or `1h`, or a number of seconds";
            return self.fault(name, Some(text), "is not a time", help);
        };
        let options = &mut self.options;
        match name {
            "TTL" => {
                options.ttl = Some(time);
                let checked = options::ttl_seconds(options.ttl).map(drop);
                self.keep(name, checked);
            }
            "HEARTBEAT_INTERVAL" => {
                options.heartbeat_interval = Some(time);
            }
            "DRAIN_TIMEOUT" => options.drain_timeout = Some(time),
            "LEAVE_TIMEOUT" => {
                options.leave_timeout = Some(time);
                if time.is_zero() {
                    let why = "leaves no time for the call that leaving needs";
                    self.fault(name, Some(text), why, "25 s is usual");
                }
            }
            "QUIET" => options.quiet = Some(time),
            _ => options.reclaim_after = Some(time),
        }
    }

    fn no_flag(&mut self, name: &str, text: &str) {
        let help = "write `1`, `true`, `on` or `yes`, or `0`, `false`, `off` or `no`";
        self.fault(name, Some(text), "is not a switch", help);
    }

    /// The code's options and those that were read, together.
    fn into_options(self, code: Options, precedence: Precedence) -> Result<Options, Error> {
        let warnings = self.found.into_result()?;
        let read = self.options;
        let mut options = code;
        options.noted.extend(warnings);
        let overrides = precedence == Precedence::Source;
        options.disabled = match self.enabled {
            Some(is_enabled) if overrides => !is_enabled,
            _ => options.disabled | read.disabled,
        };
        if options.gateway.is_empty() || overrides && !read.gateway.is_empty() {
            options.gateway = read.gateway;
        }
        let bound = options::Advertise::Bound;
        if options.advertise == bound || overrides && read.advertise != bound {
            options.advertise = read.advertise;
        }
        if read.credentials.has_authorization()
            && (overrides || !options.credentials.has_authorization())
        {
            options.credentials.take_authorization(&read.credentials);
        }
        options.prefer_first = match self.prefer_first {
            Some(is_wanted) if overrides => is_wanted,
            _ => options.prefer_first | read.prefer_first,
        };
        macro_rules! fill {
            ($($field:ident)+) => { $(
                options.$field = match overrides {
                    true => read.$field.or(options.$field),
                    false => options.$field.or(read.$field),
                };
            )+ };
        }
        fill!(
            advertise_scheme build_tag drain_timeout exclusive gateway_http gateway_release
            heartbeat_interval instance_id leave_timeout quiet readiness reclaim_after
            ttl
        );
        #[cfg(feature = "tls")]
        fill!(tls);
        Ok(options)
    }
}

fn flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "0" | "false" | "off" | "no" => Some(false),
        "1" | "true" | "on" | "yes" => Some(true),
        _ => None,
    }
}

/// Whether the environment disables every registration of the process.
pub(crate) fn process_is_switched_off() -> bool {
    let enabled = std::env::var("GWAG_ENABLED").ok();
    enabled.is_some_and(|text| flag(&text) == Some(false))
}

/// Parses a release by its first two numbers.
fn release(text: &str) -> Option<GatewayRelease> {
    let mut numbers = text.strip_prefix('v').unwrap_or(text).split('.');
    match (numbers.next()?, numbers.next()?) {
        ("1", "1") => Some(GatewayRelease::V1_1),
        ("1", "4") => Some(GatewayRelease::V1_4),
        _ => None,
    }
}

/// Parses a number with a unit, or of seconds.
fn time(text: &str) -> Option<Duration> {
    let digits = text
        .bytes()
        .take_while(|byte| byte.is_ascii_digit() || *byte == b'.')
        .count();
    let (number, unit) = text.split_at(digits);
    let milliseconds = match unit.trim() {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    // Whole numbers exactly; a fraction has at most three digits.
    let (whole, fraction) = number.split_once('.').unwrap_or((number, "0"));
    if fraction.is_empty() || fraction.len() > 3 {
        return None;
    }
    let whole: u64 = whole.parse().ok()?;
    let thousandths: u64 = format!("{fraction:0<3}").parse().ok()?;
    let whole = whole.checked_mul(milliseconds)?;
    let part = Duration::from_micros(thousandths * milliseconds);
    Duration::from_millis(whole).checked_add(part)
}

/// The Levenshtein distance of two texts.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<char> = other.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (at, c) in one.chars().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], at + 1);
        for (index, of_other) in other.iter().enumerate() {
            let changed = diagonal + usize::from(c != *of_other);
            diagonal = row[index + 1];
            row[index + 1] = changed.min(diagonal + 1).min(row[index] + 1);
        }
    }
    row[other.len()]
}
