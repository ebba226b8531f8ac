//! One timeline per broadcast: input time, which wraps, jumps and starts over, becomes time that only rises.
//!
//! Video stands on the exact 90 kHz clock, audio on the exact sample clock of its track. The distance between the two
//! is the publisher's own within a run. Outputs never see input time.

mod clock;
mod grid;
mod held;
mod shared;
#[cfg(test)]
mod tests;

pub use self::shared::{Mark, Place};
use self::{
    clock::{Anchor, Wire},
    grid::Grid,
    held::Held,
};
use crate::{Frame, Packet, Run, Sample, Span, Timestamp, TrackId, UnixMillis};

/// Ticks per second of the clock of video.
const VIDEO_CLOCK: u32 = 90_000;
/// Composition offsets beyond this are noise, in ms: 16 pictures at 3 per second are not reordered.
const MAX_COMPOSITION_MS: i64 = 5000;
/// How far presentation may run ahead of decoding when a run begins, in ms; what is more is a constant of the
/// encoder, and decoding is moved later by it.
const USUAL_COMPOSITION_MS: i64 = 1000;
/// Duration of a picture until two are seen, in ms.
const FIRST_STEP_MS: i64 = 40;
/// How far the wall clock of a run may be off the time at which its first frame arrived, so that it goes on where it was,
/// in ms: encoders send in a burst what they held back while they connected, so it is ahead by then.
const WALL_OFF_MS: u64 = 5000;
/// Longest duration taken from the distance of two pictures, in ms.
const LONGEST_STEP_MS: i64 = 1000;

/// What had to be repaired, counted over the life of the broadcast.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Frames whose time did not rise and was clamped to the next tick.
    pub clamped: u64,
    /// Frames whose composition offset was unusable, or whose decoding had to be moved ahead of it.
    pub composition: u64,
    /// Jumps of one track's clock, after which it was joined to the other track again.
    pub rejoined: u64,
    /// Jumps of the whole input's clock, each of which began a new run.
    pub restarted: u64,
}

/// Where a stream goes on without its publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// The run that goes on.
    pub run: Run,
    /// When the next picture is to be decoded.
    pub picture: Timestamp,
    /// The earliest time at which it may be shown.
    pub shown: Timestamp,
    /// When the next sound is due.
    pub sound: Timestamp,
}

/// Repairs and rebases the time of a broadcast across its publish sessions. Has no clock: arrival times are
/// arguments.
#[derive(Debug, Default)]
pub struct Timeline {
    run: Run,
    /// Number of the run that begins next.
    next_run: u32,
    /// Where the next run may begin at the earliest.
    floor: Timestamp,
    /// Where the next run is to begin, if it can.
    wanted: Option<Place>,
    /// Frames were made since the last one of a publisher: viewers have seen the wall clock go on.
    filled: bool,
    begun: bool,
    video: Video,
    audio: Audio,
    data: Timestamp,
    held: Option<Held>,
    repairs: Repairs,
}

#[derive(Debug, Default)]
struct Video {
    wire: Option<Wire>,
    anchor: Option<Anchor>,
    last: Option<Timestamp>,
    /// The latest presentation so far: reordered pictures are sent ahead of those before them.
    shown: Option<Timestamp>,
    /// Distance of the last two pictures.
    step: Option<Span>,
    /// Decoding is moved ahead by this much against the input, so that it never comes after presentation, in ms.
    shift: i64,
}

#[derive(Debug, Default)]
struct Audio {
    wire: Option<Wire>,
    anchor: Option<Anchor>,
    grid: Option<Grid>,
    last: Option<Timestamp>,
    /// Duration of the last frame.
    step: Span,
}

impl Timeline {
    /// Of a new broadcast, from [`Timestamp::ZERO`] and run 0.
    pub fn new() -> Self {
        Self::default()
    }

    /// Of a broadcast that goes on after a restart of the server: run `number` begins at `at` or, at most a
    /// millisecond, later.
    pub fn resume_at(at: Timestamp, number: u32) -> Self {
        Self { floor: at, next_run: number, ..Self::default() }
    }

    /// A publisher came, or came back: its first frame begins a new run, right behind the last.
    pub fn begin_run(&mut self) {
        self.begun = false;
        self.wanted = None;
        self.held = None;
        self.video.wire = None;
        self.audio.wire = None;
    }

    /// `first`, the frame that is about to begin a run, can be at `place`: nothing that was comes later.
    pub fn has_room(&self, first: &Packet, place: Place) -> bool {
        place.at - Span::from_millis(first_shift(first).max(0))
            >= self.end_shown(Span::from_millis(first_delay(first)))
    }

    /// The first frame of the run that begins next is to be at `place`, if there is room for it; else the run begins
    /// right behind the last.
    pub fn begin_at(&mut self, place: Place) {
        self.wanted = Some(place);
    }

    /// The frame of `track` and input time `input_ms` that was pushed last and arrived at `now`, for others to find their
    /// place by. None while it is not clear where the input clock has jumped to.
    pub fn mark(&self, track: TrackId, input_ms: u32, now: UnixMillis) -> Option<Mark> {
        let (wire, anchor) = match track {
            TrackId::Video => (self.video.wire?, self.video.anchor?),
            TrackId::Audio => (self.audio.wire?, self.audio.anchor?),
            TrackId::Data => return None,
        };
        if !self.begun || self.held.is_some() {
            return None;
        }
        let at = Timestamp::from_millis(wire.time() + anchor.offset);
        let place = Place { at, wall: self.run.wall_at(at) };
        Some(Mark { input_ms, place, arrived: now })
    }

    /// The publisher went: gives out what was held back to see where a jump of its clock leads.
    pub fn end_run(&mut self, now: UnixMillis, frames: &mut Vec<Frame>) {
        // What is released may jump again; each turn places one frame at least.
        while let Some(held) = self.held.take() {
            self.release(held, now, frames);
        }
    }

    /// The run that frames belong to now.
    pub fn run(&self) -> Run {
        self.run
    }

    /// The wall clock at `at`, where a run is to begin whose first frame arrives at `now`. Behind frames that were made
    /// meanwhile it goes on: Shaka (5.2) takes the place of a segment from it, and leaves segments out when it has
    /// jumped.
    pub fn wall_of_next_run(&self, at: Timestamp, now: UnixMillis) -> UnixMillis {
        let gone_on = self.run.wall_at(at);
        if self.filled && gone_on.0.abs_diff(now.0) <= WALL_OFF_MS { gone_on } else { now }
    }

    /// Where the last frame ends; a run that begins now begins here.
    pub fn end(&self) -> Timestamp {
        let video = self.video.last.map(|last| last + self.video.step());
        let audio = self.audio.last.map(|last| last + self.audio.step);
        [video, audio].into_iter().flatten().fold(self.floor, Timestamp::max)
    }

    /// Where frames go on that are made while the publisher is away: right behind the last one, in its run.
    pub fn edge(&self) -> Edge {
        let picture = self.video.last.map_or(self.floor, |last| (last + self.video.step()).max(self.floor));
        let sound = self.audio.last.map_or(self.floor, |last| (last + self.audio.step).max(self.floor));
        let shown = self.video.shown.map_or(picture, |shown| (shown + self.video.step()).max(picture));
        Edge { run: self.run, picture, shown, sound }
    }

    /// The same in a run of their own, which begins at the wall clock's `now`.
    pub fn edge_of_next_run(&mut self, now: UnixMillis) -> Edge {
        let start = self.next_run(Span::ZERO, None, now);
        self.begun = false;
        Edge { run: self.run, picture: start, shown: start, sound: start }
    }

    /// Such frames were made up to `edge`.
    pub fn filled(&mut self, edge: Edge) {
        self.filled = true;
        self.floor = self.floor.max(edge.picture).max(edge.sound);
        self.video.shown = self.video.shown.max(Some(edge.shown - self.video.step()));
    }

    /// What had to be repaired so far.
    pub fn repairs(&self) -> Repairs {
        self.repairs
    }

    /// Takes a sample that arrived at `now` and appends the frames that are ready: as a rule its own; none while a
    /// jump on one track waits to be seen on the other, and those that waited afterwards. Only audio that is older
    /// than the picture that a run begins with is dropped.
    pub fn push(&mut self, sample: Sample, now: UnixMillis, frames: &mut Vec<Frame>) {
        match sample.packet.track {
            TrackId::Data => self.place_data(sample, frames),
            _ => {
                let time = self.unwrap(&sample.packet);
                self.take(sample, time, now, frames);
            }
        }
    }

    fn unwrap(&mut self, packet: &Packet) -> i64 {
        let (own, other) = match packet.track {
            TrackId::Video => (&mut self.video.wire, self.audio.wire),
            _ => (&mut self.audio.wire, self.video.wire),
        };
        let wire = match own.or(other) {
            Some(wire) => wire.advance(packet.time_ms),
            None => Wire::new(packet.time_ms),
        };
        *own = Some(wire);
        wire.time()
    }

    /// The anchors of a track and of the other one.
    fn anchors(&self, track: TrackId) -> (Option<Anchor>, Option<Anchor>) {
        match track {
            TrackId::Video => (self.video.anchor, self.audio.anchor),
            _ => (self.audio.anchor, self.video.anchor),
        }
    }

    fn set_anchor(&mut self, track: TrackId, anchor: Anchor) {
        match track {
            TrackId::Video => self.video.anchor = Some(anchor),
            _ => {
                self.audio.anchor = Some(anchor);
                self.audio.grid = None;
            }
        }
    }

    fn take(&mut self, sample: Sample, time: i64, now: UnixMillis, frames: &mut Vec<Frame>) {
        let track = sample.packet.track;
        if !self.begun {
            self.start_run(&[(&sample.packet, time)], now);
        }
        if let Some(mut held) = self.held.take_if(|held| held.track() == track) {
            held.push(sample, time);
            if held.is_full() {
                self.release(held, now, frames);
            } else {
                self.held = Some(held);
            }
            return;
        }
        let (own, other) = self.anchors(track);
        let Some(own) = own else {
            self.join(track, time, other);
            return self.place(sample, time, frames);
        };
        if !own.jumps(time, other.as_ref()) {
            self.place(sample, time, frames);
            if let Some(held) = self.held.take_if(|held| held.is_alone(own.offset + time)) {
                self.release(held, now, frames);
            }
        } else if let Some(held) = self.held.take() {
            // Both tracks have jumped: a new clock.
            self.repairs.restarted += 1;
            let firsts: Vec<_> = held.first().into_iter().chain([(&sample.packet, time)]).collect();
            self.start_run(&firsts, now);
            self.replay(held, now, frames);
            self.take(sample, time, now, frames);
        } else if other.is_some() {
            self.held = Some(Held::new(own.position(), sample, time));
        } else {
            self.repairs.restarted += 1;
            self.start_run(&[(&sample.packet, time)], now);
            self.place(sample, time, frames);
        }
    }

    /// Begins a run with the first packets of one or both tracks, right behind everything that was.
    fn start_run(&mut self, firsts: &[(&Packet, i64)], now: UnixMillis) {
        let picture = firsts.iter().find(|(packet, _)| packet.track == TrackId::Video);
        let delay = picture.map_or(0, |(first, _)| first_delay(first));
        let ahead = Span::from_millis(picture.map_or(0, |(first, _)| first_shift(first)).max(0));
        let wanted =
            self.wanted.take().map(|place| Place { at: place.at - ahead, wall: place.wall + -ahead });
        let start = self.next_run(Span::from_millis(delay), wanted, now).as_millis();
        self.begun = true;
        (self.video.anchor, self.audio.anchor) = (None, None);
        self.video.shift = picture.map_or(0, |(first, _)| first_shift(first));
        let base = firsts.iter().map(|&(_, time)| time).min().unwrap_or_default();
        for &(packet, time) in firsts {
            let together = time - base <= clock::MAX_AHEAD_MS;
            let at = start + self.video.shift.max(0) + if together { time - base } else { 0 };
            self.set_anchor(packet.track, Anchor::new(time, at));
        }
    }

    /// Begins the next run, whose first picture is shown `delay` after the beginning: at the `wanted` place, if that is
    /// free. Answers with the beginning.
    fn next_run(&mut self, delay: Span, wanted: Option<Place>, now: UnixMillis) -> Timestamp {
        let end = self.end_shown(delay);
        let early = Timestamp::from_millis(end.as_millis()) < end;
        let at = Timestamp::from_millis(end.as_millis() + i64::from(early));
        let behind = Place { at, wall: self.wall_of_next_run(at, now) };
        let Place { at: start, wall } = wanted.filter(|place| place.at >= end).unwrap_or(behind);
        self.run = Run { number: self.next_run, start, wall };
        self.next_run = self.next_run.saturating_add(1);
        self.filled = false;
        self.floor = start;
        start
    }

    /// Where a run may begin whose first picture is shown `delay` later: a publisher that was cut off had sent
    /// pictures ahead of others that never came, and nothing is shown before them or together with them.
    fn end_shown(&self, delay: Span) -> Timestamp {
        let end = self.end();
        let Some(shown) = self.video.shown else { return end };
        let earliest = shown + self.video.step() - delay;
        // Who is shown later than usual is so by a slip of the encoder, which is not worth a hole.
        end.max(earliest.min(end + Span::from_millis(USUAL_COMPOSITION_MS)))
    }

    /// The first frame of a track in a run that the other track has begun.
    fn join(&mut self, track: TrackId, time: i64, other: Option<Anchor>) {
        let at = match other {
            Some(other) if other.is_near(time + other.offset) => time + other.offset,
            Some(other) => {
                self.repairs.rejoined += 1;
                other.position()
            }
            None => self.run.start.as_millis(),
        };
        self.set_anchor(track, Anchor::new(time, at));
    }

    /// Only one track has jumped: it goes on where it was, or where the other has gone on to without it. If the
    /// other has stopped, there is nothing to go by but a new run.
    fn release(&mut self, held: Held, now: UnixMillis, frames: &mut Vec<Frame>) {
        let Some((first, time)) = held.first() else { return };
        let (_, other) = self.anchors(held.track());
        match other.filter(|other| other.position() > held.due()) {
            Some(other) => {
                self.repairs.rejoined += 1;
                let due = held.due() + self.step(held.track()).as_millis();
                let at = if other.is_near(due) { due } else { other.position() };
                self.set_anchor(held.track(), Anchor::new(time, at));
            }
            None => {
                self.repairs.restarted += 1;
                self.start_run(&[(first, time)], now);
            }
        }
        self.replay(held, now, frames);
    }

    fn replay(&mut self, held: Held, now: UnixMillis, frames: &mut Vec<Frame>) {
        for (sample, time) in held.into_samples() {
            self.take(sample, time, now, frames);
        }
    }

    fn step(&self, track: TrackId) -> Span {
        if track == TrackId::Video { self.video.step() } else { self.audio.step }
    }

    fn place(&mut self, sample: Sample, time: i64, frames: &mut Vec<Frame>) {
        let placed = match sample.packet.track {
            TrackId::Video => Some(self.place_video(&sample.packet, time)),
            _ => self.place_audio(&sample, time).map(|dts| (dts, Span::ZERO)),
        };
        if let Some((dts, pts_offset)) = placed {
            frames.push(self.frame(sample, dts, pts_offset));
        }
    }

    fn frame(&self, sample: Sample, dts: Timestamp, pts_offset: Span) -> Frame {
        let Sample { tracks, packet } = sample;
        let keyframe = match packet.track {
            TrackId::Video => packet.keyframe,
            TrackId::Audio => tracks.video.is_none(),
            TrackId::Data => false,
        };
        let Packet { track, data, .. } = packet;
        Frame { tracks, run: self.run, track, dts, pts_offset, keyframe, filler: false, data }
    }

    fn place_video(&mut self, packet: &Packet, time: i64) -> (Timestamp, Span) {
        let Some(anchor) = &mut self.video.anchor else { return (self.floor, Span::ZERO) };
        anchor.high = anchor.high.max(time);
        let mut composition = i64::from(packet.composition_ms);
        if composition.abs() > MAX_COMPOSITION_MS {
            self.repairs.composition += 1;
            composition = -self.video.shift;
        } else if composition < -self.video.shift {
            self.repairs.composition += 1;
            self.video.shift = -composition;
        }
        let mapped = video_time(time + anchor.offset, packet.nanos);
        let wanted = mapped - Span::from_millis(self.video.shift);
        let earliest = match self.video.last {
            Some(last) => last + Span::from_scale(1, VIDEO_CLOCK),
            None => self.floor,
        };
        let dts = wanted.max(earliest.max(self.floor));
        self.repairs.clamped += u64::from(dts > wanted);
        if let Some(last) = self.video.last.filter(|_| dts == wanted) {
            self.video.step = Some(dts - last).filter(|&step| step <= Span::from_millis(LONGEST_STEP_MS));
        }
        self.video.last = Some(dts);
        let pts_offset = (mapped + Span::from_millis(composition) - dts).max(Span::ZERO);
        self.video.shown = self.video.shown.max(Some(dts + pts_offset));
        (dts, pts_offset)
    }

    /// None for audio that is older than the picture that the run began with.
    fn place_audio(&mut self, sample: &Sample, time: i64) -> Option<Timestamp> {
        let (anchor, track) = (self.audio.anchor.as_mut()?, sample.tracks.audio.as_ref()?);
        anchor.high = anchor.high.max(time);
        let nanos = Span::from_scale(sample.packet.nanos.into(), 1_000_000_000);
        let due = Timestamp::from_millis(time + anchor.offset) + nanos;
        if self.audio.grid.is_none() && due < self.run.start {
            return None;
        }
        let earliest = self.audio.last.map_or(self.floor, |last| (last + self.audio.step).max(self.floor));
        if self.audio.grid.as_ref().is_some_and(|grid| grid.rate() != track.sample_rate) {
            self.audio.grid = None;
        }
        let start = || Grid::new(track.sample_rate, due.max(earliest));
        let samples = track.samples_in(&sample.packet.data);
        let (dts, clamped) = self.audio.grid.get_or_insert_with(start).place(due, samples);
        self.repairs.clamped += u64::from(clamped);
        self.audio.step = Span::from_scale(samples.into(), track.sample_rate);
        self.audio.last = Some(dts);
        Some(dts)
    }

    /// Script data has the time of the media around it, or its own where that is believable.
    fn place_data(&mut self, sample: Sample, frames: &mut Vec<Frame>) {
        let around = [(self.video.wire, self.video.anchor), (self.audio.wire, self.audio.anchor)];
        let around = around.into_iter().find_map(|(wire, anchor)| wire.zip(anchor));
        let Some((wire, anchor)) = around.filter(|_| self.begun) else { return };
        let at = wire.advance(sample.packet.time_ms).time() + anchor.offset;
        let at = if anchor.is_near(at) { at } else { anchor.position() };
        self.data = Timestamp::from_millis(at).max(self.data).max(self.run.start);
        frames.push(self.frame(sample, self.data, Span::ZERO));
    }
}

impl Video {
    fn step(&self) -> Span {
        self.step.unwrap_or(Span::from_millis(FIRST_STEP_MS))
    }
}

/// How far a run's decoding is moved ahead of its input, by its first picture, in ms.
fn first_shift(first: &Packet) -> i64 {
    match i64::from(first.composition_ms) {
        noise if noise.abs() > MAX_COMPOSITION_MS => 0,
        late if late > USUAL_COMPOSITION_MS => USUAL_COMPOSITION_MS - late,
        composition => -composition.min(0),
    }
}

/// How long after the beginning of its run a first picture is shown, in ms.
fn first_delay(first: &Packet) -> i64 {
    match i64::from(first.composition_ms) {
        noise if noise.abs() > MAX_COMPOSITION_MS => 0,
        composition => composition.max(0),
    }
}

/// Exactly on the clock of video, which divides a millisecond into 90 ticks.
fn video_time(millis: i64, nanos: u32) -> Timestamp {
    let ticks = (i64::from(nanos) * 90 + 500_000) / 1_000_000;
    Timestamp::from_scale(millis.saturating_mul(90).saturating_add(ticks), VIDEO_CLOCK)
}
