//! What is read of recordings, wherever it lies, and what is made of it.

use std::{io, ops::Range, sync::Arc};

use bytes::Bytes;
use kaibo_container::{segment::Init, ts};
use kaibo_media::Frame;
use kaibo_replay::{Error, File, Id, Picture, Piece, Recording, Segment};
use tokio::task::spawn_blocking;

use super::{NoTs, Recordings, Replay, SMALL, blocking, unreadable};
use crate::archive;

impl Recordings {
    pub(super) async fn read_index(&self, id: &Id) -> Result<Recording, Error> {
        let (disk, id) = (self.disk.clone(), id.clone());
        blocking(spawn_blocking(move || disk.open(&id))).await
    }

    /// The bytes of a segment: read when the first viewer asks, then shared.
    pub async fn segment(&self, id: &Id, segment: Segment) -> Result<Bytes, Error> {
        let (key, read) = ((id.clone(), segment.number), self.read_segment(id, segment));
        self.segments.get_or_make_sized(key, segment.bytes.max(SMALL), read).await
    }

    /// The same for what nobody else will want, from wherever they lie.
    pub(super) async fn read_segment(&self, id: &Id, segment: Segment) -> Result<Bytes, Error> {
        let here = self.read_here(id, File::Segment(segment.number), 0..segment.bytes);
        match (here.await, &self.archive) {
            (Err(error), Some(archive)) if error.is_absent() => {
                archive.segment(id, &segment).await.map_err(elsewhere)
            }
            (here, _) => here,
        }
    }

    /// What is in `range` of a recorded file, which may end before. Every recorded byte comes through here, or through
    /// [`Recordings::read_segment`].
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

    /// The same as MPEG-TS, as the live window makes it: made when the first viewer asks, then shared.
    pub async fn ts_segment(&self, id: &Id, segment: Segment) -> Result<Bytes, NoTs> {
        let init = self.init(id, segment.init).await?.ok_or_else(|| Error::Missing(id.clone()))?;
        let make = async {
            let bytes = self.read_segment(id, segment).await?;
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
            let bytes = self.read_segment(id, piece.segment).await?;
            blocking(spawn_blocking(move || Ok(piece.cut(&bytes, &init)))).await?.ok_or_else(corrupt)
        };
        self.pieces.get_or_make((id.clone(), number), make).await
    }

    /// The keyframe that a segment begins with, as far as it begins with one; of sound alone some frame.
    pub async fn opening(&self, id: &Id, segment: Segment) -> Result<Option<Frame>, Error> {
        let init = self.init(id, segment.init).await?.ok_or_else(|| Error::Missing(id.clone()))?;
        let (disk, named, needed) = (self.disk.clone(), id.clone(), init.clone());
        let here = blocking(spawn_blocking(move || disk.opening(&named, &segment, &needed)));
        match here.await {
            Err(error) if error.is_absent() => {
                let bytes = self.read_segment(id, segment).await?;
                segment.opening(&bytes, &init).map_err(|_| corrupt())
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
}

/// A file does not hold what the index says.
pub(super) fn corrupt() -> Error {
    Error::Corrupt("a recording".into())
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
