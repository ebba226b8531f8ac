//! What one peer may make us hold.

use crate::{amf0, chunk};

/// Bounds on one connection. What goes over them ends that connection and no other.
///
/// Before a publish is accepted all of them together keep what is held for a stranger under 64 KiB: partial messages
/// 16 KiB, replies 16 KiB, chunk stream table 5 KiB, application name and query 12 KiB.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Chunk streams, messages and bytes before a publish is accepted: what a stranger may hold.
    pub before_publish: chunk::Limits,
    /// The same once a publish has been accepted.
    pub publishing: chunk::Limits,
    /// Bounds of the AMF0 values in one command or data message.
    pub amf: amf0::Limits,
    /// Bytes of one data message; a longer one is ignored. Encoders' metadata is under 2 KiB, timed events are small,
    /// and the newest metadata is kept for as long as the broadcast lasts.
    pub data_bytes: usize,
    /// Bytes of replies not yet taken by [`Connection::output`](crate::Connection::output). A whole dialogue up to
    /// Publish.Start is under 5 KiB, handshake included; only a peer that makes us talk for its own sake gets here.
    pub unsent_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        let publishing = chunk::Limits {
            // Encoders use 3 to 6.
            chunk_streams: 64,
            // One each for audio, video, data and control is what interleaving needs.
            partial_messages: 8,
            // A keyframe of 4K at 100 Mbit/s is about 2 MiB.
            message_bytes: 8 << 20,
            // Two of the largest messages at once.
            partial_bytes: 16 << 20,
        };
        Self {
            // Commands up to `publish` are under 2 KiB each.
            before_publish: chunk::Limits { message_bytes: 16 << 10, partial_bytes: 16 << 10, ..publishing },
            publishing,
            amf: amf0::Limits::default(),
            data_bytes: 64 << 10,
            unsent_bytes: 8 << 10,
        }
    }
}
