//! Who pushes, as the business is told.

use std::net::IpAddr;

use kaibo_broadcast::{Epoch, Millis};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::access::preview;

/// Characters of a query that are passed on: what backends put into push URLs is shorter.
const QUERY: usize = 1024;

/// The publisher's end of a push.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Peer {
    address: IpAddr,
    /// The query of its URL without the signature.
    query: String,
}

impl Peer {
    pub fn new(address: IpAddr, query: &str) -> Self {
        let shown = query.split('&').filter(|parameter| !is_secret(parameter)).collect::<Vec<_>>().join("&");
        Self { address, query: shown.chars().take(QUERY).collect() }
    }

    pub fn address(&self) -> IpAddr {
        self.address.to_canonical()
    }

    /// Without the signature.
    pub fn query(&self) -> &str {
        &self.query
    }
}

/// What is told of a push; stored with its broadcast, so that a restart of the server can tell how it ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PushFacts {
    pub epoch: Epoch,
    peer: Peer,
    since: Millis,
}

impl PushFacts {
    pub fn new(epoch: Epoch, peer: Peer, since: Millis) -> Self {
        Self { epoch, peer, since }
    }

    pub fn to_api(&self, size: Option<(u32, u32)>, now: Millis) -> Value {
        let (address, query) = (self.peer.address(), self.peer.query());
        let (width, height) = size.unzip();
        let duration_ms = now.0.saturating_sub(self.since.0);
        json!({ "address": address, "query": query, "duration_ms": duration_ms, "width": width, "height": height })
    }
}

/// `txSecret=…`, however it is spelt, or a token of ours. A name with an escape in it may be anything.
fn is_secret(parameter: &str) -> bool {
    let name = parameter.split('=').next().unwrap_or_default();
    // Also in the value: `user=1?txSecret=…` is a slip that people make.
    parameter.to_ascii_lowercase().contains("secret")
        || name.contains('%')
        || name.eq_ignore_ascii_case(preview::PARAMETER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_but_the_signature_is_passed_on() {
        for (query, shown) in [
            ("", ""),
            ("txSecret=abc&txTime=66A0B2C0", "txTime=66A0B2C0"),
            ("room=1&txSecret=abc&txTime=66A0B2C0&user=7", "room=1&txTime=66A0B2C0&user=7"),
            ("TXSECRET=abc&tx%53ecret=abc&a=%20", "a=%20"),
            ("txSecret", ""),
            ("user=1?txSecret=abc&txTime=66A0B2C0", "txTime=66A0B2C0"),
        ] {
            assert_eq!(Peer::new(IpAddr::from([127, 0, 0, 1]), query).query, shown, "{query}");
        }
        let long = Peer::new(IpAddr::from([127, 0, 0, 1]), &"ä".repeat(5000));
        assert_eq!(long.query.chars().count(), QUERY);
    }
}
