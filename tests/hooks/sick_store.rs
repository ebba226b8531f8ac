//! The store can't be written to for a while.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use serde_json::Value;

use crate::{
    WHOLE,
    full_disk::troubles,
    receiver::{Hook, Receiver},
    support::{Kaibo, clip, flv, http, push, seconds, server::API_TOKEN, wait_for, wait_until},
    webhook,
};

/// Another program that keeps the database for itself, until it is dropped.
struct Lock(Child);

impl Lock {
    fn take(server: &Kaibo) -> Self {
        const PROGRAM: &str = "import sqlite3, sys\n\
            database = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=10)\n\
            database.execute('BEGIN EXCLUSIVE')\n\
            print('locked', flush=True)\n\
            sys.stdin.read()";
        let mut python = Command::new("python3")
            .args(["-c", PROGRAM])
            .arg(server.data().join("kaibo.db"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        BufReader::new(python.stdout.take().unwrap()).read_line(&mut said).unwrap();
        assert_eq!(said, "locked\n");
        Self(python)
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Its standard input ends, and so does its transaction.
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// The events about the broadcast `id`, in the order in which they were taken.
fn told(receiver: &Receiver, id: &Value) -> Vec<Value> {
    let hooks = receiver.taken();
    let told = hooks.iter().map(Hook::json).filter(|told| told["data"]["broadcast"]["id"] == *id);
    told.collect()
}

fn kinds(told: &[Value]) -> Vec<&str> {
    told.iter().map(|told| told["type"].as_str().unwrap()).collect()
}

/// What viewers are told of `live/room`, which asks no store.
fn shown(server: &Kaibo) -> Value {
    serde_json::from_slice(&server.get("/status/live/room").body).unwrap()
}

#[test]
fn what_happens_while_the_store_is_locked_is_stored_and_told_in_order_afterwards() {
    let receiver = Receiver::start();
    let mut server = Kaibo::start(&webhook(&receiver, ""));
    server.expect_errors();
    let first = push::ffmpeg(&clip::long(), &server.push_url("room"));
    let began = server.wait_for_state("room", "live", seconds(10));
    wait_until("it is told", seconds(5), || kinds(&told(&receiver, &began["id"])) == WHOLE[..3]);

    let lock = Lock::take(&server);
    first.quit();
    wait_until("the end", seconds(5), || shown(&server)["state"] == "ended");
    let second = push::ffmpeg(&clip::long(), &format!("{}&room=7", server.push_url("room")));
    let live = wait_until("the next broadcast", seconds(10), || shown(&server)["state"] == "live");
    assert!(live < seconds(6), "live waited for the store: {live:?}");
    flv::Viewer::open(&server, "room").wait_for_time(1500);
    let metrics = format!("http://{}/metrics", server.at.api);
    let metrics = http::get(&metrics, &[("Authorization", &format!("Bearer {API_TOKEN}"))]).text();
    assert!(metrics.contains("kaibo_store_pending 2\n"), "{metrics}");
    assert_eq!(troubles(&server), ["store"]);
    assert_eq!(kinds(&told(&receiver, &began["id"])), WHOLE[..3]);
    drop(lock);

    wait_until("the whole first broadcast", seconds(10), || {
        kinds(&told(&receiver, &began["id"])).len() >= WHOLE.len()
    });
    assert_eq!(kinds(&told(&receiver, &began["id"])), WHOLE);
    let next = wait_for("the second one", seconds(10), || {
        let next = server.broadcast("room");
        let is_told = kinds(&told(&receiver, &next["id"])).len() >= 3;
        (next["id"] != began["id"] && is_told).then_some(next)
    });
    assert_eq!(kinds(&told(&receiver, &next["id"])), WHOLE[..3]);

    server.kill9();
    drop(second);
    server.restart();
    let known = server.broadcasts("room");
    assert_eq!((&known[0]["id"], &known[0]["state"]), (&next["id"], &"interrupted".into()));
    assert_eq!((&known[1]["id"], &known[1]["state"]), (&began["id"], &"ended".into()));
    let down = wait_for("push.down", seconds(10), || {
        told(&receiver, &next["id"]).into_iter().find(|told| told["type"] == "push.down")
    });
    let push = &down["data"]["push"];
    assert_eq!((&push["address"], &push["width"]), (&"127.0.0.1".into(), &320.into()), "{down}");
    assert!(push["query"].as_str().unwrap().ends_with("&room=7"), "{down}");
    assert!(push["duration_ms"].as_u64().unwrap() > 1000, "{down}");
}
