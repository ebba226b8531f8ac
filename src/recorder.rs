//! Every recording of the server: where they are, what they hold, and how long they stay.

mod lately;
mod movie;
mod older;
mod once;
mod rendered;
mod retention;
mod telling;
pub mod timeline;
mod writing;

use std::{collections::HashSet, io, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use dashmap::DashMap;
use kaibo_broadcast::{App, BroadcastId, Millis, State, Stream};
use kaibo_container::{
    segment::{Cut, Init},
    segmenter::Resume,
    ts,
};
use kaibo_media::{Cue, Frame, Span, Timeline, Timestamp, UnixMillis};
use kaibo_replay::{
    Entry, Error, Excerpt, File, Finished, Id, Listing, Picture, Piece, Recording, Segment, Wanted,
};
use kaibo_store::{Error as StoreError, Handle as Store};
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
};

use self::{lately::Lately, movie::Movies, rendered::Rendered, telling::tell_ready};
pub use self::{
    movie::{Movie, Next, NoMovie},
    once::Once,
    writing::start,
};
use crate::{
    access::unix_now,
    archive::{self, Archive},
    config::Config,
    live::{Live, Past},
    server::{Server, StartError},
    telemetry::Metrics,
};

/// A server that was killed when a recording became final tells of it at its next start, if that is not later than
/// this: a receiver that was added in the meantime need not learn of the year before.
const TOLD_AGAIN: Duration = Duration::from_secs(24 * 3600);

/// Recordings that are repaired at the same time: what syncs wait for together.
const REPAIRED_AT_ONCE: usize = 8;

/// Why a recording ended whose broadcast the store does not know.
const UNKNOWN: &str = "server_stopped";

/// How long the last picture before a restart is taken to be shown.
const PICTURE: Span = Span::from_millis(40);

/// Initialisation sections of recordings kept in memory, some KiB each: to find one, an index has to be read.
const INITS: usize = 64;

/// TS segments of recordings kept in memory: half a minute for those who watch the same past at the same time.
const TS_SEGMENTS: usize = 16;

/// Segments of clips that are cut inside, kept in memory: the first and the last ones of those that are watched now.
const PIECES: usize = 16;

/// Every recording of the server.
pub struct Recordings {
    disk: kaibo_replay::Recordings,
    /// Where they go to, if they don't stay here.
    archive: Option<Arc<Archive>>,
    growing: DashMap<Id, Growing>,
    /// Final ones.
    read: Lately<Whole>,
    inits: Once<(Id, u32), Arc<Init>>,
    ts: Once<(Id, u64), Bytes>,
    movies: Movies,
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
    /// Takes up the recordings where `config` says: what an interrupted delete has left is removed, and what a killed
    /// server has left open is repaired and made final, but for those of broadcasts that go on.
    pub async fn open(config: &Config, store: &Store, metrics: &Arc<Metrics>) -> Result<Self, StartError> {
        let going_on = store.ask(|store| store.open()).await?;
        let going_on: HashSet<String> = going_on.into_iter().map(|record| record.id.into()).collect();
        let (root, storage) = (config.data_dir.join(config.storage.folder()), config.storage.clone());
        let metrics = metrics.clone();
        let opened = spawn_blocking(move || {
            let disk = kaibo_replay::Recordings::new(root)?;
            let archive = Archive::open(&storage, &disk, &metrics)?;
            if archive.is_none() {
                disk.sweep()?;
            }
            let torn = |entry: &Entry| entry.finished.is_none() && !going_on.contains(entry.id.as_str());
            let torn: Vec<Entry> = disk.scan()?.into_iter().filter(torn).collect();
            Ok((disk, archive, torn))
        });
        let opened = opened.await;
        let (disk, archive, torn) =
            opened.unwrap_or_else(|error| Err(OpenError::Disk(unreadable(io::Error::other(error)))))?;
        let mut torn = torn.into_iter();
        loop {
            let repair = |Entry { id, .. }| tokio::spawn(repair(disk.clone(), store.clone(), id));
            let repairing: Vec<_> = torn.by_ref().take(REPAIRED_AT_ONCE).map(repair).collect();
            if repairing.is_empty() {
                break;
            }
            for repaired in repairing {
                // A panic is logged where it happens.
                let _ = repaired.await;
            }
        }
        let (inits, ts, pieces) = (Once::new(INITS), Once::new(TS_SEGMENTS), Once::new(PIECES));
        let (growing, read, movies) = (DashMap::new(), Lately::default(), Movies::default());
        Ok(Self { disk, archive, growing, read, inits, ts, pieces, movies })
    }

    /// What the media of a broadcast goes on from after a restart, with the segments of the last `window`, and what is
    /// known of those of the last `reach`. Nothing where nothing was recorded.
    pub async fn past(&self, id: &BroadcastId, window: Span, reach: Span) -> Result<Past, Error> {
        let Ok(id) = id.as_ref().parse::<Id>() else { return Ok(Past::default()) };
        let disk = self.disk.clone();
        blocking(spawn_blocking(move || {
            let recording = match disk.open(&id) {
                Err(Error::Missing(_)) => return Ok(Past::default()),
                opened => opened?,
            };
            let tail = disk.tail(&id, &recording, window)?;
            let first = tail.iter().find_map(|cut| match cut {
                Cut::Begin(head) => Some(head.number),
                _ => None,
            });
            let before = recording
                .segments()
                .iter()
                .rev()
                .find(|segment| first.is_some_and(|first| segment.number < first));
            let init = tail.iter().rev().find_map(|cut| match cut {
                Cut::Begin(head) => Some(head.init.clone()),
                _ => None,
            });
            let segmenter = Resume { init, ..recording.resume() };
            // Reordered pictures are shown after the last one was decoded: what follows begins behind them.
            let shown = tail.iter().filter_map(|cut| match cut {
                Cut::Part(part) => {
                    part.samples.iter().map(|sample| sample.dts + sample.pts_offset + PICTURE).max()
                }
                _ => None,
            });
            let end = shown.fold(recording.end(), Timestamp::max);
            Ok(Past {
                older: first.map_or_else(Vec::new, |first| older::older(&recording, first, reach)),
                all_independent: recording.segments().iter().all(|segment| segment.independent),
                opening: disk.newest_opening(&id, &recording)?,
                // A number that no run of the time before the restart had.
                timeline: Timeline::resume_at(
                    end,
                    u32::try_from(segmenter.discontinuity).unwrap_or(u32::MAX),
                ),
                tracks: recording.inits().last().map(|init| Arc::new(init.tracks.clone())),
                discontinuity: match (before, tail.is_empty()) {
                    (Some(before), false) => before.discontinuity,
                    (None, false) => 0,
                    // The next segment is one more than this.
                    (_, true) => segmenter.discontinuity.saturating_sub(1),
                },
                segmenter,
                tail,
                cues: recording.cues().to_vec(),
            })
        }))
        .await
    }

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

    /// The bytes of a segment, from wherever they lie.
    pub async fn segment(&self, id: &Id, segment: Segment) -> Result<Bytes, Error> {
        let here = self.read_here(id, File::Segment(segment.number), 0..segment.bytes);
        match (here.await, &self.archive) {
            (Err(error), Some(archive)) if error.is_absent() => {
                archive.segment(id, &segment).await.map_err(elsewhere)
            }
            (here, _) => here,
        }
    }

    /// What is in `range` of a recorded file, which may end before. Every recorded byte comes through here, or through
    /// [`Recordings::segment`].
    pub async fn read(&self, id: &Id, file: File, range: Range<u64>) -> Result<Bytes, Error> {
        match (self.read_here(id, file, range.clone()).await, &self.archive, file) {
            (Err(error), Some(archive), File::Segment(number)) if error.is_absent() => {
                archive.range(id, number, range).await.map_err(elsewhere)
            }
            (here, ..) => here,
        }
    }

    async fn read_here(&self, id: &Id, file: File, range: Range<u64>) -> Result<Bytes, Error> {
        let (disk, id) = (self.disk.clone(), id.clone());
        blocking(spawn_blocking(move || disk.read(&id, file, range))).await
    }

    /// The same as MPEG-TS, as the live window makes it: made when the first viewer asks, then shared.
    pub async fn ts_segment(&self, id: &Id, segment: Segment) -> Result<Bytes, NoTs> {
        let init = self.init(id, segment.init).await?.ok_or_else(|| Error::Missing(id.clone()))?;
        let make = async {
            let bytes = self.segment(id, segment).await?;
            let made = spawn_blocking(move || {
                let parts = segment.parts(&bytes, &init).ok_or_else(corrupt)?;
                let parts: Vec<_> = parts.into_iter().map(Arc::new).collect();
                Ok(ts::segment(&init.tracks, &parts)?)
            });
            made.await.unwrap_or_else(|error| Err(unreadable(io::Error::other(error)).into()))
        };
        self.ts.get_or_make((id.clone(), segment.number), make).await
    }

    /// What is shown of a segment, as piece `number` of an excerpt: made when the first viewer asks, then shared.
    pub async fn piece(&self, id: &Id, number: u64, piece: Piece) -> Result<Bytes, Error> {
        if piece.is_whole() {
            return self.segment(id, piece.segment).await;
        }
        let init = self.init(id, piece.segment.init).await?.ok_or_else(|| Error::Missing(id.clone()))?;
        let make = async {
            let bytes = self.segment(id, piece.segment).await?;
            let corrupt = || Error::Corrupt(id.as_str().into());
            blocking(spawn_blocking(move || Ok(piece.cut(&bytes, &init)))).await?.ok_or_else(corrupt)
        };
        self.pieces.get_or_make((id.clone(), number), make).await
    }

    /// Cuts a recording `id` of its own out of what is recorded of `of` so far.
    pub async fn cut_out(&self, id: &Id, of: &Id, wanted: Wanted) -> Result<Arc<Recording>, Error> {
        // A copy: the recorder must not wait for a disk that is busy with something else.
        let segments = self.find(of).await?.read(<[_]>::to_vec);
        if self.archive.is_some() {
            self.bring_back(of, wanted.needs(&segments)).await?;
        }
        let (disk, made, from) = (self.disk.clone(), id.clone(), of.clone());
        let wall = UnixMillis(unix_now().0);
        let cut_out = blocking(spawn_blocking(move || {
            disk.cut_out(&made, &from, &segments, &wanted, wall)?;
            Ok(Arc::new(disk.open(&made)?))
        }));
        let cut_out = cut_out.await;
        // Not before: what is known to be in the bucket may leave the disk again.
        self.changed(id);
        self.changed(of);
        cut_out
    }

    /// Fetches the files of `segments` that only the bucket has: a second name can only be given to what is here.
    async fn bring_back(&self, id: &Id, segments: Vec<Segment>) -> Result<(), Error> {
        for segment in segments {
            let (disk, named) = (self.disk.clone(), id.clone());
            let is_here = spawn_blocking(move || Ok(disk.has_segment(&named, segment.number)));
            if blocking(is_here).await? {
                continue;
            }
            let bytes = self.segment(id, segment).await?;
            let (disk, named) = (self.disk.clone(), id.clone());
            blocking(spawn_blocking(move || disk.bring_back(&named, segment.number, &bytes))).await?;
        }
        Ok(())
    }

    /// Initialisation section `number`; `None` if there is none.
    pub async fn init(&self, id: &Id, number: u32) -> Result<Option<Arc<Init>>, Error> {
        let replay = self.find(id).await?;
        if let Replay::Growing(growing) = &replay
            && let Some(init) = growing.live.init(number)
        {
            return Ok(Some(init));
        }
        let make = async {
            let recording = match replay {
                Replay::Final(whole) => whole.recording,
                // It has left the live window.
                Replay::Growing(_) => Arc::new(self.read_index(id).await.map_err(Some)?),
            };
            let stored = recording.inits().iter().find(|init| init.number == number).ok_or(None)?;
            let bytes = self.read(id, File::Init(number), 0..stored.bytes).await.map_err(Some)?;
            match stored.is_of(&bytes) {
                true => Ok(Arc::new(Init { number, bytes, tracks: Arc::new(stored.tracks.clone()) })),
                false => Err(Some(corrupt())),
            }
        };
        match self.inits.get_or_make((id.clone(), number), make).await {
            Ok(init) => Ok(Some(init)),
            Err(None) => Ok(None),
            Err(Some(error)) => Err(error),
        }
    }

    /// The keyframe that a segment begins with, as far as it begins with one; of sound alone some frame.
    pub async fn opening(&self, id: &Id, segment: Segment) -> Result<Option<Frame>, Error> {
        let init = self.init(id, segment.init).await?.ok_or_else(|| Error::Missing(id.clone()))?;
        let (disk, named, needed) = (self.disk.clone(), id.clone(), init.clone());
        let here = blocking(spawn_blocking(move || disk.opening(&named, &segment, &needed)));
        match here.await {
            Err(error) if error.is_absent() => {
                let bytes = self.segment(id, segment).await?;
                segment.opening(&bytes, &init).map_err(|_| Error::Corrupt("a recording".into()))
            }
            here => here,
        }
    }

    /// A picture that is kept with the recording `id`.
    pub async fn picture(&self, id: &Id, picture: Picture) -> Result<Bytes, Error> {
        let (disk, id) = (self.disk.clone(), id.clone());
        blocking(spawn_blocking(move || disk.kept(&id, picture))).await
    }

    /// Keeps a picture with the recording `id`.
    pub async fn keep_picture(&self, id: &Id, picture: Picture, bytes: Bytes) -> Result<(), Error> {
        let (disk, named) = (self.disk.clone(), id.clone());
        blocking(spawn_blocking(move || disk.keep(&named, picture, &bytes))).await?;
        self.changed(id);
        Ok(())
    }

    async fn read_index(&self, id: &Id) -> Result<Recording, Error> {
        let (disk, id) = (self.disk.clone(), id.clone());
        blocking(spawn_blocking(move || disk.open(&id))).await
    }

    /// Tells of the recordings that became final lately, and has their pictures made. Those that were told of stay as they
    /// are.
    pub async fn tell_again(&self, server: &Server) {
        let disk = self.disk.clone();
        let entries = match blocking(spawn_blocking(move || disk.scan())).await {
            Ok(entries) => entries,
            Err(error) => return tracing::error!(%error, "can't look for recordings that became final"),
        };
        for Entry { id, finished, meta } in entries {
            if let Some(finished) = finished
                && meta.excerpt.is_none()
                && unix_now().since(Millis(finished.wall.0)) <= TOLD_AGAIN
            {
                tell_ready(server, &id, &finished).await;
                server.snapshots.prepare(&id);
            }
        }
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

/// Makes a recording final that was left open. One that can't be mended must not keep the server from starting.
async fn repair(disk: kaibo_replay::Recordings, store: Store, id: Id) {
    let reason = match end_reason(&store, &id).await {
        Ok(reason) => reason,
        Err(error) => return tracing::error!(recording = %id, %error, "can't see why a broadcast ended"),
    };
    let (wall, named) = (UnixMillis(unix_now().0), id.clone());
    let closed = spawn_blocking(move || disk.reopen(&named, wall)?.finish(reason, wall));
    match blocking(closed).await {
        Ok(Finished { segments, .. }) => tracing::info!(recording = %id, segments, "repaired a recording"),
        Err(error) => tracing::error!(recording = %id, %error, "can't repair a recording"),
    }
}

/// Why the broadcast of a recording that was left open ended: one that was banned stays out of sight.
async fn end_reason(store: &Store, id: &Id) -> Result<&'static str, StoreError> {
    let Ok(id) = id.as_str().parse::<BroadcastId>() else { return Ok(UNKNOWN) };
    let known = store.ask(move |store| store.get(&id)).await?;
    Ok(match known.and_then(|record| record.broadcast().ok()).map(|broadcast| broadcast.state()) {
        Some(State::Ended { reason }) => reason.name(),
        _ => UNKNOWN,
    })
}

/// A file does not hold what the index says.
fn corrupt() -> Error {
    Error::Corrupt("a recording".into())
}

/// Deletes a recording, wherever it lies.
fn delete(disk: &kaibo_replay::Recordings, archive: Option<&Archive>, id: &Id) -> Result<(), Error> {
    match archive {
        Some(archive) => archive.delete(id),
        None => disk.delete(id),
    }
}

/// What the bucket does not answer is none of the recording's fault: another time it will.
fn elsewhere(error: archive::Error) -> Error {
    match error {
        archive::Error::Disk(error) => error,
        error if error.is_absent() => {
            Error::Io { path: "the bucket".into(), source: io::ErrorKind::NotFound.into() }
        }
        error => Error::Io {
            path: "the bucket".into(),
            source: io::Error::new(io::ErrorKind::HostUnreachable, error.brief()),
        },
    }
}

fn unreadable(source: io::Error) -> Error {
    Error::Io { path: "a recording".into(), source }
}

/// What a blocking task answers. One that panicked says so in the log.
pub async fn blocking<T>(task: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    task.await.unwrap_or_else(|error| Err(unreadable(io::Error::other(error))))
}
