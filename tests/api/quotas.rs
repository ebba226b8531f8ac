//! Limits: pushes at once, broadcasts of a day, broadcasts in memory.

use serde_json::{Value, json};

use crate::{
    backend::{call, command, create},
    support::{Kaibo, clip, push, seconds},
};

/// What an encoder tells its user when it is refused.
fn refused(url: &str) -> String {
    let mut encoder = push::ffmpeg(&clip::short(), url);
    assert!(!encoder.wait().success());
    encoder.said()
}

#[test]
fn an_app_has_so_many_pushes_at_once_and_whoever_comes_back_is_let_in() {
    let server = Kaibo::start("broadcast.max_live = 1");
    let url = server.push_url("room");
    let encoder = push::ffmpeg(&clip::long(), &url);
    let began = server.wait_for_state("room", "live", seconds(10));
    assert!(refused(&server.push_url("other")).contains("the limit of streams is reached"));
    let planned = create(&server, json!({ "stream": "planned", "auto_start": true }));
    let planned = planned["push"]["url"].as_str().unwrap().to_owned();
    assert!(refused(&planned).contains("the limit of streams is reached"));

    encoder.kill9();
    server.wait_for_state("room", "interrupted", seconds(5));
    let _other = push::ffmpeg(&clip::long(), &planned);
    server.wait_for_state("planned", "live", seconds(10));
    let _encoder = push::ffmpeg(&clip::long(), &url);
    assert_eq!(server.wait_for_state("room", "live", seconds(10))["id"], began["id"]);
}

#[test]
fn an_app_begins_so_many_broadcasts_a_day_also_after_a_restart() {
    let mut server = Kaibo::start("broadcast.max_per_day = 2");
    let url = server.push_url("room");
    let encoder = push::ffmpeg(&clip::long(), &url);
    let began = server.wait_for_state("room", "live", seconds(10));
    let made = create(&server, json!({ "stream": "planned" }));
    command(&server, &made, "stop", Value::Null).ok();
    drop(encoder);
    server.kill9();
    server.restart();
    let third = call(&server, "POST", "/api/v1/broadcasts", json!({ "stream": "third" }));
    assert_eq!(third.refusal(), (429, "quota_exceeded"));
    let elsewhere = json!({ "app": "shop", "stream": "elsewhere" });
    assert_eq!(call(&server, "POST", "/api/v1/broadcasts", elsewhere).status, 201, "each app by itself");
    assert!(refused(&server.push_url("fourth")).contains("the limit of streams is reached"));
    let _encoder = push::ffmpeg(&clip::long(), &url);
    assert_eq!(server.wait_for_state("room", "live", seconds(10))["id"], began["id"]);
}

#[test]
fn the_api_makes_no_more_broadcasts_than_fit() {
    let server = Kaibo::start("limits.broadcasts = 2");
    for stream in ["first", "second"] {
        create(&server, json!({ "stream": stream }));
    }
    let third = call(&server, "POST", "/api/v1/broadcasts", json!({ "stream": "third" }));
    assert_eq!(third.refusal(), (429, "too_many_broadcasts"));
}
