//! What is held decodes: ffmpeg sees the same picture in every frame, without a complaint, however it was coded.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

use std::{fs, path::Path, process::Command, sync::Arc};

use kaibo_container::flv::{Tags, Video, parse_video};
use kaibo_hold::Keeper;
use kaibo_media::{
    Edge, Frame, Run, Span, Timestamp, TrackId, Tracks, VideoCodec, VideoTrack,
    nal::{self, NalKind},
};
use tempfile::TempDir;

/// The pictures of a push that ffmpeg made with `options`.
fn pushed(dir: &TempDir, size: &str, options: &[&str]) -> Vec<Frame> {
    let file = dir.path().join("push.flv");
    let source = format!("testsrc2=size={size}:rate=25:duration=0.6");
    let mut ffmpeg = Command::new("ffmpeg");
    let made = ffmpeg.args(["-v", "error", "-f", "lavfi", "-i", &source]).args(options).arg(&file).output();
    let made = made.unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let (mut tracks, mut frames) = (None, Vec::new());
    for tag in Tags::new(fs::read(file).unwrap().into()).unwrap().map(Result::unwrap) {
        match parse_video(tag.body.clone()) {
            Ok(Video::Config { codec, record }) => {
                let video = Some(VideoTrack::from_record(codec, record).unwrap());
                tracks = Some(Arc::new(Tracks { video, audio: None }));
            }
            Ok(Video::Frame { composition_ms, keyframe, data, .. }) => frames.push(Frame {
                tracks: tracks.clone().unwrap(),
                run: Run::default(),
                track: TrackId::Video,
                dts: Timestamp::from_millis(tag.time_ms.into()),
                pts_offset: Span::from_millis(composition_ms.into()),
                keyframe,
                filler: false,
                data,
            }),
            _ => {}
        }
    }
    frames
}

/// The pictures of an encoder of HEVC, which delimits them.
fn coded_hevc(dir: &TempDir, params: &str) -> Vec<Frame> {
    let file = dir.path().join("coded.hevc");
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args([
        "-v",
        "error",
        "-f",
        "lavfi",
        "-i",
        "testsrc2=size=320x180:rate=25:duration=0.8",
        "-c:v",
        "libx265",
    ]);
    let made = ffmpeg.args(["-preset", "ultrafast", "-x265-params", params]).arg(&file).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let stream = fs::read(file).unwrap();
    let units: Vec<&[u8]> = nal::annex_b(&stream).collect();
    let kind = |unit: &[u8]| nal::kind(VideoCodec::H265, unit);
    let sets = units.iter().filter(|unit| matches!(kind(unit), NalKind::Vps | NalKind::Sps | NalKind::Pps));
    let record: Vec<u8> = sets.flat_map(|set| [&[0, 0, 0, 1], *set].concat()).collect();
    let tracks = Arc::new(Tracks { video: Some(VideoTrack::from_hvcc(record.into()).unwrap()), audio: None });
    let pictures = units.split(|unit| kind(unit) == NalKind::Aud).filter(|picture| !picture.is_empty());
    let frame = |(number, picture): (usize, &[&[u8]])| Frame {
        tracks: tracks.clone(),
        run: Run::default(),
        track: TrackId::Video,
        dts: Timestamp::from_millis(40 * number as i64),
        pts_offset: Span::from_millis(80),
        keyframe: picture.iter().any(|unit| matches!(kind(unit), NalKind::Idr | NalKind::RandomAccess)),
        filler: false,
        data: picture
            .iter()
            .flat_map(|unit| [&(unit.len() as u32).to_be_bytes()[..], unit].concat())
            .collect(),
    };
    pictures.enumerate().map(frame).collect()
}

/// Three segments of filler behind `frames`.
fn held(frames: &[Frame]) -> Vec<Frame> {
    let mut keeper = Keeper::default();
    frames.iter().for_each(|frame| keeper.note(frame));
    let next = frames.last().unwrap().dts + Span::from_millis(40);
    let shown = frames.iter().map(Frame::pts).max().unwrap() + Span::from_millis(40);
    let edge = Edge { run: Run::default(), picture: next, shown, sound: next };
    let mut filler = keeper.filler(edge, Span::from_millis(2000)).expect("it is held");
    let mut made = Vec::new();
    filler.fill(next + Span::from_millis(6000), &mut made);
    made
}

/// Checksums of the pictures that ffmpeg decodes of `frames`, and what it complains of.
fn decoded(dir: &Path, frames: &[Frame]) -> (Vec<String>, Vec<String>) {
    let track = frames[0].tracks.video.as_ref().unwrap();
    let mut bytes = Vec::new();
    let mut put = |unit: &[u8]| bytes.extend([&[0, 0, 0, 1], unit].concat());
    track.parameter_sets().unwrap().iter().for_each(|set| put(set));
    frames.iter().flat_map(|frame| nal::units(&frame.data)).for_each(|unit| put(unit.unwrap()));
    let file = dir.join("held");
    fs::write(&file, bytes).unwrap();
    let format = if track.codec == VideoCodec::H265 { "hevc" } else { "h264" };
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-v", "warning", "-f", format, "-i"]).arg(&file);
    let output = ffmpeg.args(["-vsync", "passthrough", "-f", "framemd5", "-"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let sums = text.lines().filter(|line| !line.starts_with('#'));
    let sums = sums.map(|line| line.rsplit(',').next().unwrap().trim().to_owned()).collect();
    let complaints = String::from_utf8(output.stderr).unwrap();
    // An elementary stream has no times, which is no fault of its pictures; nor is ffmpeg's own option one.
    let known = |line: &&str| !line.contains("imestamp") && !line.contains("vsync");
    (sums, complaints.lines().filter(known).map(str::to_owned).collect())
}

#[track_caller]
fn shows_one_picture(size: &str, options: &[&str], pictures: usize) {
    let dir = TempDir::new().unwrap();
    let frames = pushed(&dir, size, options);
    // Cut off within a group of pictures.
    one_picture(&dir, &frames[..frames.len() - 1], pictures, options);
}

#[track_caller]
fn one_picture(dir: &TempDir, frames: &[Frame], pictures: usize, options: &[&str]) {
    let made = held(frames);
    assert_eq!(made.len(), pictures, "{options:?}");
    let last = frames.iter().rfind(|frame| frame.keyframe).unwrap();
    let (alone, _) = decoded(dir.path(), std::slice::from_ref(last));
    let (sums, complaints) = decoded(dir.path(), &made);
    assert_eq!(complaints, [""; 0], "{options:?}");
    assert_eq!(sums.len(), made.len(), "{options:?}");
    assert!(sums.iter().all(|sum| *sum == alone[0]), "{options:?}: {sums:?}, alone {alone:?}");
}

#[test]
fn progressive_h264_stands_still() {
    // The last macroblocks of most sizes are cropped.
    for (size, params) in [
        ("320x180", "keyint=8"),
        ("320x180", "keyint=8:cabac=0"),
        ("320x180", "keyint=8:slices=4"),
        ("322x182", "keyint=8:cabac=0:slices=3:bframes=0"),
        ("320x180", "keyint=8:weightp=2:b-pyramid=normal:bframes=3"),
        ("320x180", "keyint=8:no-deblock=1:qp=3"),
        ("320x180", "keyint=8:bframes=0:ref=1:aud=1"),
        ("1920x1080", "keyint=8"),
        ("1920x1080", "keyint=8:cabac=0"),
    ] {
        let x264 = ["-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-x264-params", params];
        shows_one_picture(size, &x264, 60);
    }
    let baseline = ["-c:v", "libx264", "-profile:v", "baseline", "-pix_fmt", "yuv420p", "-g", "8"];
    shows_one_picture("320x180", &baseline, 60);
    for format in ["gray", "yuv444p", "yuv420p10le"] {
        shows_one_picture("320x180", &["-c:v", "libx264", "-pix_fmt", format, "-g", "8"], 60);
    }
}

#[test]
fn interlaced_h264_is_repeated() {
    for params in ["keyint=8:interlaced=1", "keyint=8:interlaced=1:cabac=0:slices=2"] {
        let x264 = ["-c:v", "libx264", "-pix_fmt", "yuv420p", "-x264-params", params];
        shows_one_picture("320x192", &x264, 24);
    }
}

#[test]
fn hevc_is_repeated_whether_its_groups_are_closed_or_open() {
    for params in ["keyint=8:min-keyint=8:open-gop=0:bframes=3", "keyint=8:min-keyint=8:open-gop=1:bframes=3"]
    {
        let dir = TempDir::new().unwrap();
        let frames = coded_hevc(&dir, &format!("{params}:aud=1:repeat-headers=1:log-level=error"));
        one_picture(&dir, &frames[..frames.len() - 1], 24, &[params]);
    }
}
