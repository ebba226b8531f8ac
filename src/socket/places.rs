//! How many connections there may be.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::access::network;

/// The places for connections: of everybody, and of one network each. Those with and without TLS share them.
pub struct Places {
    all: usize,
    free: Arc<Semaphore>,
    per_network: usize,
    taken: Mutex<HashMap<IpAddr, usize>>,
}

/// One of the places; given back when dropped.
pub struct Place {
    places: Arc<Places>,
    network: IpAddr,
    _permit: OwnedSemaphorePermit,
}

impl Places {
    pub fn new(all: usize, per_network: usize) -> Arc<Self> {
        Arc::new(Self { all, free: Arc::new(Semaphore::new(all)), per_network, taken: Mutex::default() })
    }

    /// Ready when nobody has a place any more. Nobody gets one while this waits.
    pub async fn all_gone(&self) {
        // An error means that there are no places at all.
        let _ = self.free.acquire_many(u32::try_from(self.all).unwrap_or(u32::MAX)).await;
    }

    /// A place for a peer at `address`, if there is one.
    pub fn take(self: &Arc<Self>, address: IpAddr) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        let network = network(address);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(network).or_default();
        (*count < self.per_network).then(|| {
            *count += 1;
            Place { places: self.clone(), network, _permit: permit }
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.network) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.network);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn one_network_has_its_own_limit_whatever_its_addresses() {
        let places = Places::new(100, 2);
        for (one, other, third, stranger) in [
            ("192.0.2.1", "192.0.2.1", "192.0.2.1", "192.0.2.2"),
            ("2001:db8::1", "2001:db8::2", "2001:db8::3:4:5:6", "2001:db8:0:1::1"),
            ("198.51.100.7", "::ffff:198.51.100.7", "198.51.100.7", "::ffff:198.51.100.8"),
        ] {
            let first = places.take(address(one)).unwrap();
            let _second = places.take(address(other)).unwrap();
            assert!(places.take(address(third)).is_none(), "{third}");
            let _other = places.take(address(stranger)).unwrap();
            drop(first);
            assert!(places.take(address(third)).is_some(), "{third}: a place was given back");
        }
        assert!(places.taken.lock().unwrap().is_empty(), "nobody is remembered who has left");
    }

    #[test]
    fn all_together_have_a_limit_and_a_refusal_takes_no_place() {
        let places = Places::new(2, 1);
        let _first = places.take(address("192.0.2.1")).unwrap();
        assert!(places.take(address("192.0.2.1")).is_none());
        let second = places.take(address("192.0.2.2")).unwrap();
        assert!(places.take(address("192.0.2.3")).is_none());
        drop(second);
        assert!(places.take(address("192.0.2.3")).is_some());
    }
}
