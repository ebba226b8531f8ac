//! What a stream is made of: frames, tracks, timestamps, and the timeline that repairs them.
//!
//! No I/O and no clock here: bytes and times are arguments.

mod frame;
mod time;
mod tracks;

pub use frame::{Frame, Item, Run, TrackId};
pub use time::{Span, Timestamp, UnixMillis};
pub use tracks::{AudioCodec, AudioTrack, Tracks, VideoCodec, VideoTrack};
