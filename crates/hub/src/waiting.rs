//! The cursors that wait for an entry.

use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    task::Waker,
};

use crate::held::Reached;

/// A place for each cursor's waker. A waker is woken and dropped only outside of the lock: both may run code that comes
/// back here.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Places>);

#[derive(Default)]
struct Places {
    /// One per cursor that lives, and the free ones: as many as there ever were cursors at the same time.
    waiters: Vec<Option<Waiter>>,
    free: Vec<usize>,
    /// How many of `waiters` wait.
    waiting: usize,
}

/// A cursor that waits.
struct Waiter {
    waker: Waker,
    /// The entry that it comes to next, and how long it has time, see [`Reached::suffices`].
    next: u64,
    time: i64,
}

impl Waiting {
    /// A place for a new cursor.
    pub(crate) fn join(&self) -> usize {
        let mut places = self.lock();
        places.free.pop().unwrap_or_else(|| {
            places.waiters.push(None);
            places.waiters.len() - 1
        })
    }

    /// Gives the place back.
    pub(crate) fn leave(&self, place: usize) {
        let mut places = self.lock();
        let waiter = places.waiters.get_mut(place).and_then(Option::take);
        places.waiting -= usize::from(waiter.is_some());
        places.free.push(place);
        drop(places);
        drop(waiter);
    }

    /// Has `waker` woken by the next [`Waiting::wake`] that suffices for a reader who is at entry `next` and has time until
    /// `time`.
    pub(crate) fn wait(&self, place: usize, waker: &Waker, next: u64, time: i64) {
        let mut places = self.lock();
        let Some(slot) = places.waiters.get_mut(place) else { return };
        if let Some(known) = slot
            && known.waker.will_wake(waker)
        {
            (known.next, known.time) = (next, time);
            return;
        }
        let known = slot.replace(Waiter { waker: waker.clone(), next, time });
        places.waiting += usize::from(known.is_none());
        drop(places);
        drop(known);
    }

    /// Wakes those who wait for what the ring has `reached`.
    pub(crate) fn wake(&self, reached: Reached) {
        self.wake_if(|waiter| reached.suffices(waiter.next, waiter.time));
    }

    /// Wakes everybody.
    pub(crate) fn wake_all(&self) {
        self.wake_if(|_| true);
    }

    fn wake_if(&self, ready: impl FnMut(&mut Waiter) -> bool + Copy) {
        let mut places = self.lock();
        if places.waiting == 0 {
            return;
        }
        let woken: Vec<_> = places.waiters.iter_mut().filter_map(|waiter| waiter.take_if(ready)).collect();
        places.waiting -= woken.len();
        drop(places);
        woken.into_iter().for_each(|waiter| waiter.waker.wake());
    }

    /// How many cursors live.
    pub(crate) fn cursors(&self) -> usize {
        let places = self.lock();
        places.waiters.len() - places.free.len()
    }

    fn lock(&self) -> MutexGuard<'_, Places> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
