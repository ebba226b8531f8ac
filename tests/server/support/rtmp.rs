//! Peers on the RTMP port that are no encoders.

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use super::Kaibo;

/// Bytes of C1 and C2 (RTMP 1.0 §5.2).
const RANDOM: usize = 1536;

pub fn connect(server: &Kaibo) -> TcpStream {
    let socket = TcpStream::connect(&server.at.rtmp).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(25))).unwrap();
    socket
}

/// A connection that has shaken hands and said nothing since.
pub fn shake_hands(server: &Kaibo) -> TcpStream {
    let mut socket = connect(server);
    socket.write_all(&[&[3][..], &[0; RANDOM]].concat()).unwrap();
    let mut answer = [0; 1 + 2 * RANDOM];
    socket.read_exact(&mut answer).unwrap();
    socket.write_all(&answer[1..=RANDOM]).unwrap();
    socket
}

/// How long the server takes to close the connection.
pub fn time_to_close(mut socket: TcpStream) -> Duration {
    let begin = Instant::now();
    let mut answer = [0; 4096];
    loop {
        match socket.read(&mut answer) {
            Ok(0) => return begin.elapsed(),
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return begin.elapsed(),
            Err(error) => panic!("still open after {:?}: {error}", begin.elapsed()),
        }
    }
}
