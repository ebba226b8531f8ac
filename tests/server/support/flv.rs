//! FLV viewers that keep what they are sent.

use std::{
    fmt::Debug,
    io::{Read, Write},
    sync::{Arc, Mutex},
    thread,
};

use bytes::Bytes;
use kaibo_container::flv::{Tag, TagKind, Tags};
use tungstenite::{Message, WebSocket};

use super::{Kaibo, http, seconds, wait_for};

/// Somebody who watches; in a thread of its own.
#[derive(Clone)]
pub struct Viewer(Arc<Mutex<Seen>>);

#[derive(Default)]
struct Seen {
    bytes: Vec<u8>,
    /// How it ended: properly, or with an error.
    end: Option<Result<(), String>>,
}

impl Viewer {
    /// Watches `live/STREAM` over HTTP.
    pub fn open(server: &Kaibo, stream: &str) -> Self {
        Self::open_at(server, &format!("/live/{stream}.flv"))
    }

    /// Watches what is at `path` over HTTP.
    pub fn open_at(server: &Kaibo, path: &str) -> Self {
        let response = http::stream(&server.url(path));
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "video/x-flv");
        let mut body = response.into_body().into_reader();
        let mut buffer = vec![0; 64 << 10];
        Self::follow(move || match body.read(&mut buffer) {
            Ok(0) => Ok(None),
            Ok(length) => Ok(Some(buffer[..length].to_vec())),
            Err(error) => Err(error.to_string()),
        })
    }

    /// Watches `live/STREAM` over a WebSocket.
    pub fn open_websocket(server: &Kaibo, stream: &str) -> Self {
        let url = format!("ws://{}/live/{stream}.flv", server.at.http);
        let (mut socket, _) = tungstenite::connect(url).unwrap();
        Self::follow(move || next_message(&mut socket))
    }

    /// Watches `url` over a WebSocket on a connection that is there already.
    pub fn over_websocket(url: &str, connection: impl Read + Write + Debug + Send + 'static) -> Self {
        let (mut socket, _) = tungstenite::client(url, connection).unwrap();
        Self::follow(move || next_message(&mut socket))
    }

    fn follow(mut next: impl FnMut() -> Result<Option<Vec<u8>>, String> + Send + 'static) -> Self {
        let viewer = Self(Arc::default());
        let seen = viewer.0.clone();
        thread::spawn(move || {
            loop {
                let next = next();
                let mut seen = seen.lock().unwrap();
                match next {
                    Ok(Some(bytes)) => seen.bytes.extend(bytes),
                    Ok(None) => return seen.end = Some(Ok(())),
                    Err(error) => return seen.end = Some(Err(error)),
                }
            }
        });
        viewer
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().bytes.clone()
    }

    /// How the stream ended, once it has.
    pub fn end(&self) -> Option<Result<(), String>> {
        self.0.lock().unwrap().end.clone()
    }

    /// The whole tags so far.
    pub fn tags(&self) -> Vec<Tag> {
        match Tags::new(Bytes::from(self.bytes())) {
            Ok(tags) => tags.map_while(Result::ok).collect(),
            Err(_) => Vec::new(),
        }
    }

    /// Waits until it has seen pictures up to `time_ms`.
    pub fn wait_for_time(&self, time_ms: u32) {
        wait_for(&format!("a picture of {time_ms} ms"), seconds(20), || {
            self.tags().iter().any(|tag| tag.kind == TagKind::Video && tag.time_ms >= time_ms).then_some(())
        });
    }

    /// The newest time of a picture, in milliseconds.
    pub fn newest_picture(&self) -> Option<u32> {
        self.tags().iter().rev().find(|tag| tag.kind == TagKind::Video).map(|tag| tag.time_ms)
    }
}

fn next_message(socket: &mut WebSocket<impl Read + Write>) -> Result<Option<Vec<u8>>, String> {
    loop {
        match socket.read() {
            Ok(Message::Binary(bytes)) => return Ok(Some(bytes.to_vec())),
            Ok(Message::Text(text)) => return Err(format!("a text message: {text}")),
            Ok(Message::Close(Some(frame))) if u16::from(frame.code) == 1000 => return Ok(None),
            Ok(Message::Close(frame)) => return Err(format!("closed with {frame:?}")),
            Ok(_) => {}
            Err(error) => return Err(error.to_string()),
        }
    }
}
