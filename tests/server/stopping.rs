//! SIGTERM, as encoders and viewers meet it.

use std::{
    fs,
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    thread::sleep,
};

use bytes::{Bytes, BytesMut};
use kaibo_container::flv::{TagKind, Tags};
use kaibo_rtmp::{
    Limits,
    amf0::{self, Value},
    chunk::{self, Reader, kind},
};
use socket2::{Domain, Socket, Type};

use crate::support::{Kaibo, clip, http, push, rtmp, seconds, wait_until};

/// An encoder that says what it understands of Enhanced RTMP.
struct Encoder {
    socket: TcpStream,
    input: BytesMut,
    reader: Reader,
}

impl Encoder {
    fn connect(server: &Kaibo, caps: f64) -> Self {
        let socket = rtmp::shake_hands(server);
        let reader = Reader::new(Limits::default().publishing, 0);
        let mut encoder = Self { socket, input: BytesMut::new(), reader };
        let object = Value::object([("app", "live".into()), ("capsEx", caps.into())]);
        encoder.command(0, "connect", 1.0, &[object]);
        encoder.command(0, "createStream", 2.0, &[Value::Null]);
        encoder
    }

    fn command(&mut self, stream: u32, name: &str, transaction: f64, arguments: &[Value]) {
        let mut body = Vec::new();
        let values = [&[name.into(), transaction.into()], arguments].concat();
        values.iter().for_each(|value| amf0::write(&mut body, value));
        self.send(kind::COMMAND, stream, 0, &body);
    }

    fn send(&mut self, kind: u8, stream: u32, time_ms: u32, body: &[u8]) {
        let mut out = BytesMut::new();
        assert!(chunk::write(&mut out, 128, 3, kind, stream, time_ms, &[body]));
        self.socket.write_all(&out).unwrap();
    }

    /// Asks to publish; code and description of the answer.
    fn publish(&mut self, name: &str) -> (String, String) {
        self.command(1, "publish", 3.0, &[Value::Null, name.into(), "live".into()]);
        self.status("NetStream.Publish.")
    }

    /// The next status whose code begins with `prefix`.
    fn status(&mut self, prefix: &str) -> (String, String) {
        loop {
            while let Some(message) = self.reader.read(&mut self.input).unwrap() {
                if message.kind != kind::COMMAND {
                    continue;
                }
                let mut values = amf0::Reader::new(&message.body, amf0::Limits::default());
                let values: Vec<_> = std::iter::from_fn(|| values.value().unwrap()).collect();
                let text = |name: &str| Some(values.last()?.get(name)?.as_str()?.to_owned());
                if let Some(code) = text("code").filter(|code| code.starts_with(prefix)) {
                    return (code, text("description").unwrap_or_default());
                }
            }
            let mut bytes = [0; 4096];
            let length = self.socket.read(&mut bytes).unwrap();
            assert_ne!(length, 0, "closed before a {prefix}");
            self.input.extend_from_slice(&bytes[..length]);
        }
    }

    /// Three seconds of the long clip, at once.
    fn send_media(&mut self) {
        for tag in Tags::new(Bytes::from(fs::read(clip::long()).unwrap())).unwrap().map(Result::unwrap) {
            let kind = match tag.kind {
                TagKind::Video => kind::VIDEO,
                TagKind::Audio => kind::AUDIO,
                TagKind::Script => continue,
            };
            if tag.time_ms > 3000 {
                break;
            }
            self.send(kind, 1, tag.time_ms, &tag.body);
        }
    }
}

#[test]
fn an_encoder_that_understands_is_asked_to_come_back_and_others_are_closed() {
    let mut server = Kaibo::start("");
    let mut encoder = Encoder::connect(&server, 1.0);
    let name = format!("room?{}", server.signature("room", 3600));
    assert_eq!(encoder.publish(&name).0, "NetStream.Publish.Start");
    encoder.send_media();
    let began = server.wait_for_state("room", "live", seconds(10));
    let mut other = push::ffmpeg(&clip::long(), &server.push_url("other"));
    server.wait_for_state("other", "live", seconds(10));

    server.ask_to_stop();
    assert_eq!(encoder.status("NetConnection.").0, "NetConnection.Connect.ReconnectRequest");
    wait_until("the other encoder is closed", seconds(3), || !other.is_running());
    let ready = http::get(&format!("http://{}/readyz", server.at.api), &[]);
    assert_eq!((ready.status, ready.text().contains("stopping")), (503, true));
    assert_eq!(server.broadcast("room")["state"], "live", "served until it leaves");
    let late = format!("late?{}", server.signature("late", 3600));
    let (code, description) = Encoder::connect(&server, 1.0).publish(&late);
    assert_eq!(code, "NetStream.Publish.Rejected");
    assert!(description.contains("the server is stopping"), "{description}");

    // However it says goodbye, it was asked to.
    encoder.command(1, "deleteStream", 0.0, &[Value::Null, 1.0.into()]);
    drop(encoder);
    assert!(server.wait_for_exit().success());
    server.restart();
    let back = server.wait_for_state("room", "interrupted", seconds(5));
    assert_eq!(back["id"], began["id"]);
    server.wait_for_state("other", "interrupted", seconds(5));
    let _again = push::ffmpeg(&clip::long(), &server.push_url("room"));
    assert_eq!(server.wait_for_state("room", "live", seconds(10))["id"], began["id"]);
}

#[test]
fn a_viewer_who_is_behind_reads_to_the_end() {
    let mut server = Kaibo::start("");
    let _encoder = push::ffmpeg(&clip::heavy(), &server.push_url("room"));
    server.wait_for_state("room", "live", seconds(10));
    // Left to itself the kernel makes room for megabytes that nobody reads, if it feels like it.
    let viewer = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    viewer.set_recv_buffer_size(64 << 10).unwrap();
    viewer.connect(&server.at.http.parse::<SocketAddr>().unwrap().into()).unwrap();
    let mut viewer = TcpStream::from(viewer);
    viewer.set_read_timeout(Some(seconds(5))).unwrap();
    viewer.write_all(b"GET /live/room.flv HTTP/1.1\r\nHost: h\r\n\r\n").unwrap();
    // It reads nothing, and in two seconds come 2 MB: more than there is room for. Nothing tells that a socket is full.
    sleep(seconds(2));
    server.ask_to_stop();
    wait_until("it stops", seconds(5), || {
        http::get(&format!("http://{}/readyz", server.at.api), &[]).status == 503
    });
    let mut body = Vec::new();
    viewer.read_to_end(&mut body).unwrap();
    assert!(body.ends_with(b"\r\n0\r\n\r\n"), "the body's proper end, behind {} bytes", body.len());
    assert!(server.wait_for_exit().success());
}

#[test]
fn the_time_that_a_stop_takes_is_bounded() {
    let mut server = Kaibo::start("stop_timeout = \"500ms\"");
    let mut encoder = Encoder::connect(&server, 1.0);
    encoder.publish(&format!("room?{}", server.signature("room", 3600)));
    encoder.send_media();
    server.wait_for_state("room", "live", seconds(10));
    let took = wait_until("the server stops", seconds(5), || server.terminate().success());
    assert!(took >= std::time::Duration::from_millis(500), "it was asked first, and given time: {took:?}");
    encoder.status("NetConnection.Connect.Reconnect");
}
