//! Subscription tokens: who may sign them, and their HMAC.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac_sha256::HMAC;
use tonic::Status;

use super::unix_ms;
use tower_gwag::control::proto::{
    SignSubscriptionTokenRequest, SignSubscriptionTokenResponse, SubscribeAuthCode,
};

/// The configuration of signing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Signing {
    /// Hex tokens that may sign.
    pub(crate) tokens: Vec<String>,
    pub(crate) secret: Option<Vec<u8>>,
}

impl Signing {
    /// Answers the call; `authorization` is the metadata of that name.
    ///
    /// # Errors
    ///
    /// A request without a channel. A refused caller gets an answer, not an error.
    pub(crate) fn sign(
        &self,
        request: SignSubscriptionTokenRequest,
        authorization: Option<&str>,
    ) -> Result<SignSubscriptionTokenResponse, Status> {
        let answer = |code: SubscribeAuthCode, reason: String| SignSubscriptionTokenResponse {
            code: code.into(),
            reason,
            ..Default::default()
        };
        if !self.admits(authorization) {
            return Ok(answer(
                SubscribeAuthCode::Denied,
                "sign endpoint requires bearer auth".to_owned(),
            ));
        }
        if request.channel.is_empty() {
            return Err(Status::unknown("controlplane: channel is required"));
        }
        let Some(secret) = &self.secret else {
            return Ok(answer(
                SubscribeAuthCode::NotConfigured,
                "subscription secret not configured".to_owned(),
            ));
        };
        if !request.kid.is_empty() {
            let reason = format!("no secret configured for kid {:?}", request.kid);
            return Ok(SignSubscriptionTokenResponse {
                kid: request.kid,
                ..answer(SubscribeAuthCode::UnknownKid, reason)
            });
        }
        let timestamp = i64::try_from(unix_ms() / 1000).unwrap_or(i64::MAX);
        Ok(SignSubscriptionTokenResponse {
            hmac: sign(secret, &request.channel, timestamp),
            timestamp_unix: timestamp,
            ..answer(SubscribeAuthCode::Ok, String::new())
        })
    }

    fn admits(&self, authorization: Option<&str>) -> bool {
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| {
            !token.is_empty()
                && self
                    .tokens
                    .iter()
                    .any(|known| known.eq_ignore_ascii_case(token))
        })
    }
}

fn sign(secret: &[u8], channel: &str, timestamp: i64) -> String {
    let text = format!("{channel}\n{timestamp}");
    STANDARD.encode(HMAC::mac(text.as_bytes(), secret))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(channel: &str, kid: &str) -> SignSubscriptionTokenRequest {
        SignSubscriptionTokenRequest {
            channel: channel.to_owned(),
            kid: kid.to_owned(),
            ..Default::default()
        }
    }

    #[test]
    fn callers_are_checked_before_the_channel() {
        let signing = Signing {
            tokens: vec!["00ff".to_owned()],
            secret: Some(b"s".to_vec()),
        };
        for bad in [
            None,
            Some("bearer 00ff"),
            Some("Bearer 00"),
            Some("Bearer "),
        ] {
            let code = signing.sign(request("", ""), bad).unwrap().code();
            assert_eq!(code, SubscribeAuthCode::Denied);
        }
        let good = Some("Bearer 00FF");
        assert!(signing.sign(request("", ""), good).is_err());
        let answer = signing.sign(request("c", "k1"), good).unwrap();
        assert_eq!(answer.code(), SubscribeAuthCode::UnknownKid);
        let answer = signing.sign(request("c", ""), good).unwrap();
        assert_eq!(answer.hmac, sign(b"s", "c", answer.timestamp_unix));
    }

    #[test]
    fn the_hmac_is_the_standard_one() {
        // Computed with another implementation.
        assert_eq!(
            sign(b"Jefe", "c", 1),
            "WgrfQyKclR8GN29gvxjTpFnJTBAsTbqZCrFKvlhSSS4="
        );
    }
}
