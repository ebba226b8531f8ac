//! What an HLS client may ask: playlists and the live window.
//!
//! [`Window`] follows a broadcast's segmenter and holds the segments that live viewers may fetch. [`Playlist`] renders a
//! media playlist, for the window as well as for a replay; [`multivariant`] the playlist above it. No I/O and no clock
//! here.
//!
//! "RFC 8216" is the specification of HLS, "Apple" the HLS authoring specification for Apple devices.

mod multivariant;
mod playlist;
mod time;
mod uris;
mod window;

pub use multivariant::{Rates, multivariant};
pub use playlist::{Entry, Kind, Playlist};
pub use uris::{Format, Uris};
pub use window::{Config, Misplaced, Position, Segment, Window};
