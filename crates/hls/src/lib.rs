//! What an HLS client may ask: playlists and the live window.
//!
//! [`Window`] follows a broadcast's segmenter and holds the segments that live viewers may fetch; a [`View`] is what they
//! see of it at one moment, [`Directives`] what they wait for. [`Playlist`] renders a media playlist, for the window as
//! well as for a replay; [`multivariant`] the playlist above it. [`Old`] segments are
//! listed though no memory holds them; a [`Shift`] asks for another time than now. No I/O and no clock here.
//!
//! "RFC 8216" is the specification of HLS, "rfc8216bis" its second edition (draft 22), "Apple" the HLS authoring
//! specification for Apple devices.

mod dates;
mod multivariant;
mod pieces;
mod playlist;
mod reach;
mod reload;
mod shift;
mod time;
mod uris;
mod view;
mod window;

pub use dates::DateRange;
pub use multivariant::{Rates, Variant, multivariant};
pub use pieces::Pieces;
pub use playlist::{Entry, Kind, LowLatency, Playlist, Report};
pub use reach::Old;
pub use reload::{BadDirective, Directives, without_directives};
pub use shift::{BadShift, Selection, Shift};
pub use uris::{Format, Uris};
pub use view::{View, Wanted};
pub use window::{Config, Misplaced, Position, Segment, Window};
