//! Webhooks, from a whole server to a receiver of the test's own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may panic"
)]

mod full_disk;
mod gate;
mod receiver;
mod sick_store;
#[allow(dead_code, reason = "the server's own tests need more of it")]
#[path = "../server/support/mod.rs"]
mod support;

use std::{fs, time::Duration};

use md5::{Digest, Md5};
use serde_json::Value;

use self::{
    receiver::{Hook, Receiver},
    support::{Kaibo, clip, flv, push, seconds, wait_for, wait_until},
};

/// 24 bytes, as Standard Webhooks has them.
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const TENCENT_SECRET: &str = "callback-key-of-the-test";

/// The configuration of a webhook to `receiver`.
fn webhook(receiver: &Receiver, more: &str) -> String {
    format!(
        "[[webhooks]]\nname = \"test\"\nurl = \"{}\"\nsecret = \"{SECRET}\"\nallow_private = true\n{more}\n",
        receiver.url()
    )
}

/// The names of the events about broadcasts that `hooks` tell of, each once: at least once may be twice.
fn kinds(hooks: &[Hook]) -> Vec<String> {
    let mut ids = Vec::new();
    let fresh = hooks.iter().filter(|hook| {
        let id = hook.header("webhook-id").to_owned();
        let fresh = !ids.contains(&id);
        ids.push(id);
        fresh
    });
    fresh.map(|hook| hook.json()["type"].as_str().unwrap().to_owned()).collect()
}

/// Pushes for a few seconds, until the broadcast is over.
fn broadcast(server: &Kaibo, stream: &str) -> Value {
    let mut encoder = push::ffmpeg(&clip::short(), &format!("{}&room=7", server.push_url(stream)));
    server.wait_for_state(stream, "live", seconds(10));
    encoder.wait();
    server.wait_for_state(stream, "ended", seconds(10))
}

/// What every broadcast that is pushed once goes through.
const WHOLE: [&str; 6] =
    ["broadcast.created", "push.up", "broadcast.started", "push.down", "broadcast.ended", "replay.ready"];

fn wait_for_kinds(receiver: &Receiver, expected: &[&str], patience: Duration) -> Vec<Hook> {
    wait_for(&format!("{expected:?}"), patience, || {
        let taken = receiver.taken();
        (kinds(&taken).len() >= expected.len()).then_some(taken)
    })
}

#[test]
fn a_backend_is_told_in_order_and_can_verify_it() {
    let receiver = Receiver::start();
    let server = Kaibo::start(&webhook(&receiver, ""));
    let ended = broadcast(&server, "room");
    let hooks = wait_for_kinds(&receiver, &WHOLE, seconds(10));
    assert_eq!(kinds(&hooks), WHOLE);
    for hook in &hooks {
        receiver::verify_with_reference(SECRET, hook);
        assert_eq!(hook.json()["id"], hook.header("webhook-id"));
        assert_eq!(hook.json()["data"]["broadcast"]["id"], ended["id"]);
        assert!(!hook.body.to_lowercase().contains("txsecret"), "{}", hook.body);
        let secret = server.signature("room", 3600);
        let (secret, _) = secret.split_once('&').unwrap();
        assert!(!hook.body.contains(secret.trim_start_matches("txSecret=")));
        assert!(!hook.body.contains(server.push_key()) && !hook.body.contains(SECRET));
    }
    let [up, down] = [1, 3].map(|at| hooks[at].json()["data"]["push"].clone());
    assert_eq!(up["address"], "127.0.0.1");
    assert!(up["query"].as_str().unwrap().ends_with("&room=7"), "{up}");
    assert!(down["duration_ms"].as_u64().unwrap() > 3000, "{down}");
    assert_eq!((&down["width"], &down["height"]), (&320.into(), &180.into()));
    let ready = hooks[5].json()["data"].clone();
    assert_eq!(ready["broadcast"]["state"], "ended");
    assert_eq!(ready["replay"]["truncated"], false);
    assert!(ready["replay"]["duration_ms"].as_u64().unwrap() > 3000, "{ready}");
    assert_eq!(support::http::get(ready["replay"]["hls"].as_str().unwrap(), &[]).status, 200);
}

#[test]
fn a_refused_key_is_told_without_the_key() {
    let receiver = Receiver::start();
    let server = Kaibo::start(&webhook(&receiver, "events = [\"push.rejected\"]"));
    let wrong = server.signature("another", 3600);
    let mut encoder = push::ffmpeg(&clip::short(), &format!("rtmp://{}/live/room?{wrong}", server.at.rtmp));
    encoder.wait();
    let hooks = wait_for_kinds(&receiver, &["push.rejected"], seconds(5));
    let told = hooks[0].json()["data"].clone();
    assert_eq!(
        (&told["app"], &told["stream"], &told["code"]),
        (&"live".into(), &"room".into(), &"18/503".into())
    );
    let (secret, _) = wrong.split_once('&').unwrap();
    assert!(!hooks[0].body.contains(secret.trim_start_matches("txSecret=")), "{}", hooks[0].body);
}

#[test]
fn a_broadcast_tells_of_its_own_recording() {
    let receiver = Receiver::start();
    let server =
        Kaibo::start(&webhook(&receiver, "events = [\"broadcast.started\"]\n[record]\nenabled = false"));
    for (record, recorded) in [("true", true), ("null", false)] {
        let made = ureq::post(format!("http://{}/api/v1/broadcasts", server.at.api))
            .header("authorization", format!("Bearer {}", support::server::API_TOKEN))
            .header("content-type", "application/json")
            .send(format!(r#"{{"stream":"room-{record}","auto_start":true,"record":{record}}}"#));
        let made = made.unwrap().body_mut().read_to_string().unwrap();
        let made: Value = serde_json::from_str(&made).unwrap();
        let _encoder = push::ffmpeg(&clip::short(), made["push"]["url"].as_str().unwrap());
        let told = wait_for("broadcast.started", seconds(10), || {
            receiver.taken().iter().map(Hook::json).find(|told| told["data"]["broadcast"]["id"] == made["id"])
        });
        assert_eq!(told["data"]["recorded"], recorded, "record: {record}");
    }
}

#[test]
fn a_receiver_that_is_down_misses_nothing_though_the_server_is_killed() {
    let receiver = Receiver::start();
    let mut server = Kaibo::start(&webhook(&receiver, ""));
    let mut encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    wait_for_kinds(&receiver, &WHOLE[..3], seconds(10));
    receiver.answer(503);
    encoder.wait();
    server.wait_for_state("room", "ended", seconds(10));
    wait_until("an attempt", seconds(5), || receiver.seen().len() > 3);
    server.kill9();
    receiver.answer(200);
    server.restart();
    let hooks = wait_for_kinds(&receiver, &WHOLE, seconds(15));
    assert_eq!(kinds(&hooks), WHOLE, "all of it, in order");
}

#[test]
fn a_receiver_that_was_down_for_several_broadcasts_is_told_all_of_each_in_order() {
    let receiver = Receiver::start();
    receiver.answer(503);
    let server = Kaibo::start(&webhook(&receiver, ""));
    let streams = ["one", "two", "three"];
    let encoders = streams.map(|stream| push::ffmpeg(&clip::short(), &server.push_url(stream)));
    for (stream, mut encoder) in streams.into_iter().zip(encoders) {
        encoder.wait();
        server.wait_for_state(stream, "ended", seconds(10));
    }
    assert!(receiver.taken().is_empty());
    receiver.answer(200);
    // Its operator does not wait for the schedule, and begins with the newest, which is not the one to be told first.
    let pending = server.api("/webhooks/deliveries?state=pending&limit=200")["items"].clone();
    for delivery in pending.as_array().unwrap() {
        server.api_post(&format!("/webhooks/deliveries/{}/retry", delivery["id"].as_str().unwrap()));
    }
    let hooks = wait_for("all events", seconds(15), || {
        let taken = receiver.taken();
        (kinds(&taken).len() >= streams.len() * WHOLE.len()).then_some(taken)
    });
    for stream in streams {
        let its: Vec<Hook> = hooks
            .iter()
            .filter(|hook| hook.json()["data"]["broadcast"]["stream"] == stream)
            .cloned()
            .collect();
        assert_eq!(kinds(&its), WHOLE, "{stream}");
        receiver::verify_with_reference(SECRET, &its[0]);
    }
}

#[test]
fn a_server_killed_while_live_tells_of_the_whole_broadcast() {
    let receiver = Receiver::start();
    let mut server = Kaibo::start(&webhook(&receiver, ""));
    let encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let live = server.wait_for_state("room", "live", seconds(10));
    flv::Viewer::open(&server, "room").wait_for_time(2500);
    server.kill9();
    drop(encoder);
    server.restart();
    wait_for("it is interrupted", seconds(8), || {
        receiver.taken().iter().any(|hook| hook.json()["type"] == "broadcast.interrupted").then_some(())
    });
    server.api_post(&format!("/broadcasts/{}/stop", live["id"].as_str().unwrap()));
    let last = wait_for("the replay", seconds(10), || {
        receiver.taken().into_iter().find(|hook| hook.json()["type"] == "replay.ready")
    });
    assert_eq!(last.json()["data"]["broadcast"]["id"], live["id"]);
    let told = kinds(&receiver.taken());
    assert_eq!(told[..3], WHOLE[..3], "{told:?}");
    for kind in ["push.down", "broadcast.interrupted", "broadcast.ended"] {
        assert_eq!(told.iter().filter(|told| *told == kind).count(), 1, "{kind} in {told:?}");
    }
}

#[test]
fn a_slow_receiver_of_one_broadcast_holds_up_nobody() {
    let receiver = Receiver::start();
    let slow = Receiver::start();
    slow.hang();
    let config = webhook(&receiver, "") + &webhook(&slow, "").replace("\"test\"", "\"slow\"");
    let server = Kaibo::start(&config);
    broadcast(&server, "room");
    let hooks = wait_for_kinds(&receiver, &WHOLE, seconds(5));
    assert_eq!(kinds(&hooks), WHOLE);
}

#[test]
fn a_receiver_that_is_gone_is_left_alone_until_it_has_another_address() {
    let receiver = Receiver::start();
    receiver.answer(410);
    let mut server = Kaibo::start(&webhook(&receiver, ""));
    broadcast(&server, "room");
    wait_until("the log says so", seconds(5), || server.log().contains("it is sent nothing more"));
    assert_eq!(receiver.seen().len(), 1, "one attempt, and no more");
    receiver.answer(200);
    server.terminate();
    server.restart();
    wait_until("the log says so", seconds(5), || server.log().contains("off until its URL changes"));
    assert_eq!(receiver.seen().len(), 1);
    server.terminate();
    let moved = webhook(&receiver, "").replace("/hook?", "/moved?");
    fs::write(server.scratch("config.toml"), moved).unwrap();
    server.restart();
    assert_eq!(kinds(&wait_for_kinds(&receiver, &WHOLE, seconds(15))), WHOLE, "nothing was lost meanwhile");
}

#[test]
fn inside_addresses_and_redirects_are_refused() {
    let receiver = Receiver::start();
    let config = webhook(&receiver, "").replace("allow_private = true", "allow_private = false");
    let server = Kaibo::start(&config);
    broadcast(&server, "room");
    wait_until("the log says so", seconds(5), || server.log().contains("127.0.0.1 is a private address"));
    assert!(receiver.seen().is_empty());

    let inside = Receiver::start();
    receiver.redirect(&inside.url());
    let server = Kaibo::start(&webhook(&receiver, ""));
    broadcast(&server, "room");
    wait_until("the log says so", seconds(5), || server.log().contains("answered 302"));
    assert!(inside.seen().is_empty());
}

#[test]
fn tencents_callbacks_have_its_fields_and_its_signature() {
    let receiver = Receiver::start();
    let config = webhook(&receiver, "format = \"tencent\"").replace(SECRET, TENCENT_SECRET);
    let server = Kaibo::start(&config);
    let ended = broadcast(&server, "room");
    let callbacks: Vec<Value> = wait_for("all callbacks", seconds(10), || {
        let taken: Vec<Value> = receiver.taken().iter().map(Hook::json).collect();
        taken.iter().any(|callback| callback["event_type"] == 100).then_some(taken)
    });
    let types: Vec<u64> = callbacks.iter().map(|callback| callback["event_type"].as_u64().unwrap()).collect();
    assert_eq!(types, [1, 332, 0, 332, 100]);
    for callback in &callbacks {
        let t = callback["t"].as_i64().unwrap();
        let expected: String =
            Md5::digest(format!("{TENCENT_SECRET}{t}")).iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(callback["sign"], expected.as_str());
        let ahead = t - support::server::unix_seconds();
        assert!((570..=600).contains(&ahead), "{ahead}");
        assert_eq!((&callback["appname"], &callback["stream_id"]), (&"live".into(), &"room".into()));
        assert_eq!(callback["app"], "127.0.0.1");
        assert!(!callback.to_string().contains("txSecret"), "{callback}");
    }
    let (up, down, recording) = (&callbacks[0], &callbacks[2], &callbacks[4]);
    assert_eq!(up["sequence"], down["sequence"]);
    assert_eq!((&down["errcode"], &down["user_ip"]), (&1.into(), &"127.0.0.1".into()));
    assert!(down["push_duration"].as_str().unwrap().parse::<u64>().unwrap() > 3000);
    assert_eq!((&down["width"], &down["height"]), (&320.into(), &180.into()));
    assert_eq!(recording["file_id"], ended["id"]);
    assert!(recording["file_size"].as_u64().unwrap() > 10_000);
    assert!(recording["end_time"].as_i64().unwrap() > recording["start_time"].as_i64().unwrap());
}

#[test]
fn snapshots_are_told_in_both_forms() {
    let (kaibo, tencent) = (Receiver::start(), Receiver::start());
    let only = "events = [\"snapshot.ready\"]";
    let of_tencent = webhook(&tencent, &format!("format = \"tencent\"\n{only}"));
    let of_tencent = of_tencent.replace(SECRET, TENCENT_SECRET).replace("\"test\"", "\"tencent\"");
    let config = format!("{}{of_tencent}[snapshot]\ninterval = \"1s\"\nwidth = 160\n", webhook(&kaibo, only));
    let server = Kaibo::start(&config);
    let _encoder = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let taken = |receiver: &Receiver| {
        wait_for("two snapshots", seconds(15), || {
            let taken = receiver.taken();
            (taken.len() >= 2).then_some(taken)
        })
    };
    let hooks = taken(&kaibo);
    for hook in &hooks {
        receiver::verify_with_reference(SECRET, hook);
        let data = hook.json()["data"].clone();
        assert_eq!(
            (&data["broadcast"]["stream"], &data["broadcast"]["state"]),
            (&"room".into(), &"live".into())
        );
        assert_eq!((&data["snapshot"]["width"], &data["snapshot"]["height"]), (&160.into(), &90.into()));
        let picture = support::http::get(data["snapshot"]["url"].as_str().unwrap(), &[]);
        assert_eq!((picture.status, picture.header("content-type")), (200, "image/jpeg"));
    }
    let media = |hook: &Hook| hook.json()["data"]["snapshot"]["media_ms"].as_i64().unwrap();
    assert!(media(&hooks[0]) < media(&hooks[1]), "never the same keyframe twice");
    let callback = taken(&tencent)[0].json();
    let t = callback["t"].as_i64().unwrap();
    let expected: String =
        Md5::digest(format!("{TENCENT_SECRET}{t}")).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!((&callback["event_type"], &callback["sign"]), (&200.into(), &expected.as_str().into()));
    assert_eq!(callback["pic_full_url"], server.url("/live/room.jpg"));
    assert_eq!((&callback["pic_url"], &callback["width"]), (&"/live/room.jpg".into(), &160.into()));
    let age = support::server::unix_seconds() - callback["create_time"].as_i64().unwrap();
    assert!((0..30).contains(&age), "{callback}");
}

#[test]
fn a_reload_changes_receivers_and_loses_no_event() {
    let (first, second) = (Receiver::start(), Receiver::start());
    first.answer(503);
    let server = Kaibo::start(&webhook(&first, ""));
    let mut encoder = push::ffmpeg(&clip::short(), &server.push_url("room"));
    wait_for("an attempt that fails", seconds(10), || (!first.seen().is_empty()).then_some(()));
    let said = server.reload(&webhook(&second, ""));
    assert!(said.contains("webhooks (changed)"), "{said}");
    // The same name: what the old address has not taken is for the new one.
    assert_eq!(kinds(&wait_for_kinds(&second, &WHOLE, seconds(25))), WHOLE);
    encoder.wait();
    for receiver in [&first, &second] {
        assert!(!said.contains(&receiver.url()), "no address in {said}");
    }
    let (said, told) = (server.reload(""), second.seen().len());
    assert!(said.contains("was reloaded"), "{said}");
    broadcast(&server, "other");
    assert_eq!(second.seen().len(), told, "told no more");
}
