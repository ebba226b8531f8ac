//! How long recordings stay: for their time, and where it is so configured until their room is needed.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use kaibo_broadcast::{BroadcastId, Millis};
use kaibo_media::UnixMillis;
use kaibo_replay::{Entry, Error, Id};
use tokio::{
    task::spawn_blocking,
    time::{Instant, MissedTickBehavior, interval},
};

use super::{Recordings, blocking, telling::status};
use crate::{access::unix_now, config::Settings, notices, server::Server};

/// How often recordings that are past their retention are looked for.
const SWEEP: Duration = Duration::from_secs(3600);

/// How often the room on the disk is looked at: a hundred broadcasts of 8 Mbit/s write 100 MB meanwhile. One replay goes
/// each time, since a file system may take a moment to say what that has freed.
const LOOK: Duration = Duration::from_secs(1);

/// Where nothing may be deleted, two lines of every recording are not read again for this time.
const NOTHING_TO_DELETE: Duration = Duration::from_secs(30);

impl Recordings {
    /// Deletes recordings that are past their retention, until the server stops.
    pub async fn sweep(server: Arc<Server>) {
        let mut closing = server.closing();
        let mut hourly = interval(SWEEP);
        Self::make_known(&server).await;
        loop {
            tokio::select! {
                _ = hourly.tick() => {}
                () = closing.wait() => return,
            }
            let sweeper = server.clone();
            let expired = spawn_blocking(move || {
                let now = unix_now();
                let mut entries = sweeper.recordings.disk.scan()?;
                entries.retain(|Entry { meta, finished, .. }| {
                    let retention = sweeper.app_settings(&meta.app).record.retention.0;
                    let is_old = |wall: UnixMillis| now.since(Millis(wall.0)) > retention;
                    // What was cut out stays until somebody deletes it.
                    meta.excerpt.is_none() && finished.as_ref().is_some_and(|finished| is_old(finished.wall))
                });
                Ok(entries)
            });
            match blocking(expired).await {
                Ok(expired) => {
                    for entry in expired {
                        delete(&server, &entry.id, Why::Retention).await;
                    }
                }
                Err(error) => tracing::error!(%error, "can't look for old recordings"),
            }
        }
    }

    /// There is no room for recordings, as far as they may take it: none begins, and those under way pause.
    pub fn is_full(&self, settings: &Settings) -> bool {
        let room = self.room.load(Ordering::Relaxed);
        settings.all().any(|(_, app)| app.record.enabled && room <= app.record.kept_free())
    }

    /// Watches how much room is left, and makes some where that is so configured, until the server stops.
    pub async fn watch_room(server: Arc<Server>) {
        let mut closing = server.closing();
        let mut looks = interval(LOOK);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut nothing_until = None;
        loop {
            tokio::select! {
                _ = looks.tick() => {}
                () = closing.wait() => return,
            }
            let disk = server.recordings.disk.clone();
            // An error is that of the next write, which is logged.
            let Ok(free) = blocking(spawn_blocking(move || disk.free())).await else { continue };
            server.recordings.room.store(free, Ordering::Relaxed);
            server.metrics.record_free_bytes.set(i64::try_from(free).unwrap_or(i64::MAX));
            let is_low = server.settings().all().any(|(_, app)| app.record.makes_room(free));
            if !is_low || nothing_until.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            nothing_until = match oldest(&server, free).await {
                Ok(Some(entry)) => {
                    delete(&server, &entry.id, Why::DiskSpace).await;
                    None
                }
                Ok(None) => {
                    tracing::warn!(
                        free,
                        "the disk is nearly full, and there is no replay that may be deleted"
                    );
                    Some(Instant::now() + NOTHING_TO_DELETE)
                }
                Err(error) => {
                    tracing::error!(%error, "can't look for a replay to make room");
                    Some(Instant::now() + NOTHING_TO_DELETE)
                }
            };
        }
    }
}

/// The oldest final replay that may go. One whose broadcast is still in memory is still shown, or not over at all.
async fn oldest(server: &Arc<Server>, free: u64) -> Result<Option<Entry>, Error> {
    let server = server.clone();
    blocking(spawn_blocking(move || {
        let may_go = |Entry { id, meta, finished }: &Entry| {
            let in_memory = || id.as_str().parse().is_ok_and(|id| server.broadcasts.get(&id).is_some());
            let is_replay = meta.excerpt.is_none() && finished.is_some();
            is_replay && server.app_settings(&meta.app).record.makes_room(free) && !in_memory()
        };
        Ok(server.recordings.disk.scan()?.into_iter().find(may_go))
    }))
    .await
}

/// Deletes a final recording by ourselves, and says so. A broadcast is known for as long as its replay may be kept.
async fn delete(server: &Arc<Server>, id: &Id, why: Why) {
    let Ok(broadcast) = id.as_str().parse::<BroadcastId>() else { return };
    let known = status(server, id).await;
    if let Err(error) = server.recordings.delete(&broadcast).await {
        return tracing::error!(recording = %id, %error, "can't delete an old recording");
    }
    let reason = why.name();
    tracing::info!(recording = %id, reason, "deleted a replay");
    if let Some(known) = &known {
        notices::post(server, notices::replay_deleted(server, known, reason, server.clock.now())).await;
    }
    let forgotten = match why {
        Why::DiskSpace => server.broadcasts.without_replay(server, &broadcast).await,
        Why::Retention => {
            if let Some(known) = &known {
                server.broadcasts.forget(server, known).await;
            }
            server.forget_banned(known.as_deref()).await;
            server.store.ask(move |store| store.delete(&broadcast).map(drop)).await
        }
    };
    if let Err(error) = forgotten {
        tracing::error!(recording = %id, %error, "can't store that a replay is gone");
    }
}

/// Why the server deletes a replay.
#[derive(Clone, Copy)]
enum Why {
    Retention,
    DiskSpace,
}

impl Why {
    const fn name(self) -> &'static str {
        match self {
            Self::Retention => "retention",
            Self::DiskSpace => "disk_space",
        }
    }
}
