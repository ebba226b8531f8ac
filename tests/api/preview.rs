//! Looking before everybody does, and afterwards where not everybody may.

use bytes::Bytes;
use kaibo_container::flv::TagKind;
use serde_json::{Value, json};

use crate::{
    backend::{at, call, command, create},
    support::{Kaibo, clip, flv, push, seconds, wait_until},
};

/// The path and query of a URL.
fn path(url: &Value) -> &str {
    let url = url.as_str().unwrap();
    &url[url.match_indices('/').nth(2).unwrap().0..]
}

/// What was shown, without its times.
fn pictures(viewer: &flv::Viewer) -> Vec<Bytes> {
    let tags = viewer.tags().into_iter().filter(|tag| tag.kind == TagKind::Video && tag.body.len() > 100);
    tags.map(|tag| tag.body.slice(5..)).collect()
}

fn code(server: &Kaibo, path: &str) -> (u16, Value) {
    let reply = server.get(path);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    (reply.status, body["code"].clone())
}

#[test]
fn a_token_shows_what_nobody_else_sees_and_nothing_of_it_leaks() {
    let server = Kaibo::start("");
    let made = create(&server, json!({ "stream": "room" }));
    let other = create(&server, json!({ "stream": "other" }));
    let preview = command(&server, &made, "preview", Value::Null).ok();
    let foreign = command(&server, &other, "preview", json!({ "expires_in_s": 60 })).ok();
    let too_long = command(&server, &made, "preview", json!({ "expires_in_s": 86_401 }));
    assert_eq!(too_long.refusal(), (422, "invalid"));
    let shown = path(&preview["play"]["flv"]);
    assert_eq!(code(&server, shown), (404, "not_started".into()), "nothing is pushed");

    let _encoder = push::ffmpeg(&clip::long(), made["push"]["url"].as_str().unwrap());
    server.wait_for_state("room", "preview", seconds(10));
    for path in [
        "/live/room.flv".to_owned(),
        format!("/live/room.flv?preview={}", foreign["token"].as_str().unwrap()),
        format!("{shown}0"),
    ] {
        assert_eq!(code(&server, &path), (404, "not_started".into()), "{path}");
    }
    let early = flv::Viewer::open_at(&server, shown);
    wait_until("a second of pictures", seconds(8), || {
        let times: Vec<u32> = early.tags().iter().map(|tag| tag.time_ms).collect();
        times.iter().max() > times.iter().min().map(|first| first + 1000).as_ref()
    });
    let rtmp = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "stream=codec_name", "-of", "csv=p=0"])
        .arg(preview["play"]["rtmp"].as_str().unwrap())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&rtmp.stdout).contains("h264"), "{rtmp:?}");

    let before = pictures(&early);
    assert!(before.len() > 20);
    command(&server, &made, "start", Value::Null).ok();
    server.wait_for_state("room", "live", seconds(5));
    let viewer = flv::Viewer::open(&server, "room");
    wait_until("a picture", seconds(5), || viewer.newest_picture().is_some());
    let first = viewer.tags().into_iter().find(|tag| tag.body.len() > 5 && tag.body[1] == 1).unwrap();
    assert_eq!(first.body[0], 0x17, "a keyframe comes first");
    assert!(first.time_ms < 1000, "what came before the start is in it: {} ms", first.time_ms);
    wait_until("the preview ends", seconds(5), || early.end().is_some());
    assert_eq!(early.end(), Some(Ok(())));
    assert!(pictures(&viewer).iter().all(|picture| !before.contains(picture)), "an earlier picture is in it");
    let after = flv::Viewer::open_at(&server, shown);
    wait_until("a picture", seconds(5), || after.newest_picture().is_some());
    assert!(!server.log().contains(preview["token"].as_str().unwrap()));
}

#[test]
fn a_replay_that_is_not_public_takes_a_token_and_nobody_is_told_of_it() {
    let mut server = Kaibo::start("[record]\npublic = false");
    let mut encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    encoder.wait();
    let ended = server.wait_for_state("room", "ended", seconds(10));
    assert_eq!(ended["replay"]["public"], false);
    let replay = format!("/replay/{}.m3u8", ended["id"].as_str().unwrap());
    let status =
        |server: &Kaibo| -> Value { serde_json::from_slice(&server.get("/status/live/room").body).unwrap() };
    let is_private = |server: &Kaibo| {
        assert_eq!(code(server, &replay), (403, "replay_private".into()));
        assert_eq!(status(server)["replay"], Value::Null);
        let segment = replay.replace(".m3u8", "/1.m4s");
        assert_eq!(code(server, &segment), (403, "replay_private".into()));
        assert_eq!(code(server, &replay.replace(".m3u8", ".mp4")), (403, "replay_private".into()));
    };
    is_private(&server);
    let preview = command(&server, &ended, "preview", Value::Null).ok();
    let list = server.get(path(&preview["replay"])).text();
    let segment = list.lines().find(|line| line.contains(".m4s")).unwrap();
    assert!(segment.contains("?preview="), "{list}");
    let segment = server.get(&format!("/replay/{segment}"));
    assert_eq!(segment.status, 200);
    assert!(segment.header("cache-control").starts_with("private"), "{}", segment.header("cache-control"));

    let file = server.get(&path(&preview["replay"]).replace(".m3u8?", ".mp4?"));
    assert_eq!((file.status, &file.body[4..8]), (200, &b"ftyp"[..]));
    assert!(file.header("cache-control").starts_with("private"), "{}", file.header("cache-control"));

    // Once it is known to nobody but the store.
    server.terminate();
    server.restart();
    is_private(&server);
    let change = |public: bool| call(&server, "PATCH", &at(&ended), json!({ "replay_public": public })).ok();
    assert_eq!(change(true)["replay"]["public"], true);
    assert_eq!(server.get(&replay).status, 200);
    assert!(status(&server)["replay"]["hls"].is_string());
    change(false);
    is_private(&server);
}
