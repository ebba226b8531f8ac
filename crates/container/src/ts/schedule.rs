//! In which order a segment's packets go.

use std::sync::Arc;

use kaibo_media::Tracks;

use super::{
    CLOCK, Stream, Ticks,
    elementary::{Pes, Streams, ticks},
};
use crate::segment::Part;

/// The next thing to write.
#[derive(Clone, Copy, Debug)]
pub(super) enum Step<'a> {
    /// PAT and PMT.
    Tables,
    /// A PES packet. The PCR that it comes with, if any, is for this time.
    Pes(&'a Pes, Ticks),
    /// A PCR for this time, alone.
    Clock(Stream, Ticks),
}

/// At most this far apart are PCRs (H.222.0 §2.7.2).
const CLOCK_INTERVAL: Ticks = CLOCK as Ticks / 10;

/// A longer way to the next picture is no slow picture rate but a hole in the stream, and left a hole, so that times
/// far apart don't make a huge segment.
const MAX_HOLE: Ticks = 60 * CLOCK as Ticks;

/// 16 pairs of tables suffice for this long: one every 300 ms.
const TABLES_SPAN: Ticks = 16 * 300 * CLOCK as Ticks / 1000;

/// Tables are spread over at most this long, for the same reason as [`MAX_HOLE`].
const MAX_TABLES_SPAN: Ticks = 600 * CLOCK as Ticks;

/// Everything that goes into the segment, in order: the tables, then the first picture, then all by time.
pub(super) fn steps<'a>(tracks: &Tracks, parts: &[Arc<Part>], streams: &'a Streams<'_>) -> Vec<Step<'a>> {
    let with_clock = Stream::with_clock(tracks);
    let carriers = match with_clock {
        Stream::Video => &streams.video,
        _ => &streams.audio,
    };
    let first = parts.first().map_or(0, |part| ticks(part.start));
    let start = carriers.iter().find_map(due).unwrap_or(first);
    let last = parts.last().map_or(0, |part| ticks(part.start + part.duration));
    let end = carriers.iter().rev().find_map(due).map_or(last, |due| due.max(last)).max(start);

    // Sorted by time and, where times are equal, by rank: a stable sort, so packets of a stream keep their order.
    let mut timed: Vec<(Ticks, u8, Step<'a>)> = Vec::new();
    timed.extend(table_times(start, end).map(|time| (time, 0, Step::Tables)));
    for (rank, stream) in [(1, &streams.video), (3, &streams.audio), (4, &streams.events)] {
        // Sound that is older than the first picture comes after it nevertheless, and PES packets without a time
        // follow what they fill up.
        let mut time = start;
        timed.extend(stream.iter().map(|pes| {
            time = due(pes).unwrap_or(time).max(time);
            (time, rank, Step::Pes(pes, time))
        }));
    }
    timed.extend(clock_times(carriers, start, end).map(|time| (time, 2, Step::Clock(with_clock, time))));
    timed.sort_by_key(|(time, rank, _)| (*time, *rank));
    timed.into_iter().map(|(_, _, step)| step).collect()
}

fn due(pes: &Pes) -> Option<Ticks> {
    pes.time.map(|time| time.dts)
}

/// A multiple of 16, evenly spread.
fn table_times(start: Ticks, end: Ticks) -> impl Iterator<Item = Ticks> {
    let span = (end - start).min(MAX_TABLES_SPAN);
    let count = 16 * ((span + TABLES_SPAN - 1) / TABLES_SPAN).max(1);
    (0..count).map(move |index| start + span * index / count)
}

/// Where PCRs are needed between those that come with PES packets.
fn clock_times(carriers: &[Pes], start: Ticks, end: Ticks) -> impl Iterator<Item = Ticks> {
    let mut next = start;
    carriers.iter().filter_map(due).chain([end]).flat_map(move |carrier| {
        let from = if carrier - next > MAX_HOLE { carrier } else { next };
        next = carrier + CLOCK_INTERVAL;
        (from..carrier).step_by(CLOCK_INTERVAL as usize)
    })
}
