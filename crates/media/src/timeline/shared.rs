//! A timeline that several broadcasts share: encodings of the same pictures, each pushed by itself.

use crate::{Span, Timestamp, UnixMillis, packet::wire_distance};

/// How far input time and the wall clock may disagree about the same input clock, in ms: what pushes of one encoder
/// arrive apart, with room for a network that is late.
const SAME_CLOCK_MS: i64 = 1000;

/// Longest time over which one publisher's place is reckoned from another's frame, in ms.
const LONGEST_MS: i64 = 24 * 3600 * 1000;

/// A frame of one publisher, by which others that send the same find their place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Its input time, as it came.
    pub input_ms: u32,
    /// Where it lies on the timeline.
    pub place: Place,
    /// When it arrived.
    pub arrived: UnixMillis,
}

/// A point of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place {
    /// On the timeline, in whole milliseconds.
    pub at: Timestamp,
    /// The wall clock that belongs to it, which viewers are told.
    pub wall: UnixMillis,
}

impl Mark {
    /// Where a frame of another publisher belongs that arrived at `now`. Encoders whose input clock says the same as the
    /// wall clock share it with this one: their pictures are placed to the millisecond. Others are placed by when they
    /// arrive.
    pub fn place(&self, input_ms: u32, now: UnixMillis) -> Place {
        let by_wall = now.0.saturating_sub(self.arrived.0).clamp(-LONGEST_MS, LONGEST_MS);
        let by_input = wire_distance(self.input_ms, input_ms);
        let ahead = if (by_input - by_wall).abs() <= SAME_CLOCK_MS { by_input } else { by_wall };
        let ahead = Span::from_millis(ahead);
        Place { at: self.place.at + ahead, wall: self.place.wall + ahead }
    }
}
