//! Makes what a segmenter makes.

use std::sync::Arc;

use bytes::Bytes;
use kaibo_container::segment::{Cut, Init, Part, SegmentEnd, SegmentHead};
use kaibo_media::{AudioCodec, AudioTrack, Cue, Span, Timestamp, Tracks, UnixMillis, VideoCodec, VideoTrack};

/// 2026-11-21T21:27:00.000Z.
pub const BEGAN: UnixMillis = UnixMillis(1_795_296_420_000);

/// What a segment is to be like.
#[derive(Clone, Debug)]
pub struct Shape {
    pub duration: Span,
    /// The publisher was away for so many milliseconds before it.
    pub away: Option<i64>,
    /// It needs a new initialisation section (and stands after a discontinuity).
    pub new_init: bool,
    pub independent: bool,
    /// How many there are without a part target.
    pub parts: u32,
    pub bytes: usize,
}

impl Shape {
    pub fn millis(millis: i64) -> Self {
        let duration = Span::from_millis(millis);
        Self { duration, away: None, new_init: false, independent: true, parts: 2, bytes: 1000 }
    }
}

/// The segmenter of one broadcast.
pub struct Segmenter {
    pub target_duration: u32,
    pub part_target: Option<Span>,
    /// Number of the next segment.
    pub number: u64,
    discontinuity: u64,
    init: Arc<Init>,
    now: Timestamp,
    wall: UnixMillis,
}

impl Segmenter {
    pub fn new(target_duration: u32) -> Self {
        let init = Arc::new(init(0, Arc::new(tracks())));
        Self {
            target_duration,
            part_target: None,
            number: 0,
            discontinuity: 0,
            init,
            now: Timestamp::ZERO,
            wall: BEGAN,
        }
    }

    /// The cuts of the next segment.
    pub fn segment(&mut self, shape: &Shape) -> Vec<Cut> {
        if shape.away.is_some() || shape.new_init {
            self.discontinuity += 1;
            self.wall = self.wall + Span::from_millis(shape.away.unwrap_or(0));
        }
        if shape.new_init {
            self.init = Arc::new(init(self.init.number + 1, Arc::clone(&self.init.tracks)));
        }
        let number = self.number;
        let mut cuts = vec![Cut::Begin(Arc::new(SegmentHead {
            number,
            discontinuity: self.discontinuity,
            init: Arc::clone(&self.init),
            start: self.now,
            wall: self.wall,
            independent: shape.independent,
            filler: false,
        }))];
        let (parts, mut start) = (self.parts(shape), self.now);
        for (index, duration) in (0..).zip(&parts) {
            cuts.push(Cut::Part(Arc::new(Part {
                segment: number,
                index,
                start,
                duration: *duration,
                independent: index == 0 && shape.independent,
                bytes: Bytes::from(vec![index as u8; shape.bytes / parts.len()]),
                samples: Box::default(),
                cues: Box::default(),
            })));
            start += *duration;
        }
        let Self { target_duration, part_target, .. } = *self;
        cuts.push(Cut::End(SegmentEnd { number, duration: shape.duration, target_duration, part_target }));
        self.number += 1;
        self.now += shape.duration;
        self.wall = self.wall + shape.duration;
        cuts
    }
}

impl Segmenter {
    /// How long the parts of a segment are: as long as the part target, every other one 10 % less.
    fn parts(&self, shape: &Shape) -> Vec<Span> {
        let flicks = |span: Span| span.in_scale(705_600_000);
        let mut left = flicks(shape.duration);
        let Some(target) = self.part_target.map(flicks) else {
            let each = left / i64::from(shape.parts);
            let mut parts = vec![Span::from_scale(each, 705_600_000); shape.parts as usize];
            *parts.last_mut().unwrap() += Span::from_scale(left % i64::from(shape.parts), 705_600_000);
            return parts;
        };
        let mut parts = Vec::new();
        while left > target {
            let part = if parts.len() % 2 == 0 { target } else { target * 9 / 10 };
            parts.push(Span::from_scale(part, 705_600_000));
            left -= part;
        }
        parts.push(Span::from_scale(left, 705_600_000));
        parts
    }
}

fn init(number: u32, tracks: Arc<Tracks>) -> Init {
    Init { number, bytes: Bytes::from_static(b"ftyp moov"), tracks }
}

/// H.264 and AAC.
pub fn tracks() -> Tracks {
    Tracks {
        video: Some(VideoTrack {
            codec: VideoCodec::H264,
            config: Bytes::new(),
            width: 1920,
            height: 1080,
            frame_rate: Some(30_000.0 / 1001.0),
            codecs: "avc1.640028".into(),
        }),
        audio: Some(AudioTrack {
            codec: AudioCodec::Aac,
            config: Bytes::new(),
            sample_rate: 44_100,
            channels: 2,
            samples_per_frame: 1024,
            codecs: "mp4a.40.2".into(),
        }),
    }
}

/// Has events at `millis` of the timeline told in the parts of a segment.
pub fn tell(cuts: &mut [Cut], millis: &[i64]) {
    let Some(Cut::Begin(head)) = cuts.first().cloned() else { return };
    for cut in cuts {
        let Cut::Part(part) = cut else { continue };
        let part = Arc::get_mut(part).unwrap();
        let due = millis.iter().map(|at| Timestamp::from_millis(*at));
        let due = due.filter(|at| (part.start..part.start + part.duration).contains(at));
        let cue = |at: Timestamp| Cue {
            id: format!("e-{}", at.as_millis()).into(),
            kind: "product".into(),
            payload: format!("{{\"sku\":{}}}", at.as_millis()).into(),
            at,
            wall: head.wall + (at - head.start),
            script: None,
        };
        part.cues = due.map(|at| Arc::new(cue(at))).collect();
    }
}
