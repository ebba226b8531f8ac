//! One coded picture or audio packet, and what stands between them.

use std::sync::Arc;

use bytes::Bytes;

use crate::{Cue, Span, Timestamp, Tracks, UnixMillis};

/// Which track of a stream a frame belongs to. A stream has at most one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TrackId {
    /// Coded pictures.
    Video,
    /// Coded sound.
    Audio,
    /// Timed script data: the AMF0 values of one RTMP data message, e.g. `onTextData` and its object.
    Data,
}

/// An unbroken stretch of the timeline. A new one begins when a publisher comes back and when broken input time
/// had to be re-anchored; between two runs stands a discontinuity.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Counts the runs of a broadcast, from 0.
    pub number: u32,
    /// Where the run begins on the timeline.
    pub start: Timestamp,
    /// The wall clock when its first frame arrived.
    pub wall: UnixMillis,
}

impl Run {
    /// The wall-clock time that belongs to `time` in this run.
    pub fn wall_at(&self, time: Timestamp) -> UnixMillis {
        self.wall + (time - self.start)
    }
}

/// One coded picture or audio packet. Immutable once published.
#[derive(Clone, Debug)]
pub struct Frame {
    /// Every track's decoder parameters; the same `Arc` until one of them changes.
    pub tracks: Arc<Tracks>,
    /// The run it belongs to.
    pub run: Run,
    /// The track it belongs to.
    pub track: TrackId,
    /// Decoding time. Never goes back within a track; strictly rises in video.
    pub dts: Timestamp,
    /// Presentation time minus decoding time; never negative.
    pub pts_offset: Span,
    /// A viewer may start here: in a stream with video an IDR or other clean random-access picture, in one without
    /// video every audio frame.
    pub keyframe: bool,
    /// Made by the server while the publisher is away; no publisher has sent it, and no replay has it.
    pub filler: bool,
    /// 4-byte length-prefixed NAL units (H.264, H.265), a temporal unit of OBUs (AV1), one frame (VP9), one raw AAC
    /// frame or Opus packet, or AMF0 values ([`TrackId::Data`]): as RTMP, FLV and fMP4 carry it.
    pub data: Bytes,
}

impl Frame {
    /// Presentation time.
    pub fn pts(&self) -> Timestamp {
        self.dts + self.pts_offset
    }
}

/// What flows from a publisher to the packagers, in order.
#[derive(Clone, Debug)]
pub enum Item {
    /// A frame.
    Frame(Arc<Frame>),
    /// A timed event, for the time at which the stream is.
    Cue(Arc<Cue>),
    /// The publisher went away: nothing of this run follows. What is half-packaged is to be closed now.
    Break,
}
