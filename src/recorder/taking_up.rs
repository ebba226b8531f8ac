//! Recordings that were there when the server started.

use std::{
    collections::HashSet,
    io,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use dashmap::DashMap;
use kaibo_broadcast::{BroadcastId, Millis, State};
use kaibo_container::{segment::Cut, segmenter::Resume};
use kaibo_media::{Span, Timeline, Timestamp, UnixMillis};
use kaibo_replay::{Entry, Error, Finished, Id};
use kaibo_store::{Error as StoreError, Handle as Store};
use tokio::task::spawn_blocking;

use super::{
    INITS, OpenError, PIECES, Recordings, SEGMENTS, TS_SEGMENTS, blocking, lately::Lately, movie::Movies,
    older, once::Once, telling::tell_ready, unreadable,
};
use crate::{
    access::unix_now,
    archive::Archive,
    config::Config,
    live::Past,
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
        let (inits, segments) = (Once::new(INITS), Once::with_room(SEGMENTS));
        let (ts, pieces) = (Once::new(TS_SEGMENTS), Once::new(PIECES));
        let (growing, read, movies) = (DashMap::new(), Lately::default(), Movies::default());
        // Until the first look nobody knows of any trouble.
        let room = AtomicU64::new(u64::MAX);
        Ok(Self { disk, archive, growing, read, inits, segments, ts, movies, room, pieces })
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
