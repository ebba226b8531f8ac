//! How long parts are to be: the part target (rfc8216bis §4.4.3.7).

use kaibo_media::Span;

use super::TICK;

/// A part in the middle of a segment lasts 85 % of the part target at least.
const LEAST_PERCENT: i64 = 85;

/// Frames are taken to fit into this much of the target: they may come a little late, and how long they last is an
/// estimate from the first few.
const FITS_PERCENT: i64 = 95;

/// By how much a target that was made for so many frames exceeds them: half of what the 85 % leave, so that frames may
/// come early as well as late.
const ROOM_PERCENT: i64 = 108;

/// The part target of a broadcast. Players are told of it once, so it never changes when a part was made by it.
#[derive(Debug)]
pub(super) struct PartTarget {
    span: Span,
    frozen: bool,
}

impl PartTarget {
    pub(super) fn new(configured: Span, decided: Option<Span>) -> Self {
        Self { span: decided.unwrap_or(configured), frozen: decided.is_some() }
    }

    /// Takes over one that another stream decided.
    pub(super) fn take(&mut self, decided: Option<Span>) {
        if let Some(span) = decided.filter(|_| !self.frozen) {
            *self = Self { span, frozen: true };
        }
    }

    /// No part is longer.
    pub(super) fn longest(&self) -> Span {
        self.span
    }

    /// No part but the last of a segment is shorter.
    pub(super) fn least(&self) -> Span {
        percent(self.span, LEAST_PERCENT)
    }

    /// From here on it stays.
    pub(super) fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Makes it one that whole frames of this duration fill, where those that fit are too few for 85 %: 432 ms for ten
    /// pictures a second, not 500 ms of which four would fill 80 % as soon as one is late.
    pub(super) fn decide(&mut self, frame: Span) {
        if self.frozen || frame < TICK {
            return;
        }
        self.frozen = true;
        let frames = percent(self.span, FITS_PERCENT).in_scale(1_000_000) / frame.in_scale(1_000_000).max(1);
        let filled = Span::from_scale(frames * frame.in_scale(1_000_000), 1_000_000);
        if frames > 0 && filled < self.least() {
            // Whole milliseconds, so that a playlist writes it exactly.
            let target = Span::from_millis(percent(filled, ROOM_PERCENT).as_millis());
            self.span = self.span.min(target);
        }
    }
}

fn percent(span: Span, percent: i64) -> Span {
    Span::from_scale(span.in_scale(1_000_000) * percent, 100_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_that_fill_the_configured_target_leave_it() {
        for rate in
            [15.0, 20.0, 24.0, 25.0, 29.97, 30.0, 50.0, 60.0, 120.0, 44_100.0 / 1024.0, 48_000.0 / 1024.0]
        {
            let mut part = PartTarget::new(Span::from_millis(500), None);
            part.decide(Span::from_scale((1_000_000.0 / rate) as i64, 1_000_000));
            assert_eq!(part.longest(), Span::from_millis(500), "{rate}");
        }
    }

    #[test]
    fn frames_that_do_not_fill_it_get_one_that_they_fill() {
        for (millis, target) in [(100, 432), (200, 432), (333, 360), (400, 432), (84, 454)] {
            let mut part = PartTarget::new(Span::from_millis(500), None);
            part.decide(Span::from_millis(millis));
            assert_eq!(part.longest(), Span::from_millis(target), "{millis}");
            let filled = (target / millis) * millis;
            assert!(Span::from_millis(filled - 20) >= part.least(), "{millis}");
        }
    }

    #[test]
    fn it_is_decided_once() {
        let mut part = PartTarget::new(Span::from_millis(500), Some(Span::from_millis(360)));
        part.decide(Span::from_millis(100));
        assert_eq!(part.longest(), Span::from_millis(360));
        let mut part = PartTarget::new(Span::from_millis(500), None);
        part.freeze();
        part.decide(Span::from_millis(100));
        assert_eq!(part.longest(), Span::from_millis(500));
    }

    #[test]
    fn a_frame_longer_than_a_part_changes_nothing() {
        let mut part = PartTarget::new(Span::from_millis(500), None);
        part.decide(Span::from_millis(600));
        assert_eq!(part.longest(), Span::from_millis(500));
    }
}
