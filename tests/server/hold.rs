//! The encoder is away, and its viewers see the last picture.

use std::{fs, thread, time::Duration};

use crate::{
    resume::assert_contiguous,
    support::{
        Kaibo, clip, flv, hls, hls_checker::Checker, http, probe, push, seconds, wait_for, wait_until,
    },
};

const CONFIG: &str = "hls.segment = \"1s\"\nhls.window = \"30s\"";

#[test]
fn viewers_see_the_last_picture_until_the_encoder_is_back() {
    let server = Kaibo::start(CONFIG);
    let url = server.push_url("room");
    let encoder = push::ffmpeg(&clip::long(), &url);
    server.wait_for_state("room", "live", seconds(10));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8");
    let viewer = flv::Viewer::open(&server, "room");
    fmp4.wait_for_segment(3);

    encoder.kill9();
    let away = server.wait_for_state("room", "interrupted", seconds(2));
    assert_eq!((&away["holding"], &away["hold"]), (&true.into(), &"picture".into()));
    assert!(server.get("/status/live/room").text().contains("\"hold\":\"picture\""));
    assert!(server.metrics().contains("kaibo_broadcasts_holding 1\n"));
    let cut = *fmp4.seen().segments.last_key_value().unwrap().0;
    let held = fmp4.wait_for_segment(cut + 4);
    assert_eq!(held.discontinuities(), [0_u64; 0], "the time of the held picture goes on");
    let joined_late = flv::Viewer::open(&server, "room");
    wait_until("a picture for a late viewer", seconds(2), || joined_late.newest_picture().is_some());

    let encoder = push::ffmpeg(&clip::long_smaller(), &url);
    let back = server.wait_for_state("room", "live", seconds(5));
    assert_eq!((&back["holding"], &back["hold"]), (&false.into(), &serde_json::Value::Null));
    assert!(server.metrics().contains("kaibo_broadcasts_holding 0\n"));
    let last = *fmp4.seen().segments.last_key_value().unwrap().0;
    fmp4.wait_for_segment(last + 3);
    encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(5));

    let (fmp4, ts) = (fmp4.wait_for_end(), ts.wait_for_end());
    assert_eq!(fmp4.discontinuities().len(), 1, "where the encoder is back");
    assert_eq!(fmp4.discontinuities(), ts.discontinuities());
    for viewer in [&viewer, &joined_late] {
        assert_contiguous(viewer);
        let file = server.scratch("seen.flv");
        fs::write(&file, viewer.bytes()).unwrap();
        assert!(!probe::decoding_complaints(&file).contains("error while decoding"));
    }
    let file = server.scratch("joined.ts");
    fs::write(&file, ts.joined()).unwrap();
    assert_eq!(probe::complaints(&file), "");

    // The replay has nothing but what the encoders sent.
    let replay = ended["replay"]["hls"].as_str().unwrap();
    let playlist = wait_for("the final replay", seconds(3), || {
        let playlist = Checker::default().observe(&http::get(replay, &[]).text()).unwrap();
        playlist.ended.then_some(playlist)
    });
    assert_eq!(playlist.segments.iter().filter(|segment| segment.tagged).count(), 1);
    let sent: Vec<String> = [clip::long(), clip::long_smaller()]
        .iter()
        .flat_map(|clip| probe::packets(clip, "v"))
        .map(|packet| packet.md5)
        .collect();
    let kept = probe::packets(replay, "v");
    assert!(kept.len() > 120 && kept.iter().all(|picture| sent.contains(&picture.md5)));
}

#[test]
fn the_picture_is_held_when_the_server_is_back_before_the_encoder() {
    let mut server = Kaibo::start(CONFIG);
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let began = server.wait_for_state("room", "live", seconds(10));
    hls::Viewer::open(&server, "/live/room.m3u8").wait_for_segment(3);
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(2));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    fmp4.wait_for_segment(6);
    server.kill9();
    server.restart();
    let away = server.wait_for_state("room", "interrupted", seconds(5));
    assert_eq!((&away["id"], &away["hold"]), (&began["id"], &"picture".into()));
    let last = *fmp4.seen().segments.last_key_value().unwrap().0;
    let seen = fmp4.wait_for_segment(last + 3);
    assert_eq!((seen.discontinuities().len(), seen.maps.len()), (1, 1), "one for the restart");
    let file = server.scratch("held.mp4");
    fs::write(&file, seen.joined()).unwrap();
    assert_eq!(probe::decoding_complaints(&file), "");
}

#[test]
fn sound_alone_goes_on_in_silence() {
    let server = Kaibo::start(CONFIG);
    let encoder = push::ffmpeg(&clip::audio_only(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    fmp4.wait_for_segment(2);
    encoder.kill9();
    assert_eq!(server.wait_for_state("room", "interrupted", seconds(2))["hold"], "picture");
    let last = *fmp4.seen().segments.last_key_value().unwrap().0;
    let seen = fmp4.wait_for_segment(last + 4);
    assert_eq!(seen.discontinuities(), [0_u64; 0]);
    let file = server.scratch("held.mp4");
    fs::write(&file, seen.joined()).unwrap();
    let sounds = probe::packets(&file, "a");
    for pair in sounds.windows(2) {
        let step = pair[1].dts - pair[0].dts;
        assert!((step - 1024.0 / 44_100.0).abs() < 1e-4, "{step} s between two frames");
    }
    assert_eq!(probe::decoding_complaints(&file), "");
}

#[test]
fn no_hole_is_in_the_sound_where_the_encoder_is_back() {
    const FRAME: f64 = 1024.0 / 44_100.0;
    let server = Kaibo::start(CONFIG);
    let (mut encoder, fmp4) = hls::on_air(&server, &server.push_url("room"));
    // In browsers a hole of more than a frame costs all pictures up to the next keyframe.
    for clip in [clip::long(), clip::late_sound()] {
        encoder.kill9();
        server.wait_for_state("room", "interrupted", seconds(2));
        let last = *fmp4.seen().segments.last_key_value().unwrap().0;
        fmp4.wait_for_segment(last + 2);
        encoder = push::ffmpeg(&clip, &server.push_url("room"));
        server.wait_for_state("room", "live", seconds(5));
        let last = *fmp4.seen().segments.last_key_value().unwrap().0;
        fmp4.wait_for_segment(last + 3);
    }
    encoder.quit();
    let seen = fmp4.wait_for_end();
    assert_eq!(seen.discontinuities().len(), 2);
    let file = server.scratch("seen.mp4");
    fs::write(&file, seen.joined()).unwrap();
    for pair in probe::packets(&file, "a").windows(2) {
        let step = pair[1].dts - pair[0].dts;
        assert!(step > FRAME - 1e-4 && step < 2.0 * FRAME, "{step} s between two frames at {}", pair[1].dts);
    }
    assert_eq!(probe::decoding_complaints(&file), "");
}

#[test]
fn a_picture_is_not_held_longer_than_is_wanted() {
    let server = Kaibo::start("hls.segment = \"1s\"\nhls.hold_max = \"1s\"\nflv.hold = \"1s\"");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let viewer = flv::Viewer::open(&server, "room");
    fmp4.wait_for_segment(2);
    encoder.kill9();
    assert_eq!(server.wait_for_state("room", "interrupted", seconds(2))["hold"], "picture");
    wait_until("the list idles", seconds(4), || server.broadcast("room")["hold"] == "idle");
    wait_until("the FLV stream ends", seconds(4), || viewer.end().is_some());
    let last = *fmp4.seen().segments.last_key_value().unwrap().0;
    // More than a segment's time: nothing is there to be awaited.
    thread::sleep(Duration::from_millis(1500));
    assert!(fmp4.seen().segments.keys().max() == Some(&last) && !fmp4.seen().playlist.unwrap().ended);
}
