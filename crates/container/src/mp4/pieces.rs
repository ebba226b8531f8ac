//! Bytes that are gathered in pieces, so that a table of millions of entries never has to be moved while it grows.

use bytes::Bytes;

/// Bytes in one piece: some hundred pieces for the longest broadcast, and no more than this to spare in each table.
const PIECE: usize = 64 << 10;

/// Bytes one after the other.
#[derive(Clone, Debug, Default)]
pub struct Pieces {
    full: Vec<Bytes>,
    tail: Vec<u8>,
    len: u64,
}

impl Pieces {
    pub fn len(&self) -> u64 {
        self.len
    }

    pub fn extend(&mut self, bytes: &[u8]) {
        if self.tail.len() + bytes.len() > PIECE {
            self.flush();
        }
        self.tail.extend_from_slice(bytes);
        self.len += bytes.len() as u64;
    }

    /// Adds a box's header for `content`, then `content`.
    pub fn boxed(&mut self, kind: &[u8; 4], content: Self) {
        // A moov of `super::MOST_SAMPLES` is far below 4 GiB.
        let size = u32::try_from(content.len + 8).unwrap_or(u32::MAX);
        self.extend(&size.to_be_bytes());
        self.extend(kind);
        self.append(content);
    }

    pub fn append(&mut self, other: Self) {
        if !other.full.is_empty() {
            self.flush();
        }
        for piece in other.full {
            self.len += piece.len() as u64;
            self.full.push(piece);
        }
        self.extend(&other.tail);
    }

    pub fn into_pieces(mut self) -> Vec<Bytes> {
        self.flush();
        self.full
    }

    fn flush(&mut self) {
        if !self.tail.is_empty() {
            self.full.push(Bytes::copy_from_slice(&self.tail));
            self.tail.clear();
        }
    }
}

impl From<Vec<u8>> for Pieces {
    fn from(bytes: Vec<u8>) -> Self {
        Self { full: Vec::new(), len: bytes.len() as u64, tail: bytes }
    }
}

/// A table whose equal neighbours are counted (`stts`, `ctts`).
#[derive(Clone, Debug, Default)]
pub struct Runs {
    table: Pieces,
    entries: u32,
    run: Option<(u32, u32)>,
}

impl Runs {
    pub fn push(&mut self, value: u32) {
        match &mut self.run {
            Some((count, known)) if *known == value => *count += 1,
            _ => {
                self.flush();
                self.run = Some((1, value));
            }
        }
    }

    /// How many entries there are, and the entries.
    pub fn finish(mut self) -> (u32, Pieces) {
        self.flush();
        (self.entries, self.table)
    }

    fn flush(&mut self) {
        if let Some((count, value)) = self.run.take() {
            self.table.extend(&count.to_be_bytes());
            self.table.extend(&value.to_be_bytes());
            self.entries += 1;
        }
    }
}
