//! Chunks: how RTMP cuts messages up and interleaves them (RTMP 1.0 §5.3).

pub(crate) mod header;
mod read;
mod write;

use bytes::Bytes;

pub use read::{Limits, Reader};
pub use write::write;

/// Message types (RTMP 1.0 §5.4, §7.1).
pub mod kind {
    /// The sender's chunk size from here on.
    pub const SET_CHUNK_SIZE: u8 = 1;
    /// Forget an incomplete message.
    pub const ABORT: u8 = 2;
    /// Bytes received so far.
    pub const ACKNOWLEDGEMENT: u8 = 3;
    /// Pings, stream begin and end.
    pub const USER_CONTROL: u8 = 4;
    /// How often to acknowledge.
    pub const WINDOW_SIZE: u8 = 5;
    /// How much may be sent unacknowledged.
    pub const PEER_BANDWIDTH: u8 = 6;
    /// An FLV audio tag body.
    pub const AUDIO: u8 = 8;
    /// An FLV video tag body.
    pub const VIDEO: u8 = 9;
    /// A data message that may hold AMF3.
    pub const DATA_AMF3: u8 = 15;
    /// A command that may hold AMF3.
    pub const COMMAND_AMF3: u8 = 17;
    /// AMF0 data: an FLV script tag body.
    pub const DATA: u8 = 18;
    /// An AMF0 command.
    pub const COMMAND: u8 = 20;
    /// Several FLV tags in one message.
    pub const AGGREGATE: u8 = 22;
}

/// One whole message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// One of [`kind`], or something unknown.
    pub kind: u8,
    /// Message stream id.
    pub stream: u32,
    /// Absolute time in milliseconds, modulo 2^32.
    pub time_ms: u32,
    /// The payload.
    pub body: Bytes,
}

/// Chunk size of either side until it says otherwise (RTMP 1.0 §5.4.1).
const INITIAL_CHUNK_SIZE: usize = 128;

/// Times from here on, and only they, take the extended field (RTMP 1.0 §5.3.1.3).
const EXTENDED: u32 = 0xFF_FFFF;
