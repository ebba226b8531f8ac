//! The segments of a recording, for playlists.

use std::sync::{Arc, PoisonError, RwLock};

use kaibo_media::{Cue, Span, Timestamp, UnixMillis};

use crate::Cues;

/// Segments in one recording: 12 h of segments of 165 ms. At 56 bytes each that is 14 MiB per recording at the worst,
/// and 1.2 MiB for 12 h of 2 s.
pub(crate) const MOST: usize = 1 << 18;

/// A segment that is whole and on the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its media sequence number in the live playlist. They rise, but not always by one: what was lost or not meant
    /// to be kept has no segment here.
    pub number: u64,
    /// The initialisation section that it needs.
    pub init: u32,
    /// Discontinuity sequence number of the live playlist.
    pub discontinuity: u64,
    /// Decoding time of its first frame.
    pub start: Timestamp,
    /// Exact duration.
    pub duration: Span,
    /// Wall clock of its start.
    pub wall: UnixMillis,
    /// How many bytes of its file belong to it.
    pub bytes: u64,
    /// It begins with a keyframe.
    pub independent: bool,
    /// It filled the time without a publisher: part of the live playlist, not of the replay.
    pub filler: bool,
}

impl Segment {
    /// Decoding time of what follows it.
    pub fn end(&self) -> Timestamp {
        self.start + self.duration
    }
}

/// The segments that a live recording has so far. It grows while it is read; a segment that is in it stays.
#[derive(Debug, Default)]
pub struct Listing {
    segments: RwLock<Vec<Segment>>,
    cues: RwLock<Cues>,
}

impl Listing {
    pub(crate) fn new(segments: Vec<Segment>, cues: Cues) -> Self {
        Self { segments: RwLock::new(segments), cues: RwLock::new(cues) }
    }

    /// Adds a segment with its timed events, which come first: whoever sees the segment sees them, too.
    pub(crate) fn push(&self, segment: Segment, cues: Vec<Arc<Cue>>) {
        if !cues.is_empty() {
            let mut kept = self.cues.write().unwrap_or_else(PoisonError::into_inner);
            for cue in cues.into_iter().filter(|cue| cue.at < segment.end()) {
                kept.keep(cue);
            }
        }
        self.segments.write().unwrap_or_else(PoisonError::into_inner).push(segment);
    }

    /// The timed events of the segments.
    pub fn cues(&self) -> Vec<Arc<Cue>> {
        self.cues.read().unwrap_or_else(PoisonError::into_inner).all().to_vec()
    }

    /// Whether `cue` would be kept, if it came next.
    pub(crate) fn has_room(&self, cue: &Cue) -> bool {
        self.cues.read().unwrap_or_else(PoisonError::into_inner).has_room(cue)
    }

    /// Looks at the segments. The recorder waits meanwhile, so be brief: render, don't write to a socket.
    pub fn read<T>(&self, look: impl FnOnce(&[Segment]) -> T) -> T {
        look(&self.segments.read().unwrap_or_else(PoisonError::into_inner))
    }
}
