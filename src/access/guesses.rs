//! Who guessed keys wrong lately, and how long they have to wait.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    time::{Duration, Instant},
};

/// Addresses remembered. Beyond that those that are over are forgotten or, if none is, all: a guesser who owns more
/// addresses than this gains a second's worth of guesses.
const ADDRESSES: usize = 10_000;

/// The span in which refused keys are counted.
const SECOND: Duration = Duration::from_secs(1);

/// Refused keys by address.
pub struct Guesses {
    /// This many within a second are too many.
    too_many: u32,
    ban: Duration,
    addresses: HashMap<IpAddr, Guesser>,
}

struct Guesser {
    since: Instant,
    count: u32,
    banned_until: Option<Instant>,
}

impl Guesses {
    pub fn new(too_many: u32, ban: Duration) -> Self {
        Self { too_many, ban, addresses: HashMap::new() }
    }

    /// Addresses that are shut out already stay so for as long as they were to.
    pub fn set_limits(&mut self, too_many: u32, ban: Duration) {
        (self.too_many, self.ban) = (too_many, ban);
    }

    pub fn is_shut_out(&self, address: IpAddr, now: Instant) -> bool {
        self.addresses.get(&network(address)).is_some_and(|guesser| guesser.is_banned(now))
    }

    pub fn refused(&mut self, address: IpAddr, now: Instant) {
        let address = network(address);
        if self.addresses.len() >= ADDRESSES && !self.addresses.contains_key(&address) {
            self.addresses.retain(|_, guesser| guesser.is_banned(now) || guesser.is_counting(now));
            if self.addresses.len() >= ADDRESSES {
                self.addresses.clear();
            }
        }
        let guesser =
            self.addresses.entry(address).or_insert(Guesser { since: now, count: 0, banned_until: None });
        if !guesser.is_counting(now) {
            (guesser.since, guesser.count) = (now, 0);
        }
        guesser.count = guesser.count.saturating_add(1);
        if guesser.count >= self.too_many {
            guesser.banned_until = Some(now + self.ban);
        }
    }
}

impl Guesser {
    fn is_counting(&self, now: Instant) -> bool {
        now.duration_since(self.since) <= SECOND
    }

    fn is_banned(&self, now: Instant) -> bool {
        self.banned_until.is_some_and(|until| now < until)
    }
}

/// What stands for one peer: an IPv4 address, or the 64 bits of network that any home with IPv6 has to itself.
pub fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(ip) => match ip.to_ipv4_mapped() {
            Some(ip) => ip.into(),
            None => Ipv6Addr::from_bits(ip.to_bits() & (u128::MAX << 64)).into(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn ten_wrong_keys_in_a_second_shut_an_address_out_for_a_minute() {
        let (mut guesses, begin) = (Guesses::new(10, MINUTE), Instant::now());
        let guesser = ip("192.0.2.1");
        for guess in 0..10 {
            assert!(!guesses.is_shut_out(guesser, begin), "after {guess}");
            guesses.refused(guesser, begin + SECOND * guess / 10);
        }
        let banned = begin + SECOND * 9 / 10;
        assert!(guesses.is_shut_out(guesser, banned));
        assert!(guesses.is_shut_out(guesser, banned + MINUTE - Duration::from_millis(1)));
        assert!(!guesses.is_shut_out(guesser, banned + MINUTE));
        assert!(!guesses.is_shut_out(ip("192.0.2.2"), banned), "others are not affected");
    }

    #[test]
    fn after_the_ban_one_slip_is_forgiven_again() {
        let (mut guesses, begin) = (Guesses::new(3, MINUTE), Instant::now());
        let guesser = ip("192.0.2.1");
        (0..3).for_each(|_| guesses.refused(guesser, begin));
        let later = begin + MINUTE;
        guesses.refused(guesser, later);
        assert!(!guesses.is_shut_out(guesser, later));
    }

    #[test]
    fn slips_spread_over_time_are_no_guessing() {
        let (mut guesses, begin) = (Guesses::new(3, MINUTE), Instant::now());
        let clumsy = ip("192.0.2.1");
        for slip in 0..1000 {
            let now = begin + Duration::from_millis(600) * slip;
            guesses.refused(clumsy, now);
            assert!(!guesses.is_shut_out(clumsy, now));
        }
    }

    #[test]
    fn a_home_with_ipv6_is_one_guesser() {
        let (mut guesses, now) = (Guesses::new(2, MINUTE), Instant::now());
        guesses.refused(ip("2001:db8:0:1::1"), now);
        guesses.refused(ip("2001:db8:0:1:ffff::2"), now);
        assert!(guesses.is_shut_out(ip("2001:db8:0:1::3"), now));
        assert!(!guesses.is_shut_out(ip("2001:db8:0:2::3"), now));
        guesses.refused(ip("192.0.2.1"), now);
        guesses.refused(ip("::ffff:192.0.2.1"), now);
        assert!(guesses.is_shut_out(ip("192.0.2.1"), now), "the same host through an IPv6 socket");
    }

    #[test]
    fn the_table_is_bounded_and_forgets_the_harmless_first() {
        let (mut guesses, begin) = (Guesses::new(2, MINUTE), Instant::now());
        let guesser = ip("192.0.2.1");
        (0..2).for_each(|_| guesses.refused(guesser, begin));
        for host in 0..3 * ADDRESSES as u32 {
            // A thousand each second: at no time are there many that count.
            guesses.refused(IpAddr::V4((0x0A00_0000 + host).into()), begin + SECOND * host / 1000);
            assert!(guesses.addresses.len() <= ADDRESSES);
        }
        assert!(guesses.is_shut_out(guesser, begin + SECOND * 30), "a flood of strangers lifts no ban");
        for host in 0..2 * ADDRESSES as u32 {
            guesses.refused(IpAddr::V4((0x0B00_0000 + host).into()), begin + MINUTE);
            assert!(guesses.addresses.len() <= ADDRESSES, "not even when all of them count");
        }
    }
}
