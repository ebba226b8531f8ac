//! The server itself stops, properly or not.

use crate::support::{Kaibo, clip, flv, hls, hls_checker::Checker, http, probe, push, seconds, wait_until};

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
        let replay = final_replay(&server, &broadcast);
        let pictures = probe::packets(&replay, "v");
        let kept = pictures.last().unwrap().pts - pictures[0].pts;
        let lost = f64::from(shown) / 1000.0 - kept;
        assert!(lost <= 1.0, "{lost} s of {shown} ms are lost");
        assert_eq!(probe::decoding_complaints(&replay), "");
        assert!(!probe::packets(&replay, "a").is_empty());
    }
}

/// Where the replay of `broadcast` is, which goes on after the restart: growing, and final once it is stopped.
fn final_replay(server: &Kaibo, broadcast: &serde_json::Value) -> String {
    let id = broadcast["id"].as_str().unwrap();
    let url = server.url(&format!("/replay/{id}.m3u8"));
    let list = |ended: bool| {
        let reply = http::get(&url, &[]);
        reply.status == 200 && Checker::default().observe(&reply.text()).unwrap().ended == ended
    };
    wait_until("the growing replay", seconds(5), || list(false));
    assert_eq!(server.api(&format!("/broadcasts/{id}"))["state"], "interrupted");
    server.api_post(&format!("/broadcasts/{id}/stop"));
    wait_until("the final replay", seconds(5), || list(true));
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
    let replay = final_replay(&server, &broadcast);
    let pictures = probe::packets(&replay, "v");
    let kept = pictures.last().unwrap().pts - pictures[0].pts;
    assert!(kept * 1000.0 >= f64::from(shown) - 5.0, "{kept} s of {shown} ms");
}

/// Waits until two segments are whole that came behind the discontinuity number `joints`. (While nobody pushes, the held
/// picture makes segments, too.)
fn on_air(viewer: &hls::Viewer, joints: usize) -> hls::Seen {
    viewer.wait_for("the new push", seconds(15), |seen| {
        let tagged = seen.discontinuities();
        let newest = seen.segments.last_key_value().map_or(0, |(number, _)| *number);
        tagged.len() >= joints && tagged.last().is_some_and(|joint| newest > *joint)
    })
}

#[test]
fn a_broadcast_goes_on_after_the_server_was_killed_or_stopped() {
    let mut server = Kaibo::start("hls.segment = \"1s\"");
    let began = {
        let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
        let began = server.wait_for_state("room", "live", seconds(10));
        let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
        fmp4.wait_for_segment(3);
        began
    };
    // The checker looks at every reload, before, between and after.
    server.wait_for_state("room", "interrupted", seconds(5));
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8");
    fmp4.wait_for_segment(3);
    for times in 1..=2 {
        let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
        let back = server.wait_for_state("room", "live", seconds(10));
        assert_eq!((&back["id"], &back["started_at"]), (&began["id"], &began["started_at"]));
        // It was cut off by each restart and each return before.
        on_air(&fmp4, 2 * times - 1);
        if times == 1 {
            server.kill9()
        } else {
            assert!(server.terminate().success())
        }
        drop(encoder);
        server.restart();
        let status = server.wait_for_state("room", "interrupted", seconds(5));
        assert_eq!(status["id"], began["id"]);
    }
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let (seen, seen_ts) = (on_air(&fmp4, 3 + 2), on_air(&ts, 3 + 2));
    for seen in [&seen, &seen_ts] {
        // The picture that is held after a restart has its own time.
        let tagged = seen.discontinuities().len();
        assert_eq!(tagged, 3 + 2, "one for each return and each restart: {:?}", seen.playlist);
    }
    assert_eq!(hls::media_playlist(&server, "/live/room.m3u8"), fmp4.url);
    encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    assert_eq!((&ended["id"], &ended["end_reason"]), (&began["id"], &"unpublished".into()));
    let replay = server.url(&format!("/replay/{}.m3u8", began["id"].as_str().unwrap()));
    assert_eq!(probe::decoding_complaints(&replay), "");
    assert_eq!(server.broadcasts("room").len(), 1);
    let file = server.scratch("joined.ts");
    std::fs::write(&file, seen_ts.joined()).unwrap();
    assert_eq!(probe::complaints(&file), "");
}
