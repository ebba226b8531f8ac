//! The writing end of an index.

use std::io;

use crate::{disk::DiskFile, fact::Fact};

/// An index open for appending.
#[derive(Debug)]
pub(crate) struct Index<F> {
    file: F,
    /// Bytes that count.
    len: u64,
    /// Bytes that outlive a power loss.
    synced: u64,
    /// Behind [`Index::len`] may be bytes that do not count.
    torn: bool,
}

impl<F: DiskFile> Index<F> {
    /// For a file whose first `len` bytes count.
    pub fn new(file: F, len: u64) -> Self {
        Self { file, len, synced: 0, torn: true }
    }

    pub fn append(&mut self, fact: &Fact) -> io::Result<()> {
        let line = fact.line()?;
        if self.torn {
            self.file.set_len(self.len)?;
        }
        self.torn = true;
        self.file.write_all(&line)?;
        self.torn = false;
        self.len += line.len() as u64;
        Ok(())
    }

    pub fn sync(&mut self) -> io::Result<()> {
        if self.synced != self.len {
            self.file.sync()?;
            self.synced = self.len;
        }
        Ok(())
    }

    /// Takes back what a power loss might take back too.
    pub fn forget_unsynced(&mut self) {
        if self.len != self.synced {
            self.len = self.synced;
            // If the disk refuses now, the next line cuts first.
            self.torn = self.file.set_len(self.len).is_err();
        }
    }
}
