//! FLV: the tags that RTMP messages carry, and that HTTP-FLV and WebSocket-FLV send as a file without an end.
//!
//! Sources: Adobe Flash Video File Format Specification 10.1, annex E ("FLV"); Enhanced RTMP v2 ("E-RTMP").
//!
//! Reading: [`parse_video`] and [`parse_audio`] take a tag body as an RTMP message carries it; [`Tags`] walks a file.
//! Writing: [`Flv`] writes tags; a [`Packager`] gathers the frames of a stream into [`Block`]s that every viewer
//! shares, in FLV, as RTMP [`Messages`] or in any other [`Format`].
//!
//! Times in tags are milliseconds on the broadcast's timeline. That begins at 0 with the broadcast and goes on
//! through resumes, so players never see it reach 2^31, where they stall: that takes 24.8 days, and a broadcast
//! lasts hours. What lies outside `0..2^31` is held at the nearer end.

mod audio;
mod cursor;
mod extended;
mod filler;
mod messages;
mod metadata;
mod packager;
mod prefix;
mod read;
mod video;
mod write;

pub use audio::{Audio, parse_audio};
pub use messages::Messages;
pub use packager::{Block, Format, Packager};
pub use prefix::{Prefix, websocket_header};
pub use read::{Tag, Tags};
pub use video::{Video, parse_video};
pub use write::{Flv, HevcForm, millis};

/// The kinds of tags, numbered as in FLV §E.4.1 and as RTMP messages are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum TagKind {
    /// Sound.
    Audio = 8,
    /// Pictures.
    Video = 9,
    /// AMF0 values.
    Script = 18,
}

/// Why a tag can't be read or a stream can't be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The bytes end too early.
    #[error("{what} is cut short at byte {at}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// Byte position in the tag body or file.
        at: usize,
    },
    /// A value that the format doesn't allow there.
    #[error("{what} is malformed at byte {at}")]
    Malformed {
        /// What was being read.
        what: &'static str,
        /// Byte position in the tag body or file.
        at: usize,
    },
    /// A codec that isn't carried.
    #[error("{0} is not supported")]
    Unsupported(String),
}
