//! What encoders send beside H.264 with AAC.

use std::{fs, path::Path, process::Command};

use crate::{
    exact::same_frames,
    support::{
        Kaibo, clip, flv, hls,
        probe::{self, Track, audio, video},
        push::{self, Pusher},
        seconds,
    },
};

/// Pushes `clip` to its end; all of it as a viewer of fMP4 gets it, and the server.
fn through_hls(
    server: &Kaibo,
    push: impl Fn(&Path, &str) -> Pusher,
    clip: &Path,
    tracks: &[Track],
) -> (std::path::PathBuf, flv::Viewer) {
    let mut push = push(clip, &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(server, "room");
    let fmp4 = hls::Viewer::open(server, "/live/room.m3u8");
    assert_eq!(probe::tracks(server.url("/live/room.m3u8")), tracks);
    push.wait();
    let seen = fmp4.wait_for_end();
    assert_eq!(seen.discontinuities(), [0_u64; 0]);
    let file = server.scratch("live.mp4");
    fs::write(&file, seen.joined()).unwrap();
    (file, viewer)
}

fn tracks_of_flv(server: &Kaibo, viewer: &flv::Viewer) -> Vec<Track> {
    let file = server.scratch("live.flv");
    fs::write(&file, viewer.bytes()).unwrap();
    probe::tracks(&file)
}

/// What today's ffmpeg says about the streams of an FLV file; Debian's knows no Enhanced FLV.
fn described_by_newest_ffmpeg(server: &Kaibo, viewer: &flv::Viewer) -> String {
    let file = server.scratch("live.flv");
    fs::write(&file, viewer.bytes()).unwrap();
    let output = Command::new(push::newest_ffmpeg_path())
        .args(["-hide_banner", "-nostdin", "-i"])
        .arg(&file)
        .args(["-c", "copy", "-f", "null", "-"])
        .output()
        .unwrap();
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_stream_without_sound_plays() {
    let server = Kaibo::start("");
    let (_, viewer) = through_hls(&server, push::ffmpeg, &clip::video_only(), &[video("h264", 320, 180)]);
    assert_eq!(viewer.bytes()[4], 1, "the FLV header announces pictures alone");
    assert_eq!(tracks_of_flv(&server, &viewer), [video("h264", 320, 180)]);
}

#[test]
fn a_stream_without_picture_plays() {
    let server = Kaibo::start("");
    let (_, viewer) = through_hls(&server, push::ffmpeg, &clip::audio_only(), &[audio("aac")]);
    assert_eq!(viewer.bytes()[4], 4, "the FLV header announces sound alone");
    assert_eq!(tracks_of_flv(&server, &viewer), [audio("aac")]);
}

#[test]
fn pictures_out_of_order_come_out_as_they_went_in() {
    let server = Kaibo::start("");
    let clip = clip::b_frames();
    let both = [audio("aac"), video("h264", 320, 180)];
    let (file, viewer) = through_hls(&server, push::ffmpeg, &clip, &both);
    same_frames(&clip, &file);
    assert_eq!(tracks_of_flv(&server, &viewer), both);
    assert_eq!(probe::complaints(&file), "");
}

#[test]
fn hevc_plays() {
    let server = Kaibo::start("");
    let clip = clip::hevc();
    let (file, viewer) =
        through_hls(&server, push::newest_ffmpeg, &clip, &[audio("aac"), video("hevc", 320, 180)]);
    same_frames(&clip, &file);
    let flv = described_by_newest_ffmpeg(&server, &viewer);
    assert!(flv.contains("Video: hevc") && flv.contains("320x180") && flv.contains("Audio: aac"), "{flv}");
    let way_in = server.get("/live/room.m3u8").text();
    assert!(way_in.contains("hvc1."), "{way_in}");
}

#[test]
fn av1_with_opus_plays() {
    let server = Kaibo::start("");
    let clip = clip::av1_with_opus();
    let (file, viewer) =
        through_hls(&server, push::newest_ffmpeg, &clip, &[video("av1", 320, 180), audio("opus")]);
    same_frames(&clip, &file);
    let flv = described_by_newest_ffmpeg(&server, &viewer);
    assert!(flv.contains("Video: av1") && flv.contains("320x180") && flv.contains("Audio: opus"), "{flv}");
    let way_in = server.get("/live/room.m3u8").text();
    assert!(way_in.contains("av01.") && way_in.contains("opus"), "{way_in}");

    let refused = server.get("/live/room/ts.m3u8");
    assert_eq!(refused.status, 415);
    let why = "AV1 is not supported in MPEG-TS";
    assert!(refused.text().contains("codec_not_carried") && refused.text().contains(why));
    assert!(server.log().contains(why));
}
