//! When something was: the wall clock, the broadcast's timeline, and the replay's, in the stretches in which all three go
//! on together.

use kaibo_media::{Span, Timestamp, UnixMillis};
use kaibo_replay::Segment;

/// A stretch of a recording without a joint in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// The wall clock at its beginning.
    pub wall: UnixMillis,
    /// The broadcast's timeline there.
    pub media: Timestamp,
    /// The replay's position there; of a stretch that the replay leaves out, where it goes on.
    pub replay: Span,
    pub duration: Span,
    /// Filled while the publisher was away: no part of the replay.
    pub held: bool,
}

impl Stretch {
    fn wall_end(&self) -> UnixMillis {
        self.wall + self.duration
    }
}

/// The stretches of `segments`.
pub fn stretches(segments: &[Segment]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let (mut replay, mut before) = (Span::ZERO, None::<&Segment>);
    for segment in segments {
        let goes_on = before.is_some_and(|before| {
            before.discontinuity == segment.discontinuity
                && before.number.saturating_add(1) == segment.number
                && before.filler == segment.filler
        });
        match stretches.last_mut().filter(|_| goes_on) {
            Some(last) => last.duration = segment.end() - last.media,
            None => stretches.push(Stretch {
                wall: segment.wall,
                media: segment.start,
                replay,
                duration: segment.duration,
                held: segment.filler,
            }),
        }
        if !segment.filler {
            replay += segment.duration;
        }
        before = Some(segment);
    }
    stretches
}

/// The broadcast's timeline at the wall clock's `wall`, from there on: of a moment of which nothing is recorded that of
/// what comes next. None behind the end.
pub fn media_from(stretches: &[Stretch], wall: UnixMillis) -> Option<Timestamp> {
    let stretch = stretches.iter().find(|stretch| stretch.wall_end() > wall)?;
    Some(stretch.media + after(stretch, wall).max(Span::ZERO))
}

/// The same up to there: of a moment of which nothing is recorded the end of what was before. None before the beginning.
pub fn media_until(stretches: &[Stretch], wall: UnixMillis) -> Option<Timestamp> {
    let stretch = stretches.iter().rev().find(|stretch| stretch.wall < wall)?;
    Some(stretch.media + after(stretch, wall).min(stretch.duration))
}

/// The wall clock at `media`, as far as it is known: before the first stretch that of the first, behind one that of its
/// run going on.
pub fn wall_at(stretches: &[Stretch], media: Timestamp) -> Option<UnixMillis> {
    let known = stretches.iter().rev().find(|stretch| stretch.media <= media).or(stretches.first())?;
    Some(known.wall + (media - known.media))
}

fn after(stretch: &Stretch, wall: UnixMillis) -> Span {
    Span::from_millis(wall.0.saturating_sub(stretch.wall.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two segments of 2 s, one of filler, a gap of 10 s in the wall clock alone, two segments.
    fn recorded() -> Vec<Stretch> {
        let segments: Vec<_> = (0..5)
            .map(|number: u64| Segment {
                number,
                init: 0,
                discontinuity: u64::from(number > 2),
                start: Timestamp::from_millis(2000 * number as i64),
                duration: Span::from_millis(2000),
                wall: UnixMillis(1_000_000 + 2000 * number as i64 + if number > 2 { 10_000 } else { 0 }),
                bytes: 1,
                independent: true,
                filler: number == 2,
            })
            .collect();
        stretches(&segments)
    }

    #[test]
    fn a_stretch_goes_on_until_a_joint_or_until_the_publisher_is_away() {
        let shown: Vec<_> = recorded()
            .iter()
            .map(|stretch| {
                let millis =
                    (stretch.media.as_millis(), stretch.replay.as_millis(), stretch.duration.as_millis());
                (stretch.wall.0 - 1_000_000, millis, stretch.held)
            })
            .collect();
        let expected =
            [(0, (0, 0, 4000), false), (4000, (4000, 4000, 2000), true), (16_000, (6000, 4000, 4000), false)];
        assert_eq!(shown, expected);
    }

    #[test]
    fn moments_of_the_wall_clock_find_their_place() {
        let stretches = recorded();
        let wall = |millis: i64| UnixMillis(1_000_000 + millis);
        let from = |millis| media_from(&stretches, wall(millis)).map(Timestamp::as_millis);
        let until = |millis| media_until(&stretches, wall(millis)).map(Timestamp::as_millis);
        assert_eq!((from(-500), until(-500)), (Some(0), None));
        assert_eq!((from(1500), until(1500)), (Some(1500), Some(1500)));
        assert_eq!((from(10_000), until(10_000)), (Some(6000), Some(6000)), "in the gap");
        assert_eq!((from(17_000), until(17_000)), (Some(7000), Some(7000)));
        assert_eq!((from(20_000), until(30_000)), (None, Some(10_000)));
        assert_eq!(wall_at(&stretches, Timestamp::from_millis(7000)), Some(wall(17_000)));
        assert_eq!(wall_at(&[], Timestamp::ZERO), None);
    }
}
