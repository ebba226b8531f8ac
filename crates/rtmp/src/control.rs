//! Protocol and user control messages (RTMP 1.0 §5.4, §6.2, §7.1.7). They go on chunk stream 2, message stream 0.

use bytes::BytesMut;

use crate::{
    chunk::{self, header, kind},
    play,
};

/// User control events that we send or obey; the others are of no use to a server.
const STREAM_BEGIN: u16 = 0;
const STREAM_EOF: u16 = 1;
const PING_REQUEST: u16 = 6;
const PING_RESPONSE: u16 = 7;

/// The timestamp in a ping request.
pub fn ping_request(body: &[u8]) -> Option<u32> {
    let mut rest = body;
    let event = u16::from_be_bytes(header::take(&mut rest)?);
    let time = u32::from_be_bytes(header::take(&mut rest)?);
    (event == PING_REQUEST).then_some(time)
}

/// The number in front of a protocol control message.
pub fn number(body: &[u8]) -> Option<u32> {
    header::take(&mut &*body).map(u32::from_be_bytes)
}

pub fn write_ping_response(out: &mut BytesMut, time: u32) {
    write_user(out, PING_RESPONSE, time);
}

pub fn write_stream_begin(out: &mut BytesMut, stream: u32) {
    write_user(out, STREAM_BEGIN, stream);
}

pub fn write_stream_eof(out: &mut BytesMut, stream: u32) {
    write_user(out, STREAM_EOF, stream);
}

/// Tells the peer that `bytes` have been received; the counter wraps at 2^32.
pub fn write_acknowledgement(out: &mut BytesMut, bytes: u64) {
    write(out, kind::ACKNOWLEDGEMENT, &[&(bytes as u32).to_be_bytes()]);
}

/// Asks for an acknowledgement every `window` bytes, allows as many unacknowledged, and announces our chunk size.
pub fn write_terms(out: &mut BytesMut, window: u32) {
    const DYNAMIC: u8 = 2;
    write(out, kind::WINDOW_SIZE, &[&window.to_be_bytes()]);
    write(out, kind::PEER_BANDWIDTH, &[&window.to_be_bytes(), &[DYNAMIC]]);
    write(out, kind::SET_CHUNK_SIZE, &[&(play::CHUNK_SIZE as u32).to_be_bytes()]);
}

fn write_user(out: &mut BytesMut, event: u16, value: u32) {
    write(out, kind::USER_CONTROL, &[&event.to_be_bytes(), &value.to_be_bytes()]);
}

fn write(out: &mut BytesMut, kind: u8, body: &[&[u8]]) {
    chunk::write(out, play::CHUNK_SIZE, 2, kind, 0, 0, body);
}
