//! Pictures that are kept with a replay: its cover and its thumbnails. They are made of its own keyframes after the end,
//! one replay at a time and behind everything else, or when somebody asks for them.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use kaibo_broadcast::EndReason;
use kaibo_media::{Frame, Span, TrackId};
use kaibo_replay::{
    Edit, Error as RecordingError, Id, Picture, Piece, Segment,
    thumbnails::{self, Sheet, Shot},
};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use super::{
    Error, LOOK, Snapshots,
    ffmpeg::{self, INPUT, Jpeg, Run},
    made,
};
use crate::{
    recorder::{Replay, Whole},
    server::Server,
};

/// Replays that wait for their pictures. Those of others are made when somebody asks.
const WAITING: usize = 1000;

/// Whose pictures could not be made lately, for how long that is remembered, and of how many.
const FAILED: Duration = Duration::from_secs(60);
const REMEMBERED: usize = 1000;

/// Keyframes among which a cover is chosen: the first 20 s of a GOP of 2 s.
const CANDIDATES: usize = 10;

/// Thumbnails of one replay: a seek bar of 1000 pixels has one for every 5.
const MOST: u32 = 200;

/// How long a sheet may take: 25 keyframes of 4K, on a machine that has much else to do.
const SHEET: Duration = Duration::from_secs(60);

/// How long somebody waits for a cover.
const PATIENCE: Duration = Duration::from_secs(5);

/// The replays that are to have pictures.
#[derive(Default)]
pub struct Kept {
    wishes: Mutex<Wishes>,
    wished: Notify,
    /// Counts what became of wishes.
    done: watch::Sender<u64>,
}

#[derive(Default)]
struct Wishes {
    waiting: VecDeque<Id>,
    failed: HashMap<Id, (Arc<Error>, Instant)>,
}

impl Kept {
    fn wishes(&self) -> MutexGuard<'_, Wishes> {
        self.wishes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn next(&self) -> Id {
        loop {
            let wished = self.wished.notified();
            if let Some(id) = self.wishes().waiting.front() {
                return id.clone();
            }
            wished.await;
        }
    }

    /// The oldest wish has come to this.
    fn note(&self, id: Id, made: Result<(), Error>) {
        let mut wishes = self.wishes();
        wishes.waiting.pop_front();
        wishes.failed.retain(|_, (error, at)| counts(error, *at));
        if let Err(error) = made
            && wishes.failed.len() < REMEMBERED
        {
            wishes.failed.insert(id, (Arc::new(error), Instant::now()));
        }
        drop(wishes);
        self.done.send_modify(|done| *done = done.wrapping_add(1));
    }
}

impl Snapshots {
    /// Has the pictures of the final recording `id` made, if they are not there. Answers why not, if that was tried a
    /// moment ago.
    fn wish(&self, id: &Id) -> Result<(), Arc<Error>> {
        let mut wishes = self.kept.wishes();
        if let Some((error, _)) = wishes.failed.get(id).filter(|(error, at)| counts(error, *at)) {
            return Err(error.clone());
        }
        if !wishes.waiting.contains(id) && wishes.waiting.len() < WAITING {
            wishes.waiting.push_back(id.clone());
            self.kept.wished.notify_one();
        }
        Ok(())
    }

    /// Has the pictures of a recording that has just become final made, some time.
    pub fn prepare(&self, id: &Id) {
        // An error is one of a moment ago: they are made when somebody asks.
        let _ = self.wish(id);
    }

    /// A picture of the final recording `id`. One that is not there is made, and waited for a while.
    pub async fn kept(&self, server: &Server, id: &Id, picture: Picture) -> Result<Bytes, Arc<Error>> {
        let mut done = self.kept.done.subscribe();
        let found = timeout(PATIENCE, async {
            loop {
                match server.recordings.picture(id, picture).await {
                    Err(RecordingError::Missing(_)) => {}
                    found => return found.map_err(|error| Arc::new(error.into())),
                }
                let settings = &server.settings().config.snapshot;
                if !settings.enabled || picture != Picture::Cover && !settings.thumbnails {
                    return Err(Arc::new(Error::Off));
                }
                self.wish(id)?;
                // An error can't be: the sender is here.
                let _ = done.changed().await;
            }
        });
        found.await.unwrap_or_else(|_| Err(Arc::new(Error::Pending)))
    }

    /// Makes what is wished for, one replay after the other, until the server stops.
    pub async fn keep(server: Arc<Server>) {
        let mut closing = server.closing();
        loop {
            let next = async {
                let id = server.snapshots.kept.next().await;
                let made = server.snapshots.make(&server, &id).await;
                // What ffmpeg could not do was said; one that was deleted needs nothing.
                if let Err(Error::Recording(error)) = &made
                    && !matches!(error, RecordingError::Missing(_))
                {
                    tracing::warn!(recording = %id, %error, "no pictures are kept with a replay");
                }
                server.snapshots.kept.note(id, made);
            };
            tokio::select! {
                () = next => {}
                // What is under way ends with it, and is begun again at the next start.
                () = closing.wait() => return,
            }
        }
    }

    async fn make(&self, server: &Server, id: &Id) -> Result<(), Error> {
        let settings = &server.settings().config.snapshot;
        if !settings.enabled {
            return Err(Error::Off);
        }
        let Replay::Final(Whole { recording, .. }) = server.recordings.find(id).await? else {
            return Ok(());
        };
        // Of one that goes on, and of one that nobody may see, there are none.
        if recording.finished().is_none_or(|finished| finished.reason == EndReason::Banned.name()) {
            return Ok(());
        }
        if recording.inits().iter().all(|init| init.tracks.video.is_none()) {
            return Err(Error::NoPicture);
        }
        let whole = Edit::default();
        let edit = recording.meta().excerpt.as_ref().map_or(&whole, |excerpt| &excerpt.edit);
        let pieces: Vec<_> = edit.pieces(recording.segments()).collect();
        if self.lacks(server, id, Picture::Cover).await? {
            let jpeg = self.cover(server, id, &pieces).await?;
            server.recordings.keep_picture(id, Picture::Cover, jpeg.bytes).await?;
            self.kept.done.send_modify(|done| *done = done.wrapping_add(1));
        }
        if settings.thumbnails && self.lacks(server, id, Picture::Index).await? {
            self.thumbnails(server, id, &pieces).await?;
        }
        Ok(())
    }

    async fn lacks(&self, server: &Server, id: &Id, picture: Picture) -> Result<bool, Error> {
        match server.recordings.picture(id, picture).await {
            Ok(_) => Ok(false),
            Err(RecordingError::Missing(_)) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// The first keyframe that shows something.
    async fn cover(&self, server: &Server, id: &Id, pieces: &[Piece]) -> Result<Jpeg, Error> {
        let settings = &server.settings().config.snapshot;
        let first = pieces.iter().filter(|piece| piece.has_keyframe());
        let (mut keyframes, mut bytes) = (Vec::new(), 0);
        for piece in first.take(CANDIDATES) {
            if let Some(keyframe) = keyframe(server, id, &piece.segment).await? {
                bytes += keyframe.data.len();
                if bytes > INPUT {
                    break;
                }
                keyframes.push(keyframe);
            }
        }
        let sizes: Vec<_> = keyframes.iter().map(|keyframe| keyframe.data.len()).collect();
        let keyframe = keyframes.get(thumbnails::decent(&sizes)).ok_or(Error::NoPicture)?;
        let run = Run::snapshot(keyframe, settings.width, settings.quality)?;
        self.run(server, "cover", run, settings.timeout.0).await
    }

    /// The sheets, and when they are there their index.
    async fn thumbnails(&self, server: &Server, id: &Id, pieces: &[Piece]) -> Result<(), Error> {
        let settings = &server.settings().config.snapshot;
        let every = Span::from_millis(settings.thumbnail_interval.as_millis());
        let shots = thumbnails::shots(pieces, every, MOST);
        let mut sheets = Vec::new();
        for (number, shots) in (0..).zip(thumbnails::sheets(&shots)) {
            let jpeg = match self.sheet(server, id, shots).await {
                // The others may be decoded.
                Err(Error::Ffmpeg(ffmpeg::Error::Failed { .. }) | Error::NoPicture) => continue,
                made => made?,
            };
            let picture = Picture::Sheet(number);
            sheets.push(Sheet { name: picture.file(), shots, size: (jpeg.width, jpeg.height) });
            server.recordings.keep_picture(id, picture, jpeg.bytes).await?;
        }
        if sheets.is_empty() {
            return Err(Error::NoPicture);
        }
        let index = thumbnails::vtt(&sheets);
        Ok(server.recordings.keep_picture(id, Picture::Index, index.into()).await?)
    }

    async fn sheet(&self, server: &Server, id: &Id, shots: &[Shot]) -> Result<Jpeg, Error> {
        let settings = &server.settings().config.snapshot;
        let (mut keyframes, mut bytes) = (Vec::with_capacity(shots.len()), 0);
        for Shot { segment, .. } in shots {
            let keyframe = keyframe(server, id, segment).await?;
            bytes += keyframe.as_ref().map_or(0, |keyframe| keyframe.data.len());
            // The neighbour of one that has no room stands for it, too.
            keyframes.push(keyframe.filter(|_| bytes <= INPUT));
        }
        let run = Run::sheet(
            &keyframes,
            settings.thumbnail_width,
            thumbnails::grid(shots.len()),
            settings.quality,
        )?;
        self.run(server, "thumbnails", run, SHEET).await
    }

    /// A run that nobody waits for: there is one at a time, beside the places of those who wait.
    async fn run(
        &self,
        server: &Server,
        purpose: &'static str,
        run: Run,
        limit: Duration,
    ) -> Result<Jpeg, Error> {
        let settings = &server.settings().config.snapshot;
        self.note(&server.metrics, purpose, made(&settings.ffmpeg, run, limit).await)
    }
}

/// What failed `at` that time is not tried again yet.
fn counts(error: &Error, at: Instant) -> bool {
    let remembered = match error {
        // To look for it costs next to nothing.
        Error::Ffmpeg(ffmpeg::Error::NoFfmpeg) => LOOK,
        _ => FAILED,
    };
    at.elapsed() < remembered
}

/// The picture that a segment begins with.
async fn keyframe(server: &Server, id: &Id, segment: &Segment) -> Result<Option<Frame>, Error> {
    let opening = server.recordings.opening(id, *segment).await?;
    Ok(opening.filter(|frame| frame.track == TrackId::Video))
}
