//! The server itself stops, properly or not.

use crate::support::{Kaibo, clip, flv, hls_checker::Checker, http, probe, push, seconds, wait_until};

#[test]
fn a_killed_server_loses_a_second_of_the_replay_at_the_most() {
    let mut server = Kaibo::start("");
    // Before the first segment is complete, at the end of one, in the middle of one.
    for (round, time_ms) in [1700, 4100, 5300].into_iter().enumerate() {
        let stream = format!("room{round}");
        let encoder = push::ffmpeg(&clip::long(), &server.push_url(&stream));
        let broadcast = server.wait_for_state(&stream, "live", seconds(10));
        let viewer = flv::Viewer::open(&server, &stream);
        viewer.wait_for_time(time_ms);
        let shown = viewer.newest_picture().unwrap();
        server.kill9();
        drop(encoder);

        server.restart();
        let replay = replay(&server, &broadcast);
        let playlist = http::get(&replay, &[]).text();
        assert!(Checker::default().observe(&playlist).unwrap().ended, "{playlist}");
        let pictures = probe::packets(&replay, "v");
        let kept = pictures.last().unwrap().pts - pictures[0].pts;
        let lost = f64::from(shown) / 1000.0 - kept;
        assert!(lost <= 1.0, "{lost} s of {shown} ms are lost");
        assert_eq!(probe::decoding_complaints(&replay), "");
        assert!(!probe::packets(&replay, "a").is_empty());
    }
}

/// Where the replay of `broadcast` is, once it is there.
fn replay(server: &Kaibo, broadcast: &serde_json::Value) -> String {
    let url = server.url(&format!("/replay/{}.m3u8", broadcast["id"].as_str().unwrap()));
    wait_until("the replay", seconds(5), || http::get(&url, &[]).status == 200);
    url
}

#[test]
fn a_server_that_is_asked_to_stop_closes_everything_properly() {
    let mut server = Kaibo::start("");
    let mut encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let broadcast = server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(4300);
    let exit = server.terminate();
    assert!(exit.success(), "{exit}");
    wait_until("the encoder is told", seconds(3), || !encoder.is_running());
    wait_until("the FLV stream ends", seconds(2), || viewer.end().is_some());
    assert_eq!(viewer.end(), Some(Ok(())), "properly");
    let shown = viewer.newest_picture().unwrap();

    server.restart();
    let replay = replay(&server, &broadcast);
    let pictures = probe::packets(&replay, "v");
    let kept = pictures.last().unwrap().pts - pictures[0].pts;
    assert!(kept * 1000.0 >= f64::from(shown) - 5.0, "{kept} s of {shown} ms");
}
