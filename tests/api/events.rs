//! The event stream.

use std::{
    io::{BufRead, BufReader},
    sync::mpsc::{Receiver, channel},
    thread,
};

use serde_json::{Value, json};
use ureq::Agent;

use crate::{
    backend::{command, create},
    support::{Kaibo, seconds, server::API_TOKEN},
};

/// `id`, `event` and `data` of what comes.
type Heard = (u64, String, Value);

/// Listens from now on, or from behind the event `last`.
pub fn listen(server: &Kaibo, last: Option<u64>) -> Receiver<Heard> {
    let agent: Agent = Agent::config_builder().build().new_agent();
    let request = agent
        .get(format!("http://{}/api/v1/events", server.at.api))
        .header("authorization", format!("Bearer {API_TOKEN}"));
    let request = match last {
        Some(last) => request.header("last-event-id", last.to_string()),
        None => request,
    };
    let body = request.call().unwrap().into_body().into_reader();
    let (heard, events) = channel();
    let mut lines = BufReader::new(body).lines();
    // The stream says at once that it is open.
    assert_eq!(lines.next().unwrap().unwrap(), ":");
    thread::spawn(move || {
        let (mut id, mut kind) = (0, String::new());
        for line in lines.map_while(Result::ok) {
            match line.split_once(": ") {
                Some(("id", value)) => id = value.parse().unwrap(),
                Some(("event", value)) => kind = value.to_owned(),
                Some(("data", value)) => {
                    // An error is a test that is over.
                    let _ = heard.send((id, kind.clone(), serde_json::from_str(value).unwrap()));
                }
                _ => {}
            }
        }
    });
    events
}

#[test]
fn a_listener_that_was_away_hears_what_it_missed() {
    let mut server = Kaibo::start("");
    let events = listen(&server, None);
    let made = create(&server, json!({ "stream": "room", "title": "t" }));
    let (first, kind, data) = events.recv_timeout(seconds(5)).unwrap();
    assert_eq!(kind, "broadcast.created");
    assert_eq!((&data["type"], &data["data"]["broadcast"]["id"]), (&json!("broadcast.created"), &made["id"]));
    assert_eq!(data["data"]["broadcast"]["push"], Value::Null, "a push URL is for its streamer alone");
    drop(events);
    command(&server, &made, "start", json!({ "force": true })).ok();
    command(&server, &made, "stop", Value::Null).ok();
    server.kill9();
    server.restart();
    let events = listen(&server, Some(first));
    let (ended, kind, _) = events.recv_timeout(seconds(5)).unwrap();
    assert_eq!(kind, "broadcast.ended");
    assert!(ended > first);
    create(&server, json!({ "stream": "room" }));
    assert_eq!(events.recv_timeout(seconds(5)).unwrap().1, "broadcast.created");
    let all = listen(&server, Some(0));
    assert_eq!(all.recv_timeout(seconds(5)).unwrap().0, first);
    assert!(server.terminate().success(), "listeners don't keep the server from stopping");
}
