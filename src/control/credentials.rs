//! The headers of every control-plane call.

use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::token::{self, Token};
use crate::error::{Error, ErrorKind};
use tower_gwag_schema::Rule;
use tower_gwag_schema::finding::Finding;

const BEARER: &str = "the bearer token (header `authorization`)";

type Provider = Arc<dyn Fn() -> HeaderMap + Send + Sync>;

/// Fixed headers and a provider of fresh ones. `Debug` never shows a value.
#[derive(Clone, Default)]
pub(crate) struct Credentials {
    fixed: HeaderMap,
    provider: Option<Provider>,
    /// A bearer token that may change.
    token: Option<Token>,
    /// The problem with the bearer token.
    bearer_fault: Option<String>,
    /// The problem with another header that cannot be sent.
    fault: Option<String>,
}

// === impl Credentials ===

impl Credentials {
    pub(crate) fn add_bearer(&mut self, text: &str) {
        match token::header(text) {
            Ok(value) => {
                self.fixed.insert(AUTHORIZATION, value);
                let fault = token::check(text).err();
                self.bearer_fault = fault.map(|why| format!("{BEARER} {why}"));
            }
            Err(why) => self.bearer_fault = Some(format!("{BEARER} {why}")),
        }
    }

    pub(crate) fn set_token(&mut self, token: Token) {
        self.token = Some(token);
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
            _ => {
                let message = format!(
                    "the header `{name}` for the gateway has a name or value that HTTP does not \
                     allow: names are ASCII tokens, values visible ASCII"
                );
                self.fault = Some(message);
            }
        }
    }

    pub(crate) fn set_provider(&mut self, provider: Provider) {
        self.provider = Some(provider);
    }

    /// Whether there is an authorization header, or one was given that cannot be sent.
    pub(crate) fn has_authorization(&self) -> bool {
        self.token.is_some()
            || self.bearer_fault.is_some()
            || self.fixed.contains_key(AUTHORIZATION)
    }

    /// Replaces the authorization with that of `other`.
    pub(crate) fn take_authorization(&mut self, other: &Self) {
        match other.fixed.get(AUTHORIZATION) {
            Some(value) => drop(self.fixed.insert(AUTHORIZATION, value.clone())),
            None => drop(self.fixed.remove(AUTHORIZATION)),
        }
        self.token.clone_from(&other.token);
        self.bearer_fault.clone_from(&other.bearer_fault);
    }

    /// Equal if the same authorization is sent.
    pub(crate) fn authorization_identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        let fixed = self.fixed.get(AUTHORIZATION).map(HeaderValue::as_bytes);
        fixed.hash(&mut hasher);
        self.token.as_ref().map(Token::identity).hash(&mut hasher);
        hasher.finish()
    }

    /// Checks the headers, and reads the token's file, if there is one.
    pub(crate) fn check(&self) -> Result<(), Finding> {
        let fault = |message: &str| Err(Finding::error(Rule::Metadata, message));
        if let Some(message) = self.bearer_fault.as_ref().or(self.fault.as_ref()) {
            return fault(message);
        }
        let Some(token) = &self.token else {
            return Ok(());
        };
        if self.fixed.contains_key(AUTHORIZATION) {
            return fault(
                "a bearer token or a header `authorization` is set beside one from a file or a \
                 provider: remove one of them",
            );
        }
        token.check().or_else(|message| fault(&message))
    }

    /// Equal if the same headers are sent.
    pub(super) fn identity(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        for (name, value) in &self.fixed {
            (name.as_str(), value.as_bytes()).hash(&mut hasher);
        }
        if let Some(provider) = &self.provider {
            Arc::as_ptr(provider).cast::<()>().hash(&mut hasher);
        }
        self.token.as_ref().map(Token::identity).hash(&mut hasher);
        hasher.finish()
    }

    /// All headers of one call; the provider's headers override the fixed ones.
    pub(super) async fn headers(&self) -> Result<HeaderMap, Error> {
        let mut headers = self.fixed.clone();
        if let Some(token) = &self.token {
            // Boxed, because most have no token: otherwise every call's future would reserve space
            // for it.
            let token = Box::pin(token.header()).await;
            let token = token.map_err(|why| Error::new(ErrorKind::Unavailable, why))?;
            headers.insert(AUTHORIZATION, token);
        }
        if let Some(provider) = &self.provider {
            let mut fresh = provider();
            // Otherwise the HTTP/2 client would index them, and show them in its log.
            fresh
                .values_mut()
                .for_each(|value| value.set_sensitive(true));
            headers.extend(fresh);
        }
        Ok(headers)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.fixed.keys()).finish()
    }
}
