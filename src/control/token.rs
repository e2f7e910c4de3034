//! A bearer token that may change: read from a file, or supplied by a provider.

use std::fmt;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use http::HeaderValue;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};
use tracing::warn;

use super::blocking::on_thread;
use super::escape::escaped;

/// How long a call waits for a token.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause after a failure before the source is asked again: failed calls are repeated soon.
const REST: Duration = Duration::from_secs(1);
/// A gateway would not accept a longer token.
const LONGEST: u64 = 64 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;
/// A future token.
pub(crate) type Asked = Pin<Box<dyn Future<Output = Result<String, BoxError>> + Send>>;

/// Supplies tokens.
pub(crate) type TokenProvider = Arc<dyn Fn() -> Asked + Send + Sync>;

/// The source of a token; clones share the last token.
#[derive(Clone)]
pub(crate) struct Token {
    source: Source,
    last: Arc<Mutex<Last>>,
}

#[derive(Clone)]
enum Source {
    File(PathBuf),
    Provider(TokenProvider),
}

#[derive(Default)]
struct Last {
    good: Option<HeaderValue>,
    failed: Option<(Instant, String)>,
}

// === impl Token ===

impl Token {
    pub(crate) fn file(path: PathBuf) -> Self {
        Self::from(Source::File(path))
    }

    pub(crate) fn provider(provider: TokenProvider) -> Self {
        Self::from(Source::Provider(provider))
    }

    fn from(source: Source) -> Self {
        Self {
            source,
            last: Arc::default(),
        }
    }

    /// What is wrong with the token now, as far as it can be known without calling a provider.
    pub(super) fn check(&self) -> Result<(), String> {
        match &self.source {
            Source::Provider(_) => Ok(()),
            Source::File(path) => {
                let token = read(path)?;
                check(&token).map_err(|why| format!("the token file `{}` {why}", path.display()))
            }
        }
    }

    /// Identifies the source.
    pub(super) fn identity(&self) -> usize {
        Arc::as_ptr(&self.last).addr()
    }

    /// The value of the header with a fresh token, or with the last good one if there is no fresh
    /// one.
    ///
    /// # Cancel safety
    ///
    /// Cancel safe: at most one fresh token is lost.
    pub(super) async fn header(&self) -> Result<HeaderValue, String> {
        let mut last = self.last.lock().await;
        if let Some((at, why)) = &last.failed
            && at.elapsed() < REST
        {
            return last.good.clone().ok_or_else(|| why.clone());
        }
        let fresh = timeout(PATIENCE, self.fresh()).await;
        let fresh = fresh.unwrap_or_else(|_| Err(self.fault(&format!("took over {PATIENCE:?}"))));
        match fresh.and_then(|token| header(&token).map_err(|why| self.fault(&why))) {
            Ok(header) => {
                *last = Last {
                    good: Some(header.clone()),
                    failed: None,
                };
                Ok(header)
            }
            Err(why) => {
                let is_news = last.failed.is_none();
                last.failed = Some((Instant::now(), why.clone()));
                let Some(good) = &last.good else {
                    return Err(why);
                };
                if is_news {
                    warn!(target: "tower_gwag", "{why}; the last valid token stays in use");
                }
                Ok(good.clone())
            }
        }
    }

    async fn fresh(&self) -> Result<String, String> {
        match &self.source {
            Source::File(path) => {
                let path = path.clone();
                let token = on_thread("tower-gwag-token", move || read(&path)).await;
                token.unwrap_or_else(|| Err(self.fault("could not be read")))
            }
            Source::Provider(provider) => {
                let token = provider().await;
                token.map_err(|error| {
                    self.fault(&format!("failed: {}", escaped(&error.to_string())))
                })
            }
        }
    }

    fn fault(&self, why: &str) -> String {
        match &self.source {
            Source::File(path) => format!("the token file `{}` {why}", path.display()),
            Source::Provider(_) => format!("the provider of the bearer token {why}"),
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Source::File(path) => write!(f, "Token({})", path.display()),
            Source::Provider(_) => f.write_str("Token(provider)"),
        }
    }
}

/// Reads the token in a file; errors name the file, but never its content.
fn read(path: &Path) -> Result<String, String> {
    let fault = |why: &dyn fmt::Display| {
        format!(
            "the token file `{}` cannot be read ({why}): check its path and permissions",
            path.display()
        )
    };
    let bytes = read_bounded(path, LONGEST).map_err(|error| fault(&error))?;
    let text = String::from_utf8(bytes).map_err(|_| fault(&"it is not text"))?;
    Ok(text.trim().to_owned())
}

/// Reads a file of at most `most` bytes.
pub(crate) fn read_bounded(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)?
        .take(most + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let message = format!("it has more than {most} bytes");
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(bytes)
}

/// Makes the header's value; an error never contains the token.
pub(crate) fn header(token: &str) -> Result<HeaderValue, String> {
    if token.is_empty() {
        return Err("is empty: write the token into it".to_owned());
    }
    let value = HeaderValue::try_from(format!("Bearer {token}"));
    let mut value = value
        .ok()
        .filter(|_| token.bytes().all(|byte| byte.is_ascii_graphic()))
        .ok_or(
            "is not a token: it contains a space, a line break or another byte that tokens cannot \
             have",
        )?;
    value.set_sensitive(true);
    Ok(value)
}

/// Why the token cannot be used now, if so.
pub(crate) fn check(token: &str) -> Result<(), String> {
    header(token)?;
    let Some(end) = expiry(token) else {
        return Ok(());
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    match now.checked_sub(end) {
        Some(ago) => Err(format!("expired {ago} s ago: issue a new one")),
        None => Ok(()),
    }
}

/// When a JSON Web Token expires, in seconds since 1970; `None` for any other token.
fn expiry(token: &str) -> Option<u64> {
    let mut parts = token.split('.');
    let (_, claims, _) = (parts.next()?, parts.next()?, parts.next()?);
    let claims: serde_json::Value = serde_json::from_slice(&base64url(claims)?).ok()?;
    let end = claims.get("exp")?;
    end.as_u64().or_else(|| {
        // Fractions are allowed but do not matter.
        let end = end.as_f64().filter(|end| (0.0..1e15).contains(end))?;
        format!("{end:.0}").parse().ok()
    })
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() * 3 / 4);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in text.trim_end_matches('=').bytes() {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `{"alg":"none"}`, the claims, a signature.
    fn jwt(claims: &str) -> String {
        const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let mut text = String::new();
        for three in claims.as_bytes().chunks(3) {
            let bits = three
                .iter()
                .fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte))
                << (8 * (3 - three.len()));
            for digit in 0..=three.len() {
                let at = bits >> (18 - 6 * digit) & 63;
                text.push(char::from(DIGITS[at as usize]));
            }
        }
        format!("eyJhbGciOiJub25lIn0.{text}.c2ln")
    }

    #[test]
    fn an_expired_token_is_known_as_such() {
        let past = check(&jwt(r#"{"sub":"pets","exp":1000000000}"#)).unwrap_err();
        assert!(past.contains("expired"), "{past}");
        assert!(!past.contains("eyJ"), "{past}");
        let past = check(&jwt(r#"{"exp":1000000000.5}"#)).unwrap_err();
        assert!(past.contains("expired"), "{past}");
        for good in [
            jwt(r#"{"exp":32503680000}"#),
            jwt(r#"{"sub":"no end"}"#),
            "opaque".to_owned(),
            "a.b.c".to_owned(),
            "a.!.c".to_owned(),
        ] {
            assert_eq!(check(&good), Ok(()), "{good}");
        }
        for bad in ["", "two words", "tab\tbed", "um\u{e4}"] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_good_token_is_used_until_there_is_another() {
        let answers = Arc::new(std::sync::Mutex::new(vec![
            Err("down"),
            Ok("b"),
            Err("down"),
            Ok("a"),
        ]));
        let next = Arc::clone(&answers);
        let token = Token::provider(Arc::new(move || {
            let next = next.lock().unwrap().pop().unwrap();
            Box::pin(async move { next.map(str::to_owned).map_err(BoxError::from) })
        }));
        assert_eq!(token.header().await.unwrap(), "Bearer a");
        assert_eq!(token.header().await.unwrap(), "Bearer a", "it is down");
        // Not asked again so soon.
        assert_eq!(token.header().await.unwrap(), "Bearer a");
        tokio::time::advance(REST).await;
        assert_eq!(token.header().await.unwrap(), "Bearer b");
        assert_eq!(token.header().await.unwrap(), "Bearer b");
        assert!(answers.lock().unwrap().is_empty());
        let silent = Token::provider(Arc::new(|| Box::pin(std::future::pending())));
        let why = silent.header().await.unwrap_err();
        assert!(why.contains("2s"), "{why}");
    }
}
