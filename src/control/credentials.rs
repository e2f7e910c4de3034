//! Headers that go with every control-plane call.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use http::{HeaderMap, HeaderName, HeaderValue};

use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;

type Provider = Arc<dyn Fn() -> HeaderMap + Send + Sync>;

/// Fixed headers and a provider of fresh ones. `Debug` never shows a value.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    fixed: HeaderMap,
    provider: Option<Provider>,
    /// Name of the first header that HTTP does not allow.
    fault: Option<String>,
}

// === impl Credentials ===

impl Credentials {
    pub(crate) fn add_bearer(&mut self, token: &str) {
        if token.is_empty() {
            self.fault = Some("authorization (empty token)".to_owned());
        }
        self.add("authorization", &format!("Bearer {token}"));
    }

    pub(crate) fn add(&mut self, name: &str, value: &str) {
        match (
            HeaderName::try_from(name.to_ascii_lowercase()),
            HeaderValue::try_from(value),
        ) {
            (Ok(name), Ok(mut value)) => {
                value.set_sensitive(true);
                self.fixed.insert(name, value);
            }
            _ => self.fault = Some(name.to_owned()),
        }
    }

    pub(crate) fn set_provider(&mut self, provider: Provider) {
        self.provider = Some(provider);
    }

    pub(crate) fn check(&self) -> Result<(), Finding> {
        match &self.fault {
            None => Ok(()),
            Some(name) => Err(Finding::error(
                Rule::Metadata,
                format!(
                    "the header `{name}` for the gateway has a name or value that HTTP does not \
                     allow: names are ASCII tokens, values visible ASCII"
                ),
            )),
        }
    }

    /// Equal where the same headers are sent.
    pub(super) fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, value) in &self.fixed {
            (name.as_str(), value.as_bytes()).hash(&mut hasher);
        }
        if let Some(provider) = &self.provider {
            Arc::as_ptr(provider).cast::<()>().hash(&mut hasher);
        }
        hasher.finish()
    }

    /// Everything to send with one call; the provider's headers go before the fixed ones.
    pub(super) fn headers(&self) -> HeaderMap {
        let mut headers = self.fixed.clone();
        if let Some(provider) = &self.provider {
            headers.extend(provider());
        }
        headers
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fixed.keys()).finish()
    }
}
