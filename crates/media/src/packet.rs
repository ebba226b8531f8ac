//! What a publisher sends, before it is repaired.

use std::sync::Arc;

use bytes::Bytes;

use crate::{AudioCodec, TrackId, Tracks, VideoCodec};

/// One media message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The track it belongs to.
    pub track: TrackId,
    /// Decoding time in milliseconds as on the wire: wraps at 2^32, with many encoders at 2^31.
    pub time_ms: u32,
    /// Presentation time minus decoding time in milliseconds, as on the wire.
    pub composition_ms: i32,
    /// Nanoseconds to add to the time (Enhanced RTMP v2, ModEx `TimestampOffsetNano`: 0 to 999,999).
    pub nanos: u32,
    /// The publisher marks it as a keyframe.
    pub keyframe: bool,
    /// The body behind the tag's headers.
    pub data: Bytes,
}

/// What a publish session consists of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// Video sequence header.
    VideoConfig {
        /// Its codec.
        codec: VideoCodec,
        /// The decoder configuration record.
        record: Bytes,
    },
    /// Audio sequence header.
    AudioConfig {
        /// Its codec.
        codec: AudioCodec,
        /// AudioSpecificConfig or OpusHead.
        config: Bytes,
    },
    /// A coded frame or script data.
    Packet(Packet),
    /// The publisher says that its stream ends here.
    EndOfSequence,
}

/// A packet with the decoder parameters that it needs, in the form that [`crate::Frame::data`] has.
#[derive(Clone, Debug)]
pub struct Sample {
    /// The parameters of all tracks; the same `Arc` until one of them changes.
    pub tracks: Arc<Tracks>,
    /// The packet.
    pub packet: Packet,
}

/// Milliseconds from one wire time to another, whichever way is shorter: encoders wrap at 2^32 as RTMP says, or at
/// 2^31 because they mask the sign bit away (OBS and ffmpeg do).
pub(crate) fn wire_distance(from: u32, to: u32) -> i64 {
    let straight = i64::from(to) - i64::from(from);
    let wraps = [0, 1 << 31, -(1 << 31), 1 << 32, -(1 << 32)];
    wraps
        .into_iter()
        .map(|wrap: i64| straight + wrap)
        .min_by_key(|distance| distance.abs())
        .unwrap_or(straight)
}
