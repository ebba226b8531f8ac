//! The two ends of a ring: the writer, and the handle that makes cursors.

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering},
    },
};

use crate::{
    cursor::Cursor,
    held::{Entry, Held, Limits},
    waiting::Waiting,
    watch::Watch,
};

/// Makes an empty ring.
pub fn ring<T: Entry>(limits: Limits) -> (Publisher<T>, Ring<T>) {
    let shared = Arc::new(Shared {
        held: RwLock::new(Held::new(limits)),
        news: AtomicU64::new(0),
        waiting: Waiting::default(),
    });
    (Publisher(Arc::clone(&shared)), Ring(shared))
}

/// The writing end; dropping it ends the ring.
pub struct Publisher<T: Entry>(Arc<Shared<T>>);

/// A handle that makes cursors.
#[derive(Clone)]
pub struct Ring<T: Entry>(pub(crate) Arc<Shared<T>>);

/// Where a cursor starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the newest keyframe in the ring, or else at the next one to come.
    Keyframe,
    /// At the oldest entry in the ring.
    Oldest,
    /// At the next entry to come.
    Next,
}

impl<T: Entry> Publisher<T> {
    /// Appends an entry and wakes the readers. Never waits for them.
    pub fn push(&self, entry: T) {
        let mut old = Vec::new();
        self.0.change(|held| held.push(entry, &mut old));
    }

    /// Appends all of `entries`, leaving it empty, and wakes the readers once.
    pub fn push_many(&self, entries: &mut Vec<T>) {
        let mut old = Vec::new();
        self.0.change(|held| entries.drain(..).for_each(|entry| held.push(entry, &mut old)));
    }
}

impl<T: Entry> Drop for Publisher<T> {
    fn drop(&mut self) {
        self.0.change(Held::end);
    }
}

impl<T: Entry> Ring<T> {
    /// A new reader.
    pub fn cursor(&self, start: Start) -> Cursor<T> {
        Cursor::new(Arc::clone(&self.0), start)
    }

    /// Tells of changes without reading them.
    pub fn watch(&self) -> Watch<T> {
        Watch::new(Arc::clone(&self.0))
    }

    /// Puts others in the place of entries that are still held, by their numbers ([`Cursor::position`]): such that say
    /// the same of themselves and lie elsewhere in memory. No reader is woken for it. What was there is dropped.
    pub fn replace(&self, mut others: Vec<(u64, T)>) {
        let mut held = self.0.write();
        others.iter_mut().for_each(|(number, entry)| held.replace(*number, entry));
        // Freeing takes time that belongs outside of the lock.
        drop(held);
    }

    /// Wakes everybody who waits, although nothing has come: for readers who have entries made when they come to look.
    pub fn stir(&self) {
        self.0.waiting.wake_all();
    }

    /// How many cursors live.
    pub fn cursors(&self) -> usize {
        self.0.waiting.cursors()
    }
}

/// Two handles are equal if they are of the same ring.
impl<T: Entry> PartialEq for Ring<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: Entry> Eq for Ring<T> {}

impl<T: Entry> Hash for Ring<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).hash(state);
    }
}

/// What both ends and the cursors share.
pub(crate) struct Shared<T> {
    /// Readers take turns only with the writer, not with each other.
    held: RwLock<Held<T>>,
    /// Twice the number of the entry to come, plus one when the ring has ended: tells a reader that has read everything
    /// so without a lock.
    news: AtomicU64,
    pub(crate) waiting: Waiting,
}

impl<T: Entry> Shared<T> {
    /// Nothing has come since the entry before `next`, and more may come.
    pub(crate) fn nothing_new(&self, next: u64) -> bool {
        self.news() == next << 1
    }

    /// Another number after every change.
    pub(crate) fn news(&self) -> u64 {
        self.news.load(Ordering::Acquire)
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Held<T>> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held<T>> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, change: impl FnOnce(&mut Held<T>)) {
        let mut held = self.write();
        change(&mut held);
        self.news.store(held.next() << 1 | u64::from(held.ended()), Ordering::Release);
        let reached = held.reached();
        drop(held);
        self.waiting.wake(reached);
    }
}
