//! One track of the movie: its samples as the tables that describe them.

use super::{
    edits::Edits,
    pieces::{Pieces, Runs},
};

/// A sample as it goes into the tables.
#[derive(Clone, Copy, Debug)]
pub struct Sample {
    /// Decoding time in the movie, in the track's ticks.
    pub dts: i64,
    /// Presentation time minus decoding time.
    pub composition: i64,
    /// Ticks to the sample after it, where none follows.
    pub duration: i64,
    /// Bytes.
    pub size: u32,
    /// It depends on no other.
    pub sync: bool,
}

/// What of the movie's time a sample may be seen in, in the track's ticks. None: all that it has.
#[derive(Clone, Copy, Debug, Default)]
pub struct Window {
    pub from: Option<i64>,
    pub to: Option<i64>,
}

/// The tables of a track.
#[derive(Debug)]
pub struct Track {
    /// Ticks per second.
    pub timescale: u32,
    /// Width and height of the largest picture.
    pub size: (u16, u16),
    /// Sample entries, as they stand in `stsd`.
    pub descriptions: Vec<Vec<u8>>,
    /// The sample entry that is needed now, counted from 1.
    description: u32,
    pub samples: u32,
    pub deltas: Runs,
    pub compositions: Runs,
    /// Some composition offset is not zero, or less.
    pub is_reordered: bool,
    pub is_negative: bool,
    pub sizes: Pieces,
    pub syncs: Pieces,
    pub keyframes: u32,
    pub chunk_runs: Pieces,
    pub chunk_run_count: u32,
    /// Where each chunk begins in the `mdat`'s payload.
    pub chunks: Vec<u64>,
    /// Samples and description of the newest chunk.
    newest: (u32, u32),
    pub edits: Edits,
    /// Time that the track's own timeline has and the movie has not: what only leads up to a cut.
    lead: i64,
    /// Decoding time of the first sample, and time and duration of the newest one, on the track's own timeline.
    first: Option<i64>,
    last: (i64, i64),
    /// The latest end of a picture so far, on the same.
    shown: i64,
    /// A stretch begins with a cut: where in the movie.
    cut: Option<i64>,
}

impl Track {
    pub fn new(timescale: u32) -> Self {
        Self {
            timescale,
            size: (0, 0),
            descriptions: Vec::new(),
            description: 0,
            samples: 0,
            deltas: Runs::default(),
            compositions: Runs::default(),
            is_reordered: false,
            is_negative: false,
            sizes: Pieces::default(),
            syncs: Pieces::default(),
            keyframes: 0,
            chunk_runs: Pieces::default(),
            chunk_run_count: 0,
            chunks: Vec::new(),
            newest: (0, 0),
            edits: Edits::default(),
            lead: 0,
            first: None,
            last: (0, 0),
            shown: 0,
            cut: None,
        }
    }

    /// What follows needs the sample entry `entry`.
    pub fn describe(&mut self, entry: Vec<u8>, size: (u16, u16)) {
        let known = self.descriptions.iter().position(|known| *known == entry);
        let at = known.unwrap_or(self.descriptions.len());
        if known.is_none() {
            self.descriptions.push(entry);
        }
        self.description = u32::try_from(at + 1).unwrap_or(u32::MAX);
        self.size = (self.size.0.max(size.0), self.size.1.max(size.1));
    }

    /// A stretch begins with a cut: what comes before `from` in the movie must not be seen, nor what is left of the
    /// stretch before it.
    pub fn cut(&mut self, from: i64) {
        self.cut = Some(from);
    }

    /// The next `count` samples lie at `offset` of the `mdat`'s payload.
    pub fn chunk(&mut self, offset: u64, count: u32) {
        self.chunks.push(offset);
        let newest = (count, self.description);
        if self.newest != newest {
            self.newest = newest;
            let first = u32::try_from(self.chunks.len()).unwrap_or(u32::MAX);
            for value in [first, newest.0, newest.1] {
                self.chunk_runs.extend(&value.to_be_bytes());
            }
            self.chunk_run_count += 1;
        }
    }

    pub fn push(&mut self, sample: Sample, window: Window) {
        if let (Some(from), Some(_)) = (self.cut.take(), self.first) {
            // Nothing may be decoded before what precedes it, nor be seen before that is over.
            let (last, duration) = self.last;
            self.lead = self.lead.max(last + duration - sample.dts).max(self.shown - from);
        }
        let mut dts = sample.dts.saturating_add(self.lead);
        if self.first.is_some() {
            let (last, duration) = self.last;
            // Sound of two runs may overlap at their joint.
            dts = dts.max(last.saturating_add(1));
            if dts - last > i64::from(i32::MAX) {
                // A hole that readers take for a negative number: it is left to the edit list.
                self.lead -= dts - last - duration;
                dts = last + duration;
            }
            self.deltas.push(u32::try_from(dts - last).unwrap_or(u32::MAX));
        }
        self.first.get_or_insert(dts);
        self.last = (dts, sample.duration.max(1));

        let shown = sample.dts.saturating_add(sample.composition);
        let composition = shown.saturating_add(self.lead) - dts;
        let composition = composition.clamp(i64::from(i32::MIN), i64::from(i32::MAX)) as i32;
        self.is_reordered |= composition != 0;
        self.is_negative |= composition < 0;
        self.compositions.push(composition as u32);
        self.shown = self.shown.max(shown.saturating_add(self.lead).saturating_add(sample.duration));
        let (from, to) = (window.from.unwrap_or(i64::MIN), window.to.unwrap_or(i64::MAX));
        self.edits.show(shown.max(from), shown.saturating_add(sample.duration).min(to), self.lead);

        self.samples = self.samples.saturating_add(1);
        self.sizes.extend(&sample.size.to_be_bytes());
        if sample.sync {
            self.syncs.extend(&self.samples.to_be_bytes());
            self.keyframes += 1;
        }
    }

    /// Decoding time of its first sample on its own timeline.
    pub fn first(&self) -> i64 {
        self.first.unwrap_or(0)
    }

    /// How long its own timeline is, in its ticks.
    pub fn duration(&self) -> u64 {
        let (last, duration) = self.last;
        self.first.map_or(0, |first| u64::try_from(last + duration - first).unwrap_or(0))
    }

    /// How long its newest sample lasts.
    pub fn last_duration(&self) -> u32 {
        u32::try_from(self.last.1).unwrap_or(u32::MAX)
    }
}
