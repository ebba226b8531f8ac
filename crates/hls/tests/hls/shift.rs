//! Views of another time than now.

use kaibo_hls::{BadShift, Entry, Format, Kind, Selection, Shift, Uris};
use kaibo_media::{Span, UnixMillis};
use proptest::prelude::*;

use crate::{
    checker::{Checker, Playlist},
    cuts::BEGAN,
};

const URIS: Uris<'_> = Uris { prefix: "", format: Format::Fmp4, query: "" };

fn span(millis: i64) -> Span {
    Span::from_millis(millis)
}

fn at(millis: i64) -> UnixMillis {
    UnixMillis(BEGAN.0 + millis)
}

/// 2 s segments of these numbers and discontinuity numbers.
fn recorded(numbers: impl IntoIterator<Item = (u64, u64)>) -> Vec<Entry<'static>> {
    let entry = |(number, discontinuity): (u64, u64)| Entry {
        number,
        duration: Some(span(2000)),
        discontinuity,
        init: 0,
        wall: at(number as i64 * 2000),
        parts: &[],
    };
    numbers.into_iter().map(entry).collect()
}

fn live_at(recorded: &[Entry<'static>], millis: i64) -> Selection {
    Selection::live_at(recorded.iter().copied(), at(millis), span(12_000), 2)
}

fn numbers(playlist: &Playlist) -> Vec<u64> {
    playlist.segments.iter().map(|segment| segment.uri.trim_end_matches(".m4s").parse().unwrap()).collect()
}

fn list(selection: &Selection, kind: Kind) -> Playlist {
    Checker::default().observe(&selection.playlist(kind, false, 2, true, &[], URIS)).unwrap()
}

#[test]
fn a_delayed_list_ends_with_what_had_ended_then() {
    let all = recorded((0..20).map(|number| (number, 0)));
    assert!(live_at(&all, 1999).is_empty());
    assert_eq!(live_at(&all, 1999).next, Some(at(2000)));
    assert_eq!(numbers(&list(&live_at(&all, 2000), Kind::Live)), [0]);
    let later = list(&live_at(&all, 21_500), Kind::Live);
    assert_eq!(numbers(&later), [4, 5, 6, 7, 8, 9]);
    assert_eq!(later.segments[0].number, 4);
    assert_eq!(live_at(&all, 40_000).next, None);
}

#[test]
fn a_range_has_every_segment_that_it_touches() {
    let all = recorded((0..20).map(|number| (number, 0)));
    let between = |start, end: Option<i64>| Selection::between(all.iter().copied(), at(start), end.map(at));
    assert_eq!(numbers(&list(&between(3000, Some(8000)), Kind::Event)), [1, 2, 3]);
    assert_eq!(numbers(&list(&between(4000, Some(8001)), Kind::Event)), [2, 3, 4]);
    assert_eq!(numbers(&list(&between(-90_000, Some(1)), Kind::Event)), [0], "the start is the broadcast's");
    assert_eq!(numbers(&list(&between(35_000, None), Kind::Event)), [17, 18, 19]);
    assert!(between(40_000, None).is_empty());
    assert!(between(3000, Some(8000)).next.is_some());
    assert!(between(3000, Some(80_000)).next.is_none());
}

#[test]
fn what_is_lost_is_a_discontinuity() {
    let all = recorded([(3, 1), (4, 1), (7, 1), (8, 2), (9, 2)]);
    let range = list(&Selection::between(all.iter().copied(), at(0), None), Kind::Event);
    let told: Vec<_> = range
        .segments
        .iter()
        .map(|segment| (segment.number, segment.discontinuity, segment.tagged))
        .collect();
    assert_eq!(told, [(0, 0, false), (1, 0, false), (2, 1, true), (3, 2, true), (4, 2, false)]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_delayed_list_never_surprises_a_player(
        shapes in prop::collection::vec((500..2400_i64, 0..2_u64, 0..2_u64, 0..30_000_i64), 1..60),
        steps in prop::collection::vec(0..4000_i64, 1..80),
    ) {
        let (mut number, mut discontinuity, mut wall) = (7, 3, BEGAN);
        let mut all = Vec::new();
        for (millis, joint, skipped, away) in shapes {
            let gone = joint == 1 || skipped == 1;
            discontinuity += joint;
            number += 1 + skipped * 5;
            wall = wall + span(if gone { away } else { 0 });
            let duration = Some(span(millis));
            all.push(Entry { number, duration, discontinuity, init: discontinuity as u32, wall, parts: &[] });
            wall = wall + span(millis);
        }
        let mut checker = Checker::default();
        let mut now = 0;
        for step in steps {
            now += step;
            let selection = live_at(&all, now);
            if !selection.is_empty() {
                checker.observe(&selection.playlist(Kind::Live, selection.next.is_none(), 2, true, &[], URIS)).unwrap();
                prop_assert!(selection.end() <= Some(at(now)));
            }
        }
    }
}

#[test]
fn queries_are_read_and_the_rest_is_kept() {
    let range = |start: i64, end: Option<i64>| {
        Some(Shift::Range { start: UnixMillis(start * 1000), end: end.map(|end| UnixMillis(end * 1000)) })
    };
    for (query, shift, rest) in [
        ("", None, ""),
        ("session=a1", None, "session=a1"),
        ("delay=30", Some(Shift::Delay(span(30_000))), ""),
        ("delay=43200&session=a1", Some(Shift::Delay(span(43_200_000))), "session=a1"),
        ("txSecret=1&start=1795296420&txTime=2", range(1_795_296_420, None), "txSecret=1&txTime=2"),
        ("start=0&end=9999999999", range(0, Some(9_999_999_999)), ""),
        ("delayed=1&restart=2", None, "delayed=1&restart=2"),
    ] {
        assert_eq!(Shift::parse(query), Ok((shift, rest.into())), "{query}");
        if let Some(shift) = shift {
            assert_eq!(Shift::parse(&shift.query()).unwrap().0, Some(shift));
        }
    }
    for (query, error) in [
        ("delay=0", BadShift::Delay),
        ("delay=43201", BadShift::Delay),
        ("delay=", BadShift::NoNumber("delay")),
        ("delay", BadShift::NoNumber("delay")),
        ("delay=-3", BadShift::NoNumber("delay")),
        ("delay=+3", BadShift::NoNumber("delay")),
        ("start=1.5", BadShift::NoNumber("start")),
        ("start=99999999999", BadShift::NoNumber("start")),
        ("delay=3&delay=3", BadShift::Twice("delay")),
        ("delay=3&start=3", BadShift::Both),
        ("end=3", BadShift::EndAlone),
        ("start=3&end=3", BadShift::Empty),
        ("start=3&end=2", BadShift::Empty),
    ] {
        assert_eq!(Shift::parse(query), Err(error), "{query}");
    }
}
