//! Real publishes, recorded with `examples/relay.rs`: played back whole, in pieces, and mutated.
//!
//! - `ffmpeg.bin`: ffmpeg 5.1, `testsrc2` 160x90 and a sine, 2 s; chunk size 60,000
//! - `ffmpeg-extended.bin`: the same, 1 s, `-output_ts_offset 16776.5`: times cross 0xFFFFFF
//! - `rtmp2sink.bin`, `rtmpsink.bin`: GStreamer 1.22, 1 s; the latter is librtmp with chunks of 128 bytes
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, clippy::print_stdout)]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

use bytes::BytesMut;
use kaibo_rtmp::{Connection, Event, Limits, State};
use proptest::prelude::*;

const RECORDINGS: [(&str, &[u8], usize, usize); 4] = [
    // Pictures and audio frames, each with its sequence header; most add the end of the video sequence.
    ("ffmpeg", include_bytes!("fixtures/ffmpeg.bin"), 52, 89),
    ("ffmpeg-extended", include_bytes!("fixtures/ffmpeg-extended.bin"), 27, 46),
    ("rtmp2sink", include_bytes!("fixtures/rtmp2sink.bin"), 27, 44),
    ("rtmpsink", include_bytes!("fixtures/rtmpsink.bin"), 27, 44),
];

/// What a whole conversation came to.
#[derive(Default)]
struct Outcome {
    events: Vec<Event>,
    error: Option<kaibo_rtmp::Error>,
    most_held_before: usize,
    most_held: usize,
}

/// Feeds `bytes` in pieces and accepts everything; `keep` tells whether events are wanted.
fn converse(bytes: &[u8], mut piece: impl FnMut() -> usize, keep: bool) -> Outcome {
    let (mut connection, mut input) = (Connection::new(Limits::default()), BytesMut::new());
    let mut outcome = Outcome::default();
    let (mut rest, mut accepted) = (bytes, false);
    while !rest.is_empty() && outcome.error.is_none() {
        let (now, later) = rest.split_at(piece().clamp(1, rest.len()));
        input.extend_from_slice(now);
        rest = later;
        loop {
            let result = connection.receive(&mut input);
            if !accepted {
                outcome.most_held_before = outcome.most_held_before.max(connection.held());
            }
            outcome.most_held = outcome.most_held.max(connection.held());
            match result {
                Ok(Some(event)) => {
                    accepted |= connection.state() == State::Asking;
                    connection.accept();
                    if keep {
                        outcome.events.push(event);
                    }
                }
                Ok(None) => break,
                Err(error) => {
                    outcome.error = Some(error);
                    break;
                }
            }
        }
        connection.output();
    }
    outcome
}

#[test]
fn real_encoders_are_understood_to_the_last_frame() {
    for (name, bytes, pictures, sounds) in RECORDINGS {
        let Outcome { events, error, .. } = converse(bytes, || 4096, true);
        assert_eq!(error, None, "{name}");
        let count = |wanted: fn(&Event) -> bool| events.iter().filter(|event| wanted(event)).count();
        assert_eq!(count(|event| matches!(event, Event::Video { .. })), pictures, "{name}");
        assert_eq!(count(|event| matches!(event, Event::Audio { .. })), sounds, "{name}");
        assert!(count(|event| matches!(event, Event::Metadata { .. })) > 0, "{name}");
        assert_eq!(events.last(), Some(&Event::Unpublish), "{name}: a clean end");
        let published = |event: &Event| matches!(event, Event::Publish { app, name, .. } if app == "live" && name == "room");
        assert!(events.iter().any(published), "{name}");
    }
}

#[test]
fn extended_times_go_on_where_24_bits_end() {
    let (_, bytes, ..) = RECORDINGS[1];
    let times: Vec<_> = converse(bytes, || 4096, true)
        .events
        .iter()
        .filter_map(|event| match event {
            // Sequence headers come at 0.
            Event::Video { time_ms: time @ 1.., body } if body[1] == 1 => Some(*time),
            _ => None,
        })
        .collect();
    assert_eq!(times.len(), 25);
    assert!(times[0] < 0xFF_FFFF && times[24] > 0xFF_FFFF);
    assert!(times.windows(2).all(|pair| pair[1] - pair[0] == 40), "{times:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn the_way_bytes_are_split_changes_nothing(
        recording in 0..RECORDINGS.len(),
        pieces in prop::collection::vec(prop_oneof![1usize..20, 1usize..5000], 1..20),
    ) {
        let bytes = RECORDINGS[recording].1;
        let mut pieces = pieces.iter().cycle();
        let split = converse(bytes, || *pieces.next().unwrap(), true);
        prop_assert_eq!(split.error, None);
        prop_assert_eq!(split.events, converse(bytes, || bytes.len(), true).events);
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): a seed replays a failure.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ mixed >> 31) % bound.max(1) as u64) as usize
    }

    /// A place in a recording: mostly the commands and the first media, seldom the handshake.
    fn place(&mut self, length: usize) -> usize {
        match self.below(10) {
            0 => self.below(length.min(3073)),
            1..=4 => (3073 + self.below(1500)).min(length - 1),
            _ => self.below(length),
        }
    }
}

fn mutate(random: &mut Random) -> Vec<u8> {
    let mut bytes = RECORDINGS[random.below(RECORDINGS.len())].1.to_vec();
    for _ in 0..=random.below(8) {
        let at = random.place(bytes.len());
        let end = (at + 1 + random.below(300)).min(bytes.len());
        match random.below(8) {
            0 => bytes[at] ^= 1 << random.below(8),
            1 => bytes[at] = random.below(256) as u8,
            2 => bytes[at] = [0, 1, 0x7F, 0x80, 0xFF, 0xC3, 0x11, 0x0A][random.below(8)],
            3 => drop(bytes.drain(at..end)),
            4 => {
                let twice = bytes[at..end].to_vec();
                bytes.splice(at..at, twice);
            }
            5 => {
                let noise: Vec<u8> = (at..end).map(|_| random.below(256) as u8).collect();
                bytes.splice(at..at, noise);
            }
            6 => {
                let other = RECORDINGS[random.below(RECORDINGS.len())].1;
                let from = random.place(other.len());
                bytes.splice(at..end, other[from..(from + end - at).min(other.len())].iter().copied());
            }
            // Arrays in arrays.
            _ => {
                let depth = random.below(100);
                bytes.splice(at..at, [0x0A, 0, 0, 0, 1].repeat(depth));
            }
        }
        if bytes.is_empty() {
            break;
        }
    }
    bytes
}

/// 1,500 mutations; for `KAIBO_MUTATE_SECONDS=60` as many as fit, from `KAIBO_MUTATE_SEED`.
#[test]
fn no_mutation_of_a_real_publish_does_harm() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let until = number("KAIBO_MUTATE_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let first = number("KAIBO_MUTATE_SEED").unwrap_or(1);
    let (mut cases, mut errors, mut panics) = (0u64, 0u64, Vec::new());
    let (mut most_held_before, mut most_held) = (0, 0);
    while until.map_or(cases < 1500, |until| Instant::now() < until) {
        let seed = first.wrapping_add(cases.wrapping_mul(0x1_0000_0001));
        let run = || {
            let mut random = Random(seed);
            let bytes = mutate(&mut random);
            converse(&bytes, || 1 + random.below(8192), false)
        };
        match catch_unwind(AssertUnwindSafe(run)) {
            Ok(outcome) => {
                errors += u64::from(outcome.error.is_some());
                most_held_before = most_held_before.max(outcome.most_held_before);
                most_held = most_held.max(outcome.most_held);
            }
            Err(_) => panics.push(seed),
        }
        cases += 1;
    }
    println!(
        "seed {first}: {cases} mutations, {errors} ended in an error, {} panics; most held {most_held_before} bytes \
         before the publish, {most_held} after",
        panics.len()
    );
    assert_eq!(panics, Vec::<u64>::new(), "seeds that panic");
    assert!(most_held_before <= 64 << 10, "{most_held_before} bytes held before the publish");
    assert!(most_held <= Limits::default().publishing.partial_bytes + (64 << 10), "{most_held} bytes held");
    assert!(errors > 0 && errors < cases, "some do, some do not");
}
