//! What stays of a broadcast.

use crate::{
    exact::same_frames,
    support::{
        Kaibo, clip, hls,
        hls_checker::{Checker, Playlist},
        http, probe, push, seconds, wait_for, wait_until,
    },
};

/// The replay's playlist once it is final, checked.
fn final_replay(broadcast: &serde_json::Value) -> (String, Playlist) {
    let url = broadcast["replay"]["hls"].as_str().unwrap().to_owned();
    let playlist = wait_for("the final replay", seconds(3), || {
        let reply = http::get(&url, &[]);
        assert_eq!(reply.status, 200, "{}", reply.text());
        let playlist = Checker::default().observe(&reply.text()).unwrap();
        playlist.ended.then_some(playlist)
    });
    (url, playlist)
}

#[test]
fn the_replay_holds_both_sides_of_an_interruption() {
    let server = Kaibo::start("");
    let url = server.push_url("room");
    let (encoder, live) = hls::on_air(&server, &url);
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(2));
    let mut encoder = push::ffmpeg(&clip::short(), &url);
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(3));
    assert_eq!(ended["resumes"], 1);
    let seen = live.wait_for_end();

    let (replay, playlist) = final_replay(&ended);
    assert_eq!(playlist.kind.as_deref(), Some("VOD"));
    let tagged: Vec<u64> =
        playlist.segments.iter().filter(|segment| segment.tagged).map(hls::number).collect();
    assert_eq!(tagged, seen.discontinuities(), "as in the live playlist");
    for segment in &playlist.segments {
        assert_eq!(segment.duration, seen.segments[&hls::number(segment)].0.duration);
    }

    let pictures = probe::packets(&replay, "v");
    let second = probe::packets(clip::short(), "v");
    let first = pictures.len() - second.len();
    assert!(first > 60, "{first} pictures from before the interruption");
    assert!(pictures[first..].iter().map(|packet| &packet.md5).eq(second.iter().map(|packet| &packet.md5)));
    for (index, pair) in pictures.windows(2).enumerate() {
        let step = pair[1].dts - pair[0].dts;
        // Where the discontinuity is, the time of the picture that was held is left out.
        let most = if index + 1 == first { 5.0 } else { 0.1 };
        assert!((0.02..most).contains(&step), "{step} s between two pictures");
    }
    assert_eq!(probe::decoding_complaints(&replay), "");
}

#[test]
fn a_replay_is_there_while_its_broadcast_is_live() {
    let server = Kaibo::start("");
    let mut encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    assert_eq!(live["replay"]["status"], "recording");
    let url = live["replay"]["hls"].as_str().unwrap();
    let mut checker = Checker::default();
    wait_for("two segments", seconds(8), || {
        let reply = http::get(url, &[]);
        let playlist = (reply.status == 200).then(|| checker.observe(&reply.text()).unwrap())?;
        (playlist.segments.len() >= 2).then_some(())
    });
    encoder.wait();
    server.wait_for_state("room", "ended", seconds(3));
    same_frames(&clip::short(), url.as_ref());
}

#[test]
fn what_is_not_to_be_recorded_leaves_no_replay() {
    let server = Kaibo::start("record.enabled = false");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    assert!(live["replay"].is_null());
    encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(3));
    assert!(ended["replay"].is_null());
    let id = ended["id"].as_str().unwrap();
    assert_eq!(server.get(&format!("/replay/{id}.m3u8")).status, 404);
}

#[test]
fn a_recording_that_can_not_begin_begins_as_soon_as_it_can() {
    let server = Kaibo::start("");
    server.expect_errors();
    let media = server.data().join("media");
    std::fs::remove_dir(&media).unwrap();
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    hls::Viewer::open(&server, "/live/room.m3u8").wait_for_segment(1);
    assert_eq!(server.broadcast("room")["replay"], serde_json::Value::Null, "there is none");
    let replay = server.url(&format!("/replay/{}.m3u8", live["id"].as_str().unwrap()));
    assert_eq!(http::get(&replay, &[]).status, 404);

    std::fs::create_dir(&media).unwrap();
    let known = wait_for("the replay", seconds(8), || {
        let known = server.broadcast("room")["replay"].clone();
        known.is_object().then_some(known)
    });
    assert_eq!(known["status"], "recording");
    wait_until("what was kept for it", seconds(3), || http::get(&replay, &[]).status == 200);
    encoder.quit();
    let ended = server.wait_for_state("room", "ended", seconds(5));
    let (_, playlist) = final_replay(&ended);
    assert_eq!(hls::number(&playlist.segments[0]), 1, "what came meanwhile was kept for it");
}
