//! Any history of pushes and reads, against a plain list of what the ring has to hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test may panic")]

mod support;

use std::{collections::VecDeque, sync::Arc};

use kaibo_hub::{Cursor, Entry, Limits, Next, Ring, Start, ring};
use proptest::prelude::*;
use support::Tick;

#[derive(Clone, Debug)]
enum Step {
    Push { size: usize, later: i64, keyframe: bool, more: u8 },
    Join(Start),
    Read(usize),
    Leave(usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let start = prop_oneof![Just(Start::Keyframe), Just(Start::Oldest), Just(Start::Next)];
    let step = prop_oneof![
        6 => (0..400_usize, -5..40_i64, prop::bool::weighted(0.15), 0..4_u8)
            .prop_map(|(size, later, keyframe, more)| Step::Push { size, later, keyframe, more }),
        1 => start.prop_map(Step::Join),
        4 => (0..8_usize).prop_map(Step::Read),
        1 => (0..8_usize).prop_map(Step::Leave),
    ];
    prop::collection::vec(step, 1..300)
}

/// What a reader has seen so far, and the cursor under test.
struct Reader {
    cursor: Cursor<Tick>,
    /// Number of the entry that it must see or be told of next; none before a join at a keyframe.
    next: Option<u64>,
    /// It has just joined at a keyframe or lagged.
    wants_keyframe: bool,
}

impl Reader {
    fn new(ring: &Ring<Tick>, start: Start, held: &VecDeque<Tick>, pushed: u64) -> Self {
        let next = match start {
            Start::Keyframe => None,
            Start::Oldest => Some(held.front().map_or(pushed, |tick| tick.number)),
            Start::Next => Some(pushed),
        };
        Self { cursor: ring.cursor(start), next, wants_keyframe: start == Start::Keyframe }
    }

    fn read(&mut self, held: &VecDeque<Tick>, pushed: u64) -> Option<Next> {
        let mut batch = Vec::new();
        let next = self.cursor.try_next(&mut batch);
        let newest_keyframe = held.iter().rev().find(|tick| tick.keyframe).map(|tick| tick.number);
        let oldest = held.front().map_or(pushed, |tick| tick.number);
        match next {
            Some(Next::Entries) => {
                let first = batch[0].number;
                assert!(batch[0].keyframe || !self.wants_keyframe);
                assert_eq!(Some(first), self.next.or(newest_keyframe));
                assert!(batch.windows(2).all(|pair| pair[0].number + 1 == pair[1].number));
                self.next = batch.last().map(|tick| tick.number + 1);
                self.wants_keyframe = false;
            }
            Some(Next::Lagged { skipped }) => {
                let from = self.next.expect("only who has read can lag");
                assert!(from < oldest, "lagged though entry {from} is held");
                assert!(batch.is_empty());
                assert_eq!(from + skipped, newest_keyframe.unwrap_or(pushed));
                self.next = Some(from + skipped);
                self.wants_keyframe = true;
            }
            Some(Next::End) => assert!(self.next.is_none_or(|next| next == pushed)),
            None => match self.next {
                Some(next) if next >= oldest => assert_eq!(next, pushed, "there was something to read"),
                _ => assert!(newest_keyframe.is_none(), "there was a keyframe"),
            },
        }
        next
    }
}

/// Lets go of the oldest as [`Limits`] says.
fn evict(held: &mut VecDeque<Tick>, limits: &Limits) {
    let newest = held.back().unwrap().time;
    while held.len() > 1 {
        let bytes: usize = held.iter().map(Entry::size).sum();
        let over = bytes > limits.bytes || held.len() > limits.entries;
        let needed = held[0].keyframe && held.iter().skip(1).all(|tick| !tick.keyframe);
        if !over && (needed || newest - held[0].time <= limits.millis) {
            break;
        }
        held.pop_front();
    }
}

fn everything_held(ring: &Ring<Tick>) -> Vec<u64> {
    let (mut cursor, mut batch, mut seen) = (ring.cursor(Start::Oldest), Vec::new(), Vec::new());
    while let Some(Next::Entries) = cursor.try_next(&mut batch) {
        seen.extend(batch.iter().map(|tick| tick.number));
    }
    seen
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_reader_sees_every_entry_in_order_or_is_told(
        steps in steps(),
        bytes in 1..4000_usize,
        millis in 1..600_i64,
        entries in 1..60_usize,
    ) {
        let limits = Limits { bytes, millis, entries };
        let (publisher, ring) = ring(limits);
        let (mut held, mut pushed, mut time) = (VecDeque::new(), 0, 0);
        let mut readers = Vec::new();
        for step in steps {
            match step {
                Step::Push { size, later, keyframe, more } => {
                    let mut ticks = Vec::new();
                    for extra in 0..=more {
                        time += later;
                        let keyframe = keyframe && extra == 0;
 let tick = Tick { time, keyframe, bytes: Arc::new(vec![0; size]), ..Tick::new(pushed) };
                        pushed += 1;
                        held.push_back(tick.clone());
                        ticks.push(tick);
                        evict(&mut held, &limits);
                    }
                    publisher.push_many(&mut ticks);
                    prop_assert!(ticks.is_empty());
                }
                Step::Join(start) => readers.push(Reader::new(&ring, start, &held, pushed)),
                Step::Read(which) => {
                    readers.get_mut(which).map(|reader: &mut Reader| reader.read(&held, pushed));
                }
                Step::Leave(which) if which < readers.len() => drop(readers.swap_remove(which)),
                Step::Leave(_) => {}
            }
            prop_assert_eq!(ring.cursors(), readers.len());
            prop_assert_eq!(everything_held(&ring), held.iter().map(|tick| tick.number).collect::<Vec<_>>());
        }
        drop(publisher);
        for reader in &mut readers {
            while reader.read(&held, pushed) != Some(Next::End) {}
        }
    }
}
