//! Reading a tag body from front to back.

use bytes::{Buf, Bytes};

use super::Error;

/// What is left of some bytes, and how far it has been read. What it hands out shares their memory.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    what: &'static str,
    len: usize,
    rest: Bytes,
}

impl Cursor {
    /// `what` names the bytes in errors.
    pub fn new(what: &'static str, bytes: Bytes) -> Self {
        Self { what, len: bytes.len(), rest: bytes }
    }

    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub fn u8(&mut self) -> Result<u8, Error> {
        self.rest.try_get_u8().map_err(|_| self.truncated())
    }

    pub fn u16(&mut self) -> Result<u16, Error> {
        self.rest.try_get_u16().map_err(|_| self.truncated())
    }

    pub fn u24(&mut self) -> Result<u32, Error> {
        let [high, middle, low] = self.array()?;
        Ok(u32::from_be_bytes([0, high, middle, low]))
    }

    /// A signed 24-bit number (SI24).
    pub fn i24(&mut self) -> Result<i32, Error> {
        let [high, middle, low] = self.array()?;
        Ok(i32::from_be_bytes([high, middle, low, 0]) >> 8)
    }

    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let array = *self.rest.first_chunk().ok_or_else(|| self.truncated())?;
        self.rest.advance(N);
        Ok(array)
    }

    pub fn take(&mut self, len: usize) -> Result<Bytes, Error> {
        if len > self.rest.len() {
            return Err(self.truncated());
        }
        Ok(self.rest.split_to(len))
    }

    /// All that is left.
    pub fn rest(&mut self) -> Bytes {
        std::mem::take(&mut self.rest)
    }

    pub fn truncated(&self) -> Error {
        Error::Truncated { what: self.what, at: self.position() }
    }

    pub fn malformed(&self) -> Error {
        Error::Malformed { what: self.what, at: self.position() }
    }

    fn position(&self) -> usize {
        self.len.saturating_sub(self.rest.len())
    }
}
