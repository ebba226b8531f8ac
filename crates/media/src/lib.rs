//! What a stream is made of: frames, tracks, timestamps, and the timeline that repairs them.
//!
//! No I/O and no clock here: bytes and times are arguments. A publisher's [`Input`] goes through an [`Assembler`],
//! one per publish session, which decides the tracks and where the stream begins, and then through the [`Timeline`]
//! of the broadcast, which makes [`Frame`]s of the samples.

mod assembler;
mod codec;
mod cue;
mod frame;
mod health;
pub mod nal;
mod packet;
mod time;
mod timeline;
mod tracks;

pub use assembler::{Assembler, AssemblyError};
pub use codec::{CodecError, bits, h264};
pub use cue::{Cue, MOST_PAYLOAD, is_kind};
pub use frame::{Frame, Item, Run, TrackId};
pub use health::{Health, HealthReport, Warning};
pub use nal::NalError;
pub use packet::{Input, Packet, Sample};
pub use time::{Span, Timestamp, UnixMillis};
pub use timeline::{Edge, Mark, Place, Repairs, Timeline};
pub use tracks::{AudioCodec, AudioTrack, Tracks, VideoCodec, VideoTrack};
