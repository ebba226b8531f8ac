//! Entries that are rendered together.

use std::sync::{Arc, OnceLock};

use super::Line;
use crate::{
    pieces::Deflated,
    uris::{Format, Uris},
};

/// Entries that are rendered together, when somebody asks for the first time.
#[derive(Debug)]
pub(super) struct Chunk {
    pub lines: Box<[Line]>,
    fmp4: OnceLock<Arc<Rendered>>,
    ts: OnceLock<Arc<Rendered>>,
}

/// The text of a chunk, without any query.
#[derive(Debug)]
pub(crate) struct Rendered {
    pub text: bytes::Bytes,
    /// Where each entry begins.
    pub starts: Box<[usize]>,
    deflated: OnceLock<Deflated>,
}

impl Chunk {
    pub fn new(lines: Vec<Line>) -> Self {
        Self { lines: lines.into(), fmp4: OnceLock::new(), ts: OnceLock::new() }
    }

    pub fn rendered(&self, format: Format) -> &Arc<Rendered> {
        let rendered = match format {
            Format::Fmp4 => &self.fmp4,
            Format::Ts => &self.ts,
        };
        rendered.get_or_init(|| {
            let uris = Uris { prefix: "", format, query: "" };
            let (mut text, mut starts) = (String::with_capacity(96 * self.lines.len()), Vec::new());
            for line in &self.lines {
                starts.push(text.len());
                // Writing into a `String` cannot fail.
                let _ = line.write(&mut text, &uris, false);
            }
            Arc::new(Rendered { text: text.into(), starts: starts.into(), deflated: OnceLock::new() })
        })
    }
}

impl Rendered {
    pub fn deflated(&self) -> &Deflated {
        self.deflated.get_or_init(|| Deflated::of(&self.text))
    }
}
