//! A viewer whose bytes HTTP/2 or TLS carries: each has a task of its own.

use std::{
    collections::VecDeque,
    task::{Context, Poll},
};

use bytes::Bytes;

use super::{Fed, Feed};
use crate::packager::Shared;

/// The bytes of one viewer, one after the other.
pub struct Stream {
    feed: Feed,
    batch: Vec<Shared>,
    /// Bytes that are not handed on yet.
    ready: VecDeque<Bytes>,
}

impl Stream {
    pub fn new(feed: Feed) -> Self {
        Self { feed, batch: Vec::new(), ready: VecDeque::new() }
    }

    /// What it shows, if nothing of that was handed on yet.
    pub fn into_feed(self) -> Feed {
        self.feed
    }

    /// The next bytes; `None` at the end of the broadcast, and where the viewer has to open the stream anew.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        if self.ready.is_empty() && self.feed.poll_take(cx, &mut self.batch, &mut self.ready) == Fed::Nothing
        {
            return Poll::Pending;
        }
        Poll::Ready(self.ready.pop_front())
    }
}
