//! Where members of a group begin.

use bytes::Bytes;
use kaibo_container::segment::{Init, SegmentEnd, SegmentHead};
use kaibo_media::{Frame, Sample, TrackId, Tracks, VideoCodec, VideoTrack};

use super::*;

/// Arrival times are input times and this.
const WALL: i64 = 1_000_000;

fn tracks() -> Arc<Tracks> {
    let video = VideoTrack {
        codec: VideoCodec::H264,
        config: Bytes::new(),
        codecs: "avc1.64001e".into(),
        width: 640,
        height: 360,
        frame_rate: Some(25.0),
    };
    Arc::new(Tracks { video: Some(video), audio: None })
}

fn picture(time_ms: u32) -> Packet {
    Packet {
        track: TrackId::Video,
        time_ms,
        composition_ms: 0,
        nanos: 0,
        keyframe: true,
        data: Bytes::from_static(b"x"),
    }
}

/// A broadcast and its publisher.
struct Quality {
    member: Member,
    timeline: Timeline,
    running: bool,
}

impl Quality {
    fn of(group: &Arc<Group>) -> Self {
        Self { member: group.clone().join(Timestamp::ZERO), timeline: Timeline::new(), running: false }
    }

    /// Takes a keyframe as the ingest does.
    fn push(&mut self, time_ms: u32, arrived: i64) -> Option<Frame> {
        let (packet, now) = (picture(time_ms), UnixMillis(WALL + arrived));
        if !self.running {
            self.timeline.begin_at(self.member.place(&packet, &self.timeline, now)?);
            self.running = true;
        }
        let mut frames = Vec::new();
        self.timeline.push(Sample { tracks: tracks(), packet }, now, &mut frames);
        self.member.note(self.timeline.mark(TrackId::Video, time_ms, now), self.timeline.end());
        frames.pop()
    }

    /// Its publisher goes, and another one comes.
    fn drop_out(&mut self) {
        self.member.pause(self.timeline.end());
        self.timeline.begin_run();
        self.running = false;
    }
}

fn at(frame: &Frame) -> (i64, i64) {
    (frame.dts.as_millis(), frame.run.wall_at(frame.dts).0 - WALL)
}

#[test]
fn pushes_with_one_clock_are_in_line_to_the_millisecond() {
    let group = Arc::default();
    let (mut sd, mut hd) = (Quality::of(&group), Quality::of(&group));
    for time in (0..4000).step_by(40) {
        sd.push(7000 + time, time.into());
    }
    // It comes later, over a slower way.
    let hd_frame = hd.push(11_000, 4350).unwrap();
    let sd_frame = sd.push(11_000, 4000).unwrap();
    assert_eq!(at(&hd_frame), (4000, 4000));
    assert_eq!(at(&sd_frame), (4000, 4000));
}

#[test]
fn pushes_with_clocks_of_their_own_are_placed_by_when_they_come() {
    let group = Arc::default();
    let (mut sd, mut hd) = (Quality::of(&group), Quality::of(&group));
    for time in (0..5000).step_by(40) {
        sd.push(time, time.into());
    }
    assert_eq!(at(&hd.push(0, 5000).unwrap()), (5000, 5000));
}

#[test]
fn whoever_comes_back_is_where_the_others_are() {
    let group = Arc::default();
    let (mut sd, mut hd) = (Quality::of(&group), Quality::of(&group));
    for time in (0..2000).step_by(40) {
        sd.push(time, time.into());
        hd.push(time, time.into());
    }
    hd.drop_out();
    for time in (2000..6000).step_by(40) {
        sd.push(time, time.into());
    }
    // The same clock, then a new one.
    assert_eq!(at(&hd.push(6000, 6100).unwrap()), (6000, 6000));
    hd.drop_out();
    sd.push(8000, 8000);
    sd.push(9000, 9000);
    assert_eq!(at(&hd.push(0, 9500).unwrap()), (9500, 9500));
}

#[test]
fn the_first_to_come_back_begins_behind_what_any_has_shown() {
    let group = Arc::default();
    let (mut sd, mut hd) = (Quality::of(&group), Quality::of(&group));
    for time in (0..2000).step_by(40) {
        sd.push(time, time.into());
    }
    for time in (0..2400).step_by(40) {
        hd.push(time, time.into());
    }
    sd.drop_out();
    hd.drop_out();
    let sd_frame = sd.push(500, 60_000).unwrap();
    assert_eq!(at(&sd_frame), (2400, 60_000));
    assert_eq!(at(&hd.push(500, 60_050).unwrap()), (2400, 60_000));
}

#[test]
fn nothing_of_what_a_quality_has_shown_already_is_shown_again() {
    let group = Arc::default();
    let (mut sd, mut hd) = (Quality::of(&group), Quality::of(&group));
    sd.push(0, 0);
    for time in (0..3000).step_by(40) {
        hd.push(time, time.into());
    }
    hd.drop_out();
    // The others are late.
    sd.push(1000, 3000);
    assert!(hd.push(1000, 3000).is_none());
    assert!(hd.push(2000, 4000).is_none());
    assert_eq!(hd.push(3000, 5000).map(|frame| at(&frame).0), Some(3000));
}

#[test]
fn after_the_end_of_all_the_timeline_begins_anew() {
    let group = Arc::default();
    let mut sd = Quality::of(&group);
    sd.push(0, 0);
    sd.push(2000, 2000);
    drop(sd);
    assert_eq!(at(&Quality::of(&group).push(9000, 9000).unwrap()).0, 0);
}

#[test]
fn a_segment_of_another_is_found_by_its_time() {
    let group = Arc::default();
    let (mut sd, hd) = (Quality::of(&group), Quality::of(&group));
    assert_eq!(hd.member.beside(Timestamp::ZERO), None);
    sd.push(0, 0);
    for number in 0..30 {
        let init = Arc::new(Init { number: 0, bytes: Bytes::new(), tracks: tracks() });
        let start = Timestamp::from_millis(number as i64 * 2000);
        let head = SegmentHead {
            number,
            discontinuity: 1,
            init,
            start,
            wall: UnixMillis(0),
            independent: true,
            filler: false,
        };
        let end = SegmentEnd {
            number,
            duration: Span::from_millis(2000),
            target_duration: 2,
            part_target: Some(Span::from_millis(500)),
        };
        sd.member.note_cuts(&[Cut::Begin(Arc::new(head)), Cut::End(end)]);
    }
    let found = |millis| hd.member.beside(Timestamp::from_millis(millis)).map(|beside| beside.number);
    assert_eq!([found(57_980), found(57_900), found(70_000)], [Some(29), Some(28), Some(29)]);
    assert_eq!(found(1000), None, "long gone");
    let beside = hd.member.beside(Timestamp::from_millis(58_000)).unwrap();
    assert_eq!((beside.discontinuity, beside.target_duration), (1, Some(2)));
    sd.drop_out();
    assert_eq!(found(58_000), None, "it is away");
}
