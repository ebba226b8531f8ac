//! Networks, as operators write them.

use std::{fmt, net::IpAddr, str::FromStr};

use serde::{Deserialize, Deserializer, de::Error as _};

/// Addresses that share their first bits: `"10.0.0.0/8"`, `"2001:db8::/32"`, or one address.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    /// Bits that they share.
    prefix: u32,
}

/// Why a text is no network.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotANetwork {
    #[error("is no address like \"192.0.2.1\" and no network like \"10.0.0.0/8\"")]
    Form,
    #[error("has a prefix outside 1 to {0}")]
    Prefix(u32),
}

impl Network {
    /// `address` is one of them, also as an IPv4 address that came through an IPv6 socket.
    pub fn contains(self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let differing = first_bits(self.address) ^ first_bits(address);
        self.address.is_ipv4() == address.is_ipv4() && differing.leading_zeros() >= self.prefix
    }
}

/// An address with its first bit as the first of all.
fn first_bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    }
}

impl FromStr for Network {
    type Err = NotANetwork;

    fn from_str(text: &str) -> Result<Self, NotANetwork> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address = address.parse::<IpAddr>().map_err(|_| NotANetwork::Form)?.to_canonical();
        let bits = if address.is_ipv4() { 32 } else { 128 };
        let prefix = prefix.map_or(Ok(bits), str::parse).map_err(|_| NotANetwork::Form)?;
        // 0 would be everybody.
        match (1..=bits).contains(&prefix) {
            true => Ok(Self { address, prefix }),
            false => Err(NotANetwork::Prefix(bits)),
        }
    }
}

impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl<'de> Deserialize<'de> for Network {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(|error| D::Error::custom(format!("{text:?} {error}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_addresses_and_no_others() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.1", "192.0.2.1", "192.0.2.0"),
            ("192.0.2.77/31", "192.0.2.76", "192.0.2.78"),
            ("128.0.0.0/1", "255.1.2.3", "127.0.0.1"),
            ("10.0.0.0/8", "::ffff:10.1.2.3", "::ffff:11.1.2.3"),
            ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::"),
            ("::1", "::1", "::2"),
            ("::/1", "::2", "10.0.0.1"),
            ("0.0.0.0/1", "10.0.0.1", "::1"),
        ] {
            let parsed: Network = network.parse().unwrap();
            assert!(parsed.contains(inside.parse().unwrap()), "{inside} in {network}");
            assert!(!parsed.contains(outside.parse().unwrap()), "{outside} not in {network}");
        }
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for text in
            ["", "proxy", "10.0.0", "10.0.0.0/", "10.0.0.0/x", "10.0.0.0/-1", "/8", "[::1]", "::1%eth0"]
        {
            assert_eq!(text.parse::<Network>(), Err(NotANetwork::Form), "{text}");
        }
        for text in ["0.0.0.0/0", "::/0", "10.0.0.0/33", "::1/129", "::ffff:10.0.0.0/104"] {
            assert!(matches!(text.parse::<Network>(), Err(NotANetwork::Prefix(_))), "{text}");
        }
    }
}
