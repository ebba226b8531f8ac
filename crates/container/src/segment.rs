//! Segments and parts of CMAF fMP4: what the segmenter makes, and what the live window, the recording, the replay
//! and the TS muxer all share.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;
use kaibo_media::{Cue, Span, Timestamp, TrackId, Tracks, UnixMillis};

/// One step in the life of a broadcast's segment list. For every segment: `Begin`, at least one `Part`, `End`.
#[derive(Clone, Debug)]
pub enum Cut {
    /// A segment begins.
    Begin(Arc<SegmentHead>),
    /// The next part of the segment that began last is complete.
    Part(Arc<Part>),
    /// The segment is complete: its bytes are its parts' bytes, one after the other.
    End(SegmentEnd),
}

/// What is known of a segment when it begins.
#[derive(Debug)]
pub struct SegmentHead {
    /// Media sequence number: counts the segments of the broadcast from 0, never reused.
    pub number: u64,
    /// Discontinuity sequence number (RFC 8216 §6.2.1): one more than the segment before where
    /// `EXT-X-DISCONTINUITY` stands in front of this one.
    pub discontinuity: u64,
    /// The initialisation section that it needs.
    pub init: Arc<Init>,
    /// Where it begins: the decoding time of its first picture, in sound alone of its first frame. Where pictures
    /// are missing, the point at which it was cut; sound that came late may be due earlier.
    pub start: Timestamp,
    /// Wall clock of its start (`EXT-X-PROGRAM-DATE-TIME`).
    pub wall: UnixMillis,
    /// It begins with a keyframe (false only after a forced cut within a GOP longer than the target duration).
    pub independent: bool,
    /// It was made while the publisher was away ([`kaibo_media::Frame::filler`]): live viewers see it, no replay has it.
    pub filler: bool,
}

/// An initialisation section (`EXT-X-MAP`).
#[derive(Debug)]
pub struct Init {
    /// Counts the initialisation sections of the broadcast from 0, never reused.
    pub number: u32,
    /// `ftyp` and `moov`.
    pub bytes: Bytes,
    /// The decoder parameters in it.
    pub tracks: Arc<Tracks>,
}

/// One `moof` + `mdat`, behind the `emsg` of its timed events: the unit of low-latency delivery and of recording.
#[derive(Debug)]
pub struct Part {
    /// Number of the segment that it is part of.
    pub segment: u64,
    /// Counts the parts of the segment from 0.
    pub index: u32,
    /// Where it begins: where the part before it in the segment ends, or the segment's start.
    pub start: Timestamp,
    /// Exact duration (to the start of what follows; at a break to the estimated end of its last frame).
    pub duration: Span,
    /// It holds a keyframe (`INDEPENDENT=YES`).
    pub independent: bool,
    /// `moof` and `mdat`, behind an `emsg` for each timed event.
    pub bytes: Bytes,
    /// Where each frame lies in `bytes`, in file order: pictures, then sound. Empty where a gap in the pictures of a
    /// stream without sound is longer than a part.
    pub samples: Box<[Sample]>,
    /// The timed events that are due within it, in order.
    pub cues: Box<[Arc<Cue>]>,
}

/// Where a frame lies in a [`Part`], and when it is due.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Its track (video or audio).
    pub track: TrackId,
    /// Decoding time.
    pub dts: Timestamp,
    /// Presentation time minus decoding time.
    pub pts_offset: Span,
    /// A viewer may start here.
    pub keyframe: bool,
    /// Its bytes in [`Part::bytes`].
    pub range: Range<u32>,
}

impl Part {
    /// The coded bytes of `sample`, empty if the range lies outside.
    pub fn data(&self, sample: &Sample) -> &[u8] {
        self.bytes.get(sample.range.start as usize..sample.range.end as usize).unwrap_or_default()
    }
}

/// What is known of a segment once it is complete.
#[derive(Clone, Copy, Debug)]
pub struct SegmentEnd {
    /// Media sequence number.
    pub number: u64,
    /// Exact duration: the sum of its parts'.
    pub duration: Span,
    /// `EXT-X-TARGETDURATION` in whole seconds, decided when the first segment ends and frozen for the life of the
    /// broadcast. Every segment's duration, rounded to the nearest second, is at most this.
    pub target_duration: u32,
    /// `EXT-X-PART-INF:PART-TARGET`, decided when the first part ends and frozen likewise: no part of the broadcast is
    /// longer. None in recordings of servers that listed no parts.
    pub part_target: Option<Span>,
}
