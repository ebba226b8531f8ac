//! Preview tokens: what shows a broadcast before its start, and a replay that is not public.

use kaibo_broadcast::{BroadcastId, Millis, Secret};

use super::signature;

/// What carries a token in a query.
pub const PARAMETER: &str = "preview";

/// Hexadecimal digits of a token's expiry, in seconds since 1970.
const EXPIRY: usize = 8;

/// Opens `broadcast` to whoever has it, until `expires`.
pub fn token(key: &Secret, broadcast: &BroadcastId, expires: Millis) -> String {
    let expires = format!("{:0EXPIRY$x}", expires.as_secs().clamp(0, i64::from(u32::MAX)));
    let signature = signature(key, &format!("preview/{broadcast}/{expires}"));
    format!("{expires}{signature}")
}

/// The token in `query`, and nothing else of it.
pub fn of_query(query: &str) -> Option<&str> {
    let mut parameters = query.split('&').filter_map(|parameter| parameter.split_once('='));
    parameters.find(|(name, _)| *name == PARAMETER).map(|(_, token)| token)
}

/// `query` has a token that opens `broadcast` now.
pub fn opens(key: &Secret, broadcast: &BroadcastId, query: &str, now: Millis) -> bool {
    // Anybody can sign with a key that is empty.
    let token = of_query(query).filter(|token| token.is_ascii() && !key.is_empty());
    let Some((expires, _)) = token.and_then(|token| token.split_at_checked(EXPIRY)) else {
        return false;
    };
    let Ok(seconds) = i64::from_str_radix(expires, 16) else {
        return false;
    };
    let expires = Millis(seconds.saturating_mul(1000));
    now < expires
        && Secret::new(token.unwrap_or_default()) == Secret::new(self::token(key, broadcast, expires))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_its_broadcast_until_it_expires() {
        let (key, other) = (Secret::new("key-of-the-test-1234"), Secret::new("key-of-the-test-5678"));
        let id = |id: &str| id.parse::<BroadcastId>().unwrap();
        let expires = Millis(1_790_000_000_000);
        let token = self::token(&key, &id("b1"), expires);
        let query = format!("user=7&preview={token}");
        let before = Millis(expires.0 - 1);
        assert!(opens(&key, &id("b1"), &query, before));
        assert!(!opens(&key, &id("b1"), &query, expires), "it is over");
        assert!(!opens(&key, &id("b2"), &query, before), "another broadcast");
        assert!(!opens(&other, &id("b1"), &query, before), "another server");
        let forged = self::token(&Secret::default(), &id("b1"), expires);
        assert!(!opens(&Secret::default(), &id("b1"), &format!("preview={forged}"), before), "no key");
        let later = token.replacen("6", "7", 1);
        for wrong in ["", "preview", "6ab", "\u{623f}\u{623f}\u{623f}", "-0000001", &later] {
            assert!(!opens(&key, &id("b1"), &format!("preview={wrong}"), before), "{wrong}");
        }
    }
}
