//! The sample clock of the audio track.

use crate::{Span, Timestamp};

/// A gap in the input of more than this many frames is a real one and is kept.
const GAP_FRAMES: i64 = 3;
/// Input that falls back by more than this against the sample clock has stepped back, in ms. Bursts of frames with
/// one time between them stay within it.
const STEP_BACK_MS: i64 = 250;
/// The grid is slewed once the input has drifted by this much, in ms: above all jitter of 1 ms clocks and far below
/// what can be heard against a picture...
const SLEW_FROM_MS: i64 = 8;
/// ...until it is this close again, in ms.
const SLEW_TO_MS: i64 = 1;
/// Most samples by which one frame is moved: under 1 % of a frame, inaudible, and 16 times the drift of a clock that
/// is 500 ppm off.
const SLEW_SAMPLES: i64 = 8;
/// Frames over which the distance to the input is averaged.
const SMOOTHING: i64 = 32;

/// Places audio frames one behind the other on the exact sample clock, and follows the input's millisecond clock
/// where the two drift apart.
#[derive(Debug)]
pub(super) struct Grid {
    rate: u32,
    /// Where the next frame goes if nothing is wrong, in samples of the timeline.
    next: i64,
    /// Averaged distance of the input from `next`, in samples, times [`SMOOTHING`].
    drift: i64,
    slewing: bool,
    /// The input has stepped back and has not caught up yet.
    behind: bool,
}

impl Grid {
    /// A grid whose first frame stands at `start` or up to a sample later.
    pub(super) fn new(rate: u32, start: Timestamp) -> Self {
        let nearest = start.in_scale(rate);
        let early = Timestamp::from_scale(nearest, rate) < start;
        Self { rate, next: nearest + i64::from(early), drift: 0, slewing: false, behind: false }
    }

    pub(super) fn rate(&self) -> u32 {
        self.rate
    }

    /// Where a frame of `samples` goes that is due at `due`. Rises by at least one sample; answers also whether the
    /// input had to be clamped.
    pub(super) fn place(&mut self, due: Timestamp, samples: u32) -> (Timestamp, bool) {
        let samples = i64::from(samples);
        let due = due.in_scale(self.rate);
        let error = due - self.next;
        let step_back = Span::from_millis(STEP_BACK_MS).in_scale(self.rate);
        let resynced = error > GAP_FRAMES * samples || (self.behind && error >= 0);
        let place = if resynced {
            (self.drift, self.slewing, self.behind) = (0, false, false);
            due
        } else if self.behind || error < -step_back {
            // One sample after the other until the input is where it was: sound stays with the picture.
            self.behind = true;
            self.next
        } else {
            self.next + self.slew(error)
        };
        self.next = place + if self.behind { 1 } else { samples };
        (Timestamp::from_scale(place, self.rate), self.behind)
    }

    /// Samples to move the frame by.
    fn slew(&mut self, error: i64) -> i64 {
        self.drift += error - self.drift / SMOOTHING;
        let drift = self.drift / SMOOTHING;
        let limit = if self.slewing { SLEW_TO_MS } else { SLEW_FROM_MS };
        self.slewing = drift.abs() > Span::from_millis(limit).in_scale(self.rate);
        if !self.slewing {
            return 0;
        }
        let step = (drift.abs() / 256).clamp(1, SLEW_SAMPLES) * drift.signum();
        self.drift -= step * SMOOTHING;
        step
    }
}
