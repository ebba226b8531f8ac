use std::sync::Arc;

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::{AudioTrack, Tracks, VideoTrack, codec::tests::hex};

const AVCC: &str =
    "01640028ffe1001967640028acd940780227e5c04400000fa40003a9803c60c65801000668ebe3cb22c0fdf8f800";
const AUDIO_FRAME: f64 = 1024.0 * 1000.0 / 44_100.0;

fn tracks(video: bool, audio: bool) -> Arc<Tracks> {
    Arc::new(Tracks {
        video: video.then(|| VideoTrack::from_avcc(hex(AVCC)).unwrap()),
        audio: audio.then(|| AudioTrack::from_asc(hex("1210")).unwrap()),
    })
}

fn packet(track: TrackId, time_ms: u32) -> Packet {
    let data = Bytes::from_static(&[0; 8]);
    Packet { track, time_ms, composition_ms: 0, nanos: 0, keyframe: track == TrackId::Video, data }
}

/// What a publisher sends, in order, with the true time of each packet in ms.
#[derive(Clone)]
struct Stream(Vec<(i64, Packet)>);

impl Stream {
    /// 25 pictures per second and AAC of 44.1 kHz from `from` to `to` on the publisher's clock, in ms.
    fn new(video: bool, audio: bool, from: i64, to: i64) -> Self {
        let pictures = (from..to).step_by(40).filter(|_| video).map(|time| (time, packet(TrackId::Video, 0)));
        let times = (0..).map(|frame| from + (f64::from(frame) * AUDIO_FRAME) as i64);
        let sounds = times.take_while(|&time| time < to).filter(|_| audio);
        let mut all: Vec<_> = pictures.chain(sounds.map(|time| (time, packet(TrackId::Audio, 0)))).collect();
        all.sort_by_key(|(time, packet)| (*time, packet.track));
        Self(all).clocked(|time, _| time)
    }

    /// With another clock on the wire.
    fn clocked(mut self, clock: impl Fn(i64, TrackId) -> i64) -> Self {
        self.0.iter_mut().for_each(|(time, packet)| packet.time_ms = clock(*time, packet.track) as u32);
        self
    }

    /// A jump of the clock by `by` at `at`, as the test pusher's `jump=at:by` makes it.
    fn jumping(self, at: i64, by: i64) -> Self {
        self.clocked(|time, _| if time >= at { time + by } else { time })
    }

    fn composed(mut self, composition: impl Fn(usize) -> i32) -> Self {
        let pictures = self.0.iter_mut().filter(|(_, packet)| packet.track == TrackId::Video);
        pictures.enumerate().for_each(|(index, (_, packet))| packet.composition_ms = composition(index));
        self
    }

    fn without(mut self, gone: impl Fn(i64, TrackId) -> bool) -> Self {
        self.0.retain(|(time, packet)| !gone(*time, packet.track));
        self
    }
}

/// Each frame with the true time of its packet, in ms.
struct Played(Vec<(i64, Frame)>);

impl Played {
    fn run(stream: Stream) -> (Self, Timeline) {
        let mut timeline = Timeline::new();
        let played = Self::go_on(&mut timeline, stream);
        (played, timeline)
    }

    /// Numbers each packet in its data, to know its frame again.
    fn go_on(timeline: &mut Timeline, Stream(stream): Stream) -> Self {
        let has = |track| stream.iter().any(|(_, packet)| packet.track == track);
        let tracks = tracks(has(TrackId::Video), has(TrackId::Audio));
        let mut frames = Vec::new();
        for (index, (time, packet)) in stream.iter().enumerate() {
            let data = (index as u64).to_be_bytes().to_vec().into();
            let sample = Sample { tracks: tracks.clone(), packet: Packet { data, ..packet.clone() } };
            timeline.push(sample, UnixMillis(1_000_000 + time), &mut frames);
        }
        timeline.end_run(UnixMillis(0), &mut frames);
        assert_eq!(frames.len(), stream.len(), "no frame is dropped");
        check(&frames);
        let index = |frame: &Frame| u64::from_be_bytes(frame.data[..].try_into().unwrap()) as usize;
        Self(frames.into_iter().map(|frame| (stream[index(&frame)].0, frame)).collect())
    }

    fn of(&self, track: TrackId) -> impl DoubleEndedIterator<Item = &(i64, Frame)> {
        self.0.iter().filter(move |(_, frame)| frame.track == track)
    }

    fn runs(&self) -> Vec<Run> {
        let mut runs: Vec<_> = self.0.iter().map(|(_, frame)| frame.run).collect();
        runs.dedup();
        runs
    }

    /// How far sound has moved against the picture at the end, in ms.
    fn skew_at_end(&self) -> f64 {
        let offset = |track| {
            let (time, frame) = self.of(track).next_back().unwrap();
            frame.pts().since_zero().as_secs_f64() * 1000.0 - *time as f64
        };
        offset(TrackId::Audio) - offset(TrackId::Video)
    }

    /// The largest gap between the frames of a track, in ms.
    fn widest(&self, track: TrackId) -> i64 {
        let times: Vec<_> = self.of(track).map(|(_, frame)| frame.dts).collect();
        times.windows(2).map(|pair| (pair[1] - pair[0]).as_millis()).max().unwrap()
    }
}

/// What holds for any input.
fn check(frames: &[Frame]) {
    for track in [TrackId::Video, TrackId::Audio, TrackId::Data] {
        let all: Vec<_> = frames.iter().filter(|frame| frame.track == track).collect();
        for frame in &all {
            assert!(frame.pts_offset >= Span::ZERO && frame.dts >= frame.run.start, "{frame:?}");
        }
        for pair in all.windows(2) {
            assert!(pair[1].dts >= pair[0].dts && pair[1].run.number >= pair[0].run.number, "{pair:?}");
            assert!(track == TrackId::Data || pair[1].dts > pair[0].dts, "{pair:?}");
            assert!(pair[1].run.number == pair[0].run.number || pair[1].run.start > pair[0].dts, "{pair:?}");
        }
    }
}

#[test]
fn clean_input_is_rebased_to_zero_and_otherwise_as_it_came() {
    for (video, audio) in [(true, true), (true, false), (false, true)] {
        let (played, timeline) = Played::run(Stream::new(video, audio, 700_000, 720_000));
        assert_eq!(timeline.repairs(), Repairs::default());
        assert_eq!(played.runs(), [Run { wall: UnixMillis(1_700_000), ..Run::default() }]);
        for (time, frame) in &played.0 {
            let expected = Timestamp::from_millis(time - 700_000);
            assert!((frame.dts - expected).abs() <= Span::from_millis(2), "{frame:?}");
            assert!(frame.track == TrackId::Audio || frame.dts == expected);
            assert_eq!(frame.keyframe, frame.track == TrackId::Video || !video);
        }
    }
}

#[test]
fn sound_is_contiguous_to_the_sample() {
    let (played, _) = Played::run(Stream::new(true, true, 0, 600_000));
    let samples: Vec<_> = played.of(TrackId::Audio).map(|(_, frame)| frame.dts.in_scale(44_100)).collect();
    assert!(samples.windows(2).all(|pair| pair[1] - pair[0] == 1024));
}

#[test]
fn the_clock_may_wrap_at_either_place() {
    for start in [(1_i64 << 31) - 700, (1 << 32) - 700] {
        let mask = if start > 1 << 31 { u32::MAX } else { 0x7fff_ffff };
        let stream = Stream::new(true, true, start, start + 5000).clocked(|time, _| time & i64::from(mask));
        let (played, timeline) = Played::run(stream);
        assert_eq!((played.runs().len(), timeline.repairs()), (1, Repairs::default()));
        assert_eq!(played.widest(TrackId::Video), 40);
    }
    // not masked: the sign bit is just a bit
    let (played, _) = Played::run(Stream::new(true, true, (1 << 31) - 700, (1 << 31) + 5000));
    assert_eq!((played.runs().len(), played.widest(TrackId::Video)), (1, 40));
}

#[test]
fn a_small_step_back_is_clamped_and_sound_stays_with_the_picture() {
    let (played, timeline) = Played::run(Stream::new(true, true, 0, 20_000).jumping(5000, -300));
    assert_eq!(played.runs().len(), 1);
    assert!((8..40).contains(&timeline.repairs().clamped), "{:?}", timeline.repairs());
    assert!(played.skew_at_end().abs() < 5.0, "{}", played.skew_at_end());
    assert!(played.widest(TrackId::Audio) < 50);
}

#[test]
fn a_jump_of_the_whole_clock_begins_a_run_without_a_gap() {
    for by in [-4000, 3_600_000, -3_000_000_000] {
        let (played, timeline) = Played::run(Stream::new(true, true, 0, 20_000).jumping(5000, by));
        assert_eq!(played.runs().len(), 2, "{by}");
        assert_eq!((timeline.repairs().restarted, timeline.repairs().rejoined), (1, 0));
        assert!(played.skew_at_end().abs() < 3.0, "{by}: {}", played.skew_at_end());
        assert!(played.widest(TrackId::Video) <= 41 + 24 && played.widest(TrackId::Audio) <= 24 + 24, "{by}");
        let run = played.runs()[1];
        let split = played.0.iter().position(|(_, frame)| frame.run == run).unwrap();
        assert!(played.0[split..].iter().all(|(time, frame)| *time >= 5000 && frame.run == run));
        assert!((UnixMillis(1_005_000)..UnixMillis(1_005_100)).contains(&run.wall));
    }
}

#[test]
fn a_stall_of_the_encoder_begins_a_run_and_one_track_alone_keeps_its_gap() {
    let stalled = Stream::new(true, true, 0, 20_000).without(|time, _| (5000..13_000).contains(&time));
    let (played, _) = Played::run(stalled);
    assert_eq!((played.runs().len(), played.widest(TrackId::Video) < 70), (2, true));

    let frozen = |time, track| track == TrackId::Video && (5000..10_000).contains(&time);
    let (played, timeline) = Played::run(Stream::new(true, true, 0, 20_000).without(frozen));
    assert_eq!((played.runs().len(), played.widest(TrackId::Video)), (1, 5040));
    assert_eq!(timeline.repairs(), Repairs::default());
}

#[test]
fn a_track_that_jumps_alone_is_joined_to_the_other() {
    for by in [-4000, 3_600_000] {
        for jumping in [TrackId::Video, TrackId::Audio] {
            let clock = |time, track| if track == jumping && time >= 5000 { time + by } else { time };
            let (played, timeline) = Played::run(Stream::new(true, true, 0, 20_000).clocked(clock));
            assert_eq!((played.runs().len(), timeline.repairs().rejoined), (1, 1), "{by} {jumping:?}");
            assert!(played.skew_at_end().abs() < 3.0, "{by} {jumping:?}: {}", played.skew_at_end());
        }
    }
}

#[test]
fn a_single_track_that_jumps_begins_a_run() {
    for (video, audio) in [(true, false), (false, true)] {
        let (played, _) = Played::run(Stream::new(video, audio, 0, 20_000).jumping(5000, -4000));
        assert_eq!(played.runs().len(), 2);
    }
}

#[test]
fn tracks_with_different_clocks_begin_together() {
    let clock = |time, track| if track == TrackId::Audio { time + 50_000 } else { time };
    let (played, _) = Played::run(Stream::new(true, true, 0, 5000).clocked(clock));
    assert!(played.skew_at_end().abs() < 41.0);
}

#[test]
fn late_sound_keeps_its_distance_from_the_picture() {
    let late = |time, track| track == TrackId::Audio && time < 8000;
    let (played, timeline) = Played::run(Stream::new(true, true, 0, 20_000).without(late));
    assert!(played.skew_at_end().abs() < 3.0);
    assert_eq!(timeline.repairs(), Repairs::default());
}

#[test]
fn sound_older_than_the_first_picture_is_dropped_and_the_rest_is_in_time() {
    let mut stream =
        Stream::new(true, true, 1000, 3000).without(|time, track| track == TrackId::Video && time < 1200);
    // the picture is sent first
    stream.0.sort_by_key(|(time, packet)| time - if packet.track == TrackId::Video { 201 } else { 0 });
    let mut timeline = Timeline::new();
    let (tracks, mut frames) = (tracks(true, true), Vec::new());
    for (_, packet) in stream.0 {
        timeline.push(Sample { tracks: tracks.clone(), packet }, UnixMillis(0), &mut frames);
    }
    check(&frames);
    let first = frames.iter().find(|frame| frame.track == TrackId::Audio).unwrap();
    assert!((0..24).contains(&first.dts.as_millis()), "{first:?}");
    assert_eq!(frames.iter().filter(|frame| frame.track == TrackId::Audio).count(), 78);
}

#[test]
fn negative_composition_times_move_decoding_ahead_by_a_constant() {
    let (played, _) = Played::run(Stream::new(true, true, 0, 10_000).composed(|_| -40));
    assert!(played.0.iter().all(|(_, frame)| frame.pts_offset == Span::ZERO));
    assert_eq!(played.widest(TrackId::Video), 40);
    // sound stands 40 ms behind the picture of the same wire time, as the publisher said
    assert!((played.skew_at_end() - 40.0).abs() < 3.0, "{}", played.skew_at_end());
}

#[test]
fn b_frames_keep_their_order_of_presentation() {
    // I P b P b: presentation 0 2 1 4 3, with decoding one frame too late for it
    let composition = |index| if index == 0 { 0 } else { [-40, 40][index % 2] };
    let (played, _) = Played::run(Stream::new(true, false, 0, 4000).composed(composition));
    let mut frames: Vec<_> = played.of(TrackId::Video).map(|(time, frame)| (*time, frame)).collect();
    frames.sort_by_key(|(_, frame)| frame.pts());
    let wanted = |time: i64| time + i64::from(composition((time / 40) as usize));
    assert!(frames.windows(2).all(|pair| wanted(pair[0].0) <= wanted(pair[1].0)));
    assert!(frames.iter().all(|(time, frame)| (frame.pts().as_millis() - wanted(*time)).abs() <= 1));
}

#[test]
fn composition_times_out_of_bounds_do_no_harm() {
    let (played, timeline) = Played::run(Stream::new(true, true, 0, 4000).composed(|_| 1500));
    assert_eq!(timeline.repairs(), Repairs::default());
    assert!(played.0.iter().all(|(_, frame)| frame.pts_offset <= Span::from_millis(1000)));
    assert!((played.skew_at_end() + 1500.0).abs() < 3.0, "the picture comes 1.5 s later, as sent");

    let noise = |index| if index % 10 == 5 { -(1 << 23) } else { 0 };
    let (played, timeline) = Played::run(Stream::new(true, true, 0, 4000).composed(noise));
    assert_eq!((timeline.repairs().composition, played.widest(TrackId::Video)), (10, 40));
}

#[test]
fn sound_follows_a_drifting_clock_for_an_hour() {
    for drift in [-500e-6, 500e-6] {
        let hour = 3_600_000;
        let sounds = (0..).map(|frame| (f64::from(frame) * AUDIO_FRAME * (1.0 + drift)) as i64);
        let sounds =
            sounds.take_while(|&time| time < hour).map(|time| (time, packet(TrackId::Audio, time as u32)));
        let (played, timeline) = Played::run(Stream(sounds.collect()));
        for (time, frame) in &played.0 {
            let error = frame.dts.since_zero().as_secs_f64() * 1000.0 - *time as f64;
            assert!(error.abs() < 15.0, "{error} ms at {time}");
        }
        let times: Vec<_> = played.0.iter().map(|(_, frame)| frame.dts.in_scale(44_100)).collect();
        assert!(times.windows(2).all(|pair| (pair[1] - pair[0] - 1024).abs() <= 8));
        assert_eq!(timeline.repairs(), Repairs::default());
    }
}

#[test]
fn jitter_and_small_bursts_leave_sound_contiguous_but_a_gap_is_kept() {
    // four frames at a time with one time between them, and 10 ms of jitter
    let clock = |time: i64, _| time / 93 * 93 + time * 7919 % 10;
    let (played, timeline) = Played::run(Stream::new(false, true, 0, 60_000).clocked(clock));
    assert!(played.widest(TrackId::Audio) <= 24);
    assert_eq!(timeline.repairs(), Repairs::default());

    let (played, _) =
        Played::run(Stream::new(false, true, 0, 10_000).without(|time, _| (5000..5200).contains(&time)));
    assert!((200..250).contains(&played.widest(TrackId::Audio)));
    let (time, last) = played.0.last().unwrap();
    assert!((last.dts.as_millis() - time).abs() <= 2);
}

#[test]
fn a_day_of_ntsc_video_has_no_rounding_error() {
    let mut timeline = Timeline::new();
    let tracks = tracks(true, false);
    let mut frames = Vec::new();
    for index in (0..86_400_i64 * 30_000 / 1001).step_by(5) {
        let exact = index * 1001;
        let packet = packet(TrackId::Video, (exact / 30) as u32);
        timeline.push(Sample { tracks: tracks.clone(), packet }, UnixMillis(0), &mut frames);
        let frame = frames.pop().unwrap();
        assert_eq!(frame.dts, Timestamp::from_scale(exact / 30 * 90, 90_000));
        assert!((frame.dts.in_scale(90_000) - exact * 3).abs() < 90);
    }
}

#[test]
fn nanoseconds_give_the_exact_rate() {
    let stream = Stream(
        (0..3000_u64)
            .map(|index| {
                let nanos = index * 1_001_000_000 / 30;
                let time = (nanos / 1_000_000) as u32;
                (time.into(), Packet { nanos: (nanos % 1_000_000) as u32, ..packet(TrackId::Video, time) })
            })
            .collect(),
    );
    let (played, _) = Played::run(stream);
    let ticks: Vec<_> = played.0.iter().map(|(_, frame)| frame.dts.in_scale(90_000)).collect();
    assert!(ticks.windows(2).all(|pair| pair[1] - pair[0] == 3003));
}

#[test]
fn a_publisher_that_comes_back_goes_on_right_behind_the_last_frame() {
    let (first, mut timeline) = Played::run(Stream::new(true, true, 90_000, 95_000));
    let end = timeline.end();
    timeline.begin_run();
    // OBS starts again from 0
    let second = Played::go_on(&mut timeline, Stream::new(true, true, 0, 5000));
    let run = second.runs()[0];
    assert_eq!((first.runs()[0].number, run.number, second.runs().len()), (0, 1, 1));
    assert!(run.start >= end && run.start - end < Span::from_millis(1));
    assert_eq!(second.0[0].1.dts, run.start);
    assert!(second.skew_at_end().abs() < 3.0);

    let mut restarted = Timeline::resume_at(timeline.end(), 7);
    restarted.begin_run();
    let third = Played::go_on(&mut restarted, Stream::new(true, true, 0, 5000));
    assert_eq!(third.runs()[0].number, 7);
    assert!(third.runs()[0].start - timeline.end() < Span::from_millis(1));
}

#[test]
fn what_is_made_meanwhile_stands_between_the_last_frame_and_the_next_publisher() {
    let (first, mut timeline) = Played::run(Stream::new(true, true, 0, 5000));
    let edge = timeline.edge();
    let last = |track| first.of(track).next_back().unwrap().1.dts;
    assert_eq!(edge.run, first.runs()[0]);
    assert_eq!(edge.picture, last(TrackId::Video) + Span::from_millis(40));
    assert_eq!(edge.sound, last(TrackId::Audio) + Span::from_scale(1024, 44_100));

    let until = edge.picture + Span::from_millis(60_000);
    timeline.filled(Edge { picture: until, shown: until, sound: until, ..edge });
    // The encoder had held back 0.7 s while it connected; the wall clock that viewers have seen goes on all the same.
    let due = first.runs()[0].wall_at(until);
    for (off, wall) in [(0, due), (-700, due), (5001, due + Span::from_millis(5001))] {
        assert_eq!(timeline.wall_of_next_run(until, due + Span::from_millis(off)), wall);
    }
    timeline.begin_run();
    let second = Played::go_on(&mut timeline, Stream::new(true, true, 0, 5000));
    assert_eq!((second.runs()[0].number, second.runs()[0].start), (1, until));

    let later = UnixMillis(second.runs()[0].wall.0 + 9);
    assert_eq!(timeline.wall_of_next_run(until, later), later, "nothing was made");

    let anew = timeline.edge_of_next_run(UnixMillis(99));
    assert_eq!((anew.run.number, anew.run.wall, anew.run.start), (2, UnixMillis(99), anew.picture));
    assert!(anew.picture >= timeline.edge().sound);
}

#[test]
fn a_run_begins_at_the_place_that_others_give_it_if_that_is_free() {
    let (_, mut timeline) = Played::run(Stream::new(true, true, 90_000, 95_000));
    let place = |at| Place { at: Timestamp::from_millis(at), wall: UnixMillis(7_000_000) };
    for (at, is_free) in [(5100, true), (4900, false)] {
        assert_eq!(timeline.has_room(&packet(TrackId::Video, 0), place(at)), is_free);
    }
    timeline.begin_run();
    timeline.begin_at(place(9000));
    let second = Played::go_on(&mut timeline, Stream::new(true, true, 0, 5000));
    let run = second.runs()[0];
    assert_eq!((run.start, run.wall), (place(9000).at, place(9000).wall));
    assert_eq!(second.0[0].1.dts, run.start);
    // What follows is nobody's place, and no older one either.
    timeline.begin_at(place(2000));
    timeline.begin_run();
    let end = timeline.end();
    let third = Played::go_on(&mut timeline, Stream::new(true, true, 0, 1000));
    assert!(third.runs()[0].start - end < Span::from_millis(1));
}

#[test]
fn a_mark_tells_where_a_frame_of_the_same_input_clock_lies() {
    let (_, timeline) = Played::run(Stream::new(true, true, 90_000, 95_000));
    let mark = timeline.mark(TrackId::Video, 94_960, UnixMillis(1_094_960)).unwrap();
    assert_eq!(mark.place, Place { at: Timestamp::from_millis(4960), wall: UnixMillis(1_094_960) });
    // 0.9 s late on the same clock; on another clock; over the wrap of the same.
    let at = |input, now| mark.place(input, UnixMillis(now)).at.as_millis();
    assert_eq!(at(95_000, 1_095_900), 5000);
    assert_eq!(at(0, 1_095_900), 5900);
    let last = Mark { input_ms: u32::MAX, ..mark };
    assert_eq!(last.place(39, UnixMillis(1_095_000)).at.as_millis(), 5000);
}

#[test]
fn a_publisher_that_comes_back_shows_nothing_before_what_was_shown() {
    // I P b b P b b: presentation 0 3 1 2 6 4 5, all two pictures late
    let composition = |index: usize| match index {
        0 => 80,
        index if index % 3 == 1 => 160,
        _ => 40,
    };
    for pictures in 1..12 {
        let (first, mut timeline) =
            Played::run(Stream::new(true, true, 0, pictures * 40).composed(composition));
        timeline.begin_run();
        let second = Played::go_on(&mut timeline, Stream::new(true, true, 0, 5000).composed(composition));
        let shown = first.of(TrackId::Video).map(|(_, frame)| frame.pts()).max().unwrap();
        let next = second.of(TrackId::Video).map(|(_, frame)| frame.pts()).min().unwrap();
        // 40 ms, and whatever sound lasted longer than the picture.
        assert!((40..120).contains(&(next - shown).as_millis()), "{pictures}: {next:?} after {shown:?}");
    }
}

#[test]
fn media_that_arrives_in_a_burst_is_as_good_as_any() {
    let mut timeline = Timeline::new();
    let (tracks, mut frames) = (tracks(true, true), Vec::new());
    for (_, packet) in Stream::new(true, true, 0, 16_000).0 {
        // all of the second half arrives at once
        let now = UnixMillis(if packet.time_ms < 8000 { packet.time_ms.into() } else { 16_000 });
        timeline.push(Sample { tracks: tracks.clone(), packet }, now, &mut frames);
    }
    assert!(frames.iter().all(|frame| frame.run.number == 0));
    assert_eq!(timeline.repairs(), Repairs::default());
}

#[test]
fn script_data_has_the_time_of_the_media_around_it() {
    let mut stream = Stream::new(true, true, 0, 2000);
    for (at, time) in [(40, 500), (60, 0), (80, 4_000_000_000)] {
        stream.0.insert(at, (0, packet(TrackId::Data, time)));
    }
    let (played, _) = Played::run(stream.clone());
    let data: Vec<_> = played.of(TrackId::Data).map(|(_, frame)| frame.dts.as_millis()).collect();
    let position = |at: usize| stream.0[..at].iter().rev().find(|p| p.1.track == TrackId::Video).unwrap().0;
    assert_eq!(data, [500, 500, position(80)]);
}

#[test]
fn all_times_equal_still_rise() {
    let (played, timeline) = Played::run(Stream::new(true, true, 0, 4000).clocked(|_, _| 1234));
    assert_eq!((played.runs().len(), timeline.repairs().clamped > 90), (1, true));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_input_gives_time_that_only_rises(
        inputs in prop::collection::vec(
            (0u8..20, prop_oneof![0u32..10_000, any::<u32>()], prop_oneof![-100i32..100, any::<i32>()], 0u32..2_000_000),
            0..300,
        ),
    ) {
        let mut timeline = Timeline::new();
        let (mut frames, mut pictures, tracks) = (Vec::new(), 0, tracks(true, true));
        for (index, (kind, time_ms, composition_ms, nanos)) in inputs.into_iter().enumerate() {
            let track = match kind {
                0 => {
                    timeline.end_run(UnixMillis(index as i64), &mut frames);
                    timeline.begin_run();
                    continue;
                }
                1..=10 => TrackId::Video,
                _ => TrackId::Audio,
            };
            let packet = Packet { composition_ms, nanos, ..packet(track, time_ms) };
            timeline.push(Sample { tracks: tracks.clone(), packet }, UnixMillis(index as i64), &mut frames);
            pictures += usize::from(track == TrackId::Video);
        }
        timeline.end_run(UnixMillis(0), &mut frames);
        prop_assert_eq!(frames.iter().filter(|frame| frame.track == TrackId::Video).count(), pictures);
        check(&frames);
        prop_assert!(frames.windows(2).all(|pair| pair[0].run.number <= pair[1].run.number));
    }

    #[test]
    fn jumps_anywhere_keep_sound_and_picture_together(
        at in 600i64..8000,
        by in prop_oneof![-1_000_000i64..-1200, 3500i64..1_000_000],
        lag in 0i64..400,
    ) {
        // sound is sent `lag` ms late against the picture
        let mut stream = Stream::new(true, true, 1000, 10_000).jumping(at + 1000, by);
        stream.0.sort_by_key(|(time, packet)| time + if packet.track == TrackId::Audio { lag } else { 0 });
        let (played, _) = Played::run(stream);
        prop_assert_eq!(played.runs().len(), 2);
        prop_assert!(played.skew_at_end().abs() < 3.0, "{}", played.skew_at_end());
    }
}
