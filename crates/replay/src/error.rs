//! What can go wrong with a recording.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::Id;

/// Why a recording could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system refused.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// There is no such recording.
    #[error("no recording {0}")]
    Missing(Id),
    /// It is there already.
    #[error("recording {0} exists")]
    Exists(Id),
    /// It is final: nothing can be added.
    #[error("the recording is finished")]
    Finished,
    /// The index says something that makes no sense, and its checksum says that it was meant.
    #[error("{} line {line}: {what}", path.display())]
    Damaged {
        /// The index.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A file does not hold what the index says.
    #[error("{} does not hold what was written", .0.display())]
    Corrupt(PathBuf),
    /// Nothing of what is to be cut out is recorded.
    #[error("nothing of that is recorded")]
    Nothing,
    /// A segment does not follow the one before.
    #[error("segment {number} after segment {after}")]
    OutOfOrder {
        /// The segment.
        number: u64,
        /// The newest one before.
        after: u64,
    },
    /// So little room is left that it is kept for everything else.
    #[error("{left} bytes are left on the disk, of which {kept} are kept free")]
    Low {
        /// Bytes.
        left: u64,
        /// Bytes, see [`crate::Writer::keep_free`].
        kept: u64,
    },
    /// The bound on segments per recording is reached.
    #[error("more than {0} segments in one recording")]
    TooLong(usize),
}

impl Error {
    /// The file is not there: its recording was deleted, or an archive has it.
    pub fn is_absent(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::NotFound)
    }

    /// Says where `source` happened.
    pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self {
        move |source| Self::Io { path: path.to_owned(), source }
    }
}
