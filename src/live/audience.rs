//! Who watches a broadcast through HLS. Such a viewer has no connection of its own, only requests now and then.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    net::IpAddr,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use crate::access::network;

/// Requests of one session under way at once. A player has a handful; more is a link that was passed around.
const AT_ONCE: u32 = 64;

/// Players told apart at one address: a house has fewer, and somebody who makes names up is no larger crowd than this.
const AGENTS: u64 = 256;

/// Between two looks through a full table for viewers who have left.
const SWEEP: Duration = Duration::from_secs(1);

/// Who somebody is.
#[derive(Clone, Copy, Debug)]
pub enum Viewer<'a> {
    /// Of a stream that needs a key: known by what it got for that.
    Session(&'a str),
    /// Of an open stream. Its addresses are everybody's, so that caches may keep what is behind them.
    At { address: IpAddr, agent: &'a str },
}

/// Viewers by when they were last served.
pub struct Audience {
    /// Of those, no more than this.
    most: usize,
    /// Nobody can tell which two viewers it takes for one.
    keys: RandomState,
    table: Mutex<Table>,
}

#[derive(Default)]
struct Table {
    viewers: HashMap<u64, Presence>,
    swept: Option<Instant>,
}

#[derive(Default)]
struct Presence {
    /// Requests under way.
    asking: u32,
    served: Option<Instant>,
}

impl Presence {
    fn lasts(&self, now: Instant, kept: Duration) -> bool {
        self.asking > 0 || self.served.is_some_and(|served| now.duration_since(served) < kept)
    }
}

/// A request under way: its viewer is there while it waits.
pub struct Visit<'a> {
    audience: &'a Audience,
    /// None if the table was full.
    key: Option<u64>,
}

impl Audience {
    /// An audience of which `most` are counted.
    pub fn new(most: usize) -> Self {
        Self { most, keys: RandomState::new(), table: Mutex::default() }
    }

    /// `viewer` asks for something; none if its session has too much under way. Who was there within `kept` is there.
    pub fn enter(&self, viewer: Viewer<'_>, now: Instant, kept: Duration) -> Option<Visit<'_>> {
        let key = match viewer {
            Viewer::Session(session) => self.keys.hash_one(session),
            Viewer::At { address, agent } => {
                self.keys.hash_one((network(address), self.keys.hash_one(agent) % AGENTS))
            }
        };
        let mut table = self.table();
        if table.viewers.len() >= self.most && !table.viewers.contains_key(&key) {
            if table.swept.is_none_or(|swept| now.duration_since(swept) >= SWEEP) {
                table.sweep(now, kept);
            }
            if table.viewers.len() >= self.most {
                return Some(Visit { audience: self, key: None });
            }
        }
        let presence = table.viewers.entry(key).or_default();
        if matches!(viewer, Viewer::Session(_)) && presence.asking >= AT_ONCE {
            return None;
        }
        presence.asking = presence.asking.saturating_add(1);
        Some(Visit { audience: self, key: Some(key) })
    }

    /// How many are there.
    pub fn count(&self, now: Instant, kept: Duration) -> usize {
        let mut table = self.table();
        table.sweep(now, kept);
        table.viewers.len()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn sweep(&mut self, now: Instant, kept: Duration) {
        self.viewers.retain(|_, presence| presence.lasts(now, kept));
        self.swept = Some(now);
    }
}

impl Visit<'_> {
    /// It got what it asked for.
    pub fn served(&self, now: Instant) {
        if let Some(key) = &self.key
            && let Some(presence) = self.audience.table().viewers.get_mut(key)
        {
            presence.served = Some(now);
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        let Some(key) = self.key else { return };
        let mut table = self.audience.table();
        if let Some(presence) = table.viewers.get_mut(&key) {
            presence.asking = presence.asking.saturating_sub(1);
            // Whoever got nothing was never there.
            if presence.asking == 0 && presence.served.is_none() {
                table.viewers.remove(&key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEPT: Duration = Duration::from_secs(10);

    fn at(address: &str, agent: &'static str) -> Viewer<'static> {
        Viewer::At { address: address.parse().unwrap(), agent }
    }

    fn serve(audience: &Audience, viewer: Viewer<'_>, now: Instant) {
        audience.enter(viewer, now, KEPT).unwrap().served(now);
    }

    #[test]
    fn a_viewer_is_an_address_with_a_player_or_a_session() {
        let (audience, now) = (Audience::new(100), Instant::now());
        for _ in 0..3 {
            serve(&audience, at("192.0.2.1", "Safari"), now);
            serve(&audience, at("192.0.2.1", "Chrome"), now);
            serve(&audience, at("192.0.2.2", "Safari"), now);
            serve(&audience, at("::ffff:192.0.2.2", "Safari"), now);
            serve(&audience, at("2001:db8::1", ""), now);
            serve(&audience, at("2001:db8::2", ""), now);
            serve(&audience, Viewer::Session("session=1"), now);
            serve(&audience, Viewer::Session("session=2"), now);
        }
        assert_eq!(audience.count(now, KEPT), 6);
    }

    #[test]
    fn a_viewer_stays_for_a_while_and_as_long_as_it_waits() {
        let (audience, now) = (Audience::new(100), Instant::now());
        serve(&audience, at("192.0.2.1", ""), now);
        let waiting = audience.enter(at("192.0.2.2", ""), now, KEPT).unwrap();
        assert_eq!(audience.count(now + KEPT - Duration::from_millis(1), KEPT), 2);
        assert_eq!(audience.count(now + KEPT, KEPT), 1);
        assert_eq!(audience.count(now + 10 * KEPT, KEPT), 1);
        waiting.served(now + 10 * KEPT);
        drop(waiting);
        assert_eq!(audience.count(now + 10 * KEPT, KEPT), 1);
        assert_eq!(audience.count(now + 11 * KEPT, KEPT), 0);
    }

    #[test]
    fn whoever_gets_nothing_is_no_viewer() {
        let (audience, now) = (Audience::new(100), Instant::now());
        for host in 0..100 {
            let address = IpAddr::from([192, 0, 2, host]);
            drop(audience.enter(Viewer::At { address, agent: "" }, now, KEPT));
        }
        assert!(audience.table().viewers.is_empty());
    }

    #[test]
    fn one_address_is_no_crowd_whatever_it_calls_itself() {
        let (audience, now) = (Audience::new(100_000), Instant::now());
        let address = IpAddr::from([192, 0, 2, 1]);
        for name in 0..5000 {
            serve(&audience, Viewer::At { address, agent: &name.to_string() }, now);
        }
        assert!(audience.count(now, KEPT) <= AGENTS as usize);
    }

    #[test]
    fn the_table_is_bounded_and_lets_those_go_who_have_left() {
        let (audience, now) = (Audience::new(100), Instant::now());
        let crowd = |host: u32| Viewer::At { address: IpAddr::V4((0x0A00_0000 + host).into()), agent: "" };
        (0..1000).for_each(|host| serve(&audience, crowd(host), now));
        assert_eq!(audience.count(now, KEPT), 100);
        let later = now + KEPT;
        (2000..2050).for_each(|host| serve(&audience, crowd(host), later));
        assert_eq!(audience.count(later, KEPT), 50);
    }

    #[test]
    fn a_session_has_a_limit_and_an_address_with_thousands_behind_it_has_none() {
        let (audience, now) = (Audience::new(100), Instant::now());
        let visits =
            |viewer| -> Vec<_> { (0..1000).map_while(|_| audience.enter(viewer, now, KEPT)).collect() };
        let held = visits(Viewer::Session("session=1"));
        assert_eq!(held.len(), AT_ONCE as usize);
        assert!(audience.enter(Viewer::Session("session=2"), now, KEPT).is_some());
        drop(held);
        assert!(audience.enter(Viewer::Session("session=1"), now, KEPT).is_some());
        assert_eq!(visits(at("192.0.2.1", "")).len(), 1000);
    }
}
