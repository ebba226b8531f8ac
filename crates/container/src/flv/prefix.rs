//! Short headers that go in front of a payload.

use std::ops::Deref;

/// A few bytes that go in front of a payload, kept apart from it so that the payload is copied at most once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Prefix {
    bytes: [u8; Self::CAPACITY],
    len: u8,
}

impl Prefix {
    /// The longest: a WebSocket header with a 64-bit length.
    const CAPACITY: usize = 10;

    pub(super) fn push(mut self, bytes: &[u8]) -> Self {
        for (place, byte) in self.bytes.iter_mut().skip(self.len.into()).zip(bytes) {
            *place = *byte;
            self.len += 1;
        }
        self
    }
}

impl Deref for Prefix {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len.into()).unwrap_or_default()
    }
}

/// Header of the server's WebSocket message of `len` bytes: binary, in one frame, unmasked (RFC 6455 §5.2), so it is
/// the same for every viewer.
pub fn websocket_header(len: usize) -> Prefix {
    const FINAL_BINARY: u8 = 0x82;
    let head = Prefix::default().push(&[FINAL_BINARY]);
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ ..=125), _) => head.push(&[short]),
        (_, Ok(medium)) => head.push(&[126]).push(&medium.to_be_bytes()),
        _ => head.push(&[127]).push(&(len as u64).to_be_bytes()),
    }
}
