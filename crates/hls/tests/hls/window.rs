//! Any broadcast, reload by reload, as players of both formats see it.

use std::collections::BTreeMap;

use kaibo_container::segment::{Cut, SegmentEnd};
use kaibo_hls::{Config, Format, Misplaced, Position, View, Wanted, Window};
use kaibo_media::Span;
use proptest::prelude::*;

use crate::{
    checker::{Checker, Playlist},
    cuts::{Segmenter, Shape},
};

const TARGET: u32 = 4;

const FMP4: Wanted<'_> = Wanted { format: Format::Fmp4, delta: false, query: "", reports: &[] };

const TS: Wanted<'_> = Wanted { format: Format::Ts, ..FMP4 };

/// Anything a segmenter may make: every duration that rounds to at most the target duration, down to the flick.
fn shape() -> impl Strategy<Value = Shape> {
    let longest = Span::from_millis(i64::from(TARGET) * 1000 + 500).in_scale(705_600_000) - 1;
    let duration = prop_oneof![
        3 => Just(Span::from_millis(2000)),
        2 => (705_600..=longest).prop_map(|flicks| Span::from_scale(flicks, 705_600_000)),
        1 => Just(Span::from_scale(longest, 705_600_000)),
    ];
    let away = prop::option::weighted(0.1, 0..900_000_i64);
    (duration, away, prop::bool::weighted(0.05), prop::bool::weighted(0.98), 1..5_u32, 5..3000_usize)
        .prop_map(|(duration, away, new_init, independent, parts, bytes)| Shape {
            duration,
            away,
            new_init,
            independent,
            parts,
            bytes,
        })
}

/// What a test knows of a segment: whether it begins with a keyframe, how long it is, and, once it has left the list,
/// until when a player may still want it.
struct Known {
    independent: bool,
    duration: Span,
    until: Option<Span>,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_reload_ever_surprises_a_player(
        shapes in prop::collection::vec(shape(), 1..50),
        window in 0..40_000_i64,
        first in prop_oneof![Just(0), 0..1_000_000_u64],
        part_target in prop_oneof![Just(500), 350..1500_i64],
    ) {
        let config = Config { window: Span::from_millis(window), bytes: usize::MAX, ..Config::default() };
        let (mut segmenter, mut window) = (Segmenter::new(TARGET), Window::new(config));
        segmenter.number = first;
        segmenter.part_target = Some(Span::from_millis(part_target));
        let (mut fmp4, mut ts) = (Checker::default(), Checker::default());
        let mut known = BTreeMap::new();
        let (mut elapsed, mut longest) = (Span::ZERO, Span::ZERO);
        for shape in &shapes {
            let mut position = window.position();
            let cuts = segmenter.segment(shape);
            for (cut, next) in cuts.iter().zip(cuts.iter().skip(1).map(Some).chain([None])) {
                window.apply(cut).unwrap();
                prop_assert!(window.position() >= position);
                position = window.position();
                // The last part of a segment comes with its end: nobody sees the one without the other.
                let view = window.view();
                if !matches!(next, Some(Cut::End(_))) && view.newest().is_some() {
                    let whole = fmp4.observe(&view.playlist(Wanted { query: "s=1", ..FMP4 }).unwrap()).unwrap();
                    let delta = view.playlist(Wanted { delta: true, ..FMP4 }).unwrap();
                    prop_assert!(parts_near_the_end_are_listed(&view, &whole));
                    prop_assert_eq!(fmp4.expand(&delta).unwrap(), whole);
                }
            }
            let number = segmenter.number - 1;
            prop_assert_eq!(position, Position { segment: number + 1, parts: 0 });
            known.insert(number, Known { independent: shape.independent, duration: shape.duration, until: None });
            elapsed += shape.duration;
            let view = window.view();
            let playlist = fmp4.observe(&view.playlist(FMP4).unwrap()).unwrap();
            let twin = ts.observe(&view.playlist(TS).unwrap()).unwrap();
            same_but_for_the_names(&playlist, &twin);
            let first = playlist.segments[0].number;
            for gone in known.range_mut(..first).map(|(_, known)| known) {
                gone.until.get_or_insert(elapsed + gone.duration + longest);
            }
            prop_assert!(!playlist.independent || known.range(first..).all(|(_, known)| known.independent));
            // H6: whoever has loaded a playlist can fetch what it lists.
            for (number, known) in &known {
                if known.until.is_none_or(|until| elapsed < until) {
                    let segment = window.segment(*number).expect("it is still wanted");
                    prop_assert_eq!(segment.duration, known.duration);
                    prop_assert!(window.init(segment.head.init.number).is_some());
                }
            }
            longest = longest.max(window.view().listed().iter().map(|segment| segment.duration).sum());
        }
        window.end();
        for (wanted, checker) in [(FMP4, &mut fmp4), (TS, &mut ts)] {
            let playlist = checker.observe(&window.view().playlist(wanted).unwrap()).unwrap();
            prop_assert!(playlist.ended);
            // H2: what is listed lasts as long as the media, within half a microsecond a segment.
            let micros: u64 = playlist.segments.iter().map(|segment| segment.duration).sum();
            let exact: Span = window.view().listed().iter().map(|segment| segment.duration).sum();
            prop_assert!(exact.in_scale(1_000_000).unsigned_abs().abs_diff(micros) <= playlist.segments.len() as u64);
        }
        prop_assert_eq!(window.apply(&segmenter.segment(&Shape::millis(2000))[0]), Err(Misplaced::Ended));
    }

    #[test]
    fn memory_stays_in_its_bound_but_for_what_must_stay_listed(
        shapes in prop::collection::vec(shape(), 1..120),
        bytes in 0..60_000_usize,
    ) {
        let config = Config { bytes, ..Config::default() };
        let (mut segmenter, mut window, mut checker) = (Segmenter::new(TARGET), Window::new(config), Checker::default());
        for shape in &shapes {
            let cuts = segmenter.segment(shape);
            cuts.iter().try_for_each(|cut| window.apply(cut)).unwrap();
            let view = window.view();
            checker.observe(&view.playlist(FMP4).unwrap()).unwrap();
            let kept: Vec<_> = (0..segmenter.number).filter_map(|number| window.segment(number)).collect();
            let listed: Span = view.listed().iter().map(|segment| segment.duration).sum();
            if kept.iter().map(|segment| segment.size(Format::Fmp4)).sum::<usize>() > bytes {
                prop_assert_eq!(kept.len(), view.listed().len(), "nothing that left the list");
                let oldest = kept[0].duration;
                prop_assert!(
                    kept.len() <= 6 || listed - oldest < Span::from_millis(i64::from(TARGET) * 3000),
                    "nothing listed that may leave"
                );
            }
        }
    }
}

fn same_but_for_the_names(fmp4: &Playlist, ts: &Playlist) {
    let mut twin = ts.clone();
    for segment in &mut twin.segments {
        segment.uri = segment.uri.replace(".ts", ".m4s");
    }
    let mut fmp4 = Playlist { low_latency: None, parts: BTreeMap::new(), open: None, ..fmp4.clone() };
    for segment in &mut fmp4.segments {
        assert!(segment.map.take().is_some());
    }
    assert_eq!(fmp4, twin);
}

/// Everything within three target durations of the end that was made by this process.
fn parts_near_the_end_are_listed(view: &View, seen: &Playlist) -> bool {
    let mut behind = view.position().parts;
    let mut media = Span::ZERO;
    for index in 0..behind {
        media += view.part(view.position().segment, index).unwrap().duration;
    }
    for segment in view.listed().iter().rev() {
        if media >= Span::from_millis(i64::from(TARGET) * 3000) {
            break;
        }
        media += segment.duration;
        behind += segment.parts.len() as u32;
    }
    seen.parts.len() == behind as usize
}

/// 2 s segments in a window of 12 s.
fn rolling(count: usize, part_target: Option<Span>) -> (Segmenter, Window) {
    let config = Config { window: Span::from_millis(12_000), ..Config::default() };
    let (mut segmenter, mut window) = (Segmenter::new(2), Window::new(config));
    segmenter.part_target = part_target;
    for cut in (0..count).flat_map(|_| segmenter.segment(&Shape::millis(2000))) {
        window.apply(&cut).unwrap();
    }
    (segmenter, window)
}

#[test]
fn a_segment_can_be_fetched_for_as_long_as_a_player_may_still_want_it() {
    let (_, window) = rolling(20, None);
    let view = window.view();
    assert_eq!(view.newest().unwrap().number(), 19);
    assert_eq!(
        view.listed().iter().map(|segment| segment.number()).collect::<Vec<_>>(),
        [14, 15, 16, 17, 18, 19]
    );
    // For 2 s of its own and 12 s of playlist after it has left the list: the last seven that did.
    let kept: Vec<_> = (0..25).filter(|number| window.segment(*number).is_some()).collect();
    assert_eq!(kept, (7..20).collect::<Vec<_>>());
}

#[test]
fn a_segment_is_its_parts_and_cannot_be_fetched_before_it_is_complete() {
    let (mut segmenter, mut window) = rolling(1, None);
    let cuts = segmenter.segment(&Shape { parts: 3, bytes: 9, ..Shape::millis(2000) });
    for (cut, parts) in cuts.iter().zip(0..4) {
        window.apply(cut).unwrap();
        assert_eq!(window.position(), Position { segment: 1, parts });
        assert!(window.segment(1).is_none());
    }
    window.apply(&cuts[4]).unwrap();
    let segment = window.segment(1).unwrap();
    assert_eq!(segment.chunks().collect::<Vec<_>>().concat(), [0, 0, 0, 1, 1, 1, 2, 2, 2]);
    assert_eq!(segment.size(Format::Fmp4), 9);
}

#[test]
fn a_broadcast_that_goes_on_after_a_restart_shows_its_discontinuity() {
    let (mut segmenter, mut before) = rolling(9, Some(Span::from_millis(500)));
    let mut checker = Checker::default();
    let mut observe = |window: &Window| checker.observe(&window.view().playlist(FMP4).unwrap()).unwrap();
    let resume =
        |segmenter: &mut Segmenter| segmenter.segment(&Shape { away: Some(3000), ..Shape::millis(2000) });
    resume(&mut segmenter).iter().try_for_each(|cut| before.apply(cut)).unwrap();
    observe(&before);
    // The next process knows the window's cuts from the recording.
    let mut after =
        Window::new(Config { window: Span::from_millis(12_000), parts_from: 10, ..Config::default() });
    for segment in before.view().listed() {
        after.apply(&Cut::Begin(segment.head.clone())).unwrap();
        segment.parts.iter().try_for_each(|part| after.apply(&Cut::Part(part.clone()))).unwrap();
        let (number, duration) = (segment.number(), segment.duration);
        let end = SegmentEnd { number, duration, target_duration: 2, part_target: segmenter.part_target };
        after.apply(&Cut::End(end)).unwrap();
    }
    assert_eq!(after.view().playlist(TS), before.view().playlist(TS));
    // What a part's exact duration was is not recorded: segments from before are listed as wholes.
    assert!(!after.view().playlist(FMP4).unwrap().contains("#EXT-X-PART:"));
    assert_eq!(after.part(9, 1).unwrap().bytes, before.part(9, 1).unwrap().bytes, "but may be fetched");
    resume(&mut segmenter).iter().try_for_each(|cut| after.apply(cut)).unwrap();
    assert_eq!(observe(&after).segments.last().unwrap().discontinuity, 2);
}

#[test]
fn a_list_that_joins_others_begins_with_their_numbers() {
    let mut segmenter = Segmenter::new(4);
    let mut segments: Vec<_> = (0..4).map(|_| segmenter.segment(&Shape::millis(2000))).collect();
    segments.extend((0..2).map(|_| segmenter.segment(&Shape { away: Some(1), ..Shape::millis(2000) })));
    let mut window = Window::new(Config { joins: true, ..Config::default() });
    segments[5].iter().try_for_each(|cut| window.apply(cut)).unwrap();
    let playlist = Checker::default().observe(&window.view().playlist(FMP4).unwrap()).unwrap();
    assert_eq!((playlist.segments[0].number, playlist.segments[0].discontinuity), (5, 2));
    assert!(window.view().playlist(TS).unwrap().contains("#EXT-X-DISCONTINUITY-SEQUENCE:2\n"));
}

#[test]
fn cuts_that_do_not_follow_are_refused_and_change_nothing() {
    let (mut segmenter, mut window) = rolling(1, None);
    let first = segmenter.segment(&Shape::millis(2000));
    let second = segmenter.segment(&Shape { away: Some(1), ..Shape::millis(2000) });
    let third = segmenter.segment(&Shape { away: Some(1), ..Shape::millis(2000) });
    let refused = |window: &mut Window, cut, why| {
        let before = format!("{window:?}");
        assert_eq!(window.apply(cut), Err(why));
        assert_eq!(format!("{window:?}"), before);
    };
    refused(&mut window, &first[1], Misplaced::Part { segment: 1, index: 0 });
    refused(&mut window, &first[3], Misplaced::End { number: 1 });
    refused(&mut window, &second[0], Misplaced::Number { number: 2, due: 1 });
    window.apply(&first[0]).unwrap();
    refused(&mut window, &first[3], Misplaced::End { number: 1 });
    refused(&mut window, &first[2], Misplaced::Part { segment: 1, index: 1 });
    refused(&mut window, &second[0], Misplaced::Nested { number: 2, open: 1 });
    first[1..].iter().try_for_each(|cut| window.apply(cut)).unwrap();
    window.apply(&second[0]).unwrap();
    refused(&mut window, &second[3], Misplaced::End { number: 2 });
    let mut restarted = Window::new(Config::default());
    let why = Misplaced::Discontinuity { number: 3, found: 2, before: 0 };
    refused(&mut restarted, &third[0], why);
}
