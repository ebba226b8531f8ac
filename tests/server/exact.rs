//! What viewers and replays get is what the encoder sent, bit for bit.

use std::{fs, path::Path};

use crate::support::{
    Kaibo, clip, hls,
    probe::{self, Packet},
    push::{self, Pusher},
    seconds,
};

#[test]
fn every_frame_of_ffmpeg_comes_out_as_it_went_in() {
    every_frame_comes_out(push::ffmpeg);
}

#[test]
fn every_frame_of_gstreamers_rtmp2sink_comes_out_as_it_went_in() {
    every_frame_comes_out(|clip, url| push::gstreamer("rtmp2sink", clip, url));
}

#[test]
fn every_frame_of_librtmp_comes_out_as_it_went_in() {
    every_frame_comes_out(|clip, url| push::gstreamer("rtmpsink", clip, url));
}

fn every_frame_comes_out(push: impl Fn(&Path, &str) -> Pusher) {
    let server = Kaibo::start("");
    let clip = clip::short();
    let mut push = push(&clip, &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8");
    push.wait();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    let fmp4 = fmp4.wait_for_end();
    let ts = ts.wait_for_end();
    assert_eq!(fmp4.discontinuities(), [0_u64; 0]);
    assert_eq!(ts.discontinuities(), [0_u64; 0]);

    let file = server.scratch("live.mp4");
    fs::write(&file, fmp4.joined()).unwrap();
    same_frames(&clip, &file);

    let file = server.scratch("live.ts");
    fs::write(&file, ts.joined()).unwrap();
    assert_eq!(probe::complaints(&file), "");
    assert_eq!(probe::packets(&file, "v").len(), probe::packets(&clip, "v").len(), "pictures in TS");

    let replay = ended["replay"]["hls"].as_str().unwrap();
    assert_eq!(ended["replay"]["status"], "ready");
    same_frames(&clip, Path::new(replay));
}

/// All pictures of `clip` are in `out`, and all sound that isn't older than the first picture.
pub fn same_frames(clip: &Path, out: &Path) {
    let pictures = (probe::packets(clip, "v"), probe::packets(out, "v"));
    same_packets("picture", &pictures.0, &pictures.1, 0.0);
    let begin = pictures.0[0].dts;
    let (mut sent, got) = (probe::packets(clip, "a"), probe::packets(out, "a"));
    let older = sent.iter().filter(|packet| packet.dts < begin).count();
    let missing = sent.len() - got.len();
    assert!(missing <= older, "{missing} sounds are missing, {older} are older than the first picture");
    sent.drain(..missing);
    let skew = (got[0].pts - pictures.1[0].pts) - (sent[0].pts - pictures.0[0].pts);
    same_packets("sound", &sent, &got, skew);
    assert!(skew.abs() < 0.005, "sound is shifted against the picture by {skew} s");
}

/// Same bytes, same order, same distances of time; `ffprobe` rounds them to a millisecond in FLV.
fn same_packets(what: &str, sent: &[Packet], got: &[Packet], skew: f64) {
    assert_eq!(got.len(), sent.len(), "{what}: packets");
    let shift = got[0].pts - sent[0].pts;
    for (number, (sent, got)) in sent.iter().zip(got).enumerate() {
        assert_eq!((got.size, &got.md5), (sent.size, &sent.md5), "{what} {number}");
        assert_eq!(got.keyframe, sent.keyframe, "{what} {number}");
        let moved = got.pts - sent.pts - shift;
        assert!(moved.abs() < 0.004, "{what} {number} moved by {moved} s (skew {skew})");
    }
}
