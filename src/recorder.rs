//! Every recording of the server: where they are, what they hold, and how long they stay.

mod excerpts;
mod lately;
mod movie;
mod older;
mod once;
mod reading;
mod rendered;
mod retention;
mod taking_up;
mod telling;
pub mod timeline;
mod unknown;
mod writing;

use std::{
    io,
    sync::{Arc, atomic::AtomicU64},
};

use bytes::Bytes;
use dashmap::DashMap;
use kaibo_broadcast::{App, BroadcastId, Stream};
use kaibo_container::{segment::Init, ts};
use kaibo_media::{Cue, Span, Timestamp};
use kaibo_replay::{Error, Excerpt, Id, Listing, Recording, Segment};
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
};

use self::{lately::Lately, movie::Movies, once::Once, rendered::Rendered};
pub use self::{
    movie::{Movie, Next, NoMovie},
    writing::start,
};
use crate::{
    archive::{self, Archive},
    live::Live,
    server::Server,
};

/// Initialisation sections of recordings kept in memory, some KiB each: to find one, an index has to be read.
const INITS: usize = 64;

/// Bytes of segments of recordings kept in memory: half a minute at 8 Mbit/s, for those who watch the same past at the same
/// time. To read a segment takes longer than to send it.
const SEGMENTS: u64 = 32 << 20;

/// Bytes that a segment counts as at the least, so that they are few enough to be looked through: 512.
const SMALL: u64 = 64 << 10;

/// TS segments of recordings kept in memory: half a minute for those who watch the same past at the same time.
const TS_SEGMENTS: usize = 16;

/// Segments of clips that are cut inside, kept in memory: the first and the last ones of those that are watched now.
const PIECES: usize = 16;

/// Why something does not come about that the store and a recording have to do with.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error(transparent)]
    Store(#[from] kaibo_store::Error),
    #[error(transparent)]
    Recording(#[from] Error),
}

/// Every recording of the server.
pub struct Recordings {
    disk: kaibo_replay::Recordings,
    /// Where they go to, if they don't stay here.
    archive: Option<Arc<Archive>>,
    growing: DashMap<Id, Growing>,
    /// Final ones.
    read: Lately<Whole>,
    inits: Once<(Id, u32), Arc<Init>>,
    segments: Once<(Id, u64), Bytes>,
    ts: Once<(Id, u64), Bytes>,
    movies: Movies,
    /// Bytes that were left on the disk at the last look.
    room: AtomicU64,
    pieces: Once<(Id, u64), Bytes>,
}

/// A recording that is being written.
#[derive(Clone)]
pub struct Growing {
    pub app: App,
    pub stream: Stream,
    pub listing: Arc<Listing>,
    /// Knows its target duration.
    pub live: Arc<Live>,
    pub playlist: Rendered,
    /// Changes when there may be more in the listing; an error once nothing comes any more.
    pub written: watch::Receiver<()>,
}

/// A final recording.
#[derive(Clone)]
pub struct Whole {
    pub recording: Arc<Recording>,
    pub playlist: Rendered,
}

/// A recording, as those who play it see it.
pub enum Replay {
    Growing(Growing),
    Final(Whole),
}

impl Replay {
    /// Looks at its segments. The recorder waits meanwhile, see [`Listing::read`].
    pub fn read<T>(&self, look: impl FnOnce(&[Segment]) -> T) -> T {
        match self {
            Self::Growing(growing) => growing.listing.read(look),
            Self::Final(whole) => look(whole.recording.segments()),
        }
    }

    /// Its timed events.
    pub fn cues(&self) -> Vec<Arc<Cue>> {
        match self {
            Self::Growing(growing) => growing.listing.cues(),
            Self::Final(whole) => whole.recording.cues().to_vec(),
        }
    }

    /// How it was cut out of another recording, if it was.
    pub fn excerpt(&self) -> Option<(&Recording, &Excerpt)> {
        match self {
            Self::Growing(_) => None,
            Self::Final(Whole { recording, .. }) => {
                recording.meta().excerpt.as_ref().map(|excerpt| (&**recording, excerpt))
            }
        }
    }

    /// Where what is recorded ends.
    pub fn end(&self) -> Timestamp {
        self.read(|segments| segments.last().map_or(Timestamp::ZERO, Segment::end))
    }

    /// Segment `number`, if it is recorded.
    pub fn segment(&self, number: u64) -> Option<Segment> {
        self.read(|segments| {
            let at = segments.binary_search_by_key(&number, |segment| segment.number).ok()?;
            segments.get(at).copied()
        })
    }

    /// Nothing comes any more. (Of a broadcast that goes on after a restart a recording may be read that is not.)
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Final(whole) if whole.recording.finished().is_some())
    }

    /// `EXT-X-TARGETDURATION` in seconds, known with the first segment.
    pub fn target_duration(&self) -> Option<u32> {
        match self {
            Self::Growing(growing) => growing.live.target_duration(),
            Self::Final(whole) => whole.recording.resume().target_duration,
        }
    }
}

/// Why recordings can't be taken up.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("recordings: {0}")]
    Disk(#[from] Error),
    #[error("storage: {}", .0.brief())]
    Archive(#[from] archive::Error),
}

/// Why there is no TS form of a recorded segment.
#[derive(Debug, thiserror::Error)]
pub enum NoTs {
    #[error(transparent)]
    Unreadable(#[from] Error),
    #[error(transparent)]
    NotCarried(#[from] ts::Error),
}

impl Recordings {
    /// The recording `id`.
    pub async fn find(&self, id: &Id) -> Result<Replay, Error> {
        if let Some(growing) = self.growing.get(id) {
            return Ok(Replay::Growing(growing.clone()));
        }
        let reading = match self.read.find(id) {
            Ok(whole) => return Ok(Replay::Final(whole)),
            Err(reading) => reading,
        };
        let recording = Arc::new(self.read_index(id).await?);
        let whole = Whole { recording, playlist: Rendered::default() };
        if whole.recording.finished().is_some() {
            self.read.keep(reading, id, whole.clone());
        }
        Ok(Replay::Final(whole))
    }

    /// Those that are being written: their segments so far, and how much media a restart goes on from.
    pub fn growing(&self, server: &Server) -> Vec<(Id, Arc<Listing>, Span)> {
        let growing = self.growing.iter().map(|growing| {
            let window = server.app_settings(growing.app.as_ref()).hls.window;
            (growing.key().clone(), growing.listing.clone(), Span::from_millis(window.as_millis()))
        });
        growing.collect()
    }

    /// What is on the disk of `id` is not what it was: it is final now, or its small files are others.
    pub fn changed(&self, id: &Id) {
        if let Some(archive) = &self.archive {
            archive.changed(id);
        }
    }

    /// Brings them to the bucket, if there is one, until the server stops.
    pub async fn archive(server: Arc<Server>) {
        if let Some(archive) = server.recordings.archive.clone() {
            archive.serve(server).await;
        }
    }

    /// Those of `ids` that have no recording on the disk.
    pub async fn without(&self, ids: Vec<BroadcastId>) -> Result<Vec<BroadcastId>, Error> {
        let disk = self.disk.clone();
        let absent = move |id: &BroadcastId| id.as_ref().parse().is_ok_and(|id: Id| !disk.contains(&id));
        blocking(spawn_blocking(move || Ok(ids.into_iter().filter(absent).collect()))).await
    }

    /// Deletes the recording `id`, if there is one. Nobody writes to it any more.
    pub async fn delete(&self, id: &BroadcastId) -> Result<(), Error> {
        let Ok(id) = id.as_ref().parse::<Id>() else { return Ok(()) };
        let (disk, archive, doomed) = (self.disk.clone(), self.archive.clone(), id.clone());
        let deleted = blocking(spawn_blocking(move || delete(&disk, archive.as_deref(), &doomed))).await;
        self.read.deleted(&id);
        match deleted {
            Err(Error::Missing(_)) => Ok(()),
            deleted => deleted,
        }
    }
}

/// Deletes a recording, wherever it lies.
fn delete(disk: &kaibo_replay::Recordings, archive: Option<&Archive>, id: &Id) -> Result<(), Error> {
    match archive {
        Some(archive) => archive.delete(id),
        None => disk.delete(id),
    }
}

fn unreadable(source: io::Error) -> Error {
    Error::Io { path: "a recording".into(), source }
}

/// What a blocking task answers. One that panicked says so in the log.
pub async fn blocking<T>(task: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    task.await.unwrap_or_else(|error| Err(unreadable(io::Error::other(error))))
}
