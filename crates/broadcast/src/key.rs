//! Signed URLs in the convention of Tencent Cloud Live: `?txSecret=…&txTime=…`.
//!
//! `txSecret = md5hex(KEY + STREAM + txTime)`, and `txTime` is the expiry in Unix seconds as exactly 8 hexadecimal
//! digits, hashed as sent (Tencent writes upper case, WeChat lower case). The concatenation has no separator, so
//! `room1` + `66A0B2C0` would also sign `room` + `166A0B2C0`, and md5 lets a stranger append to what was hashed. Both
//! fail at the two format checks, which therefore come before any hash: 8 digits, and a stream name of its alphabet.

use std::{fmt, time::Duration};

use hmac::{Hmac, KeyInit, Mac};
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use subtle::{Choice, ConstantTimeEq};

use crate::{App, Millis, Secret, Stream};

/// How `txSecret` is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Algorithm {
    /// `md5hex(KEY + STREAM + txTime)`: what Tencent and WeChat make.
    #[default]
    Md5,
    /// `sha256hex(KEY + STREAM + txTime)`.
    Sha256,
    /// `HMAC-SHA256(KEY, APP + "/" + STREAM + "/" + txTime)`, in hex.
    HmacSha256,
}

impl Algorithm {
    /// Hexadecimal digits of a `txSecret`.
    const fn digits(self) -> usize {
        match self {
            Self::Md5 => 32,
            Self::Sha256 | Self::HmacSha256 => 64,
        }
    }

    fn tx_secret(self, key: &Secret, app: &App, stream: &Stream, tx_time: &str) -> String {
        let key = key.expose();
        match self {
            Self::Md5 => hex(&Md5::digest(format!("{key}{stream}{tx_time}"))),
            Self::Sha256 => hex(&Sha256::digest(format!("{key}{stream}{tx_time}"))),
            // HMAC takes keys of any length, so this never fails; an empty text would match no 64 digits either.
            Self::HmacSha256 => Hmac::<Sha256>::new_from_slice(key.as_bytes())
                .map(|mac| {
                    hex(&mac.chain_update(format!("{app}/{stream}/{tx_time}")).finalize().into_bytes())
                })
                .unwrap_or_default(),
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The keys of one purpose (push *or* play, so that neither opens the other's door) for one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    /// How `txSecret` is made.
    algorithm: Algorithm,
    /// Signs and verifies.
    key: Secret,
    /// Verifies too, while a key is being replaced.
    backup: Option<Secret>,
    /// How long after `txTime` a URL still works.
    auth_delta: Duration,
    /// How far ahead `txTime` may lie.
    max_ttl: Option<Duration>,
}

/// An empty key would let anybody sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the key is empty")]
pub struct EmptyKey;

impl KeySet {
    /// Keys without a grace period and without a limit on how far ahead a URL may be signed.
    pub fn new(algorithm: Algorithm, key: Secret, backup: Option<Secret>) -> Result<Self, EmptyKey> {
        if key.is_empty() || backup.as_ref().is_some_and(Secret::is_empty) {
            return Err(EmptyKey);
        }
        Ok(Self { algorithm, key, backup, auth_delta: Duration::ZERO, max_ttl: None })
    }

    /// Accepts a URL until `delta` after its `txTime`.
    pub fn with_auth_delta(self, delta: Duration) -> Self {
        Self { auth_delta: delta, ..self }
    }

    /// Refuses a URL whose `txTime` lies further ahead than `ttl`.
    pub fn with_max_ttl(self, ttl: Duration) -> Self {
        Self { max_ttl: Some(ttl), ..self }
    }

    /// Signs with the main key. `expires` is rounded up to a second and ends in the year 2106 at the latest, which
    /// is as far as 8 digits go.
    pub fn sign(&self, app: &App, stream: &Stream, expires: Millis) -> Signature {
        let seconds = expires.0.saturating_add(999).div_euclid(1000).clamp(0, i64::from(u32::MAX));
        let tx_time = format!("{seconds:08X}");
        Signature {
            tx_secret: Secret::new(self.algorithm.tx_secret(&self.key, app, stream, &tx_time)),
            tx_time,
        }
    }

    /// Checks the credential in `query`: the part of the stream's URL behind the `?`, as it was sent.
    ///
    /// Only parameters named exactly `txSecret` and `txTime` count. `now` is the wall clock. An expired credential
    /// whose signature is right comes back inside [`KeyError::Expired`], since it may still resume a broadcast.
    pub fn verify(
        &self,
        query: &str,
        app: &App,
        stream: &Stream,
        now: Millis,
    ) -> Result<Credential, KeyError> {
        let tx_time = parameter(query, "txTime")?.ok_or(KeyError::NoTime)?;
        let tx_secret = parameter(query, "txSecret")?.ok_or(KeyError::NoSecret)?;
        if !is_hex(tx_time, 8) {
            return Err(KeyError::BadTime);
        }
        if !is_hex(tx_secret, self.algorithm.digits()) {
            return Err(KeyError::BadSecret { digits: self.algorithm.digits() });
        }
        let tx_secret = tx_secret.to_ascii_lowercase();
        let matches = |key: &Secret| -> Choice {
            let expected = self.algorithm.tx_secret(key, app, stream, tx_time);
            expected.as_bytes().ct_eq(tx_secret.as_bytes())
        };
        // Both keys are always tried: how long it takes says nothing about which one was right.
        let verified = self.backup.iter().fold(matches(&self.key), |verified, key| verified | matches(key));
        if !bool::from(verified) {
            return Err(KeyError::Mismatch);
        }

        let expires = i64::from(u32::from_str_radix(tx_time, 16).map_err(|_| KeyError::BadTime)?);
        let credential = Credential {
            expires: Millis(expires.saturating_mul(1000)),
            fingerprint: Fingerprint::of(&tx_secret),
        };
        let now = now.as_secs();
        if now > expires.saturating_add(seconds(self.auth_delta)) {
            return Err(KeyError::Expired { credential, ago: now - expires });
        }
        match self.max_ttl {
            Some(ttl) if expires > now.saturating_add(seconds(ttl)) => {
                Err(KeyError::TooFarAhead { ahead: expires - now, limit: seconds(ttl) })
            }
            _ => Ok(credential),
        }
    }
}

fn seconds(duration: Duration) -> i64 {
    i64::try_from(duration.as_secs()).unwrap_or(i64::MAX)
}

fn is_hex(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The value of the parameter `name`. Nothing is decoded: a name written any other way is another parameter.
fn parameter<'q>(query: &'q str, name: &'static str) -> Result<Option<&'q str>, KeyError> {
    let mut values = query
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .filter(|(key, _)| *key == name);
    match (values.next(), values.next()) {
        (Some(_), Some(_)) => Err(KeyError::Repeated { name }),
        (first, _) => Ok(first.map(|(_, value)| value)),
    }
}

/// The signed part of a URL. Whoever has it may push (or play), so it prints as nothing by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signature {
    tx_secret: Secret,
    tx_time: String,
}

impl Signature {
    /// `txSecret=…&txTime=…`, for the URL that is handed out.
    pub fn query(&self) -> String {
        format!("txSecret={}&txTime={}", self.tx_secret.expose(), self.tx_time)
    }
}

/// What a verified URL says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its `txTime`.
    pub expires: Millis,
    /// Tells it from every other credential.
    pub fingerprint: Fingerprint,
}

/// Tells credentials apart without giving them away: a hash of the `txSecret`, safe to store and to log.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fingerprint(String);

impl Fingerprint {
    fn of(tx_secret: &str) -> Self {
        let digest = hex(&Sha256::digest(format!("kaibo credential {tx_secret}")));
        // 128 bits: nobody finds two of a kind.
        Self(digest.chars().take(32).collect())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a credential is refused, in words for the person whose encoder shows them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// `txTime` is missing.
    #[error("the stream key has no txTime")]
    NoTime,
    /// `txSecret` is missing.
    #[error("the stream key has no txSecret")]
    NoSecret,
    /// A parameter is there twice: which one counts would be a guess.
    #[error("the stream key has {name} more than once")]
    Repeated {
        /// The parameter.
        name: &'static str,
    },
    /// `txTime` is not 8 hexadecimal digits.
    #[error("txTime is not 8 hexadecimal digits")]
    BadTime,
    /// `txSecret` does not have the length or the digits of its algorithm.
    #[error("txSecret is not {digits} hexadecimal digits")]
    BadSecret {
        /// Digits that the algorithm makes.
        digits: usize,
    },
    /// Neither key signed it.
    #[error("the stream key is wrong: txSecret does not match")]
    Mismatch,
    /// Signed, but over.
    #[error("the stream key expired {ago} s ago")]
    Expired {
        /// The credential, for a broadcast that it may still resume.
        credential: Credential,
        /// Seconds since its `txTime`.
        ago: i64,
    },
    /// Signed for longer than allowed.
    #[error("the stream key is valid for {ahead} s; at most {limit} s are allowed")]
    TooFarAhead {
        /// Seconds until its `txTime`.
        ahead: i64,
        /// The limit in seconds.
        limit: i64,
    },
}
