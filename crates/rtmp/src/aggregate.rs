//! Aggregate messages (RTMP 1.0 §7.1.6): FLV tags, each followed by a back pointer.

use bytes::{Buf, Bytes};

use crate::chunk::{Message, header};

/// The messages in an aggregate that are still to be handed on.
pub struct Aggregate {
    stream: u32,
    time_ms: u32,
    /// Time of the first tag.
    origin: Option<u32>,
    rest: Bytes,
}

impl Aggregate {
    pub fn new(message: Message) -> Self {
        Self { stream: message.stream, time_ms: message.time_ms, origin: None, rest: message.body }
    }

    /// Bytes that are still to be handed on.
    pub fn held(&self) -> usize {
        self.rest.len()
    }
}

impl Iterator for Aggregate {
    type Item = Message;

    /// The next message. One that is cut short ends the aggregate.
    fn next(&mut self) -> Option<Message> {
        let mut rest: &[u8] = &self.rest;
        let [kind, l0, l1, l2, t0, t1, t2, t3, _, _, _] = header::take(&mut rest)?;
        let tag_bytes = self.rest.len().saturating_sub(rest.len());
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        // FLV puts the highest byte of the time last.
        let time = u32::from_be_bytes([t3, t0, t1, t2]);
        if rest.len() < length {
            return None;
        }
        self.rest.advance(tag_bytes);
        let body = self.rest.split_to(length);
        self.rest.advance(self.rest.len().min(4));
        let origin = *self.origin.get_or_insert(time);
        let time_ms = self.time_ms.wrapping_add(time.wrapping_sub(origin));
        Some(Message { kind, stream: self.stream, time_ms, body })
    }
}
