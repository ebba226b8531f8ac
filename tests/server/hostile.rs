//! Peers that are no encoders, or pretend to be one.

use std::{io::Write, net::TcpStream};

use crate::{
    resume::assert_contiguous,
    support::{Kaibo, clip, flv, push, rtmp, seconds},
};

/// A stream that goes on next door: what happens to the server must not happen to it.
fn neighbour(server: &Kaibo) -> (push::Pusher, flv::Viewer) {
    let push = push::ffmpeg(&clip::long(), &server.push_url("neighbour"));
    server.wait_for_state("neighbour", "live", seconds(10));
    (push, flv::Viewer::open(server, "neighbour"))
}

fn assert_unharmed((push, viewer): &mut (push::Pusher, flv::Viewer)) {
    let then = viewer.newest_picture().unwrap_or(0);
    viewer.wait_for_time(then + 1000);
    assert!(push.is_running());
    assert_contiguous(viewer);
}

/// 100 KB that mean nothing, the same in every run (a linear congruential generator's high bytes).
fn noise() -> Vec<u8> {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..100_000).map(|_| next()).collect()
}

/// Sends what the server takes; it may close in the middle of it.
fn say(mut socket: TcpStream, bytes: &[u8]) -> TcpStream {
    // An error is the server's close, which is what the test waits for.
    let _ = socket.write_all(bytes);
    socket
}

#[test]
fn what_is_no_rtmp_is_closed_soon_and_harms_nobody() {
    let server = Kaibo::start("");
    let mut neighbour = neighbour(&server);
    let tls_hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3][..], &[0x5A; 501]].concat();
    let at_once = [
        ("a TLS hello", say(rtmp::connect(&server), &tls_hello)),
        ("an HTTP request", say(rtmp::connect(&server), b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")),
        ("RTMPE", say(rtmp::connect(&server), &[6; 1537])),
        ("noise after the handshake", say(rtmp::shake_hands(&server), &noise())),
        ("a chunk size of 0", say(rtmp::shake_hands(&server), &set_chunk_size(0))),
        ("a chunk size of 2^31", say(rtmp::shake_hands(&server), &set_chunk_size(1 << 31))),
    ];
    for (what, socket) in at_once {
        let taken = rtmp::time_to_close(socket);
        assert!(taken < seconds(3), "{what}: closed after {taken:?}");
    }
    assert_unharmed(&mut neighbour);
}

#[test]
fn who_says_nothing_is_closed_after_ten_seconds() {
    let server = Kaibo::start("");
    let silent = [
        ("nothing at all", rtmp::connect(&server)),
        ("half a handshake", say(rtmp::connect(&server), &[3; 700])),
        ("a handshake and no more", rtmp::shake_hands(&server)),
        ("chunks of 2 GiB", say(rtmp::shake_hands(&server), &set_chunk_size(i32::MAX as u32))),
        ("half a message", say(rtmp::shake_hands(&server), &announce(8 << 20))),
    ];
    for (what, socket) in silent {
        let taken = rtmp::time_to_close(socket);
        assert!(taken < seconds(12), "{what}: closed after {taken:?}");
    }
}

#[test]
fn connections_that_never_go_on_cost_little() {
    let server = Kaibo::start("limits.rtmp_connections_per_address = 500");
    let mut neighbour = neighbour(&server);
    neighbour.1.wait_for_time(2000);
    let before = server.memory();
    let half_open: Vec<TcpStream> = (0..200)
        .map(|number| match number % 2 {
            0 => say(rtmp::connect(&server), &[3; 700]),
            // A message of 8 MiB begins; 100 bytes of it come.
            _ => say(rtmp::shake_hands(&server), &announce(8 << 20)),
        })
        .collect();
    assert_unharmed(&mut neighbour);
    let grown = server.memory().saturating_sub(before);
    assert!(grown < 10 << 20, "{} open connections cost {grown} bytes", half_open.len());
}

/// RTMP 1.0 §5.4.1: a chunk with a type 0 header on chunk stream 2.
fn set_chunk_size(size: u32) -> Vec<u8> {
    [&[2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0][..], &size.to_be_bytes()].concat()
}

/// The beginning of a command that announces `length` bytes.
fn announce(length: u32) -> Vec<u8> {
    let [_, length @ ..] = length.to_be_bytes();
    [&[3, 0, 0, 0][..], &length, &[20, 0, 0, 0, 0], &[2; 100]].concat()
}
