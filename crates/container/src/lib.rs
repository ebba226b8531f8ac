//! Frames to bytes and back: FLV, fMP4, progressive MP4, MPEG-TS, and the segmenter that cuts frames into parts and segments.
//!
//! No I/O and no clock here.

mod cue;
pub mod flv;
pub mod fmp4;
mod iso;
pub mod mp4;
pub mod segment;
pub mod segmenter;
pub mod ts;
