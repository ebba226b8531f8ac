//! Cuts frames into segments and parts.
//!
//! One track drives: video, or audio where there is no video. A segment ends at a keyframe once it is long enough; a
//! part ends where the next frame would no longer fit. Both end as soon as the frame arrives that begins the next,
//! and wait for no audio: what comes late goes where the stream is by then.
//!
//! What the driving track leaves open (gaps, no keyframes for minutes, no pictures at all) is cut by time, so that
//! no part exceeds the part target and no segment the target duration.

mod assembly;
mod flow;
mod lengths;
mod part_target;
mod queue;

use std::sync::Arc;

use kaibo_media::{Cue, Frame, Item, Span, Timestamp, TrackId};

use self::{
    assembly::{Assembly, Shape},
    flow::{Entry, Flow},
    lengths::Lengths,
    part_target::PartTarget,
};
use crate::{
    fmp4,
    segment::{Cut, Init},
};

/// Bytes in one part. 0.5 s at 250 Mbit/s; more is cut early.
const PART_BYTES: usize = 16 << 20;
/// Frames of one track in one part, and audio frames that wait for a picture: 3 s of the shortest Opus frames
/// (2.5 ms) are 1200.
const PART_FRAMES: usize = 2048;
/// Bytes in one segment: 2 s at 250 Mbit/s, 12 s at 45 Mbit/s; more is cut without a keyframe.
const SEGMENT_BYTES: usize = 64 << 20;
/// Frames in one segment: 12 s at 240 pictures and 400 audio frames per second are 7680.
const SEGMENT_FRAMES: usize = 16_384;
/// Events that wait for the part that they are due in; as many as can be told in some seconds.
const CUES: usize = 64;
/// Audio this far ahead of the pictures means that no pictures come; encoders that interleave badly stay below.
const AUDIO_LEAD: Span = Span::from_millis(3000);
/// What RTMP can tell apart. Nothing shorter is cut on account of a bound.
const TICK: Span = Span::from_millis(1);

/// How long segments and parts are to be.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// A segment ends at the first keyframe from here on.
    pub segment: Span,
    /// No part is longer. 50 ms at least. The part target is this, or less where frames are long.
    pub part: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self { segment: Span::from_millis(2000), part: Span::from_millis(500) }
    }
}

/// Where a broadcast goes on after a restart; the default is a fresh one.
#[derive(Clone, Debug, Default)]
pub struct Resume {
    /// Media sequence number of the next segment.
    pub next_segment: u64,
    /// Discontinuity sequence number of the next segment: one more than that of the last one before the restart.
    pub discontinuity: u64,
    /// Number of the next initialisation section.
    pub next_init: u32,
    /// The newest one before the restart, to go on with where the tracks are the same.
    pub init: Option<Arc<Init>>,
    /// The target duration in seconds, if a segment has ended already.
    pub target_duration: Option<u32>,
    /// The part target, if it was decided already.
    pub part_target: Option<Span>,
}

/// How a stream is cut that shows the same as this one, at the time where this one begins or goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Beside {
    /// Number of the segment that is being made there.
    pub number: u64,
    /// Its discontinuity sequence number.
    pub discontinuity: u64,
    /// Where it began.
    pub start: Timestamp,
    /// The target duration, once it is known.
    pub target_duration: Option<u32>,
    /// The part target, once it is known.
    pub part_target: Option<Span>,
}

/// Cuts the frames of one broadcast.
#[derive(Debug)]
pub struct Segmenter {
    part: PartTarget,
    lengths: Lengths,
    assembly: Assembly,
    flow: Option<Flow>,
    /// Told, and not yet in a part.
    cues: Vec<Arc<Cue>>,
    /// By how much the segment that is being made counts as longer than it is, see [`Segmenter::cut_beside`].
    missing: Span,
    fault: Option<fmp4::Error>,
}

impl Segmenter {
    /// For a fresh broadcast or one that goes on.
    pub fn new(config: Config, resume: Resume) -> Self {
        let part = PartTarget::new(config.part.max(Span::from_millis(50)), resume.part_target);
        let segment = config.segment.max(part.longest());
        Self {
            part,
            lengths: Lengths::new(segment, resume.target_duration),
            assembly: Assembly::new(resume),
            flow: None,
            cues: Vec::new(),
            missing: Span::ZERO,
            fault: None,
        }
    }

    /// The next frame begins a run at `at`, and is to be cut where another stream of the same pictures is: its first
    /// segment ends with the one there. A broadcast of which nothing was cut yet takes over that one's numbers and
    /// targets, too.
    pub fn cut_beside(&mut self, beside: Beside, at: Timestamp, out: &mut Vec<Cut>) {
        self.close(None, out);
        self.flow = None;
        let behind = at - beside.start;
        // A keyframe that is due there begins the segment that comes next.
        let is_next = behind + TICK >= self.lengths.aim_beside(beside.target_duration);
        self.missing = if is_next { Span::ZERO } else { behind.max(Span::ZERO) };
        if self.assembly.is_fresh() {
            self.assembly.number_from(beside.number.saturating_add(u64::from(is_next)), beside.discontinuity);
            self.lengths.take_target(beside.target_duration);
            self.part.take(beside.part_target);
        }
    }

    /// Why the tracks that flow now can't be packaged, if so.
    pub fn fault(&self) -> Option<&fmp4::Error> {
        self.fault.as_ref()
    }

    /// No frame before this time completes a cut, but for a keyframe; none if any may. As far as the length of frames is
    /// known.
    pub fn next_cut(&self) -> Option<Timestamp> {
        let (flow, open) = (self.flow.as_ref()?, self.assembly.open()?);
        let end = (open.part_start + self.part.longest()).min(open.start() + self.lengths.limit());
        Some(end - flow.driving().frame_duration())
    }

    /// Takes the next item of the stream and appends the cuts that it completes.
    pub fn push(&mut self, item: &Item, out: &mut Vec<Cut>) {
        match item {
            Item::Frame(frame) => self.frame(frame, out),
            Item::Cue(cue) if self.cues.len() < CUES => self.cues.push(cue.clone()),
            Item::Cue(_) => {} // hostile: events without time passing
            Item::Break => {
                self.close(None, out);
                self.flow = None;
            }
        }
    }

    fn frame(&mut self, frame: &Arc<Frame>, out: &mut Vec<Cut>) {
        let packaged = match frame.track {
            TrackId::Video => frame.tracks.video.is_some(),
            TrackId::Audio => frame.tracks.audio.is_some(),
            TrackId::Data => false,
        };
        if !packaged || frame.data.len() > PART_BYTES {
            return;
        }
        self.follow(frame, out);
        let Some(flow) = &mut self.flow else { return };
        let drives = frame.track == flow.driver();
        let Some(open) = self.assembly.open() else {
            return self.wait(frame, drives, out);
        };
        let queue = flow.queue(frame.track);
        let full = queue.len() >= PART_FRAMES || queue.bytes() + frame.data.len() > PART_BYTES;
        if full && !(drives && frame.dts - open.part_start >= TICK) {
            return; // hostile: thousands of frames without time passing, or audio without end
        }
        flow.push(frame);
        if drives {
            flow.stalled = false;
            let duration = flow.queue(frame.track).frame_duration();
            if frame.dts + duration - open.part_start >= self.part.longest() {
                self.part.decide(duration);
            }
            self.advance(frame.dts, out);
            self.cut_before(frame, out);
        } else {
            let reached = flow.video.newest().map_or(open.part_start, |newest| newest.max(open.part_start));
            flow.stalled |= frame.dts - reached > AUDIO_LEAD;
            if flow.stalled {
                self.advance(frame.dts, out);
            }
        }
    }

    /// Closes what is open where `frame` belongs to another run or to other tracks.
    fn follow(&mut self, frame: &Arc<Frame>, out: &mut Vec<Cut>) {
        let entry = match &mut self.flow {
            Some(flow) if flow.run.number == frame.run.number && flow.filler == frame.filler => {
                if Arc::ptr_eq(&flow.tracks, &frame.tracks) {
                    return;
                }
                if flow.tracks == frame.tracks {
                    flow.tracks = frame.tracks.clone();
                    return;
                }
                match flow.entry {
                    Entry::Any if flow.tracks.video != frame.tracks.video => Entry::Keyframe,
                    entry => entry,
                }
            }
            // Filler goes on where a publisher was cut off, sound first where that was behind.
            _ if frame.filler => Entry::Keyframe,
            _ => Entry::First,
        };
        self.close(None, out);
        self.lengths.forget();
        self.flow = Some(Flow::new(frame, entry));
    }

    /// Between segments: waits for a frame that may begin one.
    fn wait(&mut self, frame: &Arc<Frame>, drives: bool, out: &mut Vec<Cut>) {
        let Some(flow) = &mut self.flow else { return };
        if !drives {
            flow.push(frame);
            while flow.audio.len() > PART_FRAMES || flow.audio.bytes() > PART_BYTES {
                flow.audio.drop_oldest();
            }
        } else if frame.keyframe || flow.entry == Entry::Any {
            if flow.entry == Entry::First {
                flow.audio.drop_before(frame.dts);
            }
            flow.push(frame);
            if frame.keyframe {
                self.lengths.keyframe(frame.dts);
            }
            self.begin(frame.dts, false, out);
        }
    }

    fn begin(&mut self, start: Timestamp, broken: bool, out: &mut Vec<Cut>) {
        let Some(flow) = &mut self.flow else { return };
        let first = flow.queue(flow.driver()).oldest();
        let independent = first.is_some_and(|first| first.keyframe && first.dts == start);
        let shape = Shape { broken, independent, filler: flow.filler };
        self.fault = self.assembly.begin(start, flow.run, &flow.tracks, shape, out).err();
        match self.fault {
            None => flow.entry = Entry::Any,
            Some(_) => self.flow = None,
        }
    }

    /// Closes the parts, and where needed segments, that end because the stream has come to `to`.
    fn advance(&mut self, to: Timestamp, out: &mut Vec<Cut>) {
        let (Some(flow), Some(open)) = (&self.flow, self.assembly.open()) else { return };
        let before = flow.queue(flow.driver()).newest_before(to).cloned();
        let before = before.filter(|before| !flow.stalled && before.dts >= open.part_start);
        let reached = before.as_ref().map_or(open.part_start, |before| before.dts);
        let heard = flow.audio.newest_before(to).map_or(reached, |audio| audio.dts.max(reached));

        if let Some(before) = &before
            && to - open.start() > self.lengths.limit()
            && before.dts - open.start() >= TICK
        {
            // What was expected to fit lasts too long; only now is it known.
            self.cut(before.dts, out);
        }
        let limit = self.lengths.limit();
        if to - heard > limit || to - reached > AUDIO_LEAD + limit {
            // A hole that no segment may span: the timeline breaks here.
            self.close(Some(to), out);
            self.lengths.interrupt();
            return self.begin(to, true, out);
        }
        loop {
            let (Some(flow), Some(open)) = (&self.flow, self.assembly.open()) else { return };
            let (start, limit) = (open.start(), self.lengths.limit());
            let mut end = (open.part_start + self.part.longest()).min(start + limit);
            if to <= end {
                return;
            }
            if let Some(before) = &before
                && before.dts < end
                && before.dts - open.part_start >= self.part.least()
            {
                end = before.dts;
            }
            // Another part must fit, or what is left if it is known.
            let next_end = end + self.part.longest();
            let next_end = if flow.stalled { next_end } else { to.min(next_end) };
            let long = flow.stalled && end - start >= self.lengths.aim();
            if long || next_end - start > limit {
                self.cut(end, out);
            } else {
                self.close_part(end, out);
            }
        }
    }

    /// Closes the segment or the part before `frame`, which drives, if it is to begin the next.
    fn cut_before(&mut self, frame: &Arc<Frame>, out: &mut Vec<Cut>) {
        let (Some(flow), Some(open)) = (&self.flow, self.assembly.open()) else { return };
        let queue = flow.driving();
        let (start, end) = (frame.dts, frame.dts + queue.frame_duration());
        let elapsed = start - open.start();
        let progress = start - open.part_start;

        let mut segment = end - open.start() > self.lengths.limit()
            || open.bytes + flow.video.bytes() + flow.audio.bytes() > SEGMENT_BYTES
            || open.frames + flow.video.len() + flow.audio.len() > SEGMENT_FRAMES;
        if frame.keyframe {
            self.lengths.keyframe(start);
            segment |= self.lengths.due(elapsed + self.missing, queue.half_frame());
        }
        // Where frames jitter so much that the part would be too short, it is cut within this one.
        let part = end - open.part_start > self.part.longest() + TICK && progress >= self.part.least()
            || queue.len() > PART_FRAMES
            || queue.bytes() > PART_BYTES;
        if segment && elapsed >= TICK && progress >= Span::ZERO {
            self.cut(start, out);
        } else if part && progress >= TICK {
            self.close_part(start, out);
        }
    }

    /// Ends the segment at `at` and begins the next one there.
    fn cut(&mut self, at: Timestamp, out: &mut Vec<Cut>) {
        if self.assembly.open().is_some_and(|open| at > open.part_start) {
            self.close_part(at, out);
        }
        self.end_segment(out);
        self.begin(at, false, out);
    }

    fn close_part(&mut self, end: Timestamp, out: &mut Vec<Cut>) {
        let Some(flow) = &mut self.flow else { return };
        self.part.freeze();
        let (video, audio) = (flow.video.take_before(end), flow.audio.take_timed(end));
        let cues = self.due_cues(end);
        self.assembly.part(end, &video, &audio, cues, out);
    }

    fn end_segment(&mut self, out: &mut Vec<Cut>) {
        let missing = std::mem::take(&mut self.missing);
        self.assembly.end(|duration| self.lengths.target(duration + missing), self.part.longest(), out);
    }

    /// Ends part and segment where nothing follows, or nothing before `next`: with the usual duration of the last
    /// frame.
    fn close(&mut self, next: Option<Timestamp>, out: &mut Vec<Cut>) {
        let (Some(flow), Some(open)) = (&mut self.flow, self.assembly.open()) else { return };
        let queue = flow.driving();
        let newest = next.map_or(queue.newest(), |next| queue.newest_before(next).map(|frame| frame.dts));
        let latest = (open.part_start + self.part.longest()).min(open.start() + self.lengths.limit());
        let end = (newest.unwrap_or(open.part_start) + queue.frame_duration())
            .min(latest)
            .max(open.part_start + TICK);
        self.part.freeze();
        let (video, audio) = (flow.video.take_ended(next), flow.audio.take_ended(next));
        let cues = self.due_cues(end);
        self.assembly.part(end, &video, &audio, cues, out);
        self.end_segment(out);
    }

    /// Takes the events that are due before `end`, in order.
    fn due_cues(&mut self, end: Timestamp) -> Vec<Arc<Cue>> {
        let mut due: Vec<_> = self.cues.extract_if(.., |cue| cue.at < end).collect();
        due.sort_by_key(|cue| cue.at);
        due
    }
}
