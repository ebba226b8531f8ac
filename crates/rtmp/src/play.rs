//! Media for RTMP players. The bytes are the same for every player, so they are made once per stream.

use bytes::BytesMut;

use crate::chunk::{self, kind};

/// The chunk size that [`Connection`](crate::Connection) announces and everything sent by us uses. 4,096 is what OBS
/// sends and nginx-rtmp's default, so every player has met it; headers then cost 0.02 %.
pub const CHUNK_SIZE: usize = 4096;

/// The message stream that players are given.
pub const STREAM: u32 = 1;

/// Appends an audio, video or data message ([`kind`]) as chunks for any player. `body` is an FLV tag body in parts, so
/// that its header need not be joined with the frame first. False, and nothing written, if it is over 16 MiB − 1.
pub fn write_message(out: &mut BytesMut, kind: u8, time_ms: u32, body: &[&[u8]]) -> bool {
    let chunk_stream = match kind {
        kind::AUDIO => 4,
        kind::VIDEO => 6,
        _ => 5,
    };
    chunk::write(out, CHUNK_SIZE, chunk_stream, kind, STREAM, time_ms, body)
}
