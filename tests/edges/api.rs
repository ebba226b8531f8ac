//! The control API as a backend, and as somebody without a token, meets it.

use std::io::Write;

use md5::{Digest, Md5};
use serde_json::{Value, json};

use crate::{
    raw::{self, Reply},
    support::{Kaibo, clip, push, seconds, server::API_TOKEN},
};

fn authorization() -> String {
    format!("Authorization: Bearer {API_TOKEN}")
}

/// A call with the token.
fn call(server: &Kaibo, line: &str) -> Reply {
    raw::request(&server.at.api, line, &[&authorization()])
}

fn post(server: &Kaibo, path: &str, body: &[u8]) -> Reply {
    let headers = [&*authorization(), "Content-Type: application/json"];
    raw::with_body(&server.at.api, &format!("POST /api/v1{path}"), &headers, body)
}

#[test]
fn only_a_token_opens_the_api() {
    let server = Kaibo::start("");
    let closed = [
        "GET /api/v1/broadcasts",
        "GET /api/v1/broadcasts/0123",
        "POST /api/v1/broadcasts/0123/stop",
        "GET /api/v1/streams",
        "POST /api/v1/push-urls",
        "GET /metrics",
    ];
    let query = format!("?token={API_TOKEN}&access_token={API_TOKEN}");
    for line in closed {
        for headers in [
            &[][..],
            &["Authorization: Bearer"],
            &["Authorization: Bearer "],
            &["Authorization: Bearer wrong-token-of-the-test-0000"],
            &[&*format!("Authorization: Bearer {}", &API_TOKEN[1..])],
            &[&*format!("Authorization: Bearer {API_TOKEN}x")],
            &[&*format!("Authorization: {API_TOKEN}")],
            &[&*format!("Authorization: Basic {API_TOKEN}")],
            &[&*format!("Cookie: token={API_TOKEN}")],
            // Being near is no credential, and neither is saying so.
            &["X-Forwarded-For: 127.0.0.1", "X-Real-IP: 127.0.0.1", "Forwarded: for=127.0.0.1"],
            &["Origin: http://127.0.0.1:8081"],
        ] {
            for line in [line.to_owned(), format!("{line}{query}")] {
                let reply = raw::request(&server.at.api, &line, headers);
                assert_eq!((reply.status, &*reply.problem()), (401, "unauthorized"), "{line} {headers:?}");
                assert_eq!(reply.header("www-authenticate"), "Bearer");
                assert!(!reply.text().contains(API_TOKEN));
            }
        }
        for host in ["evil.example", "localhost", "127.0.0.1"] {
            let request = format!("{line} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
            assert_eq!(raw::reply(&raw::exchange(&server.at.api, request.as_bytes())).status, 401, "{host}");
        }
    }
    assert_eq!(call(&server, "GET /api/v1/streams").status, 200);
    let lower_case = format!("authorization: bearer {API_TOKEN}");
    assert_eq!(raw::request(&server.at.api, "GET /api/v1/streams", &[&lower_case]).status, 200);
}

#[test]
fn health_needs_no_token_and_tells_no_names() {
    let server = Kaibo::start("");
    for (path, said) in [("/livez", "ok\n"), ("/readyz", "{\"reasons\":[],\"status\":\"ready\"}")] {
        let reply = raw::request(&server.at.api, &format!("GET {path}"), &[]);
        assert_eq!((reply.status, &*reply.text()), (200, said), "{path}");
        assert_eq!(raw::request(&server.at.api, &format!("HEAD {path}"), &[]).status, 200);
    }
}

#[test]
fn pages_of_other_origins_can_neither_call_nor_read() {
    let server = Kaibo::start("");
    let origin = "Origin: https://evil.example";
    for line in
        ["GET /api/v1/streams", "OPTIONS /api/v1/streams", "GET /metrics", "GET /livez", "GET /nothing"]
    {
        let reply = raw::request(&server.at.api, line, &[origin, &authorization()]);
        assert_eq!(reply.header("access-control-allow-origin"), "", "{line}");
    }
    // What a form of a page can send: no header of its own, and a type that needs no preflight.
    let reply = raw::with_body(
        &server.at.api,
        "POST /api/v1/push-urls",
        &[origin, "Content-Type: text/plain"],
        b"{}",
    );
    assert_eq!(reply.status, 401);
}

#[test]
fn what_is_not_there_has_a_stable_code() {
    let server = Kaibo::start("");
    for (line, status, code) in [
        ("GET /", 404, "not_found"),
        ("GET /api/v1", 404, "not_found"),
        ("GET /api/v1/broadcasts/", 404, "not_found"),
        ("GET /api/v2/broadcasts", 404, "not_found"),
        ("GET /api/v1/broadcasts/0123", 404, "no_such_broadcast"),
        ("GET /api/v1/broadcasts/%2e%2e%2f", 404, "no_such_broadcast"),
        ("GET /api/v1/broadcasts/%ff", 404, "no_such_broadcast"),
        ("GET /api/v1/broadcasts/-1", 404, "no_such_broadcast"),
        ("POST /api/v1/broadcasts/0123/stop", 404, "no_such_broadcast"),
        ("POST /api/v1/broadcasts/%ff/stop", 404, "no_such_broadcast"),
        ("GET /api/v1/broadcasts/0123/stop", 405, "method_not_allowed"),
        ("PUT /api/v1/broadcasts", 405, "method_not_allowed"),
        ("DELETE /metrics", 405, "method_not_allowed"),
        ("GET /api/v1/broadcasts?limit=many", 422, "invalid"),
        ("GET /api/v1/broadcasts?limit=-1", 422, "invalid"),
        ("GET /api/v1/broadcasts?colour=red", 422, "invalid"),
    ] {
        let reply = call(&server, line);
        assert_eq!((reply.status, &*reply.problem()), (status, code), "{line}");
        assert_eq!(reply.header("allow").is_empty(), status != 405, "{line}: {reply:?}");
    }
}

#[test]
fn a_push_url_can_be_made_for_anybody() {
    let server =
        Kaibo::start("http.public_url = \"https://live.example.com\"\nauth.push.max_key_ttl = \"2h\"");
    let reply = post(&server, "/push-urls", br#"{"stream": "room", "expires_in_s": 3600}"#);
    assert_eq!(reply.status, 200, "{}", reply.text());
    let push = reply.json();
    let port = server.at.rtmp.rsplit_once(':').unwrap().1;
    assert_eq!(push["server"], format!("rtmp://live.example.com:{port}/live"));
    assert_eq!(
        push["url"],
        format!("{}/{}", push["server"].as_str().unwrap(), push["key"].as_str().unwrap())
    );
    let (secret, time) =
        push["key"].as_str().unwrap().strip_prefix("room?txSecret=").unwrap().split_once("&txTime=").unwrap();
    let digest = Md5::digest(format!("{}room{time}", server.push_key()));
    assert_eq!(secret, digest.iter().map(|byte| format!("{byte:02x}")).collect::<String>());
    let expires = i64::from_str_radix(time, 16).unwrap();
    assert!((expires - crate::support::server::unix_seconds() - 3600).abs() < 5);
    for (body, status, code) in [
        ("", 400, "malformed"),
        ("{", 400, "malformed"),
        ("{\"stream\": \"room\"", 400, "malformed"),
        ("\u{0}", 400, "malformed"),
        ("{}", 422, "invalid"),
        ("[]", 422, "invalid"),
        ("[\"live\", \"room\", 60]", 422, "invalid"),
        ("{\"stream\": \"room\"}", 422, "invalid"),
        ("{\"stream\": \"room\", \"expires_in_s\": 1, \"colour\": \"red\"}", 422, "invalid"),
        ("{\"stream\": \"room\", \"stream\": \"room\", \"expires_in_s\": 1}", 422, "invalid"),
        ("{\"stream\": 1, \"expires_in_s\": 1}", 422, "invalid"),
        ("{\"stream\": \"room\", \"expires_in_s\": -1}", 422, "invalid"),
        ("{\"stream\": \"room\", \"expires_in_s\": 0}", 422, "invalid"),
        ("{\"stream\": \"room\", \"expires_in_s\": 7201}", 422, "invalid"),
        ("{\"stream\": \"room\", \"expires_in_s\": 18446744073709551615}", 422, "invalid"),
        ("{\"stream\": \"../x\", \"expires_in_s\": 1}", 422, "invalid"),
        ("{\"stream\": \"\", \"expires_in_s\": 1}", 422, "invalid"),
        ("{\"stream\": \"a\\u0000b\", \"expires_in_s\": 1}", 422, "invalid"),
        ("{\"app\": \"a/b\", \"stream\": \"room\", \"expires_in_s\": 1}", 422, "invalid"),
        ("{\"app\": \"replay\", \"stream\": \"room\", \"expires_in_s\": 1}", 422, "invalid"),
    ] {
        let reply = post(&server, "/push-urls", body.as_bytes());
        assert_eq!((reply.status, &*reply.problem()), (status, code), "{body}: {}", reply.text());
    }
    let deep = format!("{{\"expires_in_s\": 1, \"stream\": {}", "[".repeat(10_000));
    assert_eq!(post(&server, "/push-urls", deep.as_bytes()).problem(), "invalid");
    let headers = [&*authorization(), "Content-Type: text/plain"];
    let typeless = raw::with_body(&server.at.api, "POST /api/v1/push-urls", &headers, b"{}");
    assert_eq!((typeless.status, &*typeless.problem()), (415, "malformed"));
}

#[test]
fn a_body_has_64_kib() {
    let server = Kaibo::start("");
    let body = |length: usize| {
        let fixed = br#"{"stream": "room", "expires_in_s": 60}"#;
        [&fixed[..], &vec![b' '; length - fixed.len()]].concat()
    };
    assert_eq!(post(&server, "/push-urls", &body(64 << 10)).status, 200);
    let reply = post(&server, "/push-urls", &body((64 << 10) + 1));
    assert_eq!((reply.status, &*reply.problem()), (413, "too_large"));
    // Of 100 MiB no more is read than it takes to know, with or without a length.
    let head = format!(
        "POST /api/v1/push-urls HTTP/1.1\r\nHost: h\r\n{}\r\nContent-Type: application/json\r\n",
        authorization()
    );
    let spaces = " ".repeat(1 << 20);
    for body in [
        format!("Content-Length: 104857600\r\n\r\n{spaces}"),
        format!("Transfer-Encoding: chunked\r\n\r\n6400000\r\n{spaces}"),
    ] {
        let mut socket = raw::connect(&server.at.api);
        // The server closes in the middle of it.
        let _ = socket.write_all(format!("{head}{body}").as_bytes());
        assert_eq!(raw::reply(&raw::read_head(&mut socket)).status, 413);
    }
}

/// Pushes `names` and waits until each is live.
fn push_all(server: &Kaibo, names: &[&str]) -> Vec<push::Pusher> {
    let encoders = names.iter().map(|name| {
        let encoder = push::ffmpeg(&clip::long(), &server.push_url(name));
        server.wait_for_state(name, "live", seconds(10));
        encoder
    });
    encoders.collect()
}

#[test]
fn a_broadcast_is_listed_shown_and_stopped() {
    let server = Kaibo::start("");
    let _encoder = push_all(&server, &["room"]);
    let id = server.broadcast("room")["id"].as_str().unwrap().to_owned();
    let one = call(&server, &format!("GET /api/v1/broadcasts/{id}")).json();
    assert_eq!(one["state"], "live");
    assert_eq!(
        (&one["app"], &one["stream"], &one["live_status"]),
        (&json!("live"), &json!("room"), &json!(101))
    );
    for name in ["created_at", "started_at"] {
        let time = one[name].as_str().unwrap();
        assert!(time.len() == 24 && time.ends_with('Z') && time.as_bytes()[19] == b'.', "{name} {time}");
    }
    for (name, expected) in [
        ("flv", format!("http://{}/live/room.flv", server.at.http)),
        ("ws_flv", format!("ws://{}/live/room.flv", server.at.http)),
        ("hls", format!("http://{}/live/room.m3u8", server.at.http)),
        ("hls_ts", format!("http://{}/live/room/ts.m3u8", server.at.http)),
        ("rtmp", format!("rtmp://{}/live/room", server.at.rtmp)),
        ("watch", format!("http://{}/watch/live/room", server.at.http)),
    ] {
        assert_eq!(one["play"][name], expected);
    }
    let stream = &call(&server, "GET /api/v1/streams").json()["items"][0];
    assert_eq!((&stream["stream"], &stream["broadcast"]), (&json!("room"), &json!(id)));
    assert_eq!((&stream["video"]["width"], &stream["video"]["height"]), (&json!(320), &json!(180)));
    assert!(stream["video"]["codecs"].as_str().unwrap().starts_with("avc1."));
    assert_eq!(stream["audio"]["sample_rate"], 44_100);

    let stop = format!("POST /api/v1/broadcasts/{id}/stop");
    let stopped = call(&server, &stop).json();
    assert_eq!(
        (&stopped["state"], &stopped["end_reason"]),
        (&json!("ended"), &json!("stopped")),
        "{stopped}"
    );
    let ended_at = &stopped["ended_at"];
    for _ in 0..2 {
        let again = call(&server, &stop);
        assert_eq!(again.status, 200, "stopping what is over succeeds");
        assert_eq!((&again.json()["state"], &again.json()["ended_at"]), (&json!("ended"), ended_at));
    }
    assert_eq!(call(&server, "GET /api/v1/streams").json(), json!({ "items": [], "next_cursor": null }));
    assert_eq!(server.broadcasts("room").len(), 1);
}

#[test]
fn a_list_comes_in_pages() {
    let server = Kaibo::start("");
    let names = ["first", "second", "third"];
    let _encoders = push_all(&server, &names);
    let page = |query: &str| call(&server, &format!("GET /api/v1/broadcasts?{query}")).json();
    let streams = |page: &Value| -> Vec<String> {
        page["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["stream"].as_str().unwrap().to_owned())
            .collect()
    };
    let all = page("");
    assert_eq!(streams(&all), ["third", "second", "first"], "newest first");
    assert_eq!(all["next_cursor"], Value::Null);
    for limit in 1..=4 {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = page(&format!("limit={limit}{cursor}"));
            assert!(streams(&page).len() <= limit);
            seen.extend(streams(&page));
            match page["next_cursor"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        assert_eq!(seen, ["third", "second", "first"], "{limit} at a time");
    }
    assert_eq!(streams(&page("stream=second")), ["second"]);
    assert_eq!(streams(&page("state=live&app=live&limit=1")), ["third"]);
    assert_eq!(streams(&page("state=ended")), [""; 0]);
    assert_eq!(streams(&page("app=shop")), [""; 0]);
    assert_eq!(streams(&page("limit=0")).len(), 1, "a page has one at least");
    assert_eq!(streams(&page("limit=100000")).len(), 3);
}
