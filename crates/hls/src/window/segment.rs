//! Segments as the window keeps them.

use std::sync::Arc;

use bytes::Bytes;
use kaibo_container::{
    segment::{Part, SegmentHead},
    ts,
};
use kaibo_media::Span;

use crate::{playlist::Entry, uris::Format};

/// A segment that is being made.
pub(crate) fn entry<'a>(head: &SegmentHead, parts: &'a [Arc<Part>]) -> Entry<'a> {
    Entry {
        number: head.number,
        duration: None,
        discontinuity: head.discontinuity,
        init: head.init.number,
        wall: head.wall,
        parts,
    }
}

/// A complete segment.
#[derive(Debug)]
pub struct Segment {
    /// What was known of it when it began.
    pub head: Arc<SegmentHead>,
    /// Its parts, in order: its bytes are theirs, one after the other.
    pub parts: Box<[Arc<Part>]>,
    /// Exact duration.
    pub duration: Span,
    /// Discontinuity sequence number of the segment before it.
    pub(crate) discontinuity_before: u64,
}

impl Segment {
    /// Its media sequence number.
    pub fn number(&self) -> u64 {
        self.head.number
    }

    /// Its length in bytes. TS takes more, by several per cent at low bit rates; what it can't carry has no length.
    pub fn size(&self, format: Format) -> usize {
        match format {
            Format::Fmp4 => self.parts.iter().map(|part| part.bytes.len()).sum(),
            Format::Ts => ts::size(&self.head.init.tracks, &self.parts).unwrap_or(0),
        }
    }

    /// Its bytes, in pieces that are shared with its parts.
    pub fn chunks(&self) -> impl Iterator<Item = Bytes> {
        self.parts.iter().map(|part| part.bytes.clone())
    }

    pub(crate) fn entry<'a>(&self, parts: &'a [Arc<Part>]) -> Entry<'a> {
        Entry { duration: Some(self.duration), ..entry(&self.head, parts) }
    }
}
