//! When and how a broadcast ends.

use std::{
    process::{Command, Stdio},
    time::{Instant, SystemTime},
};

use serde_json::Value;

use crate::support::{Kaibo, clip, flv, hls, push, seconds, wait_for, wait_until};

#[test]
fn an_encoder_that_stops_properly_ends_the_broadcast() {
    let server = Kaibo::start("");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewers = [flv::Viewer::open(&server, "room"), flv::Viewer::open_websocket(&server, "room")];
    let mut rtmp = Command::new("ffmpeg")
        .args(["-v", "error", "-nostdin", "-i", &format!("rtmp://{}/live/room", server.at.rtmp)])
        .args(["-c", "copy", "-f", "null", "-"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    let ts = hls::Viewer::open(&server, "/live/room/ts.m3u8");
    fmp4.wait_for_segment(2);

    encoder.quit();
    let stopped = Instant::now();
    for viewer in [&fmp4, &ts] {
        viewer.wait_for_end();
    }
    let target = seconds(fmp4.seen().playlist.unwrap().target_duration);
    assert!(stopped.elapsed() <= target, "ENDLIST after {:?}", stopped.elapsed());
    for viewer in viewers {
        wait_until("the FLV stream ends", seconds(2), || viewer.end().is_some());
        assert_eq!(viewer.end(), Some(Ok(())), "properly");
    }
    wait_for("the RTMP player ends", seconds(3), || rtmp.try_wait().unwrap());

    let ended = server.wait_for_state("room", "ended", seconds(2));
    assert_eq!((&ended["end_reason"], &ended["live_status"]), (&"unpublished".into(), &103.into()));
    let status = server.get("/status/live/room").text();
    assert!(status.contains("\"state\":\"ended\"") && status.contains("/replay/"), "{status}");
    let id = ended["id"].as_str().unwrap();
    let is_final = || {
        let replay = server.get(&format!("/replay/{id}.m3u8"));
        assert_eq!(replay.status, 200);
        ["#EXT-X-PLAYLIST-TYPE:VOD", "#EXT-X-ENDLIST"].iter().all(|line| replay.text().contains(line))
    };
    // Its last line is synced to the disk.
    wait_until("the replay is final", seconds(2), is_final);
}

#[test]
fn an_encoder_that_is_killed_leaves_fifteen_minutes_to_come_back() {
    let server = Kaibo::start("");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(2500);
    encoder.kill9();
    let lost = SystemTime::now();

    let broadcast = server.wait_for_state("room", "interrupted", seconds(2));
    assert_eq!((&broadcast["live_status"], &broadcast["push_state"]), (&106.into(), &"down".into()));
    let deadline = humantime::parse_rfc3339(broadcast["resume_deadline"].as_str().unwrap()).unwrap();
    let window = deadline.duration_since(lost).unwrap();
    assert!((seconds(895)..=seconds(901)).contains(&window), "{window:?}");
    assert!(server.get("/status/live/room").text().contains("\"state\":\"interrupted\""));
    // Whoever watches stays, and whoever comes is let in.
    assert_eq!(viewer.end(), None);
    flv::Viewer::open(&server, "room").wait_for_time(1000);
    let reply = server.get("/live/room.m3u8");
    assert_eq!(reply.status, 200);
}

#[test]
fn a_broadcast_whose_encoder_stays_away_ends_by_itself() {
    let server = Kaibo::start("broadcast.resume_window = \"2s\"");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let began = server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    let fmp4 = hls::Viewer::open(&server, "/live/room.m3u8");
    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(1));
    let ended = server.wait_for_state("room", "ended", seconds(4));
    assert_eq!((&ended["id"], &ended["end_reason"]), (&began["id"], &"resume_timeout".into()));
    wait_until("the FLV stream ends", seconds(2), || viewer.end().is_some());
    assert_eq!(viewer.end(), Some(Ok(())));
    fmp4.wait_for_end();

    // The next push under the name is another broadcast, with another playlist.
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let next = server.wait_for_state("room", "live", seconds(5));
    assert_ne!(next["id"], began["id"]);
    assert_ne!(hls::media_playlist(&server, "/live/room.m3u8"), fmp4.url);
}

#[test]
fn a_return_in_the_window_resumes_and_one_after_it_begins_anew() {
    let server = Kaibo::start("broadcast.resume_window = \"5s\"");
    let away = |since: &Value, seconds_away| {
        let lost = humantime::parse_rfc3339(since["interrupted_at"].as_str().unwrap()).unwrap();
        wait_until("it is away for long enough", seconds(10), || {
            lost.elapsed().is_ok_and(|gone| gone >= seconds(seconds_away))
        });
    };
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let began = server.wait_for_state("room", "live", seconds(10));
    encoder.kill9();
    away(&server.wait_for_state("room", "interrupted", seconds(1)), 3);
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let back = server.wait_for_state("room", "live", seconds(2));
    assert_eq!((&back["id"], &back["resumes"]), (&began["id"], &1.into()));

    encoder.kill9();
    let lost = server.wait_for_state("room", "interrupted", seconds(1));
    away(&lost, 7);
    let [lost, ended] = [&lost["interrupted_at"], &server.broadcast("room")["ended_at"]]
        .map(|at| humantime::parse_rfc3339(at.as_str().unwrap()).unwrap());
    let window = ended.duration_since(lost).unwrap().as_millis();
    assert!((5000..5500).contains(&window), "ended after {window} ms");
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let next = server.wait_for_state("room", "live", seconds(5));
    assert_ne!(next["id"], began["id"]);
    assert_eq!(next["resumes"], 0);
    assert_eq!(server.broadcasts("room").len(), 2);
}

#[test]
fn an_encoder_that_falls_silent_is_taken_for_lost() {
    let server = Kaibo::start("rtmp.idle_timeout = \"2s\"");
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    encoder.freeze();
    let taken = wait_until("interrupted", seconds(5), || server.broadcast("room")["state"] == "interrupted");
    assert!(taken >= seconds(1), "after {taken:?}");
}

#[test]
fn a_broadcast_stopped_by_the_backend_is_over_for_its_key() {
    let server = Kaibo::start("");
    let url = server.push_url("room");
    let encoder = push::ffmpeg(&clip::long(), &url);
    let began = server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(500);
    let stop = format!("/broadcasts/{}/stop", began["id"].as_str().unwrap());
    for _ in 0..2 {
        let stopped = server.api_post(&stop);
        assert_eq!((&stopped["state"], &stopped["end_reason"]), (&"ended".into(), &"stopped".into()));
    }
    wait_until("the FLV stream ends", seconds(2), || viewer.end().is_some());
    drop(encoder);

    // OBS would try for a long time.
    let mut again = push::ffmpeg(&clip::long(), &url);
    again.wait();
    assert!(again.said().contains("this broadcast is over"), "{}", again.said());
    let other_key = server.signature("room", 7200);
    let _encoder = push::ffmpeg(&clip::long(), &format!("rtmp://{}/live/room?{other_key}", server.at.rtmp));
    let next = server.wait_for_state("room", "live", seconds(5));
    assert_ne!(next["id"], began["id"]);
}
