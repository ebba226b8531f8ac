//! A backend that decides who may push and who may watch.

use serde_json::Value;

use crate::{
    receiver::{self, Receiver},
    support::{Kaibo, clip, flv, http, push, seconds, wait_until},
};

/// 24 bytes, as Standard Webhooks has them.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn config(backend: &Receiver, more: &str) -> String {
    format!("[auth]\nurl = \"{}\"\nsecret = \"{SECRET}\"\nallow_private = true\n{more}\n", backend.url())
}

/// What an encoder tells its user when it is refused.
fn refused(url: &str) -> String {
    let mut encoder = push::ffmpeg(&clip::short(), url);
    assert!(!encoder.wait().success());
    encoder.said()
}

fn problem(server: &Kaibo, path: &str) -> (u16, Value) {
    let reply = server.get(path);
    let body: Value = serde_json::from_slice(&reply.body).unwrap();
    (reply.status, body["code"].clone())
}

#[test]
fn the_backend_decides_who_pushes_and_who_watches() {
    let backend = Receiver::start();
    let server = Kaibo::start(&config(&backend, ""));
    refused(&format!("rtmp://{}/live/room?{}", server.at.rtmp, server.signature("other", 3600)));
    assert!(backend.seen().is_empty(), "a stranger reached the backend");

    backend.refuse("the room\nis closed");
    let said = refused(&format!("{}&user=1", server.push_url("room")));
    assert!(said.contains("this is not allowed: the roomis closed"), "{said}");
    let asked = backend.seen().pop().unwrap();
    receiver::verify_with_reference(SECRET, &asked);
    assert!(!asked.body.to_lowercase().contains("secret"), "{}", asked.body);
    let asked = asked.json();
    assert_eq!(
        (&asked["action"], &asked["app"], &asked["stream"], &asked["protocol"], &asked["address"]),
        (&"publish".into(), &"live".into(), &"room".into(), &"rtmp".into(), &"127.0.0.1".into())
    );
    assert!(asked["query"].as_str().unwrap().ends_with("&user=1"), "{asked}");
    assert_eq!(asked["broadcast"], Value::Null);

    backend.answer(200);
    let _encoder = push::ffmpeg(&clip::long(), &format!("{}&user=2", server.push_url("room")));
    let live = server.wait_for_state("room", "live", seconds(10));
    backend.refuse("pay first");
    assert_eq!(problem(&server, "/live/room.flv?ticket=1"), (403, "play_denied".into()));
    assert_eq!(problem(&server, "/live/room.m3u8?ticket=1"), (403, "play_denied".into()));
    let replay = format!("/replay/{}.m3u8?ticket=1", live["id"].as_str().unwrap());
    assert_eq!(backend.seen().last().unwrap().json()["broadcast"], live["id"]);
    backend.answer(200);
    assert_eq!(problem(&server, "/live/room.flv?ticket=1"), (403, "play_denied".into()), "remembered");
    assert_eq!(problem(&server, &replay), (403, "play_denied".into()), "another way to the same");
    let viewer = flv::Viewer::open_at(&server, "/live/room.flv?ticket=2");
    wait_until("a picture", seconds(5), || viewer.newest_picture().is_some());
    flv::Viewer::open_websocket(&server, "room").wait_for_time(0);

    let entry = server.get("/live/room.m3u8?ticket=2").text();
    let asked = backend.seen().len();
    let list = entry.lines().find(|line| line.contains("live.m3u8")).unwrap();
    let (bare, session) = list.split_once('?').unwrap();
    assert!(session.starts_with("session="), "{entry}");
    assert_eq!(problem(&server, &format!("/live/{bare}")), (403, "play_session".into()));
    let list = server.get(&format!("/live/{list}"));
    assert_eq!(list.status, 200);
    assert!(list.text().lines().filter(|line| line.ends_with(".m4s")).all(|line| line.contains(session)));
    assert_eq!(server.get("/live/room.m3u8?ticket=2").status, 200);
    assert_eq!(backend.seen().len(), asked, "nobody is asked about what is remembered");
}

#[test]
fn while_the_backend_is_silent_nobody_pushes_and_everybody_watches() {
    let backend = Receiver::start();
    let server = Kaibo::start(&config(&backend, "timeout = \"300ms\""));
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    backend.hang();
    let said = refused(&server.push_url("other"));
    assert!(said.contains("whether this push is allowed can't be found out now"), "{said}");
    for ticket in 0..3 {
        let response = http::stream(&server.url(&format!("/live/room.flv?ticket={ticket}")));
        assert_eq!(response.status(), 200);
    }
    backend.answer(500);
    assert_eq!(server.get("/live/room.m3u8").status, 200);
    assert_eq!(server.log().matches("the backend could not be asked").count(), 1, "one line of many");
    let metrics = http::get(
        &format!("http://{}/metrics", server.at.api),
        &[("Authorization", &format!("Bearer {}", crate::support::server::API_TOKEN))],
    );
    let failed = "kaibo_auth_questions_total{action=\"play\",result=\"failed\"} 4";
    assert!(metrics.text().contains(failed), "{}", metrics.text());
}
