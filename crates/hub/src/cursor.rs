//! A reader of a ring.

use std::{
    future::poll_fn,
    mem,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{
    held::Entry,
    ring::{Ring, Shared, Start},
};

/// Entries in a batch at most: the writer waits for no longer than it takes to clone so many.
pub const BATCH_ENTRIES: usize = 64;

/// Bytes in a batch at most (one entry may have more): what a stalled reader keeps alive beside the ring.
pub const BATCH_BYTES: usize = 256 * 1024;

/// What a cursor came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// The batch holds the next entries, at least one.
    Entries,
    /// The reader was too slow: `skipped` entries are lost to it, and what comes next begins with a keyframe (or is the
    /// end). The batch is empty.
    Lagged {
        /// How many entries.
        skipped: u64,
    },
    /// The writer is gone and every entry was read. The batch is empty.
    End,
}

/// A reader's place in a ring.
pub struct Cursor<T: Entry> {
    shared: Arc<Shared<T>>,
    /// Where its waker goes.
    place: usize,
    /// Number of the entry that it wants next; all before it are read or given up.
    next: u64,
    state: State,
}

#[derive(Clone, Copy)]
enum State {
    Reading,
    /// Looks for a first keyframe.
    Joining,
    /// Looks for a keyframe after having lost so many entries.
    Lagging {
        skipped: u64,
    },
}

impl<T: Entry> Cursor<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>, start: Start) -> Self {
        let (next, state) = {
            let held = shared.read();
            match start {
                Start::Keyframe => (held.first(), State::Joining),
                Start::Oldest => (held.first(), State::Reading),
                Start::Next => (held.next(), State::Reading),
            }
        };
        Self { place: shared.waiting.join(), shared, next, state }
    }

    /// The ring that it reads.
    pub fn ring(&self) -> Ring<T> {
        Ring(Arc::clone(&self.shared))
    }

    /// Number of the entry that it comes to next; the ring's first one has 0.
    pub fn position(&self) -> u64 {
        self.next
    }

    /// Waits for entries and fills `batch` with them (what was in it before is dropped). Cancelling loses nothing.
    pub async fn next(&mut self, batch: &mut Vec<T>) -> Next {
        poll_fn(|cx| self.poll_next(cx, batch)).await
    }

    /// As [`Cursor::next`], for a hand-written future.
    pub fn poll_next(&mut self, cx: &mut Context<'_>, batch: &mut Vec<T>) -> Poll<Next> {
        if let Some(next) = self.try_next(batch) {
            return Poll::Ready(next);
        }
        self.shared.waiting.wait(self.place, cx.waker(), self.next, i64::MIN);
        // An entry that came between the two calls may have found nobody to wake.
        self.try_next(batch).map_or(Poll::Pending, Poll::Ready)
    }

    /// As [`Cursor::next`] for a reader who has time: waits until an entry comes that is due at `time` or later or that is
    /// urgent, until there are as many as a batch has, or for the end. So one wake-up does for many entries.
    pub async fn next_from(&mut self, time: i64, batch: &mut Vec<T>) -> Next {
        batch.clear();
        poll_fn(|cx| {
            if let Some(next) = self.try_next_from(time, batch) {
                return Poll::Ready(next);
            }
            self.shared.waiting.wait(self.place, cx.waker(), self.next, time);
            self.try_next_from(time, batch).map_or(Poll::Pending, Poll::Ready)
        })
        .await
    }

    fn try_next_from(&mut self, time: i64, batch: &mut Vec<T>) -> Option<Next> {
        let reached = self.shared.read().reached();
        if reached.suffices(self.next, time) { self.try_next(batch) } else { None }
    }

    /// Goes on at the newest keyframe, if it has not come to that: nobody misses what lies before.
    pub fn skip(&mut self) {
        let keyframe = self.shared.read().keyframe();
        if let Some(keyframe) = keyframe.filter(|keyframe| *keyframe > self.next) {
            (self.next, self.state) = (keyframe, State::Reading);
        }
    }

    /// Entries that it has not read are gone.
    pub fn has_missed(&self) -> bool {
        self.next < self.shared.read().first()
    }

    /// As [`Cursor::next`], but `None` if there is nothing yet.
    pub fn try_next(&mut self, batch: &mut Vec<T>) -> Option<Next> {
        batch.clear();
        if self.shared.nothing_new(self.next) {
            return None;
        }
        let held = self.shared.read();
        if matches!(self.state, State::Reading) && self.next < held.first() {
            self.state = State::Lagging { skipped: 0 };
        }
        if !matches!(self.state, State::Reading) {
            let keyframe = held.keyframe().filter(|keyframe| *keyframe >= self.next);
            let place = keyframe.unwrap_or(held.next());
            if let State::Lagging { skipped } = &mut self.state {
                *skipped += place - self.next;
            }
            self.next = place;
            if keyframe.is_none() && !held.ended() {
                return None;
            }
            if let State::Lagging { skipped } = mem::replace(&mut self.state, State::Reading) {
                return Some(Next::Lagged { skipped });
            }
        }
        let mut bytes = 0;
        batch.extend(
            held.from(self.next)
                .take(BATCH_ENTRIES)
                .take_while(|entry| {
                    let first = bytes == 0;
                    bytes += entry.size();
                    first || bytes <= BATCH_BYTES
                })
                .cloned(),
        );
        self.next += batch.len() as u64;
        match batch.is_empty() {
            false => Some(Next::Entries),
            true => held.ended().then_some(Next::End),
        }
    }
}

impl<T: Entry> Drop for Cursor<T> {
    fn drop(&mut self) {
        self.shared.waiting.leave(self.place);
    }
}
