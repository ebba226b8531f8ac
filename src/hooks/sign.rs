//! How a receiver knows that a webhook is ours.

use data_encoding::{BASE64, BASE64_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use kaibo_broadcast::Secret;
use md5::{Digest, Md5};
use sha2::Sha256;

/// What Standard Webhooks puts before a secret in base64.
const PREFIX: &str = "whsec_";

/// Bytes of a key: fewer could be guessed from one signature.
const SHORTEST: usize = 16;

/// The key of an endpoint's signatures (Standard Webhooks 1.0, "Signature scheme").
pub struct Key(Vec<u8>);

impl Key {
    /// `whsec_` and base64, or any other text as it is. The error has nothing of it.
    pub fn new(secret: &Secret) -> Result<Self, &'static str> {
        let secret = secret.expose();
        let key = match secret.strip_prefix(PREFIX) {
            Some(base64) => BASE64_NOPAD
                .decode(base64.trim_end_matches('=').as_bytes())
                .map_err(|_| "is not base64 after \"whsec_\"")?,
            None => secret.as_bytes().to_vec(),
        };
        if key.len() < SHORTEST { Err("is shorter than 16 bytes") } else { Ok(Self(key)) }
    }

    /// The `webhook-signature` of a message.
    pub fn signature(&self, id: &str, timestamp: i64, body: &str) -> String {
        // HMAC takes keys of any length, so this never fails; an empty signature would be refused.
        Hmac::<Sha256>::new_from_slice(&self.0)
            .map(|mac| {
                let mac = mac.chain_update(format!("{id}.{timestamp}.")).chain_update(body);
                format!("v1,{}", BASE64.encode(&mac.finalize().into_bytes()))
            })
            .unwrap_or_default()
    }
}

/// The `sign` of Tencent's callbacks; `t` is when it expires, in seconds since 1970.
pub fn tencent_sign(secret: &Secret, t: i64) -> String {
    HEXLOWER.encode(&Md5::digest(format!("{}{t}", secret.expose())))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the Standard Webhooks reference libraries.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let key = Key::new(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).ok().unwrap();
        assert_eq!(
            key.signature("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, "{\"test\": 2432232314}"),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn a_secret_that_is_no_base64_is_used_as_it_is() {
        let raw = Key::new(&Secret::new("0123456789abcdef")).ok().unwrap();
        let base64 = Key::new(&Secret::new("whsec_MDEyMzQ1Njc4OWFiY2RlZg==")).ok().unwrap();
        let unpadded = Key::new(&Secret::new("whsec_MDEyMzQ1Njc4OWFiY2RlZg")).ok().unwrap();
        assert_eq!(raw.signature("a", 1, "b"), base64.signature("a", 1, "b"));
        assert_eq!(raw.signature("a", 1, "b"), unpadded.signature("a", 1, "b"));
    }

    #[test]
    fn weak_and_broken_secrets_are_refused() {
        for secret in ["", "0123456789abcde", "whsec_", "whsec_!!!!", "whsec_MDEyMzQ1Njc4OWFiY2Rl"] {
            assert!(Key::new(&Secret::new(secret)).is_err(), "{secret}");
        }
    }

    /// `printf 'key-of-the-callbacks1700000600' | md5sum`
    #[test]
    fn tencents_sign_is_the_md5_of_secret_and_time() {
        let sign = tencent_sign(&Secret::new("key-of-the-callbacks"), 1_700_000_600);
        assert_eq!(sign, "7b430e98fdcc261c96eb1c8456592b2a");
    }
}
