//! The handshake of WS-FLV (RFC 6455 §4.2).

use std::io::{Read, Write};

use crate::{
    live::Live,
    raw,
    support::{seconds, wait_for},
};

const KEY: &str = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const VERSION: &str = "Sec-WebSocket-Version: 13";

#[test]
fn a_handshake_is_answered_as_the_rfc_shows() {
    let live = Live::start("");
    let mut socket = raw::connect(&live.server.at.http);
    let request = format!(
        "GET /live/room.flv HTTP/1.1\r\nHost: h\r\nUpgrade: WebSocket\r\nConnection: keep-alive, Upgrade\r\n{KEY}\r\n{VERSION}\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).unwrap();
    let reply = raw::reply(&raw::read_head(&mut socket));
    assert_eq!(reply.status, 101);
    assert_eq!(reply.header("sec-websocket-accept"), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_eq!(reply.header("upgrade").to_ascii_lowercase(), "websocket");
    assert_eq!(reply.header("connection").to_ascii_lowercase(), "upgrade");
    let mut frame = [0; 2];
    socket.read_exact(&mut frame).unwrap();
    assert_eq!(frame[0], 0x82, "a whole binary message, unmasked");
    assert_eq!(frame[1] & 0x80, 0);
}

#[test]
fn a_handshake_that_is_none_gets_a_reason() {
    let live = Live::start("");
    for (headers, status, code) in [
        (&[VERSION][..], 400, "websocket_handshake"),
        (&["Sec-WebSocket-Key:", VERSION], 400, "websocket_handshake"),
        (&[KEY], 426, "websocket_version"),
        (&[KEY, "Sec-WebSocket-Version: 12"], 426, "websocket_version"),
    ] {
        let headers = [&["Upgrade: websocket"][..], headers].concat();
        let reply = live.get("/live/room.flv", &headers);
        assert_eq!((reply.status, &*reply.problem()), (status, code), "{headers:?}");
        assert_eq!(reply.header("sec-websocket-version") == "13", status == 426, "{headers:?}");
    }
    let upgrade = ["Upgrade: websocket", KEY, VERSION];
    assert_eq!(live.get("/live/nobody.flv", &upgrade).status, 404);
    assert_eq!(live.get(&live.playlist, &upgrade).status, 200, "nothing else can be upgraded");
}

#[test]
fn a_viewer_on_a_websocket_takes_a_place() {
    let live = Live::start("limits.http_connections = 2");
    let mut viewers: Vec<_> = (0..2)
        .map(|_| {
            let mut socket = raw::connect(&live.server.at.http);
            let request = format!(
                "GET /live/room.flv HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n{KEY}\r\n{VERSION}\r\n\r\n"
            );
            socket.write_all(request.as_bytes()).unwrap();
            assert_eq!(raw::reply(&raw::read_head(&mut socket)).status, 101);
            socket
        })
        .collect();
    let ask =
        || raw::exchange(&live.server.at.http, b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
    assert!(ask().is_empty(), "the third is closed at once");
    viewers.pop();
    wait_for("a free place", seconds(5), || (!ask().is_empty()).then_some(()));
}
