//! Small pictures for a replay's seek bar: which keyframes are shown, how they lie on sheets, and the index that players
//! read (WebVTT with spatial media fragments, as JW Player, Shaka, Plyr and others take it).

use std::fmt::Write;

use kaibo_media::Span;

use crate::{Piece, Segment};

/// Pictures in one row of a sheet, and rows: 25 of 160x90 are 800x450, some 60 KiB.
const COLUMNS: usize = 5;
const ROWS: usize = 5;

/// Keyframes that one sheet is made of, at the most.
pub const ON_A_SHEET: usize = COLUMNS * ROWS;

/// A segment whose keyframe stands for a stretch of the replay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shot {
    /// It begins with the keyframe.
    pub segment: Segment,
    /// Where on the replay's seek bar the stretch begins, and where it ends.
    pub from: Span,
    /// See `from`.
    pub to: Span,
}

/// One shot for every stretch of `every` of what is shown, or of longer ones where those would be more than `most`. None
/// where nothing begins with a keyframe: one that was cut off in front is not shown here either.
pub fn shots(pieces: &[Piece], every: Span, most: u32) -> Vec<Shot> {
    let whole: Span = pieces.iter().map(Piece::duration).sum();
    // Rounded up, so that they are never one too many.
    let shortest = Span::from_millis(whole.as_millis() / i64::from(most.max(1)) + 1);
    let every = every.max(shortest);
    let mut shots: Vec<Shot> = Vec::new();
    let mut at = Span::ZERO;
    for piece in pieces {
        let due = shots.last().is_none_or(|last| at >= last.from + every);
        if due && piece.has_keyframe() {
            if let Some(last) = shots.last_mut() {
                last.to = at;
            }
            // The first stands for whatever is before it, too.
            let from = if shots.is_empty() { Span::ZERO } else { at };
            shots.push(Shot { segment: piece.segment, from, to: whole });
        }
        at += piece.duration();
    }
    shots
}

/// `shots` as they are put on sheets: one after the other, those of one sheet of the same initialisation section, so that
/// they are decoded alike and have one size.
pub fn sheets(shots: &[Shot]) -> impl Iterator<Item = &[Shot]> {
    shots
        .chunk_by(|before, shot| before.segment.init == shot.segment.init)
        .flat_map(|alike| alike.chunks(ON_A_SHEET))
}

/// Columns and rows of a sheet of `shots` pictures.
pub fn grid(shots: usize) -> (usize, usize) {
    (shots.clamp(1, COLUMNS), shots.div_ceil(COLUMNS).max(1))
}

/// A sheet that was made.
#[derive(Clone, Debug)]
pub struct Sheet<'a> {
    /// Its address, relative to the index'.
    pub name: String,
    /// What is on it, row by row.
    pub shots: &'a [Shot],
    /// Width and height of the whole sheet in pixels.
    pub size: (u32, u32),
}

/// The index of `sheets`.
pub fn vtt(sheets: &[Sheet<'_>]) -> String {
    let mut text = String::from("WEBVTT\n");
    for Sheet { name, shots, size } in sheets {
        let (columns, rows) = grid(shots.len());
        let (width, height) = (size.0 as usize / columns, size.1 as usize / rows);
        for (place, Shot { from, to, .. }) in shots.iter().enumerate() {
            let (x, y) = (place % columns * width, place / columns * height);
            let (from, to) = (clock(*from), clock(*to));
            // Writing to a String can't fail.
            let _ = write!(text, "\n{from} --> {to}\n{name}#xywh={x},{y},{width},{height}\n");
        }
    }
    text
}

/// The place of the first picture that shows something, of keyframes with these sizes in bytes: a black or an empty one
/// takes a fraction of what the others take.
pub fn decent(sizes: &[usize]) -> usize {
    let mut sorted = sizes.to_vec();
    sorted.sort_unstable();
    let usual = sorted.get(sorted.len() / 2).copied().unwrap_or(0);
    sizes.iter().position(|size| *size >= usual / 2).unwrap_or(0)
}

/// A time in an index: hours, minutes, seconds and milliseconds (WebVTT §4.3).
fn clock(at: Span) -> String {
    let millis = at.as_millis().max(0);
    let (hours, minutes, seconds) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
    format!("{hours:02}:{minutes:02}:{seconds:02}.{:03}", millis % 1000)
}

#[cfg(test)]
mod tests {
    use kaibo_media::{Timestamp, UnixMillis};
    use proptest::prelude::*;

    use super::*;
    use crate::{Edit, Stretch};

    fn segment(number: u64, millis: i64) -> Segment {
        Segment {
            number,
            init: 0,
            discontinuity: 0,
            start: Timestamp::from_millis(number as i64 * millis),
            duration: Span::from_millis(millis),
            wall: UnixMillis(0),
            bytes: 1000,
            independent: true,
            filler: false,
        }
    }

    fn shots(segments: &[Segment], every: i64, most: u32) -> Vec<Shot> {
        let pieces: Vec<_> = Edit::default().pieces(segments).collect();
        super::shots(&pieces, Span::from_millis(every), most)
    }

    fn times(shots: &[Shot]) -> Vec<(u64, i64, i64)> {
        shots.iter().map(|shot| (shot.segment.number, shot.from.as_millis(), shot.to.as_millis())).collect()
    }

    #[test]
    fn every_stretch_has_the_keyframe_that_it_begins_with() {
        let segments: Vec<_> = (0..12).map(|number| segment(number, 2000)).collect();
        let shots = shots(&segments, 10_000, 200);
        assert_eq!(times(&shots), [(0, 0, 10_000), (5, 10_000, 20_000), (10, 20_000, 24_000)]);
    }

    #[test]
    fn neither_filler_nor_a_segment_without_a_keyframe_is_shown() {
        let mut segments: Vec<_> = (0..10).map(|number| segment(number, 5000)).collect();
        segments[0].independent = false;
        segments[3].filler = true;
        segments[4].filler = true;
        segments[5].independent = false;
        let shots = shots(&segments, 10_000, 200);
        let expected = [(1, 0, 10_000), (2, 10_000, 20_000), (6, 20_000, 30_000), (8, 30_000, 40_000)];
        assert_eq!(times(&shots), expected);
    }

    #[test]
    fn what_was_cut_out_is_not_shown() {
        let segments: Vec<_> = (0..6).map(|number| segment(number, 10_000)).collect();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let edit =
            Edit::new([Stretch { from: at(5), to: at(25) }, Stretch { from: at(45), to: at(60) }]).unwrap();
        let pieces: Vec<_> = edit.pieces(&segments).collect();
        let shots = super::shots(&pieces, Span::from_millis(10_000), 200);
        assert_eq!(times(&shots), [(1, 0, 15_000), (2, 15_000, 25_000), (5, 25_000, 35_000)]);
    }

    #[test]
    fn a_long_replay_has_longer_stretches() {
        let segments: Vec<_> = (0..21_600).map(|number| segment(number, 2000)).collect();
        let shots = shots(&segments, 10_000, 200);
        assert!((190..=200).contains(&shots.len()), "{}", shots.len());
        assert_eq!(shots.last().unwrap().to.as_millis(), 43_200_000);
    }

    #[test]
    fn a_sheet_has_pictures_of_one_kind() {
        let mut segments: Vec<_> = (0..40).map(|number| segment(number, 10_000)).collect();
        segments.iter_mut().skip(30).for_each(|segment| segment.init = 1);
        let shots = shots(&segments, 10_000, 200);
        let lengths: Vec<_> = sheets(&shots).map(<[_]>::len).collect();
        assert_eq!(lengths, [25, 5, 10]);
    }

    #[test]
    fn the_index_says_where_each_picture_is() {
        let segments: Vec<_> = (0..7).map(|number| segment(number, 600_000)).collect();
        let shots = shots(&segments, 10_000, 200);
        let sheet = Sheet { name: "thumbnails-0.jpg".into(), shots: &shots, size: (800, 180) };
        let text = vtt(&[sheet]);
        assert!(
            text.starts_with("WEBVTT\n\n00:00:00.000 --> 00:10:00.000\nthumbnails-0.jpg#xywh=0,0,160,90\n")
        );
        assert!(
            text.ends_with("\n01:00:00.000 --> 01:10:00.000\nthumbnails-0.jpg#xywh=160,90,160,90\n"),
            "{text}"
        );
        assert_eq!(vtt(&[]), "WEBVTT\n");
    }

    #[test]
    fn a_black_picture_is_no_cover() {
        assert_eq!(decent(&[900, 950, 40_000, 41_000, 39_000]), 2);
        assert_eq!(decent(&[500, 500, 500]), 0);
        assert_eq!(decent(&[700]), 0);
        assert_eq!(decent(&[]), 0);
    }

    proptest! {
        #[test]
        fn the_stretches_cover_the_replay_and_are_never_too_many(
            segments in prop::collection::vec((1i64..30_000, any::<bool>(), 0u8..4), 1..300),
            every in 1i64..60_000,
            most in 1u32..50,
        ) {
            let (mut start, mut number) = (Timestamp::ZERO, 0);
            let segments: Vec<_> = segments.iter().map(|(millis, independent, kind)| {
                let own = Segment { start, independent: *independent, filler: *kind == 0, ..segment(number, *millis) };
                (start, number) = (own.end(), number + 1);
                own
            }).collect();
            let shots = shots(&segments, every, most);
            prop_assert!(shots.len() <= most as usize);
            let whole: Span = segments.iter().filter(|segment| !segment.filler).map(|segment| segment.duration).sum();
            if let (Some(first), Some(last)) = (shots.first(), shots.last()) {
                prop_assert_eq!(first.from, Span::ZERO);
                prop_assert_eq!(last.to, whole);
            }
            prop_assert!(shots.windows(2).all(|pair| pair[0].to == pair[1].from && pair[0].from < pair[0].to));
        }
    }
}
