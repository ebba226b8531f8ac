//! What fragmented and progressive files share of the ISO base media file format (ISO/IEC 14496-12).

pub mod boxes;
mod entry;
mod headers;

pub use entry::{AudioEntry, Unsupported, VideoEntry};
pub use headers::{Header, media_information, movie_header};

/// Ticks per second of every video track: 90 kHz, which holds RTMP's milliseconds exactly.
pub const VIDEO_TIMESCALE: u32 = 90_000;

/// Track numbers in every file.
pub const VIDEO_ID: u32 = 1;
pub const AUDIO_ID: u32 = 2;
