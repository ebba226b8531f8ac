//! Recordings on the local disk: written while the broadcast is live, whole at any moment, final when it ends.
//!
//! A recording is a folder named after its broadcast:
//!
//! ```text
//! ROOT/b-7f3k/index.jsonl   what is there, one fact per line, appended only
//! ROOT/b-7f3k/init-0.mp4    initialisation sections
//! ROOT/b-7f3k/0.m4s         segments: their parts, one after the other
//! ROOT/b-7f3k/1.m4s
//! ROOT/b-7f3k/cover.jpg     pictures of it, and thumbnails for its seek bar, made when it is final
//! ROOT/b-7f3k/frames.bin    where frames lie in the segments, for progressive MP4
//! ```
//!
//! The segments are the very bytes that live viewers got, so the replay is ready when the broadcast ends.
//!
//! **The index** is what counts: a byte that it does not speak of does not exist. Each line is a JSON array of a
//! CRC-32 and a fact, e.g. `[2208201530,{"part":{"len":61231,…}}]`. JSON lines cost three times the space and time of
//! a binary log (10 MB for 12 hours, still nothing beside the media), but an operator can read them, `jq` can mend
//! them, and a torn or zeroed tail is found by the checksum all the same.
//!
//! **The frames' file** can be made anew from the segments and the index at any time, so nothing waits for it: it is
//! appended when a segment ends, checked against the index when it is read, and synced with the last line alone.
//!
//! **Order of writes.** A part's bytes go before its line; a segment is synced, names included, before the line that
//! begins the next one. So after a power loss only the last segment is in doubt, and since each part's line carries
//! the part's own checksum, reading that one segment tells which of its parts are whole. After a killed process
//! nothing is in doubt but the last line.
//!
//! **Faults.** What can't be written is lost, exactly: the segment ends with its last whole part, and the index says
//! from when to when nothing was recorded as soon as it can be written again. The next segment begins cleanly. A disk that
//! has less free than is to be kept ([`Writer::keep_free`]) counts as one that refuses.
//!
//! Everything here blocks; call it from a thread that may.

mod archived;
mod catalogue;
mod cues;
mod disk;
mod edit;
mod error;
mod excerpt;
mod fact;
mod file;
mod frames;
mod id;
mod index;
mod listing;
mod picture;
mod piece;
mod recording;
mod tail;
pub mod thumbnails;
mod tracks;
mod writer;

pub use archived::{Archiving, Here, SmallFile};
pub use catalogue::{Entry, Mended, Recordings};
pub use cues::Cues;
pub use disk::{Disk, DiskFile, Local};
pub use edit::{BadEdit, Edit, Piece, STRETCHES, Stretch};
pub use error::Error;
pub use excerpt::Wanted;
pub use fact::{Excerpt, Finished, Loss, Meta};
pub use file::File;
pub use frames::{Frames, Record, Torn};
pub use id::{Id, IdError};
pub use listing::{Listing, Segment};
pub use picture::Picture;
pub use recording::{INDEX, Recording, StoredInit, is_segment};
pub use writer::Writer;
