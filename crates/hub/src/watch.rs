//! A look at a ring that tells only whether there is something new.

use std::{
    sync::Arc,
    task::{Context, Poll},
};

use crate::{held::Entry, ring::Shared};

/// Tells one task of every change in a ring, on behalf of many cursors that it moves on together: one waker for all of
/// them. Counts as a cursor.
pub struct Watch<T: Entry> {
    shared: Arc<Shared<T>>,
    place: usize,
    /// What was known of the ring when it was last looked at.
    seen: Option<u64>,
}

impl<T: Entry> Watch<T> {
    pub(crate) fn new(shared: Arc<Shared<T>>) -> Self {
        Self { place: shared.waiting.join(), shared, seen: None }
    }

    /// Ready when entries have come since it was last ready, or the ring has ended; the first time at once. Otherwise
    /// `cx` is woken by the next change.
    pub fn poll_change(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.look() {
            return Poll::Ready(());
        }
        self.shared.waiting.wait(self.place, cx.waker(), 0, i64::MIN);
        // What came between the two looks may have found nobody to wake.
        if self.look() { Poll::Ready(()) } else { Poll::Pending }
    }

    fn look(&mut self) -> bool {
        let news = Some(self.shared.news());
        std::mem::replace(&mut self.seen, news) != news
    }
}

impl<T: Entry> Drop for Watch<T> {
    fn drop(&mut self) {
        self.shared.waiting.leave(self.place);
    }
}
