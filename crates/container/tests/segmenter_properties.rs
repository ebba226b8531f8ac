//! What holds for every stream, however it stalls, jumps, resumes and changes.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)]

mod fmp4_streams;

use std::{collections::VecDeque, sync::Arc};

use fmp4_streams::*;
use kaibo_container::{
    fmp4,
    segment::{Cut, Part, SegmentEnd, SegmentHead},
    segmenter::{Config, Resume, Segmenter},
};
use kaibo_media::{Item, Span, Timestamp, TrackId, Tracks};
use proptest::prelude::*;
use shiguredo_mp4::{TrackKind, demux::Fmp4SegmentDemuxer};

/// What a publisher does next.
#[derive(Clone, Debug)]
enum Step {
    Play {
        pictures: u32,
        duration: i64,
        gop: u32,
    },
    /// Neither pictures nor sound.
    Gap(i64),
    /// Sound only.
    NoPictures(i64),
    /// Pictures only.
    NoSound(i64),
    ChangeSound,
    ChangePicture,
    /// Comes back after a while; the loss was noticed or not, the first pictures may need an older keyframe.
    Resume {
        noticed: bool,
        after: i64,
        without_keyframe: u32,
    },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1u32..120, prop_oneof![Just(33i64), 8i64..60, 60i64..900], 1u32..90)
            .prop_map(|(pictures, duration, gop)| Step::Play { pictures, duration, gop }),
        1 => prop_oneof![50i64..900, 900i64..20_000].prop_map(Step::Gap),
        1 => prop_oneof![50i64..900, 900i64..20_000].prop_map(Step::NoPictures),
        1 => (50i64..5000).prop_map(Step::NoSound),
        1 => Just(Step::ChangeSound),
        1 => Just(Step::ChangePicture),
        1 => (any::<bool>(), 0i64..5000, 0u32..3)
            .prop_map(|(noticed, after, without_keyframe)| Step::Resume { noticed, after, without_keyframe }),
    ]
}

/// Plays steps to a segmenter and knows which frames it must publish.
struct Stream {
    publisher: Publisher,
    segmenter: Segmenter,
    cuts: Vec<Cut>,
    now: i64,
    sound: Timestamp,
    /// How far sound arrives ahead of pictures that are due at the same time.
    lead: Span,
    /// Nothing but a keyframe may come next.
    keyframe_due: bool,
    /// The run has shown a keyframe.
    shown: bool,
    /// Sound from before that keyframe; what is due after it counts.
    early: Vec<(Timestamp, u64)>,
    /// No picture has come since the parameters changed.
    changed: bool,
    /// Sound that goes with the next picture, and with nothing if none comes.
    waiting: Vec<u64>,
    pictures: VecDeque<u64>,
    sounds: VecDeque<u64>,
}

impl Stream {
    fn new(tracks: Arc<Tracks>, config: Config, lead: i64) -> Self {
        Self {
            publisher: Publisher::new(tracks),
            segmenter: Segmenter::new(config, Resume::default()),
            cuts: Vec::new(),
            now: 2000,
            sound: ms(2000),
            lead: span(lead),
            keyframe_due: true,
            shown: false,
            early: Vec::new(),
            changed: false,
            waiting: Vec::new(),
            pictures: VecDeque::new(),
            sounds: VecDeque::new(),
        }
    }

    fn push(&mut self, item: Item) {
        self.segmenter.push(&item, &mut self.cuts);
    }

    fn picture(&mut self, keyframe: bool) {
        if self.publisher.tracks.video.is_none() {
            return;
        }
        let item = self.publisher.picture(self.now, keyframe);
        let number = self.publisher.made;
        if keyframe && !self.shown {
            self.shown = true;
            let due = self.early.drain(..).filter(|(dts, _)| *dts >= ms(self.now));
            self.sounds.extend(due.map(|(_, number)| number));
        }
        if self.shown {
            self.pictures.push_back(number);
            self.sounds.extend(self.waiting.drain(..));
            self.changed = false;
        }
        self.push(item);
    }

    fn sound_until(&mut self, time: Timestamp) {
        while self.publisher.tracks.audio.is_some() && self.sound < time {
            let alone = self.publisher.tracks.video.is_none();
            let frame = self.publisher.frame(TrackId::Audio, self.sound, alone);
            let number = self.publisher.made;
            if self.shown && self.changed && !alone {
                self.waiting.push(number);
            } else if self.shown || alone {
                self.sounds.push_back(number);
            } else {
                self.early.push((self.sound, number));
            }
            self.push(Item::Frame(Arc::new(frame)));
            self.sound += Span::from_scale(1024, 48_000);
        }
    }

    /// Sound that no segment was begun for goes with the parameters or the run that it belonged to.
    fn forget_sound(&mut self) {
        self.early.clear();
        self.waiting.clear();
        self.changed = true;
    }

    fn play(&mut self, step: &Step) {
        match *step {
            Step::Play { pictures, duration, gop } => {
                for number in 0..pictures {
                    let keyframe = number % gop == 0 && number > 0 || self.keyframe_due;
                    self.keyframe_due = false;
                    self.picture(keyframe);
                    self.now += duration;
                    self.sound_until(ms(self.now) + self.lead);
                }
            }
            Step::Gap(millis) => {
                self.now += millis;
                self.sound = self.sound.max(ms(self.now));
            }
            Step::NoPictures(millis) => {
                self.now += millis;
                self.sound_until(ms(self.now) + self.lead);
            }
            Step::NoSound(millis) => {
                for _ in 0..millis / 40 {
                    let keyframe = std::mem::take(&mut self.keyframe_due);
                    self.picture(keyframe);
                    self.now += 40;
                }
                self.sound = self.sound.max(ms(self.now));
            }
            Step::ChangeSound => {
                let mut tracks = (*self.publisher.tracks).clone();
                if let Some(audio) = &mut tracks.audio {
                    audio.channels += 1;
                }
                self.publisher.tracks = Arc::new(tracks);
                self.forget_sound();
            }
            Step::ChangePicture => {
                let mut tracks = (*self.publisher.tracks).clone();
                if let Some(video) = &mut tracks.video {
                    video.width += 2;
                }
                self.publisher.tracks = Arc::new(tracks);
                self.forget_sound();
                self.keyframe_due = true;
            }
            Step::Resume { noticed, after, without_keyframe } => {
                if noticed {
                    self.push(Item::Break);
                }
                self.now = self.now.max(self.sound.as_millis() + 25) + after;
                self.sound = ms(self.now);
                self.publisher.run.number += 1;
                self.publisher.run.start = ms(self.now);
                self.publisher.run.wall.0 += 3_600_000;
                self.shown = false;
                self.forget_sound();
                for _ in 0..without_keyframe {
                    self.picture(false);
                    self.now += 33;
                }
                self.keyframe_due = true;
            }
        }
    }
}

/// A segment put together from its cuts.
struct Segment {
    head: Arc<SegmentHead>,
    parts: Vec<Arc<Part>>,
    end: SegmentEnd,
}

fn segments(cuts: &[Cut]) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut open: Option<(Arc<SegmentHead>, Vec<Arc<Part>>)> = None;
    for cut in cuts {
        match cut {
            Cut::Begin(head) => assert!(open.replace((head.clone(), Vec::new())).is_none(), "begun twice"),
            Cut::Part(part) => open.as_mut().expect("part of a segment").1.push(part.clone()),
            Cut::End(end) => {
                let (head, parts) = open.take().expect("end of a segment");
                segments.push(Segment { head, parts, end: *end });
            }
        }
    }
    assert!(open.is_none(), "a break ends the segment");
    segments
}

fn check_numbers_and_lengths(segments: &[Segment], config: &Config) {
    for (number, segment) in segments.iter().enumerate() {
        let number = number as u64;
        assert_eq!((segment.head.number, segment.end.number), (number, number));
        assert!(!segment.parts.is_empty());
        let mut time = segment.head.start;
        for (index, part) in segment.parts.iter().enumerate() {
            assert_eq!((part.segment, part.index as usize, part.start), (number, index, time));
            assert!(part.duration > Span::ZERO && part.duration <= config.part, "{:?}", part.duration);
            time += part.duration;
        }
        assert_eq!(time - segment.head.start, segment.end.duration, "a segment is its parts");
        assert!(segment.end.duration >= span(1));
        // A part target that was chosen holds for good; but for the last, no part of a segment is much shorter.
        let target = segments[0].end.part_target.unwrap();
        assert_eq!(segment.end.part_target, Some(target));
        assert!(target <= config.part);
        for part in &segment.parts {
            let last = part.index as usize + 1 == segment.parts.len();
            let micros = |span: Span| span.in_scale(1_000_000);
            let long = micros(part.duration) * 100 + 100 >= micros(target) * 85;
            assert!(part.duration <= target && (last || long), "{:?} of {target:?}", part.duration);
        }
        let rounded = (segment.end.duration.as_millis() + 500) / 1000;
        assert!(rounded <= segment.end.target_duration.into(), "{:?}", segment.end);
        assert_eq!(segment.end.target_duration, segments[0].end.target_duration);
    }
}

fn check_joints(segments: &[Segment], runs: &[(u32, Timestamp)]) {
    let run_of = |segment: &Segment| {
        runs.iter().rev().find(|(_, start)| *start <= segment.head.start).map(|(number, _)| *number).unwrap()
    };
    assert_eq!(segments.first().map_or(0, |first| first.head.discontinuity), 0);
    for pair in segments.windows(2) {
        let [before, after] = pair else { unreachable!() };
        let same_tracks = before.head.init.tracks == after.head.init.tracks;
        assert_eq!(Arc::ptr_eq(&before.head.init, &after.head.init), same_tracks);
        assert_eq!(after.head.init.number - before.head.init.number, u32::from(!same_tracks));
        let hole = after.head.start - (before.head.start + before.end.duration);
        let changed = !same_tracks || run_of(before) != run_of(after);
        match after.head.discontinuity - before.head.discontinuity {
            0 => assert!(!changed && hole == Span::ZERO, "{hole:?}"),
            1 => assert!(changed || hole > span(900), "{hole:?}"),
            more => panic!("{more} discontinuities at once"),
        }
    }
}

/// Frames of one track, read with an independent reader: number, start and end in ticks.
type Ticks = Vec<(u64, u64, u64)>;

fn demuxed(segments: &[Segment]) -> [Vec<(u64, Ticks)>; 2] {
    let mut tracks = [Vec::new(), Vec::new()];
    for segment in segments {
        let mut demuxer = Fmp4SegmentDemuxer::new();
        demuxer.handle_init_segment(&segment.head.init.bytes).unwrap();
        let mut of_segment = [Vec::new(), Vec::new()];
        for part in &segment.parts {
            for sample in demuxer.handle_media_segment(&part.bytes).unwrap() {
                let data = &part.bytes[sample.data_offset as usize..][..sample.data_size];
                let number = u64::from_be_bytes(data.try_into().unwrap());
                let track = usize::from(sample.track.kind == TrackKind::Audio);
                let end = sample.timestamp + u64::from(sample.duration);
                of_segment[track].push((number, sample.timestamp, end));
            }
        }
        for (track, frames) in tracks.iter_mut().zip(of_segment) {
            track.push((segment.head.discontinuity, frames));
        }
    }
    tracks
}

fn check_frames(segments: &[Segment], stream: &Stream) {
    let [video, audio] = demuxed(segments);
    let numbers = |track: &[(u64, Ticks)]| -> Vec<u64> {
        track.iter().flat_map(|(_, frames)| frames).map(|frame| frame.0).collect()
    };
    assert_eq!(numbers(&video), stream.pictures.iter().copied().collect::<Vec<_>>());
    assert_eq!(numbers(&audio), stream.sounds.iter().copied().collect::<Vec<_>>());

    // Within one discontinuity number each frame ends where the next begins; only where a track paused (a second,
    // less the 600 ms by which sound may be late here) the last frame has the usual duration instead.
    for (track, second) in [(video, 90_000), (audio, 48_000)] {
        let mut last: Option<(u64, u64)> = None;
        for (discontinuity, frames) in track {
            for (_, start, end) in frames {
                if let Some((number, before)) = last
                    && number == discontinuity
                {
                    assert!(before == start || start > before + second * 3 / 10, "{before} then {start}");
                }
                last = Some((discontinuity, end));
            }
        }
    }
}

fn check_parts(segments: &[Segment]) {
    for segment in segments {
        let tracks = &segment.head.init.tracks;
        let driver = if tracks.video.is_some() { TrackId::Video } else { TrackId::Audio };
        let mut driving =
            segment.parts.iter().flat_map(|part| &part.samples).filter(|sample| sample.track == driver);
        let begins = driving.next().is_some_and(|first| first.keyframe && first.dts == segment.head.start);
        assert_eq!(segment.head.independent, begins);
        for part in &segment.parts {
            let keyframe = part.samples.iter().any(|sample| sample.keyframe && sample.track == driver);
            assert_eq!(part.independent, keyframe);
            let read = fmp4::read_part(&part.bytes, tracks).unwrap();
            assert_eq!(read.samples.len(), part.samples.len());
            for (read, written) in read.samples.iter().zip(&part.samples) {
                assert_eq!(
                    (read.track, &read.range, read.keyframe),
                    (written.track, &written.range, written.keyframe)
                );
                assert!((read.dts - written.dts).abs() < Span::from_scale(1, 48_000));
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, ..ProptestConfig::default() })]

    #[test]
    fn every_stream_is_cut_by_the_rules(
        steps in prop::collection::vec(step(), 1..24),
        lead in -600i64..1500,
        tracks in prop_oneof![4 => Just(h264_aac()), 1 => Just(h264()), 1 => Just(aac_only())],
        segment in prop_oneof![3 => Just(2000i64), 1 => 500i64..7000],
        part in prop_oneof![3 => Just(500i64), 1 => 100i64..1200],
    ) {
        let config = Config { segment: span(segment.max(part)), part: span(part) };
        let mut stream = Stream::new(tracks, config, lead);
        let mut runs = vec![(0, Timestamp::ZERO)];
        for step in &steps {
            stream.play(step);
            let run = stream.publisher.run;
            if runs.last().is_some_and(|(number, _)| *number != run.number) {
                runs.push((run.number, run.start));
            }
        }
        stream.push(Item::Break);
        let segments = segments(&stream.cuts);
        check_numbers_and_lengths(&segments, &config);
        check_joints(&segments, &runs);
        check_frames(&segments, &stream);
        check_parts(&segments);
    }
}
