//! The part of a live list that memory no longer holds: hours of segments that a recording can give back.
//!
//! Segments join it one by one and leave it at its head. Their lines never change, so they are rendered and compressed
//! in chunks, once each: a list of 12 h costs as much per change as the few entries that are not in a chunk yet.

mod chunk;

use std::{collections::VecDeque, fmt, sync::Arc};

use kaibo_media::{Span, UnixMillis};

use self::chunk::Chunk;
pub(crate) use self::chunk::Rendered;
use crate::{
    pieces::Pieces,
    playlist::{Entry, Joints, write_entry},
    uris::Uris,
    window::Segment,
};

/// Entries in a chunk: 10 KiB of text. Fewer would make more pieces of a list of 12 h than its 170, more would leave
/// more to be rendered for each change.
const CHUNK: usize = 128;

/// A segment that is listed, though memory does not hold it: its recording does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Old {
    /// Its media sequence number.
    pub number: u64,
    /// Exact duration.
    pub duration: Span,
    /// Discontinuity sequence number.
    pub discontinuity: u64,
    /// That of the segment before it.
    pub discontinuity_before: u64,
    /// Number of its initialisation section.
    pub init: u32,
    /// Wall clock of its start.
    pub wall: UnixMillis,
}

impl From<&Segment> for Old {
    fn from(segment: &Segment) -> Self {
        Self {
            number: segment.number(),
            duration: segment.duration,
            discontinuity: segment.head.discontinuity,
            discontinuity_before: segment.discontinuity_before,
            init: segment.head.init.number,
            wall: segment.head.wall,
        }
    }
}

impl Old {
    fn entry(&self) -> Entry<'static> {
        Entry {
            number: self.number,
            duration: Some(self.duration),
            discontinuity: self.discontinuity,
            init: self.init,
            wall: self.wall,
            parts: &[],
        }
    }
}

/// Its lines depend on nothing but itself, unless it is the first of its list.
#[derive(Clone, Copy, Debug)]
struct Line {
    old: Old,
    /// Its initialisation section is another than that of the segment before it.
    new_init: bool,
}

impl Line {
    fn write(&self, out: &mut String, uris: &Uris<'_>, first: bool) -> fmt::Result {
        let joint = self.old.discontinuity != self.old.discontinuity_before;
        write_entry(out, uris, &self.old.entry(), joint, self.new_init || first)
    }
}

/// The segments in front of those that memory holds, without a hole in their numbers.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reach {
    /// Each full.
    chunks: VecDeque<Arc<Chunk>>,
    /// How many of the first chunk have left the list.
    gone: usize,
    /// Behind the chunks: fewer than [`CHUNK`].
    tail: VecDeque<Line>,
    duration: Span,
}

impl Reach {
    /// Adds a segment. One that does not follow the last begins anew, for no list may have a hole.
    pub fn push(&mut self, old: Old) {
        let last = self.last();
        if last.is_some_and(|last| last.number.saturating_add(1) != old.number) {
            *self = Self::default();
        }
        let new_init = last.is_none_or(|last| last.init != old.init);
        self.duration += old.duration;
        self.tail.push_back(Line { old, new_init });
        if self.tail.len() >= CHUNK {
            self.chunks.push_back(Arc::new(Chunk::new(std::mem::take(&mut self.tail).into())));
        }
    }

    /// Drops the first one.
    pub fn pop(&mut self) {
        let Some(first) = self.first() else { return };
        self.duration -= first.duration;
        match self.chunks.front() {
            Some(chunk) => {
                self.gone += 1;
                if self.gone >= chunk.lines.len() {
                    self.chunks.pop_front();
                    self.gone = 0;
                }
            }
            None => drop(self.tail.pop_front()),
        }
    }

    pub fn len(&self) -> usize {
        let chunks: usize = self.chunks.iter().map(|chunk| chunk.lines.len()).sum();
        chunks - self.gone + self.tail.len()
    }

    pub fn first(&self) -> Option<&Old> {
        let chunk = self.chunks.front().and_then(|chunk| chunk.lines.get(self.gone));
        chunk.or_else(|| self.tail.front()).map(|line| &line.old)
    }

    pub fn last(&self) -> Option<Old> {
        let chunk = || self.chunks.back().and_then(|chunk| chunk.lines.last());
        self.tail.back().or_else(chunk).map(|line| line.old)
    }

    /// Duration of all of them.
    pub fn duration(&self) -> Span {
        self.duration
    }

    /// From the newest to the oldest.
    pub fn newest_first(&self) -> impl Iterator<Item = &Old> {
        let chunks = self.chunks.iter().rev().flat_map(|chunk| chunk.lines.iter().rev());
        self.tail.iter().rev().chain(chunks).take(self.len()).map(|line| &line.old)
    }

    /// Writes the entries from number `skipped` on (counted from 0); answers what the entry behind them follows.
    /// `uris` have no prefix.
    pub fn write(
        &self,
        uris: &Uris<'_>,
        skipped: usize,
        out: &mut Pieces,
    ) -> Result<Option<Joints>, fmt::Error> {
        let (mut first, mut skip, mut gone) = (skipped == 0, skipped, self.gone);
        for chunk in &self.chunks {
            let mut from = std::mem::take(&mut gone) + skip;
            skip = from.saturating_sub(chunk.lines.len());
            if from >= chunk.lines.len() {
                continue;
            }
            if let Some(line) = chunk.lines.get(from).filter(|_| first) {
                line.write(out.text(), uris, true)?;
                from += 1;
            }
            first = false;
            out.chunk(chunk.rendered(uris.format), from);
        }
        for line in self.tail.iter().skip(skip) {
            line.write(out.text(), uris, first)?;
            first = false;
        }
        Ok(self.last().map(|last| Joints { discontinuity: last.discontinuity, init: Some(last.init) }))
    }
}
