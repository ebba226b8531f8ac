//! What can go wrong.

use std::{path::PathBuf, sync::Arc};

use kaibo_broadcast::{App, BroadcastId, Stream};

use crate::LARGEST;

/// Why a call failed. It changed nothing then, unless the database failed in the very moment of the commit: that is
/// [`Error::Engine`], and a save may be repeated.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The name has another broadcast that is not final.
    #[error("{app}/{stream} has a broadcast that is not over")]
    NameTaken {
        /// The app.
        app: App,
        /// The name within it.
        stream: Stream,
    },
    /// Another node took the broadcast over.
    #[error("broadcast {id} belongs to '{owner}' since epoch {epoch}")]
    Fenced {
        /// The broadcast.
        id: BroadcastId,
        /// Who has it.
        owner: String,
        /// Since which epoch.
        epoch: u64,
    },
    /// A value is larger than [`LARGEST`].
    #[error("a value is larger than {LARGEST} bytes")]
    TooLarge,
    /// The list of bans is full.
    #[error("{most} names are banned already")]
    TooManyBans {
        /// How many there may be.
        most: usize,
    },
    /// The broadcast has as many clips as it may.
    #[error("the broadcast has {most} clips and versions already")]
    TooManyClips {
        /// How many there may be.
        most: usize,
    },
    /// The state of one broadcast is not what this version reads or writes.
    #[error("the stored state of broadcast {id}: {cause}")]
    Snapshot {
        /// The broadcast.
        id: BroadcastId,
        /// What is wrong.
        cause: Arc<serde_json::Error>,
    },
    /// A file could not be opened as the database.
    #[error("{}: {cause}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: Box<Error>,
    },
    /// The file is a database of another program.
    #[error("is a database, but none of Kaibo")]
    Foreign,
    /// The database was written by a newer version.
    #[error("has schema version {found}; this version of Kaibo knows up to {known}: use a newer one")]
    Newer {
        /// Its schema version.
        found: u32,
        /// The newest one known.
        known: u32,
    },
    /// The database is damaged. It is left as it is.
    #[error("is damaged ({says}): restore it from a backup, or move it away to begin anew")]
    Corrupt {
        /// What was found.
        says: String,
    },
    /// Something else in the same commit failed so badly that it took this along.
    #[error("the commit was rolled back")]
    RolledBack,
    /// The database failed: disk full, input/output error, locked by another process, connection lost.
    #[error("{0}")]
    Engine(Arc<dyn std::error::Error + Send + Sync>),
    /// The thread of the store is gone.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// A failure of the database itself.
    pub(crate) fn engine(cause: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Engine(Arc::new(cause))
    }
}

/// The text of one row is within [`LARGEST`].
pub(crate) fn fits<'t>(texts: impl IntoIterator<Item = &'t str>) -> Result<(), Error> {
    let bytes = texts.into_iter().fold(0, |sum: usize, text| sum.saturating_add(text.len()));
    if bytes <= LARGEST { Ok(()) } else { Err(Error::TooLarge) }
}
