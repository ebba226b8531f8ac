//! The RTMP conversation, server side: bytes in, events and bytes out. No I/O and no clock.
//!
//! [`Connection`] is one peer's conversation: handshake, chunks, commands, media. The bytes of a peer go through our
//! own bounded readers ([`chunk`], [`amf0`]); of `rml_rtmp` only the handshake is used, on at most 3,073 bytes.
//! [`play`] writes media for players, once per stream and for all of them.
//!
//! Sources: RTMP 1.0 (Adobe, 2012), Enhanced RTMP v2 (Veovera, 2024), AMF0 (Adobe, 2007).

mod aggregate;
pub mod amf0;
pub mod chunk;
mod client;
mod command;
mod connection;
mod control;
mod data;
mod error;
mod event;
mod handshake;
mod limits;
mod location;
pub mod play;

pub use client::Client;
pub use connection::{Connection, Refusal, State};
pub use error::{Cause, Error};
pub use event::Event;
pub use limits::Limits;
pub use location::Query;
