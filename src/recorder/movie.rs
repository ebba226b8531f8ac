//! Progressive MP4 of recordings: its head is computed once, its media is sent from the segments where it lies.

use std::{
    collections::{HashMap, hash_map},
    ops::Range,
    sync::Arc,
};

use bytes::Bytes;
use kaibo_container::{
    fmp4,
    mp4::{self, Builder, Extent, Place, Shown},
};
use kaibo_media::{Timestamp, Tracks, UnixMillis};
use kaibo_replay::{Edit, Error, File, Frames, Id, Piece, Record, Segment};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};

use super::{Recordings, Replay, blocking, once::Once, reading::corrupt, unreadable};
use crate::output;

/// KiB that the heads of all movies may take, kept ones and those that somebody is downloading. 2 h of 30 pictures per
/// second with sound take 5 MiB, 12 h of 60 some 40 MiB.
const ROOM: usize = 256 << 10;

/// Heads that are kept for the next range of them that is asked for, as far as there is room.
const KEPT: usize = 16;

/// Movies that are made at once, each of which takes as much as its head, a part of the frames' file and a segment's
/// tables.
const AT_ONCE: usize = 2;

/// Bytes that are read of a recorded file at once, for whoever downloads a movie or makes one.
const PIECE: u64 = 512 << 10;

/// Bytes between two stretches of media that are read and not sent, rather than read apart: the heads of parts take
/// some hundred bytes.
const BETWEEN: u64 = 16 << 10;

/// Bytes that are read to find a part's head: one of 10 pictures and 16 frames of sound has 400.
const PROBE: u64 = 4 << 10;
/// And where that was not enough.
const LONG_PROBE: u64 = 1 << 20;

/// Segments in front of a cut that are looked at for a keyframe: GOPs of two minutes.
const LEADS: usize = 64;

/// Goes up whenever other bytes are made of the same recording.
const VERSION: u32 = 1;

/// What has been computed of movies.
pub struct Movies {
    made: Once<(Id, Edit, usize), Arc<Movie>>,
    /// KiB that are left.
    room: Arc<Semaphore>,
    turns: Semaphore,
}

impl Default for Movies {
    fn default() -> Self {
        let (made, room) = (Once::new(KEPT), Arc::new(Semaphore::new(ROOM)));
        Self { made, room, turns: Semaphore::new(AT_ONCE) }
    }
}

/// A progressive MP4.
pub struct Movie {
    /// Whose it is.
    pub id: Id,
    /// Strong validator.
    pub etag: String,
    /// When its recording became final; none before.
    pub modified: Option<UnixMillis>,
    movie: mp4::Movie,
    _room: OwnedSemaphorePermit,
}

/// Why there is no movie.
#[derive(Debug, thiserror::Error)]
pub enum NoMovie {
    #[error(transparent)]
    Unreadable(#[from] Error),
    #[error(transparent)]
    NotMade(#[from] mp4::Error),
    /// Too many long ones are being downloaded.
    #[error("too many movies at once")]
    Busy,
}

/// The next bytes of a movie.
pub enum Next {
    /// Of what is in memory.
    Head(Bytes),
    /// Of its media.
    Media(Media),
}

/// Where bytes of a movie's media lie.
pub struct Media {
    pub segment: u64,
    /// What is to be read of the segment.
    pub range: Range<u64>,
    /// What of that is wanted.
    pub wanted: Vec<Range<usize>>,
}

impl Media {
    /// Bytes of the movie.
    pub fn len(&self) -> u64 {
        self.wanted.iter().map(|wanted| wanted.len() as u64).sum()
    }
}

impl Movie {
    /// Bytes of the whole.
    pub fn len(&self) -> u64 {
        self.movie.len
    }

    /// What comes at `at`, up to `end` at the most; nothing at its end.
    pub fn next(&self, at: u64, end: u64) -> Option<Next> {
        let end = end.min(self.movie.len);
        if at >= end {
            return None;
        }
        let mut start = 0;
        for piece in &self.movie.head {
            let len = piece.len() as u64;
            if at < start + len {
                let wanted = (at - start) as usize..(end - start).min(len) as usize;
                return Some(Next::Head(piece.slice(wanted)));
            }
            start += len;
        }
        let extents = &self.movie.extents;
        let extents = extents.get(extents.partition_point(|extent| extent.at <= at).checked_sub(1)?..)?;
        let Extent { at: begin, place } = *extents.first()?;
        match place {
            Place::Sets(sets) => {
                let bytes = self.movie.sets.get(sets)?;
                let wanted = (at - begin) as usize..(end - begin).min(bytes.len() as u64) as usize;
                Some(Next::Head(bytes.slice(wanted)))
            }
            Place::Recorded { segment, offset } => {
                Some(Next::Media(self.media(extents, (segment, offset + (at - begin)), at, end)))
            }
        }
    }

    /// What is to be read from `start` of `segment` on, which stands at `at` in the first of `extents`.
    fn media(&self, extents: &[Extent], (segment, start): (u64, u64), mut at: u64, end: u64) -> Media {
        let mut extents = extents.iter().peekable();
        let (mut range, mut wanted) = (start..start, Vec::new());
        while let Some(extent) = extents.next()
            && at < end
        {
            let Place::Recorded { segment: other, offset } = extent.place else { break };
            let offset = offset + (at - extent.at);
            let is_near = range.end <= offset && offset - range.end <= BETWEEN && offset - start < PIECE;
            if other != segment || !is_near {
                break;
            }
            let until = extents.peek().map_or(end, |next| next.at.min(end));
            let len = (until - at).min(start + PIECE - offset);
            wanted.push((offset - start) as usize..(offset - start + len) as usize);
            range.end = offset + len;
            at += len;
            if at < until {
                break;
            }
        }
        Media { segment, range, wanted }
    }
}

impl Recordings {
    /// What `edit` shows of the recording `id`, as one progressive MP4. It begins and ends where the edit does: where
    /// that is inside of a group of pictures, an edit list hides what is only decoded.
    pub async fn mp4(&self, id: &Id, edit: &Edit) -> Result<Arc<Movie>, NoMovie> {
        let replay = self.find(id).await?;
        let key = (id.clone(), edit.clone(), replay.read(<[Segment]>::len));
        self.movies.made.get_or_make(key, self.make(id, &replay, edit)).await
    }

    /// Bytes of a movie's media.
    pub async fn media(&self, id: &Id, media: &Media) -> Result<Vec<Bytes>, Error> {
        let bytes = self.read(id, File::Segment(media.segment), media.range.clone()).await?;
        if (bytes.len() as u64) < media.range.end - media.range.start {
            return Err(corrupt());
        }
        Ok(media.wanted.iter().map(|wanted| bytes.slice(wanted.clone())).collect())
    }

    async fn make(&self, id: &Id, replay: &Replay, edit: &Edit) -> Result<Arc<Movie>, NoMovie> {
        // The semaphore is never closed.
        let _turn = self.movies.turns.acquire().await;
        let steps = replay.read(|segments| steps(segments, edit));
        let mut mends = replay.is_final() && *edit == Edit::default();
        let movie = loop {
            let mut walk = Walk::new(self, id);
            match self.build(id, &steps, &mut walk, mends).await? {
                Some(movie) => break movie,
                None => {
                    mends = false;
                    // Whatever keeps it from being written, the segments can be read.
                    if let Err(error) = self.mend(id, replay).await {
                        tracing::warn!(recording = %id, %error, "can't keep where its frames lie");
                    }
                }
            }
        };
        let bytes = movie.head.iter().map(Bytes::len).sum::<usize>() + size_of_val(movie.extents.as_slice());
        let room = self.room(u32::try_from(bytes / 1024 + 1).unwrap_or(u32::MAX)).ok_or(NoMovie::Busy)?;
        let stretches: Vec<_> = edit.stretches().iter().map(|stretch| (stretch.from, stretch.to)).collect();
        let etag = output::etag(&(VERSION, id.as_str(), stretches, movie.len, steps.len()));
        let modified = match replay {
            Replay::Final(whole) => whole.recording.finished().map(|finished| finished.wall),
            Replay::Growing(_) => None,
        };
        Ok(Arc::new(Movie { id: id.clone(), etag, modified, movie, _room: room }))
    }

    /// None: a segment's frames are in the segment alone, and that `is_asked`.
    async fn build(
        &self,
        id: &Id,
        steps: &[Step],
        walk: &mut Walk<'_>,
        is_asked: bool,
    ) -> Result<Option<mp4::Movie>, NoMovie> {
        let mut inits: HashMap<u32, Arc<Tracks>> = HashMap::new();
        for step in steps {
            if let hash_map::Entry::Vacant(missing) = inits.entry(step.segment.init) {
                let init = self.init(id, *missing.key()).await?.ok_or_else(corrupt)?;
                missing.insert(init.tracks.clone());
            }
        }
        let mut builder = Builder::new(inits.values().map(|tracks| &**tracks));
        let (mut batch, mut bytes) = (Vec::new(), 0);
        for (at, step) in steps.iter().enumerate() {
            let moofs = walk.moofs(&step.segment).await?;
            if walk.missed && is_asked {
                return Ok(None);
            }
            let tracks = inits.get(&step.segment.init).cloned().ok_or_else(corrupt)?;
            bytes += moofs.len() as u64;
            batch.push((*step, tracks, moofs));
            if bytes >= PIECE || at + 1 == steps.len() {
                let made = std::mem::take(&mut batch);
                bytes = 0;
                builder = busy(move || {
                    for (step, tracks, moofs) in &made {
                        builder.push(&step.shown(tracks, moofs))?;
                    }
                    Ok(builder)
                })
                .await?;
            }
        }
        busy(move || Ok(Some(builder.finish()?))).await
    }

    /// Writes down where all frames of a final recording lie.
    async fn mend(&self, id: &Id, replay: &Replay) -> Result<(), Error> {
        let segments: Vec<Segment> =
            replay.read(|segments| segments.iter().filter(|segment| !segment.filler).copied().collect());
        let (disk, named) = (self.disk.clone(), id.clone());
        let mut mended = blocking(spawn_blocking(move || disk.mend(&named))).await?;
        let mut walk = Walk::new(self, id);
        let mut records = Vec::new();
        for (at, segment) in segments.iter().enumerate() {
            let moofs = walk.moofs(segment).await?;
            records.extend(Record { number: segment.number, bytes: segment.bytes, moofs }.encode());
            if records.len() as u64 >= PIECE || at + 1 == segments.len() {
                let made = std::mem::take(&mut records);
                mended = blocking(spawn_blocking(move || mended.write(&made).map(|()| mended))).await?;
            }
        }
        let mended = blocking(spawn_blocking(move || mended.finish())).await;
        self.changed(id);
        mended
    }

    /// Room for `kib` KiB; movies that nobody downloads make it.
    fn room(&self, kib: u32) -> Option<OwnedSemaphorePermit> {
        loop {
            if let Ok(room) = self.movies.room.clone().try_acquire_many_owned(kib) {
                return Some(room);
            }
            if !self.movies.made.forget_oldest() {
                return None;
            }
        }
    }
}

/// Does what takes a while where it keeps nobody waiting.
async fn busy<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, NoMovie> + Send + 'static,
) -> Result<T, NoMovie> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(unreadable(std::io::Error::other(error)).into()))
}

/// A segment that goes into a movie.
#[derive(Clone, Copy)]
struct Step {
    segment: Segment,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
    joint: bool,
    leads: bool,
}

impl Step {
    fn shown<'a>(&self, tracks: &'a Tracks, moofs: &'a [u8]) -> Shown<'a> {
        let Self { segment, from, to, joint, leads } = *self;
        let (start, end) = (segment.start, segment.end());
        Shown { segment: segment.number, tracks, moofs, start, end, from, to, joint, leads }
    }
}

/// What `edit` shows of `segments`, with what has to be decoded before it.
fn steps(segments: &[Segment], edit: &Edit) -> Vec<Step> {
    let (mut steps, mut is_first) = (Vec::new(), true);
    for Piece { segment, mut from, to, joint } in edit.pieces(segments) {
        let is_first = std::mem::take(&mut is_first);
        // A clip begins with its picture; a replay with whatever was sent first, be it sound.
        if is_first && *edit != Edit::default() {
            from = from.or(Some(segment.start));
        }
        if (joint || is_first) && !segment.independent {
            let step = |segment| Step { segment, from: None, to: None, joint: false, leads: true };
            steps.extend(leads(segments, &segment).into_iter().map(step));
        }
        steps.push(Step { segment, from, to, joint, leads: false });
    }
    steps
}

/// The segments before `segment` back to one that begins with a keyframe; none if there is no such.
fn leads(segments: &[Segment], segment: &Segment) -> Vec<Segment> {
    let at = segments.partition_point(|known| known.number < segment.number);
    let (mut found, mut next) = (Vec::new(), *segment);
    for before in segments.get(..at).unwrap_or_default().iter().rev().take(LEADS) {
        let follows = before.number.saturating_add(1) == next.number
            && before.discontinuity == next.discontinuity
            && !before.filler;
        if !follows {
            break;
        }
        found.push(*before);
        if before.independent {
            found.reverse();
            return found;
        }
        next = *before;
    }
    Vec::new()
}

/// Finds the `moof`s of one segment after the other: in the frames' file, or in the segment.
struct Walk<'a> {
    recordings: &'a Recordings,
    id: &'a Id,
    frames: Frames,
    /// How far the frames' file is read.
    read: u64,
    /// Nothing more comes of it.
    is_over: bool,
    newest: Option<Record>,
    /// Some segment was not found in it.
    missed: bool,
}

impl<'a> Walk<'a> {
    fn new(recordings: &'a Recordings, id: &'a Id) -> Self {
        let frames = Frames::default();
        Self { recordings, id, frames, read: 0, is_over: false, newest: None, missed: false }
    }

    async fn moofs(&mut self, segment: &Segment) -> Result<Vec<u8>, Error> {
        while self.newest.as_ref().is_none_or(|newest| newest.number < segment.number) && !self.is_over {
            self.advance().await;
        }
        match &self.newest {
            Some(newest) if newest.is_of(segment) => Ok(newest.moofs.clone()),
            _ => {
                self.missed = true;
                self.of_segment(segment).await
            }
        }
    }

    async fn advance(&mut self) {
        match self.frames.record() {
            Ok(Some(record)) => self.newest = Some(record),
            Err(_) => self.is_over = true,
            Ok(None) => {
                let range = self.read..self.read + PIECE;
                match self.recordings.read(self.id, File::Frames, range).await {
                    Ok(bytes) if !bytes.is_empty() => {
                        self.read += bytes.len() as u64;
                        self.frames.feed(&bytes);
                    }
                    // It ends here, or there is none.
                    _ => self.is_over = true,
                }
            }
        }
    }

    async fn of_segment(&self, segment: &Segment) -> Result<Vec<u8>, Error> {
        let file = File::Segment(segment.number);
        let (mut moofs, mut at) = (Vec::new(), 0);
        while at < segment.bytes {
            let mut probe = PROBE;
            at += loop {
                let head = self.recordings.read(self.id, file, at..segment.bytes.min(at + probe)).await?;
                match fmp4::measure(&head) {
                    Some((moof, len)) => {
                        moofs.extend_from_slice(moof);
                        break len;
                    }
                    None if probe < LONG_PROBE => probe = LONG_PROBE,
                    None => return Err(corrupt()),
                }
            };
        }
        Ok(moofs)
    }
}
