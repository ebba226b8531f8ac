//! What a peer does, as far as the application needs to know.

use bytes::Bytes;

use crate::{Client, Query, amf0};

/// What a peer does. Times are absolute milliseconds modulo 2^32, as on the wire.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// It has connected, and has been told so.
    Connect(Client),
    /// It asks to publish; nothing more is taken from it until [`Connection::accept`](crate::Connection::accept) or
    /// [`reject`](crate::Connection::reject).
    Publish {
        /// First element of the path; perhaps empty, not yet checked.
        app: String,
        /// The rest of the path; perhaps empty or with slashes, not yet checked.
        name: String,
        /// The stream name's query, or else that of the application or `tcUrl`.
        query: Query,
    },
    /// It asks to play; answered like [`Event::Publish`].
    Play {
        /// As in [`Event::Publish`].
        app: String,
        /// As in [`Event::Publish`].
        name: String,
        /// As in [`Event::Publish`].
        query: Query,
    },
    /// An FLV video tag body; never empty.
    Video {
        /// Time of the message.
        time_ms: u32,
        /// The tag body.
        body: Bytes,
    },
    /// An FLV audio tag body; never empty.
    Audio {
        /// Time of the message.
        time_ms: u32,
        /// The tag body.
        body: Bytes,
    },
    /// `onMetaData`.
    Metadata {
        /// Time of the message.
        time_ms: u32,
        /// Its properties in their order; none if it holds no object.
        properties: Vec<(String, amf0::Value)>,
        /// The AMF0 values from the name on: an FLV script tag body.
        values: Bytes,
    },
    /// Any other data message, e.g. `onTextData`.
    Data {
        /// Time of the message.
        time_ms: u32,
        /// The first string in it, not counting `@setDataFrame`.
        name: String,
        /// The AMF0 values from the name on: an FLV script tag body.
        values: Bytes,
    },
    /// It says that its publish is over (FCUnpublish, deleteStream or closeStream): a clean end. Nobody but the
    /// accepted publisher of this connection can cause it.
    Unpublish,
    /// It stops playing.
    StopPlay,
}
