//! Variables of the environment that were read but are not used, because the code also sets the
//! option.
//!
//! An operator who changes one of them and sees no effect must be able to find out why.

use std::collections::BTreeMap;

use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;

use super::{Advertise, Options};

/// What the variables said: the option's value by the variable's name without its prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Said(BTreeMap<&'static str, Value>);

/// An option's value, to compare and to show.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Value {
    /// Without secrets.
    shown: String,
    /// Tells two secrets apart.
    identity: u64,
}

// === impl Said ===

impl Said {
    /// Notes the values of these variables, which `read` has.
    pub(super) fn note<'a>(
        &mut self,
        names: impl IntoIterator<Item = &'a &'static str>,
        read: &Options,
    ) {
        let values = names
            .into_iter()
            .filter_map(|name| Some((*name, value(read, name)?)));
        self.0.extend(values);
    }

    /// A warning for each variable whose value is not the option's.
    pub(super) fn overruled(&self, options: &Options, prefix: &str) -> Vec<Finding> {
        let mut found = Vec::new();
        for (name, said) in &self.0 {
            let Some(used) = value(options, name).filter(|used| used != said) else {
                continue;
            };
            let message = format!(
                "the environment has `{prefix}{name}`, which is not used: it is already set to {}",
                used.shown
            );
            found.push(Finding::warning(Rule::SettingValue, message).help(
                "unset the variable, or let it override the code: `Options::overridden_by_env` \
                 instead of `or_env`, or `from_env` after what the code sets",
            ));
        }
        found
    }
}

/// The value of the option that a variable stands for; `None` if it has no effect of its own.
fn value(options: &Options, name: &str) -> Option<Value> {
    let plain = |shown: String| Some(Value { shown, identity: 0 });
    let debug = |it: &dyn std::fmt::Debug| format!("{it:?}");
    macro_rules! of {
        ($field:ident) => {
            plain(debug(options.$field.as_ref()?))
        };
    }
    match name {
        "ADVERTISE" | "ADVERTISE_HOST" => match &options.advertise {
            Advertise::Bound => None,
            other => plain(debug(other)),
        },
        "ADVERTISE_PATH" => of!(advertise_path),
        "ADVERTISE_SCHEME" => of!(advertise_scheme),
        "BUILD_TAG" => of!(build_tag),
        "DRAIN_TIMEOUT" => of!(drain_timeout),
        "EXCLUSIVE_INSTANCE" => of!(exclusive),
        "GATEWAY" => plain(debug(&options.gateway)),
        "GATEWAY_HTTP" => {
            let url = options.gateway_http.as_deref()?;
            plain(debug(&tower_gwag_schema::redact::redacted_url(url)))
        }
        "GATEWAY_RELEASE" => of!(gateway_release),
        "HEARTBEAT_INTERVAL" => of!(heartbeat_interval),
        "INSTANCE" => of!(instance_id),
        "LEAVE_TIMEOUT" => of!(leave_timeout),
        "PREFER_FIRST" => plain(options.prefer_first.to_string()),
        "QUIET" => of!(quiet),
        "READINESS" => of!(readiness),
        "RECLAIM_AFTER" => of!(reclaim_after),
        "TOKEN" | "TOKEN_FILE" => Some(Value {
            shown: "another token".to_owned(),
            identity: options.credentials.authorization_identity(),
        }),
        "TTL" => of!(ttl),
        #[cfg(feature = "tls")]
        name if name.starts_with("TLS_") => of!(tls),
        _ => None,
    }
}
