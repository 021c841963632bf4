//! Standard Webhooks signatures: a subscriber knows by them who sent a request, and that it came as it was sent.
//!
//! Signed are the name of the message, the second of the attempt and the raw body, with HMAC-SHA256 (Standard Webhooks 1.0.0,
//! "symmetric"). Any format can be signed, because nothing is read of the body.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use kinesis_core::{Error, Result, wall_clock};
use sha2::Sha256;

use crate::WEBHOOK_ID;

/// The second of the attempt, after 1970.
pub(crate) const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
/// One signature a key, with spaces between them.
pub(crate) const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// How far the clocks of sender and receiver may be apart: what the reference libraries allow.
const TOLERANCE: Duration = Duration::from_secs(300);
/// What the text of a secret begins with; it may be left out.
const PREFIX: &str = "whsec_";
/// What a signature of this kind begins with.
const VERSION: &str = "v1,";

/// The key that sender and receiver share: 24 to 64 random bytes, written as `whsec_` and base64.
///
/// Nothing shows it: [`Debug`] writes that there is one, and errors do not repeat it.
#[derive(Clone)]
pub struct Secret(Hmac<Sha256>);

impl Secret {
    /// A secret of these bytes.
    ///
    /// # Errors
    ///
    /// `Invalid` for less than 24 or more than 64 of them, which Standard Webhooks does not allow.
    pub fn from_bytes(key: &[u8]) -> Result<Self> {
        if !(24..=64).contains(&key.len()) {
            let length = key.len();
            return Err(Error::invalid(format!(
                "a secret of {length} bytes cannot sign webhooks: it has 24 to 64; make one with `openssl rand -base64 32`"
            )));
        }
        Ok(Self(Hmac::new_from_slice(key).expect("HMAC takes a key of any length")))
    }

    fn mac(&self, id: &[u8], timestamp: &[u8], body: &[u8]) -> Hmac<Sha256> {
        #[cfg(test)]
        tests::HASHED.set(tests::HASHED.get() + 1);
        let mut mac = self.0.clone();
        for part in [id, b".", timestamp, b".", body] {
            mac.update(part);
        }
        mac
    }
}

/// Whether `signature`, in base64, is that of the message. Takes as long for a wrong one as for a right one.
fn is_of(mac: &Hmac<Sha256>, signature: &str) -> bool {
    BASE64_STANDARD.decode(signature).is_ok_and(|signature| mac.clone().verify_slice(&signature).is_ok())
}

impl FromStr for Secret {
    type Err = Error;

    /// Reads base64, with `whsec_` before it or without.
    fn from_str(text: &str) -> Result<Self> {
        let text = text.trim();
        let key = BASE64_STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(|_| {
            Error::invalid(
                "a secret is base64, with whsec_ before it or without: make one with `openssl rand -base64 32`",
            )
        })?;
        Self::from_bytes(&key)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// Signs a request with every one of the keys: while they are rotated, a receiver that knows either is content.
pub(crate) fn sign(secrets: &[Secret], headers: &mut HeaderMap, body: &[u8]) {
    if secrets.is_empty() {
        return;
    }
    let Some(id) = headers.get(WEBHOOK_ID) else { return };
    let since_1970 = wall_clock::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    let timestamp = HeaderValue::from(since_1970.as_secs());
    let mut text = String::new();
    for secret in secrets {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(VERSION);
        let mac = secret.mac(id.as_bytes(), timestamp.as_bytes(), body);
        BASE64_STANDARD.encode_string(mac.finalize().into_bytes(), &mut text);
    }
    headers.insert(WEBHOOK_SIGNATURE, HeaderValue::try_from(text).expect("base64 is a header value"));
    headers.insert(WEBHOOK_TIMESTAMP, timestamp);
}

/// Why a request is not believed. For logs alone: who sends it is not told more than that.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unbelievable {
    #[error("it has no {0} header")]
    Missing(&'static str),
    #[error("its timestamp is no number of seconds")]
    NoTime,
    #[error("it was signed {0:?} ago, or as long ahead of this clock")]
    TooOld(Duration),
    #[error("none of its signatures is of a known key")]
    Forged,
}

/// Whether a request was signed with one of the keys, lately.
pub(crate) fn verify(secrets: &[Secret], headers: &HeaderMap, body: &[u8]) -> std::result::Result<(), Unbelievable> {
    let bytes =
        |name: HeaderName, shown| headers.get(name).map(HeaderValue::as_bytes).ok_or(Unbelievable::Missing(shown));
    let id = bytes(WEBHOOK_ID, "webhook-id")?;
    let timestamp = bytes(WEBHOOK_TIMESTAMP, "webhook-timestamp")?;
    let signatures = bytes(WEBHOOK_SIGNATURE, "webhook-signature")?;
    let seconds = std::str::from_utf8(timestamp).ok().and_then(|text| text.parse().ok()).ok_or(Unbelievable::NoTime)?;
    let signed_at = Duration::from_secs(seconds);
    let now = wall_clock::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap_or_default();
    let apart = now.abs_diff(signed_at);
    if apart > TOLERANCE {
        return Err(Unbelievable::TooOld(apart));
    }
    let signatures = std::str::from_utf8(signatures).map_err(|_| Unbelievable::Forged)?;
    // Other versions are passed over, as are those of keys that are not known here.
    let mut ours = signatures.split(' ').filter_map(|one| one.strip_prefix(VERSION));
    // Once a key, however many signatures there are: a head has room for tens of thousands of them.
    let macs: Vec<_> = secrets.iter().map(|secret| secret.mac(id, timestamp, body)).collect();
    let known = ours.any(|signature| macs.iter().any(|mac| is_of(mac, signature)));
    if known { Ok(()) } else { Err(Unbelievable::Forged) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the specification, and two that other senders use in their tests.
    const VECTORS: [[&str; 5]; 2] = [
        [
            "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD",
            "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk",
            "1649367553",
            r#"{"email":"test@example.com","username":"test_user"}"#,
            "tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=",
        ],
        [
            "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            r#"{"test": 2432232314}"#,
            "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
        ],
    ];

    thread_local! {
        /// How many bodies were hashed.
        pub(super) static HASHED: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
    }

    fn secret(byte: u8) -> Secret {
        Secret::from_bytes(&[byte; 32]).unwrap()
    }

    fn signed(secrets: &[Secret], body: &[u8]) -> HeaderMap {
        let mut headers = HeaderMap::from_iter([(WEBHOOK_ID, HeaderValue::from_static("shardId-0:7"))]);
        sign(secrets, &mut headers, body);
        headers
    }

    #[test]
    fn signatures_are_those_of_the_specification() {
        for [secret, id, timestamp, body, signature] in VECTORS {
            let secret: Secret = secret.parse().unwrap();
            let mac = |body: &str| secret.mac(id.as_bytes(), timestamp.as_bytes(), body.as_bytes());
            assert!(is_of(&mac(body), signature));
            assert!(!is_of(&mac("{}"), signature));
        }
    }

    #[test]
    fn while_keys_are_rotated_either_is_enough() {
        let headers = signed(&[secret(2), secret(1)], b"body");
        for known in [secret(1), secret(2)] {
            assert_eq!(verify(&[known], &headers, b"body"), Ok(()));
        }
        assert_eq!(verify(&[secret(3), secret(2)], &headers, b"body"), Ok(()));
        assert_eq!(verify(&[secret(3)], &headers, b"body"), Err(Unbelievable::Forged));
    }

    #[test]
    fn what_was_changed_or_is_old_is_not_believed() {
        let headers = signed(&[secret(1)], b"body");
        assert_eq!(verify(&[secret(1)], &headers, b"bodY"), Err(Unbelievable::Forged));
        let with = |name: HeaderName, value: &str| {
            let mut changed = headers.clone();
            changed.insert(name, value.parse().unwrap());
            verify(&[secret(1)], &changed, b"body")
        };
        assert_eq!(with(WEBHOOK_ID, "shardId-0:8"), Err(Unbelievable::Forged));
        assert_eq!(with(WEBHOOK_TIMESTAMP, "soon"), Err(Unbelievable::NoTime));
        assert!(matches!(with(WEBHOOK_TIMESTAMP, "1649367553"), Err(Unbelievable::TooOld(_))));
        assert!(matches!(with(WEBHOOK_TIMESTAMP, "18446744073709551615"), Err(Unbelievable::TooOld(_))));
        assert_eq!(with(WEBHOOK_SIGNATURE, "v1a,AAAA v1,* v2"), Err(Unbelievable::Forged));
        for (name, shown) in [(WEBHOOK_ID, "webhook-id"), (WEBHOOK_SIGNATURE, "webhook-signature")] {
            let mut without = headers.clone();
            without.remove(name);
            assert_eq!(verify(&[secret(1)], &without, b"body"), Err(Unbelievable::Missing(shown)));
        }
    }

    /// Each signature in a head hashed the whole body: two thousand of them took a minute for a megabyte.
    #[test]
    fn a_body_is_hashed_once_a_key_however_many_signatures_it_has() {
        let mut headers = signed(&[secret(1)], b"body");
        headers.insert(WEBHOOK_SIGNATURE, "v1,AAAA ".repeat(2000).parse().unwrap());
        let before = HASHED.get();
        assert_eq!(verify(&[secret(1), secret(2)], &headers, b"body"), Err(Unbelievable::Forged));
        assert_eq!(HASHED.get() - before, 2);
    }

    #[test]
    fn a_secret_is_checked_and_never_shown() {
        let refusal = |text: &str| text.parse::<Secret>().unwrap_err().to_string();
        assert!(refusal("whsec_c2hvcnQ=").contains("5 bytes"));
        assert!(refusal("s3cret!").contains("openssl rand -base64 32") && !refusal("s3cret!").contains("s3cret"));
        assert_eq!(format!("{:?}", secret(7)), "Secret(…)");
    }
}
