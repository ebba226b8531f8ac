//! Requests that no player makes.

use std::{
    io::Write,
    sync::mpsc::{self, RecvTimeoutError},
    thread,
    time::{Duration, Instant},
};

use crate::{
    raw,
    support::{Kaibo, wait_for},
};

/// Nothing of a file may come back.
fn assert_refused(request: &[u8], answer: &[u8]) {
    let request = String::from_utf8_lossy(request);
    let request = request.lines().next().unwrap_or_default();
    let reply = raw::reply(answer);
    assert!([400, 404].contains(&reply.status), "{request}: {reply:?}");
    assert!(!reply.text().contains("root:"), "{request}: {reply:?}");
    if reply.status == 404 {
        assert!(["not_found", "no_such_replay"].contains(&&*reply.problem()), "{request}: {reply:?}");
        assert_eq!(reply.header("access-control-allow-origin"), "*", "{request}");
    }
}

#[test]
fn a_path_leads_nowhere_but_to_streams() {
    let server = Kaibo::start("");
    std::fs::write(server.data().join("media/planted.m3u8"), "root:").unwrap();
    for path in [
        "/live/x/../../etc/passwd",
        "/../../../../etc/passwd",
        "/live/../../etc/passwd.m3u8",
        "/replay/../planted.m3u8",
        "/replay/planted.m3u8",
        "/replay/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "/replay/..%2fplanted/1.m4s",
        "/replay/..%5cplanted.m3u8",
        "/replay/%252e%252e%252fplanted.m3u8",
        "/replay/../1.m4s",
        "/replay/./planted.m3u8",
        "/replay/x/../../secrets.toml",
        "/assets/../../secrets.toml",
        "/assets/..%2f..%2fsecrets.toml",
        "/assets//etc/passwd.js",
        "//etc/passwd",
        "//evil.example/live/x.m3u8",
        "/live//x.m3u8",
        "/live/x;a=b.m3u8",
        "/live/x%00.m3u8",
        "/live/x.m3u8%00.jpg",
        "/live/%c0%ae%c0%ae/x.m3u8",
        "/live/x\\..\\..\\y.m3u8",
        "/watch/live/%3Cscript%3E",
        "/watch/../x",
        "/live/<script>.m3u8",
    ] {
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").into_bytes();
        assert_refused(&request, &raw::exchange(&server.at.http, &request));
    }
    let mut requests: Vec<Vec<u8>> = vec![
        b"GET /live/x\0.m3u8 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /live/x\x1b[2J.m3u8 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET http://evil.example/../etc/passwd HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET file:///etc/passwd HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET live/x.m3u8 HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET ../etc/passwd HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".to_vec(),
        b"GET /etc/passwd HTTP/9.9\r\nHost: h\r\n\r\n".to_vec(),
        b"GET /etc/passwd\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".repeat(50),
    ];
    requests.push([b"GET /live/x.m3u8 HTTP/1.1\r\nHost: h\r\nX: ", &[0xFF; 10][..], b"\0\r\n\r\n"].concat());
    for request in requests {
        assert_refused(&request, &raw::exchange(&server.at.http, &request));
    }
}

#[test]
fn a_request_has_a_size() {
    let server = Kaibo::start("");
    let ask = |request: String| raw::reply(&raw::exchange(&server.at.http, request.as_bytes())).status;
    let long = "x".repeat(100 << 10);
    assert_eq!(ask(format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n")), 431);
    assert!([414, 431].contains(&ask(format!("GET /{long} HTTP/1.1\r\nHost: h\r\n\r\n"))));
    assert_eq!(ask(format!("GET / HTTP/1.1\r\nHost: h\r\n{}\r\n", "X: y\r\n".repeat(100))), 431);
    assert_eq!(
        ask(format!("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n{}\r\n", "X: y\r\n".repeat(40))),
        404
    );
    // The server is none the worse.
    let memory = server.memory();
    for _ in 0..100 {
        ask(format!("GET / HTTP/1.1\r\nHost: h\r\nX: {long}\r\n\r\n"));
    }
    wait_for("memory as before", Duration::from_secs(5), || {
        (server.memory() < memory + (16 << 20)).then_some(())
    });
}

/// RFC 9112 §6.3: where two lengths disagree, whatever follows is nobody's request.
#[test]
fn a_body_of_two_lengths_smuggles_nothing() {
    let server = Kaibo::start("");
    for (lengths, status) in [
        ("Content-Length: 4\r\nTransfer-Encoding: chunked", [200, 404]),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4", [200, 404]),
        ("Content-Length: 4\r\nContent-Length: 5", [400; 2]),
        ("Content-Length: -1", [400; 2]),
        ("Content-Length: 4, 5", [400; 2]),
        ("Transfer-Encoding: chunked, identity", [400; 2]),
        ("Transfer-Encoding: xchunked", [400; 2]),
    ] {
        for address in [&server.at.http, &server.at.api] {
            let request = format!("GET /livez HTTP/1.1\r\nHost: h\r\n{lengths}\r\n\r\n0\r\n\r\n");
            let smuggled = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
            let answer = raw::exchange(address, format!("{request}{smuggled}").as_bytes());
            let text = String::from_utf8_lossy(&answer).into_owned();
            assert!(status.contains(&raw::reply(&answer).status), "{lengths}: {text}");
            assert_eq!(text.matches("HTTP/1.1 ").count(), 1, "one answer, then the end. {lengths}: {text}");
        }
    }
}

#[test]
fn who_dawdles_over_a_head_is_closed_after_ten_seconds() {
    let server = Kaibo::start("");
    let dawdlers: Vec<_> = [
        (&server.at.http, &b""[..]),
        (&server.at.http, b"GET /"),
        (&server.at.http, b"GET / HTTP/1.1\r\nHost: h\r\nX"),
        (&server.at.api, b"GET /livez HTTP/1.1\r\nX"),
    ]
    .into_iter()
    .map(|(address, said)| {
        let (mut socket, said) = (raw::connect(address), said.to_vec());
        thread::spawn(move || {
            let begin = Instant::now();
            socket.write_all(&said).unwrap();
            // A letter now and then, so that the connection is never silent; its write fails once it is closed.
            let mut writer = socket.try_clone().unwrap();
            let silent = said.is_empty();
            let (open, closed) = mpsc::channel::<()>();
            let letters = thread::spawn(move || {
                while !silent
                    && closed.recv_timeout(Duration::from_millis(300)) == Err(RecvTimeoutError::Timeout)
                    && writer.write_all(b"x").is_ok()
                {}
            });
            raw::read_to_close(&mut socket);
            drop(open);
            let took = begin.elapsed();
            drop(socket);
            letters.join().unwrap();
            (String::from_utf8(said).unwrap(), took)
        })
    })
    .collect();
    for dawdler in dawdlers {
        let (said, took) = dawdler.join().unwrap();
        assert!((8..13).contains(&took.as_secs()), "{said:?}: {took:?}");
    }
}

#[test]
fn more_viewers_than_allowed_are_turned_away_and_let_in_again() {
    let server = Kaibo::start("limits.http_connections = 3");
    let ask = || raw::exchange(&server.at.http, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    let places: Vec<_> = (0..3)
        .map(|_| {
            let mut socket = raw::connect(&server.at.http);
            socket.write_all(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
            assert_eq!(raw::reply(&raw::read_head(&mut socket)).status, 404);
            socket
        })
        .collect();
    assert!(ask().is_empty(), "the fourth is closed at once");
    drop(places);
    wait_for("a free place", Duration::from_secs(5), || (!ask().is_empty()).then_some(()));
}

#[test]
fn a_flood_of_connections_to_the_api_is_cut_off_and_passes() {
    let server = Kaibo::start("");
    let flood: Vec<_> = (0..200).map(|_| raw::connect(&server.at.api)).collect();
    let ask =
        || raw::exchange(&server.at.api, b"GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(ask().is_empty(), "one too many is closed at once");
    drop(flood);
    wait_for("a free place", Duration::from_secs(5), || (!ask().is_empty()).then_some(()));
}
