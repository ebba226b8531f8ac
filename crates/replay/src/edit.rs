//! Which stretches of a recording are shown: all of it as a replay, one as a clip, several as an edited version.

use kaibo_media::{Span, Timestamp, UnixMillis};

use crate::Segment;

/// Stretches in one edit: as many cuts as somebody makes by hand, and each is a line in no list that grows by itself.
pub const STRETCHES: usize = 1000;

/// A stretch of media time, from its beginning up to its end. The end is not part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// Where it begins.
    pub from: Timestamp,
    /// Where it ends.
    pub to: Timestamp,
}

/// Stretches of a recording that are shown one after the other: in order, apart from each other, none of them empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit(Vec<Stretch>);

/// What makes no edit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadEdit {
    /// A stretch ends where it begins, or before.
    #[error("a stretch ends before it begins")]
    Backwards,
    /// Stretches overlap, or are out of order.
    #[error("stretches overlap or are out of order")]
    OutOfOrder,
    /// Nothing is left.
    #[error("nothing is left to be shown")]
    Nothing,
    /// See [`STRETCHES`].
    #[error("more than {STRETCHES} stretches")]
    TooMany,
}

/// A segment of a recording as an [`Edit`] shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Piece {
    /// The recorded segment; never filler.
    pub segment: Segment,
    /// What is shown of it begins here, inside of it. None: at its start.
    pub from: Option<Timestamp>,
    /// What is shown of it ends here, inside of it. None: at its end.
    pub to: Option<Timestamp>,
    /// Time jumps in front of it, or the publisher was another one (`EXT-X-DISCONTINUITY`). Never before the first.
    pub joint: bool,
}

impl Piece {
    /// Where what is shown of it begins.
    pub fn start(&self) -> Timestamp {
        self.from.unwrap_or(self.segment.start)
    }

    /// How long that is.
    pub fn duration(&self) -> Span {
        self.to.unwrap_or(self.segment.end()) - self.start()
    }

    /// It begins with a keyframe that is shown.
    pub fn has_keyframe(&self) -> bool {
        self.segment.independent && self.from.is_none()
    }

    /// Nothing of the segment is left out.
    pub fn is_whole(&self) -> bool {
        self.from.is_none() && self.to.is_none()
    }
}

impl Default for Edit {
    /// Everything, whenever it was.
    fn default() -> Self {
        Self(vec![Stretch { from: Timestamp::ZERO, to: Timestamp::MAX }])
    }
}

impl Edit {
    /// `stretches`, one after the other; those that touch become one.
    ///
    /// # Errors
    /// Where they are not in order, see [`BadEdit`].
    pub fn new(stretches: impl IntoIterator<Item = Stretch>) -> Result<Self, BadEdit> {
        let mut kept: Vec<Stretch> = Vec::new();
        for stretch in stretches {
            if stretch.to <= stretch.from {
                return Err(BadEdit::Backwards);
            }
            match kept.last_mut() {
                Some(last) if stretch.from < last.to => return Err(BadEdit::OutOfOrder),
                Some(last) if stretch.from == last.to => last.to = stretch.to,
                _ => kept.push(stretch),
            }
            if kept.len() > STRETCHES {
                return Err(BadEdit::TooMany);
            }
        }
        if kept.is_empty() {
            return Err(BadEdit::Nothing);
        }
        Ok(Self(kept))
    }

    /// This edit without the stretches `removed`, which may overlap and come in any order.
    ///
    /// # Errors
    /// Where one of them is empty, or nothing is left.
    pub fn without(&self, removed: &[Stretch]) -> Result<Self, BadEdit> {
        if removed.iter().any(|gone| gone.to <= gone.from) {
            return Err(BadEdit::Backwards);
        }
        let mut removed = removed.to_vec();
        removed.sort_by_key(|gone| gone.from);
        let mut left = Vec::new();
        for stretch in &self.0 {
            let mut from = stretch.from;
            for gone in removed.iter().filter(|gone| gone.to > stretch.from && gone.from < stretch.to) {
                if gone.from > from {
                    left.push(Stretch { from, to: gone.from });
                }
                from = from.max(gone.to);
            }
            if from < stretch.to {
                left.push(Stretch { from, to: stretch.to });
            }
        }
        Self::new(left)
    }

    /// The stretches.
    pub fn stretches(&self) -> &[Stretch] {
        &self.0
    }

    /// What it shows of `segments`, which are in the order of time. What filled the time without a publisher is left
    /// out. A segment that a removed stretch lies in comes twice.
    pub fn pieces<'s>(&'s self, segments: &'s [Segment]) -> impl Iterator<Item = Piece> + 's {
        let overlapping = self.0.iter().flat_map(move |stretch| {
            let first = segments.partition_point(|segment| segment.end() <= stretch.from);
            let rest = segments.get(first..).unwrap_or_default();
            rest.iter()
                .take_while(|segment| segment.start < stretch.to)
                .filter(|segment| !segment.filler)
                .map(|segment| Piece {
                    segment: *segment,
                    from: Some(stretch.from).filter(|from| *from > segment.start),
                    to: Some(stretch.to).filter(|to| *to < segment.end()),
                    joint: false,
                })
        });
        let mut before: Option<Piece> = None;
        overlapping.map(move |piece| {
            let joint = before.replace(piece).is_some_and(|before| {
                // Where segments are missing, time jumps as it does between two runs.
                before.segment.discontinuity != piece.segment.discontinuity
                    || before.segment.number.saturating_add(1) != piece.segment.number
                    || before.to.is_some()
                    || piece.from.is_some()
            });
            Piece { joint, ..piece }
        })
    }

    /// When what is due at `at` happens by the dates of a list of this edit; none where that is cut out. What was told while
    /// the publisher was away happens where the list goes on, or, once it `is_final`, at its end.
    pub fn date_of(&self, segments: &[Segment], at: Timestamp, is_final: bool) -> Option<UnixMillis> {
        let stretch = self.0.iter().find(|stretch| stretch.from <= at && at < stretch.to)?;
        let (before, after) =
            segments.split_at_checked(segments.partition_point(|segment| segment.start <= at))?;
        let shown = before.last().filter(|segment| !segment.filler && at < segment.end());
        if let Some(segment) = shown {
            return Some(segment.wall + (at - segment.start));
        }
        let own = |segment: &&Segment| {
            !segment.filler && segment.start < stretch.to && segment.end() > stretch.from
        };
        if let Some(next) = after.iter().find(own) {
            return Some(next.wall);
        }
        // A millisecond before it, for the end itself is not in the list.
        let last = before.iter().rev().find(own).filter(|_| is_final)?;
        Some(last.wall + (last.duration - Span::from_millis(1)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    fn stretch(from: i64, to: i64) -> Stretch {
        Stretch { from: at(from), to: at(to) }
    }

    /// Segments of 2 s: three of one run, one of filler, two of another.
    fn recorded() -> Vec<Segment> {
        (0..6)
            .map(|number| Segment {
                number,
                init: 0,
                discontinuity: u64::from(number > 3),
                start: at(2000 * number as i64),
                duration: Span::from_millis(2000),
                wall: UnixMillis(0),
                bytes: 1,
                independent: true,
                filler: number == 3,
            })
            .collect()
    }

    fn shown(edit: &Edit) -> Vec<(u64, i64, i64, bool)> {
        let segments = recorded();
        let pieces = edit.pieces(&segments);
        pieces
            .map(|piece| {
                let (from, duration) = (piece.start().as_millis(), piece.duration().as_millis());
                (piece.segment.number, from, from + duration, piece.joint)
            })
            .collect()
    }

    #[test]
    fn what_was_told_beside_what_is_shown_happens_where_the_list_goes_on() {
        let mut segments = recorded();
        segments
            .iter_mut()
            .for_each(|segment| segment.wall = UnixMillis(100_000 + segment.start.as_millis()));
        let date = |edit: &Edit, segments: &[Segment], millis, is_final| {
            edit.date_of(segments, at(millis), is_final).map(|date| date.0 - 100_000)
        };
        let whole = Edit::default();
        assert_eq!(date(&whole, &segments, 0, false), Some(0));
        assert_eq!(date(&whole, &segments, 5999, false), Some(5999));
        // In the filler.
        assert_eq!(date(&whole, &segments, 6000, false), Some(8000));
        assert_eq!(date(&whole, &segments[..4], 6000, false), None, "not before it is known where that is");
        assert_eq!(date(&whole, &segments[..4], 6000, true), Some(5999));
        assert_eq!(date(&whole, &segments[3..4], 6000, true), None, "nothing is shown");
        let edit = Edit::new([stretch(1000, 3000), stretch(5000, 9000)]).unwrap();
        let dates: Vec<_> =
            [500, 1000, 4000, 5500, 7000, 9000].map(|at| date(&edit, &segments, at, true)).into();
        assert_eq!(dates, [None, Some(1000), None, Some(5500), Some(8000), None]);
    }

    #[test]
    fn everything_is_all_but_filler() {
        let whole = [
            (0, 0, 2000, false),
            (1, 2000, 4000, false),
            (2, 4000, 6000, false),
            (4, 8000, 10_000, true),
            (5, 10_000, 12_000, false),
        ];
        assert_eq!(shown(&Edit::default()), whole);
        let segments = recorded();
        assert!(Edit::default().pieces(&segments).all(|piece| piece.is_whole()));
    }

    #[test]
    fn a_clip_begins_and_ends_inside_of_segments() {
        let clip = Edit::new([stretch(3000, 9000)]).unwrap();
        let expected = [(1, 3000, 4000, false), (2, 4000, 6000, false), (4, 8000, 9000, true)];
        assert_eq!(shown(&clip), expected);
    }

    #[test]
    fn what_is_removed_inside_of_a_segment_leaves_two_pieces_of_it() {
        let edit = Edit::new([stretch(0, 4000)]).unwrap().without(&[stretch(500, 1000)]).unwrap();
        assert_eq!(shown(&edit), [(0, 0, 500, false), (0, 1000, 2000, true), (1, 2000, 4000, false)]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert_eq!(Edit::new([]), Err(BadEdit::Nothing));
        assert_eq!(Edit::new([stretch(5, 5)]), Err(BadEdit::Backwards));
        assert_eq!(Edit::new([stretch(0, 5), stretch(4, 6)]), Err(BadEdit::OutOfOrder));
        let many = (0..=STRETCHES as i64).map(|n| stretch(2 * n, 2 * n + 1));
        assert_eq!(Edit::new(many), Err(BadEdit::TooMany));
        let clip = Edit::new([stretch(10, 20)]).unwrap();
        assert_eq!(clip.without(&[stretch(15, 30), stretch(5, 16)]), Err(BadEdit::Nothing));
        assert_eq!(clip.without(&[stretch(16, 15)]), Err(BadEdit::Backwards));
    }

    proptest! {
        /// Every millisecond is shown if it was and is not removed, and no other.
        #[test]
        fn without_removes_just_what_it_is_told(
            from in 0..50i64, len in 1..50i64, removed in prop::collection::vec((0..100i64, 1..20i64), 0..5),
        ) {
            let removed: Vec<_> = removed.into_iter().map(|(from, len)| stretch(from, from + len)).collect();
            let within = |stretches: &[Stretch], milli: i64| {
                stretches.iter().any(|stretch| stretch.from <= at(milli) && at(milli) < stretch.to)
            };
            let before = Edit::new([stretch(from, from + len)]).unwrap();
            let after = before.without(&removed).map(|edit| edit.0).unwrap_or_default();
            for milli in 0..120 {
                let expected = within(&before.0, milli) && !within(&removed, milli);
                prop_assert_eq!(within(&after, milli), expected, "at {}", milli);
            }
        }
    }
}
