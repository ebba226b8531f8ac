//! Who somebody is, as far as that is looked at: never stored.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    net::IpAddr,
};

use kaibo_audience::Seen;
use sha2::{Digest, Sha256};

use crate::access::network;

/// An address and a player. Of those, 256 are told apart at one address: a house has fewer, and somebody who makes names
/// up is no larger crowd than this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Person {
    network: IpAddr,
    agent: u8,
}

impl Person {
    /// Whoever asks from `address` with `agent`.
    pub fn new(address: IpAddr, agent: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        agent.hash(&mut hasher);
        let [agent, ..] = hasher.finish().to_le_bytes();
        Self { network: network(address), agent }
    }
}

/// A viewer without a connection.
#[derive(Clone, Copy, Debug)]
pub struct Viewer<'a> {
    /// Of a stream that needs a key: what it got for that. The addresses of an open stream are everybody's, so that caches
    /// may keep what is behind them; its viewers are as many as there are persons.
    pub session: Option<&'a str>,
    pub person: Person,
}

/// Makes the sketch of one broadcast say nothing about those of another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Salt([u8; 16]);

impl Default for Salt {
    fn default() -> Self {
        Self(uuid::Uuid::new_v4().into_bytes())
    }
}

impl Salt {
    /// A number for `person`, of which nobody is told.
    pub fn identity(&self, person: Person) -> u64 {
        let hash = Sha256::new().chain_update(self.0).chain_update([person.agent]);
        let hash = match person.network {
            IpAddr::V4(address) => hash.chain_update(address.octets()),
            IpAddr::V6(address) => hash.chain_update(address.octets()),
        };
        let [a, b, c, d, e, f, g, h, ..]: [u8; 32] = hash.finalize().into();
        u64::from_be_bytes([a, b, c, d, e, f, g, h])
    }

    /// Both, to be stored.
    pub fn join(&self, seen: &Seen) -> Vec<u8> {
        [&self.0, seen.as_bytes()].concat()
    }

    /// What [`Salt::join`] has made; none of anything else.
    pub fn split(stored: &[u8]) -> Option<(Self, Seen)> {
        let (salt, seen) = stored.split_first_chunk()?;
        Some((Self(*salt), Seen::from_bytes(seen)?))
    }
}
