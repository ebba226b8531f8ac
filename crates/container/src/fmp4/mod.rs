//! Fragmented MP4 with CMAF's constraints (ISO/IEC 14496-12, 23000-19): the initialisation section and parts
//! (`moof` + `mdat`), written and read back.
//!
//! A timed event is an `emsg` box with an ID3 tag in front of the `moof` of its part ("Carriage of ID3 Timed Metadata in
//! CMAF", AOM). Every stream has the same shape, so that parts need nothing but their tracks to be written or read: video is
//! track 1 at 90 kHz, audio is track 2 at its sample rate, sync flags of audio come from `trex`. There is no edit
//! list: `tfdt` carries the broadcast's own timeline and nothing shifts sound against picture. Parts carry no
//! `styp`: CMAF makes it optional for chunks, and a segment must be its parts and nothing else.

mod emsg;
mod init;
mod part;
mod read;

use kaibo_media::{TrackId, Tracks};

use crate::iso::Unsupported;

pub use crate::iso::VIDEO_TIMESCALE;
pub use init::init;
pub use part::{Timed, part};
pub use read::{Entry, Fragment, Fragments, Moof, TrackRun, fragments, measure, read_moof, read_part};

/// `sample_flags` (ISO/IEC 14496-12 §8.8.3.1) of a frame that depends on no other.
const SYNC: u32 = 0x0200_0000;
/// `sample_flags` of a frame that depends on others and is no sync sample.
const NON_SYNC: u32 = 0x0101_0000;

/// Why an initialisation section can't be made or a part can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Neither video nor audio.
    #[error("a stream without tracks")]
    NoTracks,
    /// A decoder parameter that MP4 can't carry.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The bytes end within a part: what comes before this offset is whole.
    #[error("part torn at byte {at}")]
    Torn {
        /// Offset from the start of the part.
        at: usize,
    },
    /// Not a part as [`part`] writes it.
    #[error("{what} at byte {at}")]
    Malformed {
        /// Offset from the start of the part.
        at: usize,
        /// What is wrong there.
        what: &'static str,
    },
}

impl From<Unsupported> for Error {
    fn from(Unsupported(what): Unsupported) -> Self {
        Self::Unsupported(what)
    }
}

/// Ticks per second of a track, zero if the stream has no such track.
fn timescale(tracks: &Tracks, track: TrackId) -> u32 {
    match track {
        TrackId::Video => tracks.video.as_ref().map_or(0, |_| VIDEO_TIMESCALE),
        TrackId::Audio => tracks.audio.as_ref().map_or(0, |audio| audio.sample_rate),
        TrackId::Data => 0,
    }
}
