//! The recorder of one broadcast: a slow reader that writes what the live window shows.

use std::{sync::Arc, time::Duration};

use kaibo_broadcast::{Broadcast, BroadcastId};
use kaibo_container::segment::Cut;
use kaibo_hub::{Cursor, Next};
use kaibo_media::UnixMillis;
use kaibo_replay::{Error, Finished, Id, Meta, Writer};
use tokio::{
    task::{JoinHandle, spawn_blocking},
    time::{Instant, timeout},
};

use super::{Growing, Rendered, blocking};
use crate::{
    access::unix_now,
    broadcasts::Status,
    live::{Live, Recorded},
    notices,
    server::Server,
    telemetry::Metrics,
};

/// How often it is told, at the most, that a part of a broadcast is lost.
const LOSSES: Duration = Duration::from_secs(60);

/// A recording that can't be opened is tried again after this time.
const REOPEN: Duration = Duration::from_secs(5);

/// A broadcast whose recording is final has ended a moment ago.
const SOON: Duration = Duration::from_secs(5);

/// Writes `cuts` until they end. The recording is final if the broadcast is over by then, else it stays open.
pub fn start(
    server: &Arc<Server>,
    broadcast: &Broadcast,
    sync: Duration,
    cuts: Cursor<Recorded>,
    live: Arc<Live>,
) -> JoinHandle<()> {
    let server = server.clone();
    let (id, app, stream) = (broadcast.id().to_string(), broadcast.app().clone(), broadcast.stream().clone());
    tokio::spawn(async move {
        let Ok(id) = id.parse::<Id>() else { return };
        let meta =
            Meta { app: app.to_string(), stream: stream.to_string(), started: UnixMillis(unix_now().0) };
        let Some(writer) = open(&server, &id, &meta, &live).await else { return };
        live.note_recorded(true);
        let listing = writer.listing();
        live.note_listing(listing.clone());
        let growing = Growing { app, stream, listing, live: live.clone(), playlist: Rendered::default() };
        server.recordings.growing.insert(id.clone(), growing);
        let recorder = Recorder {
            id: id.clone(),
            writer,
            sync,
            synced: Instant::now(),
            metrics: server.metrics.clone(),
            losing: false,
            told_of_loss: None,
            skipped: None,
        };
        let finished = recorder.run(cuts, &live, &server).await;
        server.recordings.growing.remove(&id);
        if let Some(finished) = finished {
            tell_ready(&server, &id, &finished).await;
            server.snapshots.prepare(&id);
        }
    })
}

/// Opens the recording, for as long as the broadcast lasts: until then its newest cuts wait in their ring.
async fn open(server: &Server, id: &Id, meta: &Meta, live: &Live) -> Option<Writer> {
    let (mut told, mut ended) = (false, false);
    loop {
        let (disk, named, meta) = (server.recordings.disk.clone(), id.clone(), meta.clone());
        let opened = spawn_blocking(move || match disk.create(&named, meta) {
            // The broadcast goes on after a restart, and so does its recording.
            Err(Error::Exists(_)) => disk.reopen(&named, UnixMillis(unix_now().0)),
            created => created,
        });
        match blocking(opened).await {
            Ok(writer) => {
                if told {
                    tracing::info!(recording = %id, "recording begins");
                }
                return Some(writer);
            }
            Err(error) => {
                server.metrics.record_errors.inc();
                live.note_recorded(false);
                if !std::mem::replace(&mut told, true) {
                    tracing::error!(recording = %id, %error, "recording can't begin; it is tried again");
                }
            }
        }
        if ended {
            tracing::error!(recording = %id, "this broadcast was not recorded");
            return None;
        }
        ended = timeout(REOPEN, live.ended()).await.is_ok();
    }
}

/// Says that the recording of a broadcast is final, if there is something to play in it.
pub async fn tell_ready(server: &Server, id: &Id, finished: &Finished) {
    if finished.segments == 0 {
        return;
    }
    if let Some(broadcast) = id.as_str().parse().ok().and_then(|id| server.broadcasts.get(&id)) {
        // It is over, and about to say so.
        let mut status = broadcast.watch();
        let over = status.wait_for(|status| status.state.is_final());
        let _ = timeout(SOON, over).await;
    }
    if let Some(status) = status(server, id).await {
        notices::post(server, notices::replay_ready(server, &status, finished, server.clock.now())).await;
    }
}

/// What is known of the broadcast that was recorded.
async fn status(server: &Server, id: &Id) -> Option<Arc<Status>> {
    let id: BroadcastId = id.as_str().parse().ok()?;
    match server.broadcasts.status(server, &id).await {
        Ok(status) => status,
        Err(error) => {
            tracing::error!(recording = %id, %error, "can't tell of a recording");
            None
        }
    }
}

/// The recorder of one broadcast.
struct Recorder {
    id: Id,
    writer: Writer,
    /// The longest time between two syncs.
    sync: Duration,
    synced: Instant,
    metrics: Arc<Metrics>,
    /// Something is being lost right now, and when it was last told that something is.
    losing: bool,
    told_of_loss: Option<Instant>,
    /// The newest segment whose number was given up, since it was shown and not written.
    skipped: Option<u64>,
}

impl Recorder {
    /// Records until the media ends; what there is then, if it is final.
    async fn run(
        mut self,
        mut cuts: Cursor<Recorded>,
        live: &Arc<Live>,
        server: &Arc<Server>,
    ) -> Option<Finished> {
        let mut batch = Vec::new();
        loop {
            let next = cuts.next(&mut batch).await;
            let cut = std::mem::take(&mut batch);
            let live_too = live.clone();
            // The disk may take its time: the recorder waits in a thread that may block, and what comes meanwhile
            // waits in the ring.
            let written = spawn_blocking(move || {
                match next {
                    Next::Entries => self.write(&cut, &live_too),
                    Next::Lagged { .. } => self.note(|writer| writer.missed("the disk was too slow")),
                    Next::End => {}
                }
                self
            });
            match written.await {
                Ok(recorder) => self = recorder,
                Err(error) => {
                    tracing::error!(%error, "the recorder failed; the recording ends here");
                    return None;
                }
            }
            self.tell_of_loss(server);
            if next == Next::End {
                return self.end(live).await;
            }
        }
    }

    fn write(&mut self, cuts: &[Recorded], live: &Live) {
        for Recorded { cut, number } in cuts {
            self.note(|writer| writer.write(cut));
            self.note_shown(cut);
            live.note_written(*number);
        }
        if self.synced.elapsed() >= self.sync {
            self.note(Writer::sync);
            self.synced = Instant::now();
        }
    }

    /// Viewers are about to see a part that could not be written: after a restart its segment's number must not be given
    /// again. A disk that has no room for a part often has some for a line.
    fn note_shown(&mut self, cut: &Cut) {
        let Cut::Part(part) = cut else { return };
        if self.writer.losing().is_some() && self.skipped != Some(part.segment) {
            let until = part.start + part.duration;
            // An error is that of the part itself, which is logged; the next part tries again.
            if self.writer.skip(part.segment.saturating_add(1), until).is_ok() {
                self.skipped = Some(part.segment);
            }
        }
    }

    /// A stretch that can't be recorded is told of when it begins. A disk that is full now and then makes many.
    fn tell_of_loss(&mut self, server: &Arc<Server>) {
        let loss = self.writer.losing().cloned();
        let was_losing = std::mem::replace(&mut self.losing, loss.is_some());
        let Some(loss) = loss.filter(|_| !was_losing) else { return };
        if self.told_of_loss.is_some_and(|at| at.elapsed() < LOSSES) {
            return;
        }
        self.told_of_loss = Some(Instant::now());
        let (server, id) = (server.clone(), self.id.clone());
        // What can't be recorded must not make the rest wait for the store.
        tokio::spawn(async move {
            if let Some(status) = status(&server, &id).await {
                let now = server.clock.now();
                notices::post(&server, notices::replay_truncated(&server, &status, &loss, now)).await;
            }
        });
    }

    async fn end(mut self, live: &Live) -> Option<Finished> {
        let reason = live.end_reason();
        let ended = spawn_blocking(move || match reason {
            Some(reason) => match self.writer.finish(reason.name(), UnixMillis(unix_now().0)) {
                Ok(finished) => {
                    let (bytes, segments) = (finished.bytes, finished.segments);
                    tracing::info!(recording = %self.id, bytes, segments, truncated = finished.truncated, "replay.ready");
                    Some(finished)
                }
                Err(error) => {
                    self.fault(&error);
                    None
                }
            },
            None => {
                self.note(Writer::sync);
                None
            }
        });
        // A panic is logged where it happens.
        ended.await.ok().flatten()
    }

    /// Does something to the recording. A fault is told when it begins and when it is over, not for every cut.
    fn note(&mut self, act: impl FnOnce(&mut Writer) -> Result<(), Error>) {
        let was_losing = self.writer.losing().is_some();
        let done = act(&mut self.writer);
        match (was_losing, done) {
            (false, Err(error)) => self.fault(&error),
            (true, Err(_)) => {
                self.metrics.record_errors.inc();
            }
            (true, Ok(())) if self.writer.losing().is_none() => {
                tracing::info!(recording = %self.id, "recording goes on");
            }
            (_, Ok(())) => {}
        }
    }

    fn fault(&self, error: &Error) {
        self.metrics.record_errors.inc();
        tracing::error!(recording = %self.id, %error, "recording fails; live goes on");
    }
}
