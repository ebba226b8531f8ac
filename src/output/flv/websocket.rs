//! WS-FLV: the same bytes as binary messages (RFC 6455).

use std::{collections::VecDeque, future::poll_fn, io, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use data_encoding::BASE64;
use hyper::{
    Method, Response, StatusCode,
    header::{self, HeaderValue},
    upgrade::{Parts, Upgraded},
};
use hyper_util::rt::TokioIo;
use kaibo_container::flv::websocket_header;
use sha1::{Digest, Sha1};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Instant, sleep_until},
};

use crate::{
    fanout::{Carriage, Viewer},
    http::{Body, Call},
    output::feed::{Feed, Stream},
    problem::Problem,
    server::Server,
    socket::{self, Place},
};

/// RFC 6455 §1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Keeps proxies from taking a stream without media for dead.
const PING: Duration = Duration::from_secs(20);

/// Bytes of one client frame: control frames have up to 125, and viewers have nothing else to say.
const CLIENT_FRAME: usize = 1024;

/// Bytes that a viewer may say between two pings: a pong, and what else a library thinks of.
const CHATTER: usize = 16 << 10;

const CLOSE: u8 = 0x8;
const PING_FRAME: u8 = 0x9;
const PONG: u8 = 0xA;

/// The request asks for a WebSocket.
pub fn is_upgrade(call: &Call) -> bool {
    call.request.method() == Method::GET && call.header(header::UPGRADE).eq_ignore_ascii_case("websocket")
}

/// Answers the handshake, then streams.
pub fn upgrade(call: &mut Call, join: impl FnOnce(&Call) -> Feed) -> Result<Response<Body>, Problem> {
    let key = call.header(header::SEC_WEBSOCKET_KEY).to_string();
    if call.header(header::SEC_WEBSOCKET_VERSION) != "13" {
        let detail = "only version 13 of WebSocket is spoken here";
        return Err(Problem::new(StatusCode::UPGRADE_REQUIRED, "websocket_version", detail)
            .with_header(header::SEC_WEBSOCKET_VERSION, "13"));
    }
    if key.is_empty() {
        return Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "websocket_handshake",
            "Sec-WebSocket-Key is missing",
        ));
    }
    let feed = join(call);
    let upgraded = hyper::upgrade::on(&mut call.request);
    let (server, place) = (call.server.clone(), call.place.clone());
    // To hyper the connection is over with the handshake; to the limit of connections only when the place is given back.
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            carry(&server, upgraded, feed, place).await;
        }
    });
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    if let Ok(accept) = HeaderValue::from_str(&BASE64.encode(&Sha1::digest(format!("{key}{GUID}")))) {
        headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok(response)
}

async fn carry(server: &Server, upgraded: Upgraded, feed: Feed, place: Arc<Place>) {
    let Ok(Parts { io, read_buf, .. }) = upgraded.downcast::<TokioIo<socket::Stream>>() else { return };
    match io.into_inner() {
        socket::Stream::Plain(tcp) => {
            let (mut conversation, mut out) = (Conversation::default(), VecDeque::new());
            // What makes no sense is the end of it.
            if let Ok(false) = conversation.hear(&read_buf, &mut out) {
                let carriage = Carriage::WebSocket(conversation);
                server.fanout.take(Viewer::new(tcp, out, carriage, feed, place));
            }
        }
        // An error is a viewer who went away.
        tls => drop(run(tls, &read_buf, Stream::new(feed)).await),
    }
}

async fn run(mut socket: socket::Stream, already: &[u8], mut stream: Stream) -> io::Result<()> {
    let (mut conversation, mut out) = (Conversation::default(), VecDeque::new());
    conversation.hear(already, &mut out)?;
    let mut input = BytesMut::with_capacity(CLIENT_FRAME);
    loop {
        let mut over = false;
        tokio::select! {
            bytes = poll_fn(|cx| stream.poll_next(cx)) => match bytes {
                Some(bytes) => out.extend([Conversation::header(bytes.len()), bytes]),
                None => {
                    out.push_back(Conversation::farewell());
                    over = true;
                }
            },
            read = socket.read_buf(&mut input) => {
                if read? == 0 {
                    return Ok(());
                }
                over = conversation.hear(&input, &mut out)?;
                input.clear();
            }
            () = sleep_until(conversation.ping_at) => conversation.tick(Instant::now(), &mut out),
        }
        while let Some(mut bytes) = out.pop_front() {
            socket.write_all_buf(&mut bytes).await?;
        }
        socket.flush().await?;
        if over {
            return socket.shutdown().await;
        }
    }
}

/// What is said beside the media: pings, pongs, goodbyes.
pub struct Conversation {
    /// Of a frame of the viewer's that is not whole yet.
    input: BytesMut,
    ping_at: Instant,
    /// Bytes since the last ping.
    said: usize,
}

impl Default for Conversation {
    /// The handshake is over.
    fn default() -> Self {
        Self { input: BytesMut::new(), ping_at: Instant::now() + PING, said: 0 }
    }
}

impl Conversation {
    /// What goes before `len` bytes of media.
    pub fn header(len: usize) -> Bytes {
        Bytes::copy_from_slice(&websocket_header(len))
    }

    /// The last thing said: the purpose is fulfilled (1000, §7.4.1).
    pub fn farewell() -> Bytes {
        Bytes::from_static(&[0x80 | CLOSE, 2, 0x03, 0xE8])
    }

    /// Answers what the viewer says; true if it takes its leave.
    pub fn hear(&mut self, bytes: &[u8], out: &mut VecDeque<Bytes>) -> io::Result<bool> {
        self.said += bytes.len();
        if self.said > CHATTER {
            return Err(too_large());
        }
        self.input.extend_from_slice(bytes);
        while let Some((opcode, payload)) = client_frame(&mut self.input)? {
            match opcode {
                CLOSE => {
                    out.push_back(control(CLOSE, payload.get(..2).unwrap_or_default()));
                    return Ok(true);
                }
                PING_FRAME => out.push_back(control(PONG, &payload)),
                _ => {}
            }
        }
        Ok(false)
    }

    /// Says what is due.
    pub fn tick(&mut self, now: Instant, out: &mut VecDeque<Bytes>) {
        if now >= self.ping_at {
            (self.ping_at, self.said) = (now + PING, 0);
            out.push_back(control(PING_FRAME, &[]));
        }
    }
}

fn control(opcode: u8, payload: &[u8]) -> Bytes {
    let payload = payload.get(..payload.len().min(125)).unwrap_or_default();
    [&[0x80 | opcode, payload.len() as u8], payload].concat().into()
}

/// Takes one whole frame off `input`, unmasked (§5.2); `None` until it is there.
fn client_frame(input: &mut BytesMut) -> io::Result<Option<(u8, Vec<u8>)>> {
    let &[first, second, ..] = &input[..] else {
        return Ok(None);
    };
    let (length, header) = match second & 0x7F {
        126 => match input.get(2..4) {
            Some(&[high, low]) => (usize::from(u16::from_be_bytes([high, low])), 4),
            _ => return Ok(None),
        },
        127 => return Err(too_large()),
        short => (usize::from(short), 2),
    };
    if length > CLIENT_FRAME || second & 0x80 == 0 {
        return Err(too_large());
    }
    let Some(&[a, b, c, d]) = input.get(header..header + 4) else {
        return Ok(None);
    };
    if input.len() < header + 4 + length {
        return Ok(None);
    }
    input.advance(header + 4);
    let payload = input
        .split_to(length)
        .into_iter()
        .zip([a, b, c, d].into_iter().cycle())
        .map(|(byte, key)| byte ^ key);
    Ok(Some((first & 0x0F, payload.collect())))
}

fn too_large() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a viewer's frame is too large or unmasked")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn client_frames_come_whole_or_not_at_all() {
        let frame = [0x89, 0x83, 1, 2, 3, 4, b'a' ^ 1, b'b' ^ 2, b'c' ^ 3];
        for cut in 0..frame.len() {
            let mut input = BytesMut::from(&frame[..cut]);
            assert!(client_frame(&mut input).unwrap().is_none(), "{cut}");
            assert_eq!(input.len(), cut);
        }
        let mut input = BytesMut::from(&frame[..]);
        assert_eq!(client_frame(&mut input).unwrap(), Some((PING_FRAME, b"abc".to_vec())));
        assert!(input.is_empty());
    }

    #[test]
    fn a_frame_of_2_to_the_63_is_refused_at_its_head() {
        let mut input = BytesMut::from(&[0x82, 0xFF, 0x80, 0, 0, 0, 0, 0, 0, 0][..]);
        assert!(client_frame(&mut input).is_err());
        let mut unmasked = BytesMut::from(&[0x82, 0x01, 0x00][..]);
        assert!(client_frame(&mut unmasked).is_err());
    }
}
