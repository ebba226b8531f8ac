//! The handshake (RTMP 1.0 §5.2), simple or with digests, as `rml_rtmp` does it.

use bytes::BytesMut;
use rml_rtmp::handshake::{Handshake as Inner, HandshakeProcessResult, PeerType};

use crate::Cause;

/// C0, C1 and C2: all that `rml_rtmp` ever gets to see of a peer's bytes.
pub const BYTES: usize = 1 + 1536 + 1536;

/// Bytes of memory while it lasts: C1, S1, and what is between.
pub const HELD: usize = 3 * 1536;

pub struct Handshake {
    inner: Inner,
    received: usize,
}

impl Handshake {
    pub fn new() -> Self {
        Self { inner: Inner::new(PeerType::Server), received: 0 }
    }

    /// Bytes taken so far.
    pub fn received(&self) -> usize {
        self.received
    }

    /// Takes the handshake's bytes from `input` and appends the answers; true once it is complete. C2 is not
    /// verified: clients send what they like.
    pub fn receive(&mut self, input: &mut BytesMut, out: &mut BytesMut) -> Result<bool, Cause> {
        if let (0, Some(&version)) = (self.received, input.first())
            && version != 3
        {
            return Err(Cause::Version(version));
        }
        let bytes = input.split_to(input.len().min(BYTES.saturating_sub(self.received)));
        if bytes.is_empty() {
            return Ok(false);
        }
        self.received = self.received.saturating_add(bytes.len());
        let (complete, answer) = match self.inner.process_bytes(&bytes) {
            Ok(HandshakeProcessResult::InProgress { response_bytes }) => (false, response_bytes),
            Ok(HandshakeProcessResult::Completed { response_bytes, .. }) => (true, response_bytes),
            Err(error) => return Err(Cause::Handshake(error.to_string())),
        };
        out.extend_from_slice(&answer);
        Ok(complete)
    }
}
