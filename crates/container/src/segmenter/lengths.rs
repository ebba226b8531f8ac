//! How long segments are to be: the target duration, and what keyframes say of it.

use kaibo_media::{Span, Timestamp};

/// Longest first segment: it decides the target duration, and 12 s take in the usual automatic keyframe intervals
/// (250 frames) down to 21 frames per second.
const LONGEST_FIRST: Span = Span::from_millis(12_000);

/// A segment over its target duration by less than half a second still rounds to it (RFC 8216 §4.3.3.1); the
/// 10 ms that are missing absorb estimated frame durations.
const ROUNDING: Span = Span::from_millis(490);

#[derive(Debug)]
pub(super) struct Lengths {
    segment: Span,
    /// Whole seconds; none until the first segment has ended.
    target: Option<u32>,
    keyframe: Option<Timestamp>,
    /// The newest groups of pictures, in turn.
    gops: [Span; 4],
    next_gop: usize,
}

impl Lengths {
    pub(super) fn new(segment: Span, target: Option<u32>) -> Self {
        Self { segment, target, keyframe: None, gops: [Span::ZERO; 4], next_gop: 0 }
    }

    /// From where on a keyframe ends a segment.
    pub(super) fn aim(&self) -> Span {
        self.target.map_or(self.segment, |target| self.segment.min(seconds(target)))
    }

    /// The same for a stream whose target duration is `target`.
    pub(super) fn aim_beside(&self, target: Option<u32>) -> Span {
        Self::new(self.segment, target).aim()
    }

    /// Takes over a target duration that another stream has.
    pub(super) fn take_target(&mut self, target: Option<u32>) {
        self.target = self.target.or(target);
    }

    /// No segment may be longer than this.
    pub(super) fn limit(&self) -> Span {
        self.target.map_or(self.segment.max(LONGEST_FIRST), seconds) + ROUNDING
    }

    /// Takes note of a keyframe.
    pub(super) fn keyframe(&mut self, dts: Timestamp) {
        if let Some(keyframe) = self.keyframe.replace(dts) {
            if let Some(gop) = self.gops.get_mut(self.next_gop) {
                *gop = dts - keyframe;
            }
            self.next_gop = (self.next_gop + 1) % self.gops.len();
        }
    }

    /// Whether a segment of `elapsed` is to end at the keyframe that came last: it is long enough, or would grow too
    /// long until the next one. `tolerance` is for jitter.
    pub(super) fn due(&self, elapsed: Span, tolerance: Span) -> bool {
        let gop = self.gops.iter().max().copied().unwrap_or_default();
        elapsed + tolerance >= self.aim() || self.target.is_some() && elapsed + gop > self.limit()
    }

    /// The distance to the next keyframe is no group of pictures.
    pub(super) fn interrupt(&mut self) {
        self.keyframe = None;
    }

    /// Another encoder may have other keyframe intervals.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.segment, self.target);
    }

    /// The target duration, which the first segment's `duration` decides.
    pub(super) fn target(&mut self, duration: Span) -> u32 {
        *self.target.get_or_insert_with(|| rounded(self.segment).max(rounded(duration)))
    }
}

fn seconds(seconds: u32) -> Span {
    Span::from_scale(seconds.into(), 1)
}

/// Whole seconds, halves up, at least one.
fn rounded(span: Span) -> u32 {
    u32::try_from((span.as_millis() + 500) / 1000).unwrap_or(u32::MAX).max(1)
}
