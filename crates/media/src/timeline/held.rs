//! Frames of a track whose clock has jumped, held back until it is seen whether the other track jumps as well.

use crate::{Packet, Sample, TrackId};

/// Frames held at most: 1 s of pictures at 60 per second.
const MAX_SAMPLES: usize = 60;
/// Bytes held at most: two largest messages of 8 MiB.
const MAX_BYTES: usize = 16 << 20;
/// How far the other track has to come past the jump without one of its own, in ms: several frames of either.
const ALONE_MS: i64 = 200;

/// The frames since the jump, with their unwrapped times in ms.
#[derive(Debug)]
pub(super) struct Held {
    track: TrackId,
    due: i64,
    bytes: usize,
    samples: Vec<(Sample, i64)>,
}

impl Held {
    /// `due` is how far the track had come on the timeline, in ms.
    pub(super) fn new(due: i64, sample: Sample, time: i64) -> Self {
        let mut held = Self { track: sample.packet.track, due, bytes: 0, samples: Vec::new() };
        held.push(sample, time);
        held
    }

    pub(super) fn push(&mut self, sample: Sample, time: i64) {
        self.bytes += sample.packet.data.len();
        self.samples.push((sample, time));
    }

    pub(super) fn track(&self) -> TrackId {
        self.track
    }

    pub(super) fn due(&self) -> i64 {
        self.due
    }

    pub(super) fn is_full(&self) -> bool {
        self.samples.len() >= MAX_SAMPLES || self.bytes > MAX_BYTES
    }

    /// The other track, which is at `at` on the timeline, has passed the jump.
    pub(super) fn is_alone(&self, at: i64) -> bool {
        at > self.due + ALONE_MS
    }

    pub(super) fn first(&self) -> Option<(&Packet, i64)> {
        self.samples.first().map(|(sample, time)| (&sample.packet, *time))
    }

    pub(super) fn into_samples(self) -> Vec<(Sample, i64)> {
        self.samples
    }
}
