//! The frames that fill the time without a publisher.

use std::sync::Arc;

use bytes::Bytes;
use kaibo_media::{Edge, Frame, Run, Span, Timestamp, TrackId, Tracks};

use crate::{h264::StillSlices, keeper::length_prefixed, silence};

/// Ticks per second of the clock of video.
const CLOCK: u32 = 90_000;

/// Pictures per second where all but the first of a segment are tiny: parts of half a second have five of them.
const STILL_RATE: i64 = 10;
/// Pictures per second where each is an IDR, if they are small.
const IDR_RATE: i64 = 4;
/// hls.js waits for a second picture in every TS segment, and withholds that segment's sound as long.
const LEAST_PER_SEGMENT: i64 = 2;
/// IDRs take at most this part of the rate that the live pictures had.
const SHARE: u64 = 2;

/// Sound and picture are made from where the other ends, if that is further behind than this: one of them has paused
/// long before the publisher went away. Nor does silence fill more before a publisher's first sound.
const MOST_APART: Span = Span::from_millis(1000);

/// A picture that can be held.
#[derive(Debug)]
pub(crate) struct Picture {
    /// The IDR, twice: consecutive ones have different numbers where that can be done.
    pub pictures: [Bytes; 2],
    /// Makes the pictures between them.
    pub still: Option<StillSlices>,
    pub pts_offset: Span,
    /// Of the live pictures, in bytes per second.
    pub rate: Option<u64>,
}

/// Yields the frames that keep a picture on viewers' screens.
#[derive(Debug)]
pub struct Filler {
    tracks: Arc<Tracks>,
    run: Run,
    pictures: Option<Pictures>,
    sound: Option<Sound>,
}

#[derive(Debug)]
struct Pictures {
    picture: Picture,
    start: Timestamp,
    /// By so much the first is shown later than it would be, in ticks: nothing is shown before what the publisher had
    /// sent ahead of pictures that never came.
    late: i64,
    /// Length of a segment, in ticks.
    segment: i64,
    per_segment: i64,
    made: i64,
}

#[derive(Debug)]
struct Sound {
    silence: &'static [u8],
    rate: u32,
    /// Where the next frame is due, in samples.
    next: i64,
}

impl Filler {
    pub(crate) fn new(
        tracks: Arc<Tracks>,
        edge: Edge,
        segment: Span,
        picture: Option<Picture>,
        sound: Option<(&'static [u8], u32)>,
    ) -> Self {
        let start = edge.picture.max(edge.sound - MOST_APART);
        let pictures = picture.map(|picture| Pictures {
            start,
            late: (edge.shown - start - picture.pts_offset).in_scale(CLOCK).max(0),
            segment: segment.in_scale(CLOCK).max(LEAST_PER_SEGMENT),
            per_segment: picture.per_segment(segment),
            made: 0,
            picture,
        });
        let least = pictures.as_ref().map(|_| start - MOST_APART);
        let sound = sound.map(|(silence, rate)| Sound::new(silence, rate, edge.sound, least));
        Self { tracks, run: edge.run, pictures, sound }
    }

    /// Appends the frames that are due before `to`, in the order of their decoding times.
    pub fn fill(&mut self, to: Timestamp, frames: &mut Vec<Frame>) {
        loop {
            let sound = self.sound.as_ref().map(Sound::next).filter(|next| *next < to);
            let picture = self.pictures.as_ref().map(Pictures::next).filter(|next| *next < to);
            match (picture, sound) {
                (None, None) => return,
                (Some(picture), sound) if sound.is_none_or(|sound| picture <= sound) => self.picture(frames),
                _ => self.sound(frames),
            }
        }
    }

    /// Appends what is needed before something else follows: a second picture in the segment that is open, and sound up
    /// to the end of the last picture.
    pub fn finish(&mut self, frames: &mut Vec<Frame>) {
        let Some(pictures) = &self.pictures else { return };
        let before = frames.len();
        if pictures.made % pictures.per_segment == 1 {
            self.picture(frames);
        }
        let end = self.edge().picture;
        while self.sound.as_ref().is_some_and(|sound| sound.end() <= end) {
            self.sound(frames);
        }
        if let Some(last) = frames.get_mut(before..) {
            last.sort_by_key(|frame| frame.dts);
        }
    }

    /// Appends the silence that is still missing before the publisher's first sound at `sound`, which may come later
    /// than its first picture: where sound is missing for longer than a frame, browsers drop pictures up to the next
    /// keyframe. A hole of more than [`MOST_APART`] stays.
    pub fn silence_until(&mut self, sound: Timestamp, frames: &mut Vec<Frame>) {
        if self.sound.as_ref().is_some_and(|silence| sound - silence.next() > MOST_APART) {
            return;
        }
        while self.sound.as_ref().is_some_and(|silence| silence.end() <= sound) {
            self.sound(frames);
        }
    }

    /// Where the next frames are due.
    pub fn edge(&self) -> Edge {
        let sound = self.sound.as_ref().map(Sound::next);
        let (picture, shown) = match &self.pictures {
            Some(pictures) => (pictures.next(), pictures.next() + pictures.offset()),
            None => {
                let next = sound.unwrap_or_default();
                (next, next)
            }
        };
        Edge { run: self.run, picture, shown, sound: sound.unwrap_or(picture) }
    }

    fn picture(&mut self, frames: &mut Vec<Frame>) {
        let Some(pictures) = &mut self.pictures else { return };
        let (dts, pts_offset) = (pictures.next(), pictures.offset());
        let (keyframe, data) = pictures.take();
        frames.push(self.frame(TrackId::Video, dts, pts_offset, keyframe, data));
    }

    fn sound(&mut self, frames: &mut Vec<Frame>) {
        let Some(sound) = &mut self.sound else { return };
        let (dts, data) = (sound.next(), Bytes::from_static(sound.silence));
        sound.next += i64::from(silence::SAMPLES);
        frames.push(self.frame(TrackId::Audio, dts, Span::ZERO, self.pictures.is_none(), data));
    }

    fn frame(&self, track: TrackId, dts: Timestamp, pts_offset: Span, keyframe: bool, data: Bytes) -> Frame {
        Frame {
            tracks: self.tracks.clone(),
            run: self.run,
            track,
            dts,
            pts_offset,
            keyframe,
            filler: true,
            data,
        }
    }
}

impl Picture {
    /// How many pictures a segment has.
    fn per_segment(&self, segment: Span) -> i64 {
        let in_segment = |rate: i64| (segment.as_millis().saturating_mul(rate) + 500) / 1000;
        if self.still.is_some() {
            return in_segment(STILL_RATE).max(LEAST_PER_SEGMENT);
        }
        let affordable = self.rate.map_or(i64::MAX, |rate| {
            let millis = u64::try_from(segment.as_millis()).unwrap_or(0);
            let bytes = rate / SHARE * millis / 1000;
            let [picture, _] = &self.pictures;
            i64::try_from(bytes / (picture.len() as u64).max(1)).unwrap_or(i64::MAX)
        });
        in_segment(IDR_RATE).min(affordable).max(LEAST_PER_SEGMENT)
    }
}

impl Pictures {
    /// When the next one is due.
    fn next(&self) -> Timestamp {
        self.start + Span::from_scale(self.made.saturating_mul(self.segment) / self.per_segment, CLOCK)
    }

    /// Presentation minus decoding time of the next one. What the first is late is made up for by half a step with each,
    /// so that it is no hole between the last and the publisher that comes back.
    fn offset(&self) -> Span {
        let made_up = self.made.saturating_mul(self.segment) / self.per_segment / 2;
        self.picture.pts_offset + Span::from_scale((self.late - made_up).max(0), CLOCK)
    }

    /// The next one, and whether it is an IDR.
    fn take(&mut self) -> (bool, Bytes) {
        let (segments, within) = (self.made / self.per_segment, self.made % self.per_segment);
        let [even, odd] = &self.picture.pictures;
        let idr = |count: i64| if count % 2 == 0 { even.clone() } else { odd.clone() };
        let taken = match &self.picture.still {
            // A segment has at most 200 pictures.
            Some(still) if within > 0 => (false, length_prefixed(&[still.unit(within as u32)])),
            Some(_) => (true, idr(segments)),
            None => (true, idr(self.made)),
        };
        self.made += 1;
        taken
    }
}

impl Sound {
    /// On the grid of the frames before `from`, and not before `least`.
    fn new(silence: &'static [u8], rate: u32, from: Timestamp, least: Option<Timestamp>) -> Self {
        let nearest = from.in_scale(rate);
        let next = nearest + i64::from(Timestamp::from_scale(nearest, rate) < from);
        let behind = least.map_or(0, |least| (least.in_scale(rate) - next).max(0));
        let frame = i64::from(silence::SAMPLES);
        Self { silence, rate, next: next + (behind + frame - 1) / frame * frame }
    }

    fn next(&self) -> Timestamp {
        Timestamp::from_scale(self.next, self.rate)
    }

    /// Where the next one ends.
    fn end(&self) -> Timestamp {
        Timestamp::from_scale(self.next + i64::from(silence::SAMPLES), self.rate)
    }
}
