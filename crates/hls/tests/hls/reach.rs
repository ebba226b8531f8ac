//! Lists that reach back further than memory.

use std::{collections::BTreeSet, io::Read, time::Instant};

use flate2::read::GzDecoder;
use kaibo_container::segment::Cut;
use kaibo_hls::{Config, Format, Old, View, Wanted, Window};
use kaibo_media::Span;
use proptest::prelude::*;

use crate::{
    checker::Checker,
    cuts::{Segmenter, Shape},
};

const TARGET: u32 = 4;

const FMP4: Wanted<'_> = Wanted { format: Format::Fmp4, delta: false, query: "", reports: &[] };

const TS: Wanted<'_> = Wanted { format: Format::Ts, ..FMP4 };

/// A broadcast and what its server remembers of it.
struct Broadcast {
    config: Config,
    window: Window,
    segmenter: Segmenter,
    /// Every cut of every segment.
    cuts: Vec<Vec<Cut>>,
    /// What a recording knows of each.
    old: Vec<Old>,
    /// What it lost.
    lost: BTreeSet<u64>,
}

impl Broadcast {
    fn new(config: Config) -> Self {
        let mut segmenter = Segmenter::new(TARGET);
        segmenter.part_target = Some(Span::from_millis(900));
        let window = Window::new(config);
        Self { config, window, segmenter, cuts: Vec::new(), old: Vec::new(), lost: BTreeSet::new() }
    }

    fn segment(&mut self, shape: &Shape, is_lost: bool) {
        let cuts = self.segmenter.segment(shape);
        let Some(Cut::Begin(head)) = cuts.first() else { unreachable!() };
        if is_lost {
            self.lost.insert(head.number);
        }
        self.old.push(Old {
            number: head.number,
            duration: shape.duration,
            discontinuity: head.discontinuity,
            discontinuity_before: self.old.last().map_or(0, |old| old.discontinuity),
            init: head.init.number,
            wall: head.wall,
        });
        for cut in &cuts {
            self.window.apply_recorded(cut, |segment| !self.lost.contains(&segment.number())).unwrap();
        }
        self.cuts.push(cuts);
    }

    /// The next process knows the last `tail` segments, and what is recorded in front of them.
    fn restart(&mut self, tail: usize) {
        let whole = self.lost.last().map_or(0, |lost| *lost as usize + 1);
        let tail = self.cuts.len().saturating_sub(tail).max(whole);
        self.config.parts_from = self.cuts.len() as u64;
        let independent =
            |cuts: &Vec<Cut>| matches!(cuts.first(), Some(Cut::Begin(head)) if head.independent);
        self.config.independent = self.cuts.iter().all(independent);
        let before = self.old.get(tail).map_or(self.config.discontinuity, |old| old.discontinuity_before);
        self.window = Window::new(Config { discontinuity: before, ..self.config });
        self.window.recall(self.old.iter().take(tail).skip(whole).copied());
        for cut in self.cuts.iter().skip(tail).flatten() {
            self.window.apply_recorded(cut, |segment| !self.lost.contains(&segment.number())).unwrap();
        }
    }

    /// One whose memory holds everything since it began.
    fn with_all_in_memory(&self) -> Window {
        let window =
            Config { window: self.config.reach, reach: Span::ZERO, bytes: usize::MAX, ..self.config };
        let mut all = Window::new(window);
        self.cuts.iter().flatten().try_for_each(|cut| all.apply(cut)).unwrap();
        all
    }
}

fn shape() -> impl Strategy<Value = Shape> {
    let away = prop::option::weighted(0.05, 0..900_000_i64);
    (1000..4400_i64, away, prop::bool::weighted(0.03), prop::bool::weighted(0.999)).prop_map(
        |(millis, away, new_init, independent)| Shape {
            away,
            new_init,
            independent,
            ..Shape::millis(millis)
        },
    )
}

fn unzipped(view: &View, wanted: Wanted<'_>) -> String {
    let mut text = String::new();
    let zipped = view.pieces(wanted).unwrap().gzip().concat();
    GzDecoder::new(&zipped[..]).read_to_string(&mut text).unwrap();
    text
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_list_is_the_same_whether_memory_or_a_recording_holds_it(
        shapes in prop::collection::vec((shape(), prop::bool::weighted(0.01)), 1..420),
        window in 0..40_000_i64,
        reach in prop_oneof![Just(12 * 3_600_000_i64), 60_000..900_000_i64],
        bytes in prop_oneof![Just(usize::MAX), 0..30_000_usize],
        tail in 6..20_usize,
    ) {
        let config = Config {
            window: Span::from_millis(window),
            reach: Span::from_millis(reach),
            bytes,
            ..Config::default()
        };
        let mut broadcast = Broadcast::new(config);
        for (at, (shape, restarts)) in shapes.iter().enumerate() {
            broadcast.segment(shape, false);
            if *restarts {
                broadcast.restart(tail);
            }
            if at % 41 != 0 && at + 1 != shapes.len() {
                continue;
            }
            let (all, view) = (broadcast.with_all_in_memory().view(), broadcast.window.view());
            for wanted in [FMP4, TS, Wanted { query: "session=1", ..FMP4 }, Wanted { query: "session=1", ..TS }] {
                prop_assert_eq!(view.playlist(wanted), all.playlist(wanted));
            }
            let delta = Wanted { delta: true, ..FMP4 };
            prop_assert_eq!(view.playlist(delta), all.playlist(delta));
            prop_assert_eq!(unzipped(&view, FMP4), view.playlist(FMP4).unwrap());
            prop_assert_eq!(unzipped(&view, TS), view.playlist(TS).unwrap());
        }
    }

    #[test]
    fn what_is_lost_is_not_listed_once_memory_has_dropped_it(
        shapes in prop::collection::vec((shape(), prop::bool::weighted(0.02), prop::bool::weighted(0.02)), 1..300),
        reach in 60_000..900_000_i64,
    ) {
        let config = Config {
            window: Span::from_millis(12_000),
            reach: Span::from_millis(reach),
            ..Config::default()
        };
        let mut broadcast = Broadcast::new(config);
        let mut checker = Checker::default();
        for (shape, is_lost, restarts) in &shapes {
            broadcast.segment(shape, *is_lost);
            // A restart with a fresh loss has nothing of the list: that is a matter of the live window alone.
            let newest_lost = broadcast.lost.last().map_or(0, |lost| *lost as usize + 1);
            if *restarts && broadcast.cuts.len() >= newest_lost + 12 {
                broadcast.restart(12);
            }
            let view = broadcast.window.view();
            let playlist = checker.observe(&view.playlist(FMP4).unwrap()).unwrap();
            let in_memory = view.listed()[0].number();
            for segment in playlist.segments.iter().take_while(|segment| segment.number < in_memory) {
                prop_assert!(!broadcast.lost.contains(&segment.number));
            }
        }
    }
}

/// A broadcast of 12 h in segments of 2 s.
fn half_a_day() -> Broadcast {
    let reach = Span::from_millis(12 * 3_600_000);
    let mut broadcast = Broadcast::new(Config { reach, ..Config::default() });
    for number in 0..21_700 {
        let away = (number % 5000 == 4999).then_some(60_000);
        broadcast.segment(&Shape { away, bytes: 8, ..Shape::millis(2000) }, false);
    }
    broadcast
}

#[test]
fn a_change_of_a_list_of_half_a_day_costs_what_is_new() {
    let mut broadcast = half_a_day();
    let first = broadcast.window.view();
    let before = Instant::now();
    let text: usize = first.pieces(FMP4).unwrap().chunks().iter().map(|chunk| chunk.len()).sum();
    let zipped: usize = first.pieces(FMP4).unwrap().gzip().iter().map(|chunk| chunk.len()).sum();
    let once = before.elapsed();
    assert!(text > 1_500_000, "{text} bytes");
    let whole = |view: &View| view.pieces(FMP4).unwrap();
    let before = Instant::now();
    for _ in 0..100 {
        broadcast.segment(&Shape { bytes: 8, ..Shape::millis(2000) }, false);
        let pieces = whole(&broadcast.window.view());
        std::hint::black_box((pieces.chunks(), pieces.gzip()));
    }
    let each = before.elapsed() / 100;
    let before = Instant::now();
    let delta = broadcast.window.view().playlist(Wanted { delta: true, ..FMP4 }).unwrap();
    let small = before.elapsed();
    let before = Instant::now();
    let own =
        broadcast.window.view().pieces(Wanted { query: "session=0123456789", ..FMP4 }).unwrap().chunks();
    let personal = before.elapsed();
    println!("{text} bytes, {zipped} compressed, at first {once:?}, each change {each:?}");
    println!("a delta of {} bytes {small:?}; {} pieces with a session {personal:?}", delta.len(), own.len());
    assert!(delta.len() < 8000, "{} bytes", delta.len());
    assert!(each * 10 < once, "{each:?} for each change, {once:?} for the whole");
    assert_eq!(unzipped(&broadcast.window.view(), FMP4), broadcast.window.view().playlist(FMP4).unwrap());
}
