//! Indexes that were read lately.

use std::sync::{Mutex, MutexGuard, PoisonError};

use kaibo_replay::Id;

/// Final recordings whose index is kept in memory: 12 h take 1.5 MiB each, and 2 MiB more once
/// somebody has asked for the playlist.
const MOST: usize = 32;

/// What was read of recordings lately. Nothing in it is of one that was deleted.
pub struct Lately<T>(Mutex<Inner<T>>);

struct Inner<T> {
    /// The newest last.
    read: Vec<(Id, T)>,
    /// How often something was deleted.
    deletions: u64,
}

/// Somebody began to read; see [`Lately::keep`].
#[derive(Clone, Copy)]
pub struct Reading(u64);

impl<T> Default for Lately<T> {
    fn default() -> Self {
        Self(Mutex::new(Inner { read: Vec::new(), deletions: 0 }))
    }
}

impl<T: Clone> Lately<T> {
    /// What was read of `id`, or the permission to read it.
    pub fn find(&self, id: &Id) -> Result<T, Reading> {
        let inner = self.lock();
        let found = inner.read.iter().find(|(known, _)| known == id);
        found.map(|(_, read)| read.clone()).ok_or(Reading(inner.deletions))
    }

    /// Keeps what was read. If anything was deleted since the reading began it may have been this, so it isn't kept.
    pub fn keep(&self, Reading(began): Reading, id: &Id, read: T) {
        let mut inner = self.lock();
        if inner.deletions != began || inner.read.iter().any(|(known, _)| known == id) {
            return;
        }
        if inner.read.len() >= MOST {
            inner.read.remove(0);
        }
        inner.read.push((id.clone(), read));
    }

    /// The files of `id` are gone.
    pub fn deleted(&self, id: &Id) {
        let mut inner = self.lock();
        inner.deletions = inner.deletions.wrapping_add(1);
        inner.read.retain(|(known, _)| known != id);
    }

    fn lock(&self) -> MutexGuard<'_, Inner<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(name: &str) -> Id {
        name.parse().unwrap()
    }

    #[test]
    fn what_is_deleted_while_it_is_read_is_not_kept() {
        let lately = Lately::default();
        let Err(reading) = lately.find(&id("a")) else { panic!("it was read before") };
        lately.deleted(&id("a"));
        lately.keep(reading, &id("a"), 1);
        let Err(reading) = lately.find(&id("a")) else { panic!("a deleted recording came back") };
        lately.keep(reading, &id("a"), 2);
        assert_eq!(lately.find(&id("a")).ok(), Some(2));
        lately.deleted(&id("a"));
        assert!(lately.find(&id("a")).is_err());
    }

    #[test]
    fn the_newest_are_kept_each_once() {
        let lately = Lately::default();
        for number in 0..=MOST {
            let id = id(&format!("r{number}"));
            let Err(reading) = lately.find(&id) else { panic!("{id} was read before") };
            lately.keep(reading, &id, number);
            lately.keep(reading, &id, number);
        }
        assert!(lately.find(&id("r0")).is_err());
        assert_eq!(lately.find(&id("r1")).ok(), Some(1));
    }
}
