//! The cursors that wait for an entry.

use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

/// A place for each cursor's waker. A waker is woken and dropped only outside of the lock: both may run code that comes
/// back here.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Places>);

#[derive(Default)]
struct Places {
    /// One per cursor that lives, and the free ones: as many as there ever were cursors at the same time.
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
    /// How many of `wakers` wait.
    waiting: usize,
}

impl Waiting {
    /// A place for a new cursor.
    pub(crate) fn join(&self) -> usize {
        let mut places = self.lock();
        places.free.pop().unwrap_or_else(|| {
            places.wakers.push(None);
            places.wakers.len() - 1
        })
    }

    /// Gives the place back.
    pub(crate) fn leave(&self, place: usize) {
        let mut places = self.lock();
        let waker = places.wakers.get_mut(place).and_then(Option::take);
        places.waiting -= usize::from(waker.is_some());
        places.free.push(place);
        drop(places);
        drop(waker);
    }

    /// Has `waker` woken by the next [`Waiting::wake`].
    pub(crate) fn wait(&self, place: usize, waker: &Waker) {
        let mut places = self.lock();
        let Some(slot) = places.wakers.get_mut(place) else { return };
        if slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            return;
        }
        let known = slot.replace(waker.clone());
        places.waiting += usize::from(known.is_none());
        drop(places);
        drop(known);
    }

    /// Wakes whoever waits.
    pub(crate) fn wake(&self) {
        let mut places = self.lock();
        if places.waiting == 0 {
            return;
        }
        let mut woken = Vec::with_capacity(mem::take(&mut places.waiting));
        woken.extend(places.wakers.iter_mut().filter_map(Option::take));
        drop(places);
        woken.into_iter().for_each(Waker::wake);
    }

    /// How many cursors live.
    pub(crate) fn cursors(&self) -> usize {
        let places = self.lock();
        places.wakers.len() - places.free.len()
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
