//! Pictures of what is broadcast, made of its keyframes by an external ffmpeg, where one is installed: snapshots of a
//! broadcast that is on, covers of replays, thumbnails for their seek bars. Nothing that is live waits for them.

mod camera;
mod ffmpeg;
mod jpeg;
mod kept;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use hyper::{StatusCode, header};
use tokio::{
    sync::Semaphore,
    time::{MissedTickBehavior, interval, timeout},
};

pub use self::{
    camera::{Camera, Facts, Snapshot, SnapshotObject, Wish, snapshot, tell},
    ffmpeg::Jpeg,
};
use self::{ffmpeg::Run, kept::Kept};
use crate::{config, problem::Problem, server::Server, telemetry::Metrics};

/// How often broadcasts are looked through for those whose next snapshot is due.
const LOOK: Duration = Duration::from_secs(1);

/// Of the failures, one is logged within this time: a stream that can't be decoded fails every time.
const COMPLAINT: Duration = Duration::from_secs(10);

/// What all pictures share.
pub struct Snapshots {
    /// Of the ffmpegs at work for those who wait.
    places: Semaphore,
    complained: Mutex<Option<Instant>>,
    kept: Kept,
}

/// Why there is no picture.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("snapshots are off (snapshot.enabled)")]
    Off,
    #[error("nothing with a picture was shown yet")]
    NoPicture,
    #[error("it is being made")]
    Pending,
    #[error(transparent)]
    Ffmpeg(#[from] ffmpeg::Error),
    #[error(transparent)]
    Recording(#[from] kaibo_replay::Error),
}

impl Error {
    /// What there is of it in the API: `off`, `no_picture`, `no_ffmpeg` or `failed`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NoPicture => "no_picture",
            Self::Ffmpeg(ffmpeg::Error::NoFfmpeg) => "no_ffmpeg",
            Self::Pending | Self::Ffmpeg(_) | Self::Recording(_) => "failed",
        }
    }

    /// There is no ffmpeg, at the moment.
    pub const fn is_missing_ffmpeg(&self) -> bool {
        matches!(self, Self::Ffmpeg(ffmpeg::Error::NoFfmpeg))
    }

    /// What those are told who asked for it.
    pub fn problem(&self) -> Problem {
        let unavailable = |code, detail| Problem::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        match self {
            Self::Off => Problem::new(StatusCode::NOT_FOUND, "snapshots_off", self.to_string()),
            Self::NoPicture => Problem::new(StatusCode::NOT_FOUND, "no_picture", self.to_string()),
            Self::Ffmpeg(ffmpeg::Error::NoFfmpeg) => {
                let detail = "pictures are made by ffmpeg, and there is none on the server: install it (Debian, Ubuntu: \
                              apt install ffmpeg), or say in snapshot.ffmpeg where it is; no restart is needed";
                unavailable("no_ffmpeg", detail).with_header(header::RETRY_AFTER, "60")
            }
            Self::Pending => {
                unavailable("picture_pending", "the picture is being made; try again").with_retry_after(2)
            }
            Self::Ffmpeg(ffmpeg::Error::Busy) => {
                unavailable("busy", "too many pictures are asked for at once").with_retry_after(1)
            }
            // What went wrong is for the operator.
            Self::Ffmpeg(_) | Self::Recording(_) => {
                unavailable("snapshot_failed", "no picture could be made of this; the server's log says why")
                    .with_retry_after(10)
            }
        }
    }
}

impl Snapshots {
    /// With places as they are configured now.
    pub fn new(settings: &config::Snapshot) -> Self {
        Self {
            places: Semaphore::new(settings.processes),
            complained: Mutex::default(),
            kept: Kept::default(),
        }
    }

    /// Says once whether there is an ffmpeg; it is looked for again at each use.
    pub fn introduce(settings: &config::Snapshot) {
        if !settings.enabled {
            return;
        }
        match ffmpeg::find(&settings.ffmpeg) {
            Some(path) => tracing::info!(ffmpeg = %path.display(), "snapshots are made"),
            None => tracing::warn!(
                wanted = %settings.ffmpeg.display(),
                "no snapshots, covers and thumbnails until ffmpeg is installed"
            ),
        }
    }

    /// Takes snapshots at the configured interval, until the server stops.
    pub async fn follow(server: Arc<Server>) {
        let mut closing = server.closing();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = closing.wait() => return,
            }
            let settings = &server.settings().config.snapshot;
            if settings.enabled && !settings.interval.0.is_zero() {
                for broadcast in server.broadcasts.all() {
                    camera::follow(&server, broadcast, settings.interval.0);
                }
            }
        }
    }

    /// A run for somebody who waits, in one of the places for that.
    async fn take(&self, server: &Server, run: Run) -> Result<Jpeg, Error> {
        let settings = server.settings().config.snapshot.clone();
        let limit = settings.timeout.0;
        let made = match timeout(limit, self.places.acquire()).await {
            Ok(_place) => made(&settings.ffmpeg, run, limit).await,
            Err(_) => Err(ffmpeg::Error::Busy),
        };
        self.note(&server.metrics, "snapshot", made)
    }

    /// Counts what came of a run, and says what went wrong.
    fn note(
        &self,
        metrics: &Metrics,
        purpose: &'static str,
        made: Result<(Jpeg, Duration), ffmpeg::Error>,
    ) -> Result<Jpeg, Error> {
        let result = match &made {
            Ok(_) => "made",
            Err(ffmpeg::Error::NoFfmpeg) => "no_ffmpeg",
            Err(ffmpeg::Error::Busy) => "busy",
            Err(_) => "failed",
        };
        metrics.snapshot(purpose, result);
        match made {
            Ok((jpeg, took)) => {
                metrics.snapshot_seconds.observe(took);
                Ok(jpeg)
            }
            Err(error) => {
                // That one is missing was said at the start, and is said to whoever asks.
                if !matches!(error, ffmpeg::Error::NoFfmpeg) && self.may_complain() {
                    tracing::warn!(%error, purpose, "no picture was made");
                }
                Err(error.into())
            }
        }
    }

    fn may_complain(&self) -> bool {
        let mut complained = self.complained.lock().unwrap_or_else(PoisonError::into_inner);
        let may = complained.is_none_or(|at| at.elapsed() >= COMPLAINT);
        if may {
            *complained = Some(Instant::now());
        }
        may
    }
}

/// Runs the ffmpeg that is there now; what it made, and how long that took.
async fn made(program: &Path, run: Run, limit: Duration) -> Result<(Jpeg, Duration), ffmpeg::Error> {
    let program = ffmpeg::find(program).ok_or(ffmpeg::Error::NoFfmpeg)?;
    let begin = Instant::now();
    let jpeg = run.with(&program, limit).await?;
    Ok((jpeg, begin.elapsed()))
}
