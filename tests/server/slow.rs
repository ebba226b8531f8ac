//! Viewers who do not keep up.

use std::{
    io::Write,
    net::{SocketAddr, TcpStream},
};

use socket2::{Domain, Socket, Type};

use crate::{
    resume::assert_contiguous,
    support::{Kaibo, clip, flv, push, seconds, wait_until},
};

/// Asks for `live/STREAM` and never reads the answer.
fn stalled(server: &Kaibo, stream: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.at.http.parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut socket = TcpStream::from(socket);
    write!(socket, "GET /live/{stream}.flv HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    socket
}

#[test]
fn viewers_who_do_not_read_are_dropped_and_cost_little() {
    let server = Kaibo::start("limits.viewer_lag = \"2s\"\nlimits.viewer_stall = \"4s\"");
    let mut push = push::ffmpeg(&clip::heavy(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    let viewer = flv::Viewer::open(&server, "room");
    viewer.wait_for_time(3000);
    let viewers = || server.api("/streams")["items"][0]["viewers"]["flv"].as_u64().unwrap();

    let before = server.memory();
    let stalled: Vec<TcpStream> = (0..30).map(|_| stalled(&server, "room")).collect();
    wait_until("all are there", seconds(2), || viewers() == 1 + stalled.len() as u64);
    let mut most = 0;
    wait_until("the stalled ones are dropped", seconds(12), || {
        most = most.max(server.memory());
        viewers() == 1
    });
    let grown = most.saturating_sub(before);
    // The ring itself grows by 2 s of media (2 MB) at the most.
    assert!(grown < 24 << 20, "{} stalled viewers cost {grown} bytes", stalled.len());
    assert_contiguous(&viewer);
    assert!(push.is_running());
    assert_eq!(viewer.end(), None);
}
