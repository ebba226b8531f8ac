//! MPEG-TS segments, made from the samples of fMP4 segments when somebody asks for them.
//!
//! Sources: ISO/IEC 13818-1 ("H.222.0") for packets, tables and clocks; RFC 8216 §3.2 for what a segment begins with.
//!
//! # Continuity without state
//! A segment is a pure function of its samples: it can be made late, out of order, on another node or after a
//! restart, and is the same bytes each time. Yet players (ffmpeg for one) call it corruption when the continuity
//! counters don't run on from segment to segment. So **on every PID the number of packets with payload in a segment
//! is a multiple of 16**, the counter's period: every segment begins at counter 0 and ends at 15, and any
//! concatenation of segments is continuous.
//!
//! - The tables (PAT and PMT) are repeated a multiple of 16 times, spread over the segment: at least every 300 ms,
//!   where 400 ms are asked for, and every 125 ms in a segment of 2 s.
//! - Picture and sound reach the multiple by spreading the payload of the last PES packets over up to 15 packets
//!   more, with stuffing in the adaptation field (§2.4.3.5). Where there are fewer payload bytes than packets needed
//!   (one tiny audio frame is all), PES packets without payload and time fill up.
//!
//! Cost: 6 kB of tables and on average 1.4 kB of stuffing per PID and segment, which is 1.8 % of a segment of 2 s at
//! 2 Mbit/s.
//!
//! # Timed events
//! Each is an ID3 tag in a PES packet (Apple, "Timed Metadata for HTTP Live Streaming" §2). The PMT always lists their
//! stream, though most segments have nothing of it: one that came with the first event would be another set of tracks,
//! which takes a discontinuity (RFC 8216 §4.3.2.3).
//!
//! # Clock
//! Times run on from segment to segment as the timeline does, 10 s ahead so that nothing is negative, in 33 bits
//! (they wrap after 26.5 hours). The PCR is 0.5 s behind the decoding time of the picture that it comes with; where
//! pictures (or, without video, sound packets) are further apart than 100 ms, packets with nothing but a PCR come
//! between, up to the segment's end.

mod adts;
mod elementary;
mod nal;
mod packets;
mod schedule;
mod tables;

use std::sync::Arc;

use bytes::Bytes;
use kaibo_media::Tracks;

use crate::segment::Part;

/// Why a stream has no TS segments.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// TS carries H.264, H.265 and AAC here.
    #[error("{0} is not supported in MPEG-TS")]
    Unsupported(&'static str),
    /// A decoder configuration record that can't be read.
    #[error("the {0} record is malformed")]
    Config(&'static str),
    /// A packet that can't be written.
    #[error("TS packet: {0}")]
    Packet(#[from] mpeg2ts::Error),
}

/// Whether TS carries these tracks; the error names what it doesn't.
pub fn carries(tracks: &Tracks) -> Result<(), Error> {
    elementary::Codecs::new(tracks).map(drop)
}

/// The TS segment with the samples of an fMP4 segment, whose parts these are.
pub fn segment(tracks: &Tracks, parts: &[Arc<Part>]) -> Result<Bytes, Error> {
    let codecs = elementary::Codecs::new(tracks)?;
    let streams = elementary::Streams::gather(&codecs, parts);
    let steps = schedule::steps(tracks, parts, &streams);
    packets::write(&tables::packets(tracks)?, &streams, &steps)
}

/// How many bytes [`segment`] has of the same parts, without making it.
pub fn size(tracks: &Tracks, parts: &[Arc<Part>]) -> Result<usize, Error> {
    let codecs = elementary::Codecs::new(tracks)?;
    let streams = elementary::Streams::gather(&codecs, parts);
    Ok(packets::size(&schedule::steps(tracks, parts, &streams)))
}

/// Ticks of the 90 kHz clock, not yet wrapped to 33 bits.
type Ticks = i64;

/// Ticks per second.
const CLOCK: u32 = 90_000;

/// An elementary stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stream {
    Video,
    Audio,
    /// Timed events, as ID3 tags.
    Events,
}

impl Stream {
    fn pid(self) -> u16 {
        match self {
            Self::Video => 0x100,
            Self::Audio => 0x101,
            Self::Events => 0x102,
        }
    }

    /// The stream whose packets carry the PCR.
    fn with_clock(tracks: &Tracks) -> Self {
        if tracks.video.is_some() { Self::Video } else { Self::Audio }
    }
}
