//! The elementary streams of a segment, cut into PES packets.

use std::{ops::Range, sync::Arc};

use kaibo_media::{AudioTrack, Cue, Span, TrackId, Tracks};

use super::{CLOCK, Stream, Ticks, adts::Adts, nal::AccessUnits, packets};
use crate::{
    cue,
    segment::{Part, Sample},
};

/// How the tracks of a stream are written.
#[derive(Debug)]
pub(super) struct Codecs<'a> {
    video: Option<AccessUnits<'a>>,
    audio: Option<(Adts, &'a AudioTrack)>,
}

impl<'a> Codecs<'a> {
    pub fn new(tracks: &'a Tracks) -> Result<Self, super::Error> {
        let video = tracks.video.as_ref().map(AccessUnits::new).transpose()?;
        let audio =
            tracks.audio.as_ref().map(|track| Adts::new(track).map(|adts| (adts, track))).transpose()?;
        Ok(Self { video, audio })
    }
}

/// The PES packets of a segment.
#[derive(Debug)]
pub(super) struct Streams<'a> {
    codecs: &'a Codecs<'a>,
    /// The samples in the packets.
    samples: Vec<&'a [u8]>,
    /// Each access unit in its own.
    pub video: Vec<Pes>,
    /// Some frames in each.
    pub audio: Vec<Pes>,
    /// The timed events' ID3 tags.
    tags: Vec<Vec<u8>>,
    /// One tag in each.
    pub events: Vec<Pes>,
}

/// A PES packet.
#[derive(Clone, Debug)]
pub(super) struct Pes {
    pub stream: Stream,
    /// Of the first frame; none where there is no payload.
    pub time: Option<Time>,
    /// A decoder may start here.
    pub keyframe: bool,
    /// The track's parameter sets go in front.
    pub sets: bool,
    /// It comes with a PCR.
    pub clock: bool,
    /// Bytes of payload.
    pub len: usize,
    /// How many TS packets it is spread over, at least one.
    pub packets: usize,
    /// Which samples (or tags) of the segment are in it.
    samples: Range<usize>,
}

/// When the first frame of a PES packet is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Time {
    pub dts: Ticks,
    pub pts: Ticks,
}

/// Added to all times, so that none is negative: neither a PCR at the start nor the decoding time of a first picture
/// that waits for reordering.
const OFFSET: Ticks = 10 * CLOCK as Ticks;

/// How much sound a PES packet holds: 300 ms are the limit in HLS (players wait for all of it).
const MAX_AUDIO: Ticks = CLOCK as Ticks / 4;

/// How far a frame may be from where the frames before it in its PES packet say it is: RTMP times are rounded to
/// milliseconds. Further away it begins another, with a time of its own.
const JITTER: Ticks = CLOCK as Ticks / 1000 + 1;

/// Payload that a PES packet with a length in 16 bits surely has room for.
const MAX_AUDIO_BYTES: usize = 0xF000;

pub(super) fn ticks(time: kaibo_media::Timestamp) -> Ticks {
    time.in_scale(CLOCK).saturating_add(OFFSET)
}

impl<'a> Streams<'a> {
    pub fn gather(codecs: &'a Codecs<'a>, parts: &'a [Arc<Part>]) -> Self {
        let mut streams = Self {
            codecs,
            samples: Vec::new(),
            video: Vec::new(),
            audio: Vec::new(),
            tags: Vec::new(),
            events: Vec::new(),
        };
        if let Some(units) = &codecs.video {
            streams.gather_video(units, parts);
        }
        if let Some((adts, track)) = codecs.audio {
            streams.gather_audio(adts, track, parts);
        }
        parts.iter().flat_map(|part| &part.cues).for_each(|cue| streams.gather_event(cue));
        packets::fill(&mut streams.video, Stream::Video);
        packets::fill(&mut streams.audio, Stream::Audio);
        packets::fill(&mut streams.events, Stream::Events);
        streams
    }

    /// Appends the payload of a PES packet.
    pub fn write_payload(&self, pes: &Pes, out: &mut Vec<u8>) {
        if pes.stream == Stream::Events {
            let tags = self.tags.get(pes.samples.clone()).unwrap_or_default();
            return tags.iter().for_each(|tag| out.extend_from_slice(tag));
        }
        for sample in self.samples.get(pes.samples.clone()).unwrap_or_default() {
            match (pes.stream, &self.codecs.video, self.codecs.audio) {
                (Stream::Video, Some(units), _) => units.write(out, sample, pes.sets),
                (Stream::Audio, _, Some((adts, _))) => {
                    out.extend(adts.header(sample.len()).into_iter().flatten());
                    out.extend_from_slice(sample);
                }
                _ => {}
            }
        }
    }

    fn gather_video(&mut self, units: &AccessUnits<'_>, parts: &'a [Arc<Part>]) {
        for (sample, data) in samples(parts, TrackId::Video) {
            // Also in front of the first picture of a segment that was cut without a keyframe: who joins there needs
            // them for the next one.
            let sets = sample.keyframe || self.video.is_empty();
            let len = units.len(data, sets);
            if len > 0 {
                let place = self.samples.len();
                self.samples.push(data);
                self.video.push(Pes {
                    time: Some(Time::of(sample)),
                    keyframe: sample.keyframe,
                    sets,
                    clock: true,
                    len,
                    samples: place..place + 1,
                    ..Pes::empty(Stream::Video)
                });
            }
        }
    }

    /// A frame that ADTS has no header for is left out: no decoder would take it.
    fn gather_audio(&mut self, adts: Adts, track: &AudioTrack, parts: &'a [Arc<Part>]) {
        let span = |frames: usize| {
            let samples = frames as i64 * i64::from(track.samples_per_frame);
            Span::from_scale(samples, track.sample_rate).in_scale(CLOCK)
        };
        let alone = self.codecs.video.is_none();
        for (sample, data) in samples(parts, TrackId::Audio) {
            let Some(header) = adts.header(data.len()) else { continue };
            let len = header.len() + data.len();
            let time = Time::of(sample);
            let place = self.samples.len();
            self.samples.push(data);
            match self.audio.last_mut() {
                Some(pes) if pes.has_room_for(time, len, span) => {
                    pes.len += len;
                    pes.samples.end = place + 1;
                }
                _ => self.audio.push(Pes {
                    time: Some(time),
                    keyframe: alone,
                    clock: alone,
                    len,
                    samples: place..place + 1,
                    ..Pes::empty(Stream::Audio)
                }),
            }
        }
    }
}

impl Streams<'_> {
    fn gather_event(&mut self, cue: &Cue) {
        let tag = cue::tag(cue);
        let (at, place) = (ticks(cue.at), self.tags.len());
        self.events.push(Pes {
            time: Some(Time { dts: at, pts: at }),
            len: tag.len(),
            samples: place..place + 1,
            ..Pes::empty(Stream::Events)
        });
        self.tags.push(tag);
    }
}

impl Pes {
    /// One that only counts.
    pub fn empty(stream: Stream) -> Self {
        Self {
            stream,
            time: None,
            keyframe: false,
            sets: false,
            clock: false,
            len: 0,
            packets: 1,
            samples: 0..0,
        }
    }

    /// Whether an audio frame goes on where this packet ends. `span` is the time that so many frames take.
    fn has_room_for(&self, time: Time, len: usize, span: impl Fn(usize) -> Ticks) -> bool {
        let frames = self.samples.len();
        self.time.is_some_and(|first| (time.pts - first.pts - span(frames)).abs() <= JITTER)
            && span(frames + 1) <= MAX_AUDIO
            && self.len + len <= MAX_AUDIO_BYTES
    }
}

impl Time {
    fn of(sample: &Sample) -> Self {
        Self { dts: ticks(sample.dts), pts: ticks(sample.dts + sample.pts_offset) }
    }
}

fn samples(parts: &[Arc<Part>], track: TrackId) -> impl Iterator<Item = (&Sample, &[u8])> {
    parts
        .iter()
        .flat_map(|part| part.samples.iter().map(|sample| (sample, part.data(sample))))
        .filter(move |(sample, _)| sample.track == track)
}
