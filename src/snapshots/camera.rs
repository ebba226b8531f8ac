//! Snapshots of one broadcast: of the newest keyframe that everybody may see, when somebody asks or at an interval.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use kaibo_broadcast::State;
use kaibo_media::{Frame, Timestamp, UnixMillis};
use serde::Serialize;
use tokio::sync::watch;
use utoipa::ToSchema;

use super::{
    Error,
    ffmpeg::{Jpeg, Run},
};
use crate::{access::rfc3339, broadcasts::Handle, live::Live, notices, output::etag, server::Server};

/// What somebody asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// A picture that is some seconds old will do (`snapshot.max_age`), and an old one rather than none.
    Recent,
    /// The newest keyframe.
    Newest,
}

/// A picture of a broadcast.
pub struct Snapshot {
    pub jpeg: Jpeg,
    pub facts: Facts,
    /// Strong validator, without quotes.
    pub etag: String,
    /// Decoding time of its keyframe: no other of the broadcast has it.
    keyframe: Timestamp,
    made: Instant,
    told: AtomicBool,
}

/// What is said of a snapshot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Wall clock of the picture.
    pub taken: UnixMillis,
    /// Its place on the broadcast's timeline.
    pub at: Timestamp,
    pub width: u32,
    pub height: u32,
    pub bytes: usize,
}

/// A snapshot, as the API and the webhooks tell of it.
#[derive(Serialize, ToSchema)]
#[schema(as = Snapshot)]
pub struct SnapshotObject {
    /// Always the newest one; where viewers need a key, so does this.
    url: String,
    /// Wall clock of the picture.
    #[schema(format = DateTime)]
    taken_at: String,
    /// Its place on the broadcast's timeline.
    media_ms: i64,
    width: u32,
    height: u32,
    /// Bytes.
    file_size: usize,
}

impl Facts {
    /// `url`: where the picture is.
    pub fn to_api(self, url: String) -> SnapshotObject {
        SnapshotObject {
            url,
            taken_at: rfc3339(kaibo_broadcast::Millis(self.taken.0)),
            media_ms: self.at.as_millis(),
            width: self.width,
            height: self.height,
            file_size: self.bytes,
        }
    }
}

/// Takes the snapshots of one broadcast, one after the other. Keeps the newest: some 100 KB.
#[derive(Default)]
pub struct Camera(Mutex<Taken>);

#[derive(Default)]
struct Taken {
    newest: Option<Arc<Snapshot>>,
    /// Why and when the last attempt failed, if it did.
    failed: Option<(Arc<Error>, Instant)>,
    /// An attempt is under way for as long as this has a sender.
    running: Option<watch::Receiver<()>>,
    /// When the last one was taken at the interval.
    timed: Option<Instant>,
}

impl Camera {
    /// What is known of the newest snapshot.
    pub fn facts(&self) -> Option<Facts> {
        self.taken().newest.as_ref().map(|newest| newest.facts)
    }

    /// `ready`, or what came of the last attempt: `none` before the first, else as [`Error::name`] has it.
    pub fn state(&self) -> &'static str {
        let taken = self.taken();
        match (&taken.failed, &taken.newest) {
            (Some((error, _)), _) => error.name(),
            (None, Some(_)) => "ready",
            (None, None) => "none",
        }
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One is due, `every` so often; it counts as taken now.
    fn is_due(&self, every: Duration) -> bool {
        let mut taken = self.taken();
        let due = taken.timed.is_none_or(|at| at.elapsed() >= every);
        if due {
            taken.timed = Some(Instant::now());
        }
        due
    }
}

/// The snapshot that is wished for. Those who ask while one is being taken wait for it, and that goes on though they
/// leave: so whoever asks and leaves starts one ffmpeg and no more.
pub async fn snapshot(
    server: &Arc<Server>,
    live: &Arc<Live>,
    wish: Wish,
) -> Result<Arc<Snapshot>, Arc<Error>> {
    let settings = &server.settings().config.snapshot;
    if !settings.enabled {
        return Err(Arc::new(Error::Off));
    }
    let camera = live.camera();
    let keyframe = live.newest_keyframe().ok_or_else(|| Arc::new(Error::NoPicture))?;
    let mut running = {
        let mut taken = camera.taken();
        if let Some(newest) = &taken.newest {
            let recent = wish == Wish::Recent && newest.made.elapsed() < settings.max_age.0;
            if recent || newest.keyframe == keyframe.dts {
                return Ok(newest.clone());
            }
        }
        // What failed is not tried again for every viewer.
        if let Some((error, at)) = &taken.failed
            && wish == Wish::Recent
            && at.elapsed() < settings.max_age.0
            // To look for one costs next to nothing.
            && !error.is_missing_ffmpeg()
        {
            return taken.newest.clone().ok_or_else(|| error.clone());
        }
        match taken.running.clone().filter(|running| running.has_changed().is_ok()) {
            Some(running) => running,
            None => {
                let (done, running) = watch::channel(());
                taken.running = Some(running.clone());
                let (server, live) = (server.clone(), live.clone());
                tokio::spawn(async move {
                    take(&server, &live, &keyframe).await;
                    drop(done);
                });
                running
            }
        }
    };
    // Nothing is ever sent: an error says that it is over.
    let _ = running.changed().await;
    let taken = camera.taken();
    match (&taken.newest, &taken.failed) {
        (Some(newest), None) => Ok(newest.clone()),
        (Some(newest), Some(_)) if wish == Wish::Recent => Ok(newest.clone()),
        (_, Some((error, _))) => Err(error.clone()),
        (None, None) => Err(Arc::new(Error::NoPicture)),
    }
}

async fn take(server: &Server, live: &Live, keyframe: &Frame) {
    let settings = &server.settings().config.snapshot;
    let made = match Run::snapshot(keyframe, settings.width, settings.quality) {
        Ok(run) => server.snapshots.take(server, run).await,
        Err(error) => Err(error.into()),
    };
    let mut taken = live.camera().taken();
    match made {
        Ok(jpeg) => {
            let at = keyframe.pts();
            let facts = Facts {
                taken: keyframe.run.wall_at(at),
                at,
                width: jpeg.width,
                height: jpeg.height,
                bytes: jpeg.bytes.len(),
            };
            taken.failed = None;
            taken.newest = Some(Arc::new(Snapshot {
                etag: etag(&jpeg.bytes),
                jpeg,
                facts,
                keyframe: keyframe.dts,
                made: Instant::now(),
                told: AtomicBool::new(false),
            }));
        }
        Err(error) => taken.failed = Some((Arc::new(error), Instant::now())),
    }
}

/// Takes a snapshot of `broadcast` and tells of it, if it is live and one is due.
pub fn follow(server: &Arc<Server>, broadcast: Arc<Handle>, every: Duration) {
    let live = broadcast.live();
    if broadcast.status().state != State::Live
        || live.newest_keyframe().is_none()
        || !live.camera().is_due(every)
    {
        return;
    }
    let server = server.clone();
    tokio::spawn(async move {
        // An error is counted and logged.
        if let Ok(snapshot) = snapshot(&server, broadcast.live(), Wish::Newest).await {
            tell(&server, &broadcast, &snapshot).await;
        }
    });
}

/// Tells the business of a snapshot, once.
pub async fn tell(server: &Server, broadcast: &Handle, snapshot: &Snapshot) {
    let status = broadcast.status();
    if !status.state.is_withheld() && !snapshot.told.swap(true, Ordering::Relaxed) {
        notices::post(server, notices::snapshot_ready(server, &status, snapshot.facts, server.clock.now()))
            .await;
    }
}
