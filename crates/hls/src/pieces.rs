//! A playlist's text in pieces, of which most are shared between its versions.

use std::{
    hash::{Hash, Hasher},
    sync::Arc,
};

use bytes::Bytes;
use flate2::{Compress, Compression, Crc, FlushCompress};

use crate::reach::Rendered;

/// A gzip header (RFC 1952 §2.3): deflate, no name, no date, no hint, an unknown system.
const GZIP: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty last block (RFC 1951 §3.2.6).
const LAST_BLOCK: [u8; 2] = [3, 0];

/// A playlist's text, in order.
#[derive(Debug)]
pub struct Pieces {
    pieces: Vec<Piece>,
    /// Goes to every URI of the shared pieces; the others have it.
    query: String,
}

#[derive(Debug)]
enum Piece {
    Text(String),
    Shared(Arc<Rendered>),
}

/// Some text as deflate blocks that end with a byte, so that others can stand before and behind them.
#[derive(Debug)]
pub(crate) struct Deflated {
    bytes: Bytes,
    crc: Crc,
}

impl Deflated {
    pub fn of(text: &[u8]) -> Self {
        let mut crc = Crc::new();
        crc.update(text);
        let mut compress = Compress::new(Compression::fast(), false);
        let mut bytes = Vec::with_capacity(text.len() / 4 + 64);
        loop {
            let taken = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
            let rest = text.get(taken..).unwrap_or_default();
            // Deflating into memory can't fail. A flush is complete when there is room left behind it.
            let done = compress.compress_vec(rest, &mut bytes, FlushCompress::Sync);
            if done.is_err() || bytes.len() < bytes.capacity() {
                return Self { bytes: bytes.into(), crc };
            }
            bytes.reserve(text.len() / 4 + 64);
        }
    }
}

impl Pieces {
    pub(crate) fn new(query: &str) -> Self {
        Self { pieces: Vec::new(), query: query.to_owned() }
    }

    /// Where more text goes.
    pub(crate) fn text(&mut self) -> &mut String {
        if !matches!(self.pieces.last(), Some(Piece::Text(_))) {
            self.pieces.push(Piece::Text(String::new()));
        }
        match self.pieces.last_mut() {
            Some(Piece::Text(text)) => text,
            // It was just pushed.
            _ => &mut self.query,
        }
    }

    /// Adds a chunk, from its entry number `from` on.
    pub(crate) fn chunk(&mut self, chunk: &Arc<Rendered>, from: usize) {
        if from == 0 {
            self.pieces.push(Piece::Shared(Arc::clone(chunk)));
            return;
        }
        let Some(start) = chunk.starts.get(from) else { return };
        let text = chunk.text.get(*start..).and_then(|text| std::str::from_utf8(text).ok());
        let text = with_query(text.unwrap_or_default(), &self.query);
        self.text().push_str(&text);
    }

    /// The text, in pieces.
    pub fn chunks(&self) -> Vec<Bytes> {
        let chunk = |piece: &Piece| match piece {
            Piece::Text(text) => Bytes::from(text.clone()),
            Piece::Shared(chunk) if self.query.is_empty() => chunk.text.clone(),
            Piece::Shared(chunk) => {
                with_query(std::str::from_utf8(&chunk.text).unwrap_or_default(), &self.query).into()
            }
        };
        self.pieces.iter().map(chunk).collect()
    }

    /// The same compressed, as one gzip member: not every browser reads on behind the first. Shared pieces are
    /// compressed once for all lists that have them, so this is for lists without a query.
    pub fn gzip(&self) -> Vec<Bytes> {
        let mut chunks = vec![Bytes::from_static(&GZIP)];
        let mut crc = Crc::new();
        for piece in &self.pieces {
            let own;
            let deflated = match piece {
                Piece::Text(text) => {
                    own = Deflated::of(text.as_bytes());
                    &own
                }
                Piece::Shared(chunk) => chunk.deflated(),
            };
            crc.combine(&deflated.crc);
            chunks.push(deflated.bytes.clone());
        }
        let end = [&LAST_BLOCK[..], &crc.sum().to_le_bytes(), &crc.amount().to_le_bytes()].concat();
        chunks.push(end.into());
        chunks
    }

    /// The text as a whole.
    pub fn into_string(mut self) -> String {
        if let [Piece::Text(text)] = &mut self.pieces[..] {
            return std::mem::take(text);
        }
        String::from_utf8(self.chunks().concat()).unwrap_or_default()
    }
}

/// Equal texts in equal pieces have equal hashes; a shared piece is hashed once for all.
impl Hash for Pieces {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.query.hash(state);
        for piece in &self.pieces {
            match piece {
                Piece::Text(text) => text.hash(state),
                Piece::Shared(chunk) => (chunk.deflated().crc.sum(), chunk.text.len()).hash(state),
            }
        }
    }
}

/// `text`, which is entries without a query, with one on every URI.
fn with_query(text: &str, query: &str) -> String {
    if query.is_empty() {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len() + text.len() / 80 * (query.len() + 1));
    for line in text.lines() {
        // A URI is a line of its own, or the one attribute of EXT-X-MAP.
        let (uri, quote) = match line.strip_suffix('"') {
            Some(uri) => (uri, "\""),
            None => (line, ""),
        };
        out.push_str(uri);
        if !quote.is_empty() || !line.starts_with('#') {
            out.push('?');
            out.push_str(query);
        }
        out.push_str(quote);
        out.push('\n');
    }
    out
}
