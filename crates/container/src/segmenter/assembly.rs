//! Putting cuts together: numbers, initialisation sections and parts.

use std::sync::Arc;

use kaibo_media::{Cue, Run, Span, Timestamp, Tracks};

use super::Resume;
use crate::{
    fmp4::{self, Timed},
    segment::{Cut, Init, Part, SegmentEnd, SegmentHead},
};

#[derive(Debug)]
pub(super) struct Assembly {
    next_segment: u64,
    /// Of the newest segment; before the first, what it gets.
    discontinuity: u64,
    next_init: u32,
    /// The newest one before a restart.
    known: Option<Arc<Init>>,
    /// Of the newest segment.
    made_from: Option<(Run, Arc<Init>)>,
    open: Option<Open>,
}

/// The segment being made.
#[derive(Debug)]
pub(super) struct Open {
    head: Arc<SegmentHead>,
    parts: u32,
    /// Where the part being gathered begins.
    pub(super) part_start: Timestamp,
    /// Bytes of its parts so far.
    pub(super) bytes: usize,
    /// Frames of its parts so far.
    pub(super) frames: usize,
}

impl Open {
    pub(super) fn start(&self) -> Timestamp {
        self.head.start
    }

    /// `cue` within the part that is being gathered: one that was told while nothing was cut stands at its beginning, and
    /// has the wall clock of its segment, as playlists do.
    fn placed(&self, cue: Arc<Cue>) -> Arc<Cue> {
        let at = cue.at.max(self.part_start);
        let at =
            Timestamp::from_millis(at.as_millis() + i64::from(Timestamp::from_millis(at.as_millis()) < at));
        let wall = self.head.wall + (at - self.head.start);
        if (cue.at, cue.wall) == (at, wall) { cue } else { Arc::new(Cue { at, wall, ..(*cue).clone() }) }
    }
}

impl Assembly {
    pub(super) fn new(resume: Resume) -> Self {
        Self {
            next_segment: resume.next_segment,
            discontinuity: resume.discontinuity,
            next_init: resume.next_init,
            known: resume.init,
            made_from: None,
            open: None,
        }
    }

    /// There was no segment yet, now or before a restart: none is without an initialisation section.
    pub(super) fn is_fresh(&self) -> bool {
        self.made_from.is_none() && self.next_init == 0
    }

    /// Of a fresh broadcast: the numbers of its first segment.
    pub(super) fn number_from(&mut self, segment: u64, discontinuity: u64) {
        (self.next_segment, self.discontinuity) = (segment, discontinuity);
    }

    pub(super) fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// Begins a segment.
    pub(super) fn begin(
        &mut self,
        start: Timestamp,
        run: Run,
        tracks: &Arc<Tracks>,
        shape: Shape,
        out: &mut Vec<Cut>,
    ) -> Result<(), fmp4::Error> {
        let Shape { broken, independent, filler } = shape;
        let (init, continues) = match &self.made_from {
            Some((before, init)) if is_for(init, tracks) => {
                (init.clone(), before.number == run.number && !broken)
            }
            _ => (self.init(tracks)?, false),
        };
        if self.made_from.is_some() && !continues {
            self.discontinuity += 1;
        }
        self.made_from = Some((run, init.clone()));
        let head = Arc::new(SegmentHead {
            number: self.next_segment,
            discontinuity: self.discontinuity,
            init,
            start,
            wall: run.wall_at(start),
            independent,
            filler,
        });
        self.next_segment += 1;
        self.open = Some(Open { head: head.clone(), parts: 0, part_start: start, bytes: 0, frames: 0 });
        out.push(Cut::Begin(head));
        Ok(())
    }

    fn init(&mut self, tracks: &Arc<Tracks>) -> Result<Arc<Init>, fmp4::Error> {
        if let Some(known) = self.known.take().filter(|known| is_for(known, tracks)) {
            return Ok(known);
        }
        let bytes = fmp4::init(tracks)?;
        let number = self.next_init;
        self.next_init += 1;
        Ok(Arc::new(Init { number, bytes, tracks: tracks.clone() }))
    }

    /// Adds a part that reaches to `end`, with the events that are due by then.
    pub(super) fn part(
        &mut self,
        end: Timestamp,
        video: &[Timed],
        audio: &[Timed],
        cues: Vec<Arc<Cue>>,
        out: &mut Vec<Cut>,
    ) {
        let Some(open) = &mut self.open else { return };
        let tracks = &open.head.init.tracks;
        let cues: Box<[_]> = cues.into_iter().map(|cue| open.placed(cue)).collect();
        let number = sequence(open.head.number, open.parts);
        let (bytes, samples) = fmp4::part(number, tracks, video, audio, &cues);
        open.bytes += bytes.len();
        open.frames += samples.len();
        let driving = if tracks.video.is_some() { video } else { audio };
        out.push(Cut::Part(Arc::new(Part {
            segment: open.head.number,
            index: open.parts,
            start: open.part_start,
            duration: end - open.part_start,
            independent: driving.iter().any(|timed| timed.frame.keyframe),
            bytes,
            samples,
            cues,
        })));
        open.parts += 1;
        open.part_start = end;
    }

    /// Ends the segment where its last part does. `target` decides the target duration from its duration.
    pub(super) fn end(&mut self, target: impl FnOnce(Span) -> u32, part_target: Span, out: &mut Vec<Cut>) {
        let Some(open) = self.open.take() else { return };
        let duration = open.part_start - open.head.start;
        let number = open.head.number;
        let (target_duration, part_target) = (target(duration), Some(part_target));
        out.push(Cut::End(SegmentEnd { number, duration, target_duration, part_target }));
    }
}

/// What is to be told of a segment that begins.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    /// The timeline is broken, although the run is the same.
    pub broken: bool,
    pub independent: bool,
    pub filler: bool,
}

fn is_for(init: &Init, tracks: &Arc<Tracks>) -> bool {
    Arc::ptr_eq(&init.tracks, tracks) || init.tracks == *tracks
}

/// Rises from part to part and over restarts without being stored; a segment has far fewer than 1024 parts. Starts
/// anew after 4 million segments (97 days of 2 s), where no reader will hold the old ones.
fn sequence(segment: u64, part: u32) -> u32 {
    (segment as u32).wrapping_mul(1024).wrapping_add(part + 1)
}
