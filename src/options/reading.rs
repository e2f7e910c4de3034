//! Reads options by name, from texts.
//!
//! The environment and a file have the same settings under two spellings, `GWAG_TTL` and `ttl`.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use tower_gwag_schema::finding::Finding;
use tower_gwag_schema::{Findings, GatewayRelease, Rule};

use super::environment::PREFIX;
use crate::control::escaped;
use crate::error::Error;
use crate::health::Readiness;
use crate::options::{self, GatewayAddress, Options};

/// Every setting, named as in the environment without the prefix.
pub(super) const KNOWN: &[&str] = &[
    "ADVERTISE",
    "ADVERTISE_HOST",
    "ADVERTISE_PATH",
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

/// How settings are spelled in their source.
#[derive(Clone, Copy)]
pub(super) enum Spelling {
    Environment,
    #[cfg(feature = "serde")]
    File,
}

/// Options while they are read, and the findings so far.
pub(super) struct Reading {
    options: Options,
    /// Yes or no, if the source says so.
    enabled: Option<bool>,
    prefer_first: Option<bool>,
    spelling: Spelling,
    found: Findings,
}

/// Whose value is used if both the code and the source have one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Precedence {
    Code,
    Source,
}

// === impl Reading ===

impl Reading {
    pub(super) fn new(spelling: Spelling) -> Self {
        Self {
            options: Options::new(""),
            enabled: None,
            prefer_first: None,
            spelling,
            found: Findings::default(),
        }
    }

    /// What was read so far.
    pub(super) fn options(&self) -> &Options {
        &self.options
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
    pub(super) fn warn_of(&mut self, name: &str) {
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
            Spelling::File => format!("the setting `{}` is unknown", escaped(name)),
        };
        let finding = match self.spelling {
            Spelling::Environment => Finding::warning(Rule::SettingName, message),
            #[cfg(feature = "serde")]
            Spelling::File => Finding::error(Rule::SettingName, message),
        };
        self.found
            .add(finding.help(format!("the most similar name is `{nearest}`")));
    }

    pub(super) fn fault(&mut self, name: &str, value: Option<&str>, why: &str, help: &str) {
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

    pub(super) fn read(&mut self, values: &BTreeMap<&str, String>) {
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
                self.fault(name, None, &why, "remove one of them");
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
                    self.fault(name, Some(text), "is not a known release", help);
                }
            },
            "READINESS" => match text {
                "serving" => self.options.readiness = Some(Readiness::Serving),
                "registered" => self.options.readiness = Some(Readiness::Registered),
                "routed" => self.options.readiness = Some(Readiness::Routed),
                _ => {
                    let help = "write `serving`, `registered` or `routed`";
                    self.fault(name, Some(text), "is not a readiness", help);
                }
            },
            "PREFER_FIRST" => match flag(text) {
                Some(is_wanted) => {
                    self.options.prefer_first = is_wanted;
                    self.prefer_first = Some(is_wanted);
                }
                None => self.no_flag(name, text),
            },
            "ADVERTISE" | "ADVERTISE_HOST" | "ADVERTISE_PATH" | "ADVERTISE_SCHEME" => {
                let alone = Options::new("");
                let alone = match name {
                    "ADVERTISE" => alone.advertise(text),
                    "ADVERTISE_HOST" => alone.advertise_host(text),
                    "ADVERTISE_PATH" => alone.advertise_path(text),
                    _ => alone.advertise_scheme(text),
                };
                for finding in options::advertised(&alone, &[]) {
                    self.keep(name, Err(finding));
                }
                match name {
                    "ADVERTISE_PATH" => self.options.advertise_path = alone.advertise_path,
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
                let help = "enable the feature `tls-ring` or `tls-aws-lc` of tower-gwag";
                self.fault(
                    name,
                    None,
                    "needs TLS, which this program was built without",
                    help,
                );
            }
        }
    }

    fn gateway(&mut self, text: &str) {
        let mut gateways: Vec<&str> = text.split(',').map(str::trim).collect();
        gateways.retain(|gateway| !gateway.is_empty());
        if gateways.is_empty() {
            let help = "write host:port, separated by commas if there are several";
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
                    let why = "leaves no time for the call that the shutdown needs";
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
    pub(super) fn into_options(
        self,
        code: Options,
        precedence: Precedence,
    ) -> Result<Options, Error> {
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
            advertise_path advertise_scheme build_tag drain_timeout exclusive gateway_http gateway_release
            heartbeat_interval instance_id leave_timeout quiet readiness reclaim_after
            ttl
        );
        #[cfg(feature = "tls")]
        fill!(tls);
        Ok(options)
    }
}

pub(super) fn flag(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "0" | "false" | "off" | "no" => Some(false),
        "1" | "true" | "on" | "yes" => Some(true),
        _ => None,
    }
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
