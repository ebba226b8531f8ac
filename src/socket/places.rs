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
    /// Whose it is. A proxy's is nobody's until a request comes.
    network: Mutex<Option<IpAddr>>,
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
        self.take_unnamed().filter(|place| place.count_for(address))
    }

    /// A place that is no network's yet, if there is one.
    pub fn take_unnamed(self: &Arc<Self>) -> Option<Place> {
        let permit = self.free.clone().try_acquire_owned().ok()?;
        Some(Place { places: self.clone(), network: Mutex::default(), _permit: permit })
    }
}

impl Place {
    /// From now on it is one of those of `address`, if that one may have another. It costs nothing if it is already.
    pub fn count_for(&self, address: IpAddr) -> bool {
        let network = network(address);
        let mut mine = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        if *mine == Some(network) {
            return true;
        }
        let mut taken = self.places.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(network).or_default();
        if *count >= self.places.per_network {
            return false;
        }
        *count += 1;
        if let Some(before) = mine.replace(network) {
            give_back(&mut taken, before);
        }
        true
    }
}

fn give_back(taken: &mut HashMap<IpAddr, usize>, network: IpAddr) {
    if let Some(count) = taken.get_mut(&network) {
        *count -= 1;
        if *count == 0 {
            taken.remove(&network);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mine = self.network.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = mine.take() {
            give_back(&mut self.places.taken.lock().unwrap_or_else(PoisonError::into_inner), network);
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
    fn a_place_of_a_proxy_is_whoever_it_stands_for() {
        let places = Places::new(4, 1);
        let (one, other) = (places.take_unnamed().unwrap(), places.take_unnamed().unwrap());
        assert!(places.taken.lock().unwrap().is_empty(), "a proxy itself has no limit");
        assert!(one.count_for(address("192.0.2.1")) && one.count_for(address("192.0.2.1")));
        assert!(!other.count_for(address("192.0.2.1")));
        assert!(places.take(address("192.0.2.1")).is_none());
        assert!(one.count_for(address("192.0.2.2")), "its next request is another viewer's");
        assert!(other.count_for(address("192.0.2.1")));
        drop((one, other));
        assert!(places.taken.lock().unwrap().is_empty());
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
