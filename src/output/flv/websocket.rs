//! WS-FLV: the same bytes as binary messages (RFC 6455).

use std::{future::poll_fn, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use data_encoding::BASE64;
use hyper::{
    Method, Response, StatusCode,
    header::{self, HeaderValue},
    upgrade::Upgraded,
};
use hyper_util::rt::TokioIo;
use kaibo_container::flv::websocket_header;
use sha1::{Digest, Sha1};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::interval,
};

use super::Stream;
use crate::{
    http::{Body, Call},
    problem::Problem,
};

/// RFC 6455 §1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Keeps proxies from taking a stream without media for dead.
const PING: Duration = Duration::from_secs(20);

/// Bytes of one client frame: control frames have up to 125, and viewers have nothing else to say.
const CLIENT_FRAME: usize = 1024;

const CLOSE: u8 = 0x8;
const PING_FRAME: u8 = 0x9;
const PONG: u8 = 0xA;

/// The request asks for a WebSocket.
pub fn is_upgrade(call: &Call) -> bool {
    call.request.method() == Method::GET && call.header(header::UPGRADE).eq_ignore_ascii_case("websocket")
}

/// Answers the handshake, then streams.
pub fn upgrade(call: &mut Call, join: impl FnOnce(&Call) -> Stream) -> Result<Response<Body>, Problem> {
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
    let stream = join(call);
    let upgraded = hyper::upgrade::on(&mut call.request);
    let place = call.place.clone();
    tokio::spawn(async move {
        if let Ok(upgraded) = upgraded.await {
            // An error is a viewer who went away.
            let _ = run(upgraded, stream).await;
        }
        // To hyper the connection was over with the handshake; to the limit of connections it is only now.
        drop(place);
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

async fn run(upgraded: Upgraded, mut stream: Stream) -> std::io::Result<()> {
    let (mut reader, mut writer) = tokio::io::split(TokioIo::new(upgraded));
    let mut input = BytesMut::with_capacity(CLIENT_FRAME);
    let mut ping = interval(PING);
    ping.tick().await;
    loop {
        tokio::select! {
            bytes = poll_fn(|cx| stream.poll_next(cx)) => {
                let Some(bytes) = bytes else {
                    // 1000: the purpose is fulfilled (§7.4.1).
                    writer.write_all(&[0x80 | CLOSE, 2, 0x03, 0xE8]).await?;
                    return writer.shutdown().await;
                };
                let header = websocket_header(bytes.len());
                let mut message = Bytes::copy_from_slice(&header).chain(bytes);
                writer.write_all_buf(&mut message).await?;
                writer.flush().await?;
            }
            read = reader.read_buf(&mut input) => {
                if read? == 0 {
                    return Ok(());
                }
                while let Some((opcode, payload)) = client_frame(&mut input)? {
                    match opcode {
                        CLOSE => {
                            writer.write_all(&control(CLOSE, payload.get(..2).unwrap_or_default())).await?;
                            return writer.shutdown().await;
                        }
                        PING_FRAME => {
                            writer.write_all(&control(PONG, &payload)).await?;
                            writer.flush().await?;
                        }
                        _ => {}
                    }
                }
            }
            _ = ping.tick() => {
                writer.write_all(&control(PING_FRAME, &[])).await?;
                writer.flush().await?;
            }
        }
    }
}

fn control(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let payload = payload.get(..payload.len().min(125)).unwrap_or_default();
    [&[0x80 | opcode, payload.len() as u8], payload].concat()
}

/// Takes one whole frame off `input`, unmasked (§5.2); `None` until it is there.
fn client_frame(input: &mut BytesMut) -> std::io::Result<Option<(u8, Vec<u8>)>> {
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

fn too_large() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::InvalidData, "a viewer's frame is too large or unmasked")
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
