//! What the tests record.

use std::{path::Path, sync::Arc};

use bytes::Bytes;
use kaibo_container::{
    segment::{Cut, Init, Part, SegmentEnd, SegmentHead},
    segmenter::{Config, Resume, Segmenter},
};
use kaibo_media::{
    AudioCodec, AudioTrack, Frame, Item, Run, Span, Timestamp, TrackId, Tracks, UnixMillis, VideoCodec,
    VideoTrack,
};
use kaibo_replay::{File, Id, Meta, Recordings, Segment, Writer};

pub const PART_TARGET: Span = Span::from_millis(500);

pub fn id(name: &str) -> Id {
    name.parse().unwrap()
}

pub fn meta() -> Meta {
    Meta { app: "live".into(), stream: "room1".into(), started: UnixMillis(1_700_000_000_000), excerpt: None }
}

pub fn tracks() -> Arc<Tracks> {
    let video = VideoTrack {
        codec: VideoCodec::H264,
        config: Bytes::from_static(&[1, 0x64, 0, 0x1F, 0xFF]),
        width: 1280,
        height: 720,
        frame_rate: Some(29.97),
        codecs: "avc1.64001f".into(),
    };
    Arc::new(Tracks { video: Some(video), audio: Some(aac()) })
}

pub fn aac() -> AudioTrack {
    AudioTrack {
        codec: AudioCodec::Aac,
        config: Bytes::from_static(&[0x12, 0x10]),
        sample_rate: 44_100,
        channels: 2,
        samples_per_frame: 1024,
        codecs: "mp4a.40.2".into(),
    }
}

/// Segment `number` of 2 s, in two parts.
pub fn segment(number: u64) -> Vec<Cut> {
    let start = Timestamp::from_millis(2000 * number as i64);
    let init = Arc::new(Init { number: 0, bytes: Bytes::from_static(b"ftyp and moov"), tracks: tracks() });
    let head = SegmentHead {
        number,
        discontinuity: 3,
        init,
        start,
        wall: UnixMillis(1_700_000_000_000 + start.as_millis()),
        independent: true,
        filler: false,
    };
    let part = |index: u32| {
        Cut::Part(Arc::new(Part {
            segment: number,
            index,
            start: start + Span::from_millis(i64::from(index) * 1000),
            duration: Span::from_millis(1000),
            independent: index == 0,
            bytes: format!("<segment {number} part {index}>").into(),
            samples: Box::default(),
            cues: Box::default(),
        }))
    };
    let end = SegmentEnd {
        number,
        duration: Span::from_millis(2000),
        target_duration: 2,
        part_target: Some(PART_TARGET),
    };
    vec![Cut::Begin(Arc::new(head)), part(0), part(1), Cut::End(end)]
}

pub fn write(writer: &mut Writer, numbers: impl IntoIterator<Item = u64>) {
    for cut in numbers.into_iter().flat_map(segment) {
        writer.write(&cut).unwrap();
    }
}

pub fn text(recordings: &Recordings, id: &Id, segment: &Segment) -> String {
    String::from_utf8(bytes_of(recordings, id, segment).to_vec()).unwrap()
}

pub fn bytes_of(recordings: &Recordings, id: &Id, segment: &Segment) -> Bytes {
    recordings.read(id, File::Segment(segment.number), 0..segment.bytes).unwrap()
}

pub fn numbers(segments: &[Segment]) -> Vec<u64> {
    segments.iter().map(|segment| segment.number).collect()
}

/// A folder with one finished recording of three segments.
pub fn finished(root: &Path, name: &str, wall: i64) -> Recordings {
    let recordings = Recordings::new(root).unwrap();
    let mut writer = recordings.create(&id(name), meta()).unwrap();
    write(&mut writer, 0..3);
    writer.finish("stopped", UnixMillis(wall)).unwrap();
    recordings
}

/// The cuts of 14 s of sound.
pub fn of_sound() -> Vec<Cut> {
    let tracks = Arc::new(Tracks { video: None, audio: Some(aac()) });
    let mut segmenter = Segmenter::new(Config::default(), Resume::default());
    let mut cuts = Vec::new();
    for n in 0..600 {
        let frame = Frame {
            tracks: tracks.clone(),
            run: Run::default(),
            track: TrackId::Audio,
            dts: Timestamp::from_scale(n * 1024, 44_100),
            pts_offset: Span::ZERO,
            keyframe: true,
            filler: false,
            data: vec![n as u8; 200].into(),
        };
        segmenter.push(&Item::Frame(Arc::new(frame)), &mut cuts);
    }
    segmenter.push(&Item::Break, &mut cuts);
    cuts
}
