//! Why a conversation ended.

use crate::amf0;

/// A peer broke the protocol or went over a limit: the connection is over.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("RTMP byte {position}: {cause}")]
pub struct Error {
    /// Bytes received before the ones that are wrong, the handshake included.
    pub position: u64,
    /// What is wrong.
    pub cause: Cause,
}

/// What is wrong with a peer's bytes.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Cause {
    /// The first byte is not 3: TLS (0x16), HTTP, or encrypted RTMP (6, 8).
    #[error("not plain RTMP: the first byte is {0:#04x}, not 0x03")]
    Version(u8),
    /// The handshake failed.
    #[error("handshake: {0}")]
    Handshake(String),
    /// A chunk refers to a header that was never sent.
    #[error("chunk stream {0} begins with a header that repeats one")]
    NoHeader(u32),
    /// A new header came while a message was incomplete.
    #[error("chunk stream {0} begins a message inside another")]
    Interrupted(u32),
    /// More chunk streams than allowed.
    #[error("more than {0} chunk streams")]
    ChunkStreams(usize),
    /// More incomplete messages than allowed.
    #[error("more than {0} incomplete messages")]
    PartialMessages(usize),
    /// A message announces more bytes than allowed.
    #[error("a message of {length} bytes, allowed are {limit}")]
    MessageTooLong {
        /// Bytes announced.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Incomplete messages hold more bytes than allowed.
    #[error("more than {0} bytes of incomplete messages")]
    PartialBytes(usize),
    /// SetChunkSize of 0 or above 0x7FFFFFFF, or cut short.
    #[error("chunk size {0:#x}")]
    ChunkSize(u32),
    /// A command that needs a `connect` before it.
    #[error("{0} before connect")]
    NotConnected(&'static str),
    /// A command goes over the limits of AMF0.
    #[error("command: {0}")]
    Command(#[from] amf0::Error),
    /// The peer makes us answer more than it reads.
    #[error("more than {0} bytes of replies at once")]
    Replies(usize),
}
