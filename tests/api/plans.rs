//! Broadcasts that the backend makes: from the plan to the deleted replay.

use serde_json::{Value, json};

use crate::{
    backend::{at, call, command, create},
    support::{Kaibo, clip, flv, push, seconds, wait_for, wait_until},
};

#[test]
fn a_planned_broadcast_is_seen_by_nobody_before_its_start() {
    let server = Kaibo::start("");
    let made = create(&server, json!({ "stream": "room", "title": "开播" }));
    assert_eq!(
        (&made["state"], &made["title"], &made["live_status"]),
        (&json!("created"), &json!("开播"), &json!(102))
    );
    let push = &made["push"];
    assert_eq!(
        push["url"].as_str().unwrap(),
        format!("{}/{}", push["server"].as_str().unwrap(), push["key"].as_str().unwrap())
    );
    assert_eq!(command(&server, &made, "start", Value::Null).refusal(), (409, "nothing_pushed"));
    assert_eq!(command(&server, &made, "pause", Value::Null).refusal(), (409, "not_started"));

    let encoder = push::ffmpeg(&clip::long(), push["url"].as_str().unwrap());
    server.wait_for_state("room", "preview", seconds(10));
    let stream = wait_for("two seconds of health", seconds(10), || {
        let stream = server.api("/streams/live/room");
        let fps = stream["video"]["fps"].as_f64().unwrap_or_default();
        (stream["gop_s"] == 1.0 && fps > 20.0).then_some(stream)
    });
    assert_eq!((&stream["video"]["width"], &stream["video"]["height"]), (&json!(320), &json!(180)));
    assert_eq!(stream["audio"]["sample_rate"], 44_100);
    assert!(stream["bitrate"].as_i64().unwrap() > 10_000, "{stream}");
    for path in ["/live/room.flv", "/live/room.m3u8", "/live/room/ts.m3u8"] {
        let reply = server.get(path);
        assert!(reply.status == 404 && reply.text().contains("not_started"), "{path}: {}", reply.text());
    }
    let status: Value = serde_json::from_str(&server.get("/status/live/room").text()).unwrap();
    assert_eq!((&status["state"], &status["width"]), (&json!("not_started"), &Value::Null));

    let started = command(&server, &made, "start", Value::Null).ok();
    assert_eq!(started["id"], made["id"]);
    server.wait_for_state("room", "live", seconds(3));
    let viewer = flv::Viewer::open(&server, "room");
    wait_until("a picture", seconds(5), || viewer.newest_picture().is_some());
    let first =
        viewer.tags().into_iter().find(|tag| tag.body.len() > 5 && tag.body[..2] == [0x17, 1]).unwrap();
    assert!(first.time_ms < 1000, "what came before the start is in it: {} ms", first.time_ms);

    assert_eq!(call(&server, "DELETE", &at(&made), Value::Null).refusal(), (409, "not_over"));
    encoder.quit();
    server.wait_for_state("room", "interrupted", seconds(5));
    let over = command(&server, &made, "stop", Value::Null).ok();
    assert_eq!(
        (&over["state"], &over["end_reason"], &over["push"]),
        (&json!("ended"), &json!("stopped"), &Value::Null)
    );
    assert_eq!(command(&server, &made, "resume", Value::Null).refusal(), (409, "over"));
    let replay = format!("/replay/{}.m3u8", made["id"].as_str().unwrap());
    assert_eq!(server.get(&replay).status, 200);
    assert_eq!(call(&server, "DELETE", &at(&made), Value::Null).status, 204);
    assert_eq!(call(&server, "DELETE", &at(&made), Value::Null).refusal(), (404, "no_such_broadcast"));
    assert_eq!(server.get(&replay).status, 404);
    assert!(server.broadcasts("room").is_empty());
    assert_eq!(server.get("/live/room.m3u8").status, 404);
}

#[test]
fn what_was_said_of_a_broadcast_outlives_a_killed_server() {
    let mut server = Kaibo::start("");
    let made = create(
        &server,
        json!({
            "app": "shop", "stream": "room", "title": "first", "planned_start": "2036-05-01T20:00:00+08:00",
            "planned_end": "2036-05-01T14:00:00Z", "record": false, "resume_window_s": 1,
        }),
    );
    assert_eq!(made["planned_start"], "2036-05-01T12:00:00.000Z");
    assert_eq!(made["push"]["expires_at"].as_str().unwrap()[..5], *"2027-", "max_key_ttl bounds it");
    let patch = json!({ "title": "second", "planned_start": null });
    let patched = call(&server, "PATCH", &at(&made), patch).ok();
    assert_eq!((&patched["title"], &patched["planned_start"]), (&json!("second"), &Value::Null));
    assert_eq!(patched["planned_end"], "2036-05-01T14:00:00.000Z");
    let forced = command(&server, &made, "start", json!({ "force": true })).ok();
    assert_eq!(forced["state"], "interrupted");
    server.kill9();
    server.restart();
    let known = call(&server, "GET", &at(&made), Value::Null).ok();
    assert_eq!((&known["title"], &known["planned_end"]), (&patched["title"], &patched["planned_end"]));

    let made = create(
        &server,
        json!({ "stream": "room", "auto_start": true, "record": false, "resume_window_s": 1 }),
    );
    let encoder = push::ffmpeg(&clip::long(), made["push"]["url"].as_str().unwrap());
    server.wait_for_state("room", "live", seconds(10));
    encoder.kill9();
    let over = server.wait_for_state("room", "ended", seconds(5));
    assert_eq!((&over["end_reason"], &over["replay"]), (&json!("resume_timeout"), &Value::Null));
    let renamed = call(&server, "PATCH", &at(&made), json!({ "title": "later" })).ok();
    assert_eq!(renamed["title"], "later");
    let planned = call(&server, "PATCH", &at(&made), json!({ "planned_end": "2036-05-01T14:00:00Z" }));
    assert_eq!(planned.refusal(), (409, "over"));
}

#[test]
fn a_pause_shows_nothing_and_goes_on_with_a_keyframe() {
    let server = Kaibo::start("");
    let made = create(&server, json!({ "stream": "room", "auto_start": true }));
    let _encoder = push::ffmpeg(&clip::long(), made["push"]["url"].as_str().unwrap());
    server.wait_for_state("room", "live", seconds(10));
    assert_eq!(command(&server, &made, "pause", Value::Null).ok()["live_status"], 105);
    assert_eq!(command(&server, &made, "start", Value::Null).refusal(), (409, "paused"));
    assert_eq!(server.api("/streams/live/room")["push_state"], "up");
    let resumed = command(&server, &made, "resume", Value::Null).ok();
    assert_eq!((&resumed["state"], &resumed["resumes"]), (&json!("live"), &json!(1)));
    assert!(resumed["push"]["url"].is_string());
    let viewer = flv::Viewer::open(&server, "room");
    wait_until("a picture", seconds(5), || viewer.newest_picture().is_some());
    let first = viewer.tags().into_iter().find(|tag| tag.body.len() > 5 && tag.body[1] == 1).unwrap();
    assert_eq!(first.body[0], 0x17, "a keyframe comes first");
}

#[test]
fn an_encoder_whose_broadcast_was_deleted_does_not_open_another() {
    let server = Kaibo::start("");
    let url = server.push_url("room");
    let mut encoder = push::ffmpeg(&clip::long(), &url);
    let live = server.wait_for_state("room", "live", seconds(10));
    command(&server, &live, "stop", Value::Null).ok();
    // It is still sending.
    assert_eq!(call(&server, "DELETE", &at(&live), Value::Null).status, 204);
    encoder.wait();
    let mut again = push::ffmpeg(&clip::long(), &url);
    assert!(!again.wait().success() && again.said().contains("is over"), "{}", again.said());
    assert!(server.broadcasts("room").is_empty());
    let status: Value = serde_json::from_str(&server.get("/status/live/room").text()).unwrap();
    assert_eq!((&status["state"], &status["replay"]), (&json!("ended"), &Value::Null));
}

#[test]
fn a_plan_that_nobody_kept_expires() {
    let server = Kaibo::start("hls.window = \"12s\"");
    let soon = call(&server, "POST", "/api/v1/push-urls", json!({ "stream": "any", "expires_in_s": 2 }));
    let made = create(&server, json!({ "stream": "room", "planned_end": soon.ok()["expires_at"] }));
    let over = server.wait_for_state("room", "expired", seconds(4));
    assert_eq!((&over["id"], &over["live_status"], &over["push"]), (&made["id"], &json!(107), &Value::Null));
    assert_eq!(server.get("/live/room.m3u8").status, 410);
}

#[test]
fn a_name_has_one_open_broadcast() {
    let server = Kaibo::start("");
    let made = create(&server, json!({ "stream": "room" }));
    let second = call(&server, "POST", "/api/v1/broadcasts", json!({ "stream": "room" }));
    assert_eq!(second.refusal(), (409, "name_taken"));
    assert_eq!(command(&server, &made, "stop", Value::Null).ok()["end_reason"], "cancelled");
    assert_eq!(command(&server, &made, "stop", Value::Null).ok()["end_reason"], "cancelled");
    create(&server, json!({ "stream": "room" }));
}

#[test]
fn a_broadcast_that_left_no_replay_is_forgotten_after_the_time_that_replays_are_kept() {
    let mut server = Kaibo::start("record.retention = \"1s\"");
    let over = create(&server, json!({ "stream": "over" }));
    command(&server, &over, "stop", Value::Null).ok();
    let waiting = create(&server, json!({ "stream": "waiting" }));
    assert!(server.terminate().success());
    // The second for which replays are kept. It passes while the server is away: one looks at its start, and then every
    // 30 s.
    std::thread::sleep(seconds(1));
    server.restart();
    wait_until("it is forgotten", seconds(5), || server.broadcasts("over").is_empty());
    assert_eq!(server.broadcast("waiting")["id"], waiting["id"]);
}
