//! The recorder of one broadcast: a slow reader that writes what the live window shows.

use std::{sync::Arc, time::Duration};

use kaibo_broadcast::{App, Broadcast, EndReason};
use kaibo_container::segment::Cut;
use kaibo_hub::{Cursor, Next};
use kaibo_media::UnixMillis;
use kaibo_replay::{Error, Finished, Id, Loss, Meta, Writer};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep, timeout},
};

use super::{
    Growing, Rendered, blocking,
    telling::{tell_ready, tell_truncated},
};
use crate::{
    access::unix_now,
    live::{Live, Recorded},
    server::Server,
    telemetry::Metrics,
};

/// How often it is told, at the most, that a part of a broadcast is lost.
const LOSSES: Duration = Duration::from_secs(60);

/// A recording that can't be opened is tried again after this time.
const REOPEN: Duration = Duration::from_secs(5);

/// How often it is looked whether a recording that can't be opened has begun to lose something.
const LOOK: Duration = Duration::from_secs(1);

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
        let meta = Meta {
            app: app.to_string(),
            stream: stream.to_string(),
            started: UnixMillis(unix_now().0),
            excerpt: None,
        };
        let Some(writer) = open(&server, &id, &meta, &live, &cuts).await else { return };
        live.note_losses(writer.losses());
        live.note_recorded(true);
        let listing = writer.listing();
        live.note_listing(listing.clone());
        let (wrote, written) = watch::channel(());
        let growing =
            Growing { app, stream, listing, live: live.clone(), playlist: Rendered::default(), written };
        let recorder = Recorder {
            id: id.clone(),
            app: growing.app.clone(),
            writer,
            sync,
            synced: Instant::now(),
            metrics: server.metrics.clone(),
            losing: None,
            told_of_loss: None,
            skipped: None,
        };
        server.recordings.growing.insert(id.clone(), growing);
        let ended = recorder.run(cuts, &live, &server, &wrote).await;
        server.recordings.growing.remove(&id);
        server.recordings.changed(&id);
        // Whoever waits for more finds what there is.
        drop(wrote);
        match ended {
            Some(Ended::Final(finished)) => {
                tell_ready(&server, &id, &finished).await;
                server.snapshots.prepare(&id);
            }
            // Nobody is to wait for a disk that may be full for hours.
            Some(Ended::Unfinished(recorder, reason)) => {
                tokio::spawn(recorder.finish_later(server, reason));
            }
            None => {}
        }
    })
}

/// Opens the recording, for as long as the broadcast lasts: until then its newest `cuts` wait in their ring.
async fn open(
    server: &Arc<Server>,
    id: &Id,
    meta: &Meta,
    live: &Live,
    cuts: &Cursor<Recorded>,
) -> Option<Writer> {
    let mut ended = false;
    // Since the first attempt failed, and since something of the broadcast is lost for that.
    let (mut failing, mut losing) = (false, None);
    loop {
        let (disk, named, meta) = (server.recordings.disk.clone(), id.clone(), meta.clone());
        let opened = spawn_blocking(move || match disk.create(&named, meta) {
            // The broadcast goes on after a restart, and so does its recording.
            Err(Error::Exists(_)) => disk.reopen(&named, UnixMillis(unix_now().0)),
            created => created,
        });
        let error = match blocking(opened).await {
            Ok(writer) => {
                if failing {
                    tracing::info!(recording = %id, "recording begins");
                }
                return Some(writer);
            }
            Err(error) => error,
        };
        server.metrics.record_errors.inc();
        live.note_recorded(false);
        if !std::mem::replace(&mut failing, true) {
            tracing::error!(recording = %id, %error, "recording can't begin; it is tried again");
        }
        let tried = Instant::now();
        loop {
            if losing.is_none() && (ended || cuts.has_missed()) {
                losing = Some(Losing::begin(&server.metrics));
                let loss = Loss { from: live.begins(), until: None, why: error.to_string() };
                tell_truncated(server, id, loss);
            }
            if ended {
                tracing::error!(recording = %id, "this broadcast was not recorded");
                return None;
            }
            if tried.elapsed() >= REOPEN {
                break;
            }
            if timeout(LOOK, live.ended()).await.is_ok() {
                // For the last time.
                ended = true;
                break;
            }
        }
    }
}

/// The recorder of one broadcast.
struct Recorder {
    id: Id,
    app: App,
    writer: Writer,
    /// The longest time between two syncs.
    sync: Duration,
    synced: Instant,
    metrics: Arc<Metrics>,
    /// What is being lost right now, and when it was last told that something is.
    losing: Option<Losing>,
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
        wrote: &watch::Sender<()>,
    ) -> Option<Ended> {
        let mut batch = Vec::new();
        loop {
            let next = cuts.next(&mut batch).await;
            let cut = std::mem::take(&mut batch);
            let live_too = live.clone();
            // As it is configured now: a disk does not wait for the next broadcast.
            self.writer.keep_free(server.app_settings(self.app.as_ref()).record.kept_free());
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
            wrote.send_replace(());
            self.tell_of_loss(server, live);
            if next == Next::End {
                return self.end(live).await;
            }
        }
    }

    fn write(&mut self, cuts: &[Recorded], live: &Live) {
        let syncs = self.writer.syncs();
        for Recorded { cut, number } in cuts {
            self.note(|writer| writer.write(cut));
            self.note_shown(cut);
            live.note_written(*number);
        }
        // A segment that ended is on the disk: what is not is younger.
        if self.writer.syncs() != syncs {
            self.synced = Instant::now();
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

    /// A stretch that can't be recorded is told of when it begins. A disk that is full now and then makes many: one that
    /// begins too soon after another is told of later, if it lasts.
    fn tell_of_loss(&mut self, server: &Arc<Server>, live: &Live) {
        live.note_losses(self.writer.losses());
        let Some(loss) = self.writer.losing() else {
            self.losing = None;
            return;
        };
        let losing = self.losing.get_or_insert_with(|| Losing::begin(&self.metrics));
        let lately = self.told_of_loss.is_some_and(|at| at.elapsed() < LOSSES);
        if losing.told || lately {
            return;
        }
        losing.told = true;
        self.told_of_loss = Some(Instant::now());
        tell_truncated(server, &self.id, loss.clone());
    }

    async fn end(mut self, live: &Live) -> Option<Ended> {
        let Some(reason) = live.end_reason() else {
            let synced = spawn_blocking(move || self.note(Writer::sync));
            // A panic is logged where it happens.
            let _ = synced.await;
            return None;
        };
        let (recorder, finished) = self.finish(reason).await?;
        // What was lost last, and whether that is over, is known now.
        live.note_losses(recorder.writer.losses());
        match finished {
            Ok(finished) => Some(Ended::Final(finished)),
            Err(error) => {
                recorder.fault(&error);
                Some(Ended::Unfinished(Box::new(recorder), reason))
            }
        }
    }

    /// Makes the recording final. None after a panic, which is logged where it happens.
    async fn finish(mut self, reason: EndReason) -> Option<(Self, Result<Finished, Error>)> {
        let finished = spawn_blocking(move || {
            let finished = self.writer.finish(reason.name(), UnixMillis(unix_now().0));
            if let Ok(Finished { bytes, segments, truncated, .. }) = &finished {
                tracing::info!(recording = %self.id, bytes, segments, truncated, "replay.ready");
            }
            (self, finished)
        });
        finished.await.ok()
    }

    /// The disk did not take the last line, without which a replay plays as well: it is tried again until the server
    /// stops, and by the next one.
    async fn finish_later(mut self, server: Arc<Server>, reason: EndReason) {
        let mut closing = server.closing();
        loop {
            tokio::select! {
                () = sleep(REOPEN) => {}
                () = closing.wait() => return,
            }
            let Some((recorder, finished)) = self.finish(reason).await else { return };
            match finished {
                Ok(finished) => {
                    server.recordings.changed(&recorder.id);
                    tell_ready(&server, &recorder.id, &finished).await;
                    return server.snapshots.prepare(&recorder.id);
                }
                Err(_) => self = recorder,
            }
        }
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

/// What a recorder came to whose broadcast is over.
enum Ended {
    Final(Finished),
    /// All but its last line, which the disk did not take.
    Unfinished(Box<Recorder>, EndReason),
}

/// Something is being lost right now; counted for as long as that lasts.
struct Losing {
    counted: Gauge,
    /// It was told.
    told: bool,
}

impl Losing {
    fn begin(metrics: &Metrics) -> Self {
        metrics.record_losing.inc();
        Self { counted: metrics.record_losing.clone(), told: false }
    }
}

impl Drop for Losing {
    fn drop(&mut self) {
        self.counted.dec();
    }
}
