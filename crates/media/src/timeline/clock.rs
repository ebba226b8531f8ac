//! Input time of a publisher's tracks.

use crate::packet::wire_distance;

/// Steps back of more than this are no disorder but a new clock, in ms.
pub(super) const MAX_BACK_MS: i64 = 1000;
/// Steps ahead of more than this need an explanation, in ms.
pub(super) const MAX_AHEAD_MS: i64 = 3000;

/// The last wire time of a track, and what it is without wrapping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wire {
    raw: u32,
    time: i64,
}

impl Wire {
    pub(super) fn new(raw: u32) -> Self {
        Self { raw, time: raw.into() }
    }

    /// The unwrapped time of `raw`, in ms.
    pub(super) fn advance(self, raw: u32) -> Self {
        Self { raw, time: self.time + wire_distance(self.raw, raw) }
    }

    pub(super) fn time(self) -> i64 {
        self.time
    }
}

/// How the input time of a track maps onto the timeline within a run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    /// Timeline minus input, in ms.
    pub offset: i64,
    /// The highest input time so far, in ms.
    pub high: i64,
}

impl Anchor {
    /// `time` is to be at `at` on the timeline.
    pub(super) fn new(time: i64, at: i64) -> Self {
        Self { offset: at - time, high: time }
    }

    /// Where the track has come to on the timeline, in ms.
    pub(super) fn position(&self) -> i64 {
        self.high + self.offset
    }

    /// The input steps too far, and not to where the `other` track is: after a gap that only one track had, it
    /// comes back to where the other has gone on to.
    pub(super) fn jumps(&self, time: i64, other: Option<&Self>) -> bool {
        let step = time - self.high;
        let explained = || other.is_some_and(|other| other.is_near(time + self.offset));
        step < -MAX_BACK_MS || (step > MAX_AHEAD_MS && !explained())
    }

    /// `at`, on the timeline, is where this track is.
    pub(super) fn is_near(&self, at: i64) -> bool {
        (at - self.position()).abs() <= MAX_AHEAD_MS
    }
}
