//! Kicks and bans.

use serde_json::{Value, json};

use crate::{
    backend::{call, create},
    support::{Kaibo, clip, flv, hls::media_playlist, http::get, push, seconds, wait_until},
};

const STREAM: &str = "/api/v1/streams/live/room";
const BAN: &str = "/api/v1/streams/live/room/ban";

#[test]
fn a_kicked_encoder_may_come_back() {
    let server = Kaibo::start("");
    assert_eq!(
        call(&server, "POST", &format!("{STREAM}/kick"), Value::Null).refusal(),
        (404, "no_such_stream")
    );
    let mut encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    assert_eq!(call(&server, "POST", &format!("{STREAM}/kick"), Value::Null).ok()["state"], "interrupted");
    encoder.wait();
    assert_eq!(
        call(&server, "POST", &format!("{STREAM}/kick"), Value::Null).refusal(),
        (409, "nothing_pushed")
    );
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
}

#[test]
fn a_ban_cuts_push_and_viewers_at_once_and_outlives_the_server() {
    let mut server = Kaibo::start("");
    let mut encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    wait_until("a picture", seconds(5), || viewer.newest_picture().is_some());

    let ban = call(&server, "PUT", BAN, json!({ "reason": "spam" })).ok();
    assert_eq!((&ban["stream"], &ban["reason"]), (&json!("room"), &json!("spam")));
    wait_until("the viewer is cut", seconds(2), || viewer.end().is_some());
    encoder.wait();
    let banned = server.broadcast("room");
    assert_eq!((&banned["live_status"], &banned["replay"]), (&json!(104), &Value::Null));
    assert_eq!(server.get(&format!("/replay/{}.m3u8", banned["id"].as_str().unwrap())).status, 403);
    for path in ["/live/room.flv", "/live/room.m3u8"] {
        assert_eq!(server.get(path).status, 403, "{path}");
    }
    let taken = call(&server, "POST", "/api/v1/broadcasts", json!({ "stream": "room" }));
    assert_eq!(taken.refusal(), (409, "banned"));
    server.kill9();
    server.restart();
    let mut refused = push::ffmpeg(&clip::long(), &server.push_url("room"));
    assert!(!refused.wait().success() && refused.said().contains("banned"), "{}", refused.said());

    assert_eq!(call(&server, "DELETE", BAN, Value::Null).status, 204);
    assert_eq!(call(&server, "DELETE", BAN, Value::Null).refusal(), (404, "not_banned"));
    assert_eq!(server.broadcast("room")["state"], "interrupted");
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    wait_until("a picture", seconds(5), || viewer.newest_picture().is_some());
}

#[test]
fn what_a_ban_hides_stays_hidden_when_the_broadcast_ends() {
    // By itself, at the end of its window, or stopped by somebody.
    for (config, stop) in [("broadcast.resume_window = \"1s\"", false), ("", true)] {
        let server = Kaibo::start(&format!("hls.segment = \"1s\"\n{config}"));
        let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
        server.wait_for_state("room", "live", seconds(10));
        let playlist = media_playlist(&server, "/live/room.m3u8");
        assert_eq!(get(&playlist, &[]).status, 200);
        call(&server, "PUT", BAN, json!({ "reason": "spam" })).ok();
        let banned = server.broadcast("room");
        let id = banned["id"].as_str().unwrap();
        if stop {
            server.api_post(&format!("/broadcasts/{id}/stop"));
        }
        let ended = server.wait_for_state("room", "ended", seconds(5));
        assert_eq!(ended["end_reason"], "banned");
        assert_eq!(get(&playlist, &[]).status, 403);
        for path in ["/live/room.m3u8", "/live/room.flv", &format!("/replay/{id}.m3u8")] {
            assert_eq!(server.get(path).status, 403, "{path}");
        }
        let status: Value = serde_json::from_slice(&server.get("/status/live/room").body).unwrap();
        assert_eq!(status["replay"], Value::Null);
        drop(encoder);
    }
}

#[test]
fn a_ban_ends_by_itself_and_is_bounded() {
    let server = Kaibo::start("");
    let made = create(&server, json!({ "stream": "room" }));
    let soon = soon(&server);
    call(&server, "PUT", BAN, json!({ "reason": "", "until": soon })).ok();
    assert_eq!(server.broadcast("room")["state"], "banned");
    server.wait_for_state("room", "created", seconds(6));
    assert_eq!(server.broadcast("room")["id"], made["id"]);
    for until in ["2020-01-01T00:00:00Z", "2100-01-01T00:00:00Z", "soon"] {
        let answer = call(&server, "PUT", BAN, json!({ "reason": "", "until": until }));
        assert_eq!(answer.refusal(), (422, "invalid"), "{until}");
    }
}

/// A few seconds from now, as the API writes times.
fn soon(server: &Kaibo) -> Value {
    call(server, "POST", "/api/v1/push-urls", json!({ "stream": "any", "expires_in_s": 3 })).ok()["expires_at"].clone()
}
