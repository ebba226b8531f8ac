//! The media of one broadcast: the timeline that its publishers write, and everything that reads it.

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use kaibo_broadcast::{Broadcast, EndReason, Epoch};
use kaibo_container::{
    flv::Flv,
    segment::{Cut, Init},
    segmenter::{self, Segmenter},
    ts,
};
use kaibo_hls::{Format, Segment, Window};
use kaibo_hub::{Cursor, Entry, Limits, Next, Publisher, Ring, Start, ring};
use kaibo_media::{
    Frame, Health, HealthReport, Item, Sample, Span, Timeline, Timestamp, TrackId, Tracks, UnixMillis,
};
use prometheus_client::metrics::{family::Family, gauge::Gauge};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use crate::{
    config,
    output::{etag, rtmp::Rtmp},
    packager::{Gathering, Outlet, Queued, Shared},
    recorder,
    server::Server,
    telemetry::{Metrics, Protocol},
};

mod cache;

/// How far a packager or the recorder may be behind before it goes on at the next place to start: a slow disk has
/// this long to come back.
const READER_LAG_MS: i64 = 30_000;

/// Frames, blocks or cuts in a ring: what each costs beside its bytes, at 300 a second for [`READER_LAG_MS`].
const ENTRIES: usize = 10_000;

/// How long a cut is kept from viewers for the recorder to write it; usually it takes a millisecond.
const RECORDER_PATIENCE: Duration = Duration::from_millis(200);

/// A recorder that is further behind than this many cuts (two segments of four parts) is not waited for.
const RECORDER_BEHIND: u64 = 12;

/// The media of one broadcast.
pub struct Live {
    ingest: Mutex<Ingest>,
    frames: Ring<Queued>,
    flv: Arc<Outlet<Flv>>,
    rtmp: Arc<Outlet<Rtmp>>,
    window: Mutex<Window>,
    /// Counts what was applied to the window.
    changes: watch::Sender<u64>,
    cuts: Ring<Recorded>,
    /// Number of the newest cut that the recorder is done with.
    written: watch::Sender<u64>,
    playlists: cache::Zipped,
    ts: cache::TsSegments,
    recorder: Mutex<Option<JoinHandle<()>>>,
    end_reason: OnceLock<EndReason>,
    viewers: Family<Protocol, Gauge>,
    metrics: Arc<Metrics>,
}

/// The writing side: one publisher at a time.
struct Ingest {
    /// The publish session whose media is public now.
    open: Option<Epoch>,
    /// It has not sent a sample to begin with.
    opening: bool,
    timeline: Timeline,
    health: Health,
    tracks: Option<Arc<Tracks>>,
    /// The push whose media is not public now.
    unseen: Option<Unseen>,
    /// The frames just made, on their way into the ring.
    made: Vec<Frame>,
    /// None once the broadcast is over.
    frames: Option<Publisher<Queued>>,
}

/// A push before the start of its broadcast, or during a pause: its media is looked at, then dropped.
struct Unseen {
    epoch: Epoch,
    timeline: Timeline,
    health: Health,
    tracks: Arc<Tracks>,
}

/// What is pushed, public or not.
pub struct Pushed {
    pub tracks: Option<Arc<Tracks>>,
    pub health: HealthReport,
}

/// What a broadcast's media goes on from.
#[derive(Default)]
pub struct Past {
    pub timeline: Timeline,
    pub segmenter: segmenter::Resume,
    /// The newest decoder parameters.
    pub tracks: Option<Arc<Tracks>>,
    /// Discontinuity sequence number of the segment before `tail`.
    pub discontinuity: u64,
    /// The segments that were listed last.
    pub tail: Vec<Cut>,
}

impl Past {
    /// For a broadcast whose live list left nothing behind, since it was not recorded: numbers that were given once are
    /// served from caches for ever, so it goes on far above whatever it can have reached in the time that it `ran`.
    pub fn leap(&mut self, ran: Duration) {
        let nothing_recorded = self.segmenter.next_segment == 0;
        // No part is shorter than 50 ms, and no initialisation section lives for less than a second of pictures.
        let cut = u64::try_from(ran.as_millis() / 50).unwrap_or(u64::MAX).saturating_add(1);
        let inits = u32::try_from(ran.as_secs()).unwrap_or(u32::MAX).saturating_add(1);
        self.segmenter.next_segment = self.segmenter.next_segment.max(cut);
        self.segmenter.next_init = self.segmenter.next_init.max(inits);
        if nothing_recorded {
            let shown = Timestamp::from_millis(i64::try_from(ran.as_millis()).unwrap_or(i64::MAX));
            self.timeline = Timeline::resume_at(shown, inits);
        }
    }
}

/// A cut on its way to the recorder.
#[derive(Clone)]
pub struct Recorded {
    pub cut: Cut,
    /// Counts the cuts since the server started, from 1.
    pub number: u64,
}

impl Entry for Recorded {
    fn size(&self) -> usize {
        match &self.cut {
            Cut::Part(part) => part.bytes.len(),
            Cut::Begin(_) | Cut::End(_) => 0,
        }
    }

    fn keyframe(&self) -> bool {
        matches!(self.cut, Cut::Begin(_))
    }

    fn time(&self) -> i64 {
        match &self.cut {
            Cut::Begin(head) => head.start.as_millis(),
            Cut::Part(part) => part.start.as_millis(),
            Cut::End(_) => i64::MIN,
        }
    }
}

/// A rendered media playlist.
pub struct Playlist {
    pub text: Bytes,
    pub gzip: Option<Bytes>,
    pub etag: String,
    /// In seconds.
    pub target_duration: u32,
}

impl Live {
    /// The timeline of a new broadcast, or of one that goes on after a restart, and the task that cuts it into
    /// segments.
    pub fn new(server: &Arc<Server>, settings: &config::App, past: Past) -> Arc<Self> {
        let limits = &server.settings.config.limits;
        let (frames, reader) =
            ring(Limits { bytes: limits.stream_buffer.0, millis: READER_LAG_MS, entries: ENTRIES });
        let (cuts, recorded) =
            ring(Limits { bytes: limits.stream_buffer.0, millis: READER_LAG_MS, entries: ENTRIES });
        let gathering = Gathering {
            batch: settings.flv.batch.0,
            hold: settings.flv.hold.0,
            limits: Limits {
                bytes: limits.stream_buffer.0,
                millis: limits.viewer_lag.as_millis(),
                entries: ENTRIES,
            },
        };
        let mut window = Window::new(kaibo_hls::Config {
            window: Span::from_millis(settings.hls.window.as_millis()),
            discontinuity: past.discontinuity,
            ..kaibo_hls::Config::default()
        });
        for cut in &past.tail {
            if let Err(error) = window.apply(cut) {
                tracing::error!(%error, "a recorded segment was left out of the live window");
            }
        }
        let segmenter = segmenter::Config {
            segment: Span::from_millis(settings.hls.segment.as_millis()),
            part: Span::from_millis(settings.hls.part.as_millis()),
        };
        let live = Arc::new(Self {
            ingest: Mutex::new(Ingest {
                open: None,
                opening: false,
                timeline: past.timeline,
                health: Health::new(),
                tracks: past.tracks,
                unseen: None,
                made: Vec::new(),
                frames: Some(frames),
            }),
            flv: Outlet::new(Flv::default(), gathering),
            rtmp: Outlet::new(Rtmp::default(), gathering),
            window: Mutex::new(window),
            changes: watch::Sender::new(0),
            cuts: recorded,
            written: watch::Sender::new(0),
            playlists: cache::Zipped::default(),
            ts: cache::TsSegments::default(),
            recorder: Mutex::new(None),
            end_reason: OnceLock::new(),
            viewers: Family::default(),
            metrics: server.metrics.clone(),
            frames: reader,
        });
        tokio::spawn(live.clone().cut(Segmenter::new(segmenter, past.segmenter), cuts));
        live
    }

    /// From now on the media of `epoch` is public, and nobody else's; its next keyframe begins a new run.
    pub fn open(&self, epoch: Epoch) {
        let mut ingest = self.ingest();
        ingest.open = Some(epoch);
        ingest.opening = true;
        ingest.unseen = None;
        ingest.timeline.begin_run();
    }

    /// The media of `epoch` is public.
    pub fn is_open_for(&self, epoch: Epoch) -> bool {
        self.ingest().open == Some(epoch)
    }

    /// Takes a sample that arrived at `now`: to show it, if its publisher is the one whose media is public.
    pub fn push(&self, epoch: Epoch, sample: Sample, now: UnixMillis) {
        let mut ingest = self.ingest();
        let ingest = &mut *ingest;
        if ingest.open != Some(epoch) {
            return ingest.look_at(epoch, sample, now);
        }
        if ingest.opening && !is_entry(&sample) {
            return;
        }
        ingest.opening = false;
        if !ingest.tracks.as_ref().is_some_and(|known| Arc::ptr_eq(known, &sample.tracks)) {
            ingest.tracks = Some(sample.tracks.clone());
        }
        ingest.timeline.push(sample, now, &mut ingest.made);
        self.metrics.ingest_frames.inc_by(ingest.made.len() as u64);
        ingest.publish(now);
    }

    /// The push of `epoch` is gone, so there is nothing more to be said of it.
    pub fn forget_unseen(&self, epoch: Epoch) {
        self.ingest().unseen.take_if(|unseen| unseen.epoch == epoch);
    }

    /// Sends viewers of open streams nothing more, and lets no others in (a ban).
    pub fn withhold(&self) {
        self.flv.shut();
        self.rtmp.shut();
    }

    /// Lets viewers of open streams in again.
    pub fn restore(&self) {
        self.flv.reopen();
        self.rtmp.reopen();
    }

    /// The publisher went away: what is half-packaged is closed now.
    pub fn break_run(&self) {
        self.ingest().break_run();
    }

    /// The broadcast is over.
    pub fn end(&self, reason: EndReason) {
        // Only the first reason counts, and only one is ever given.
        let _ = self.end_reason.set(reason);
        let mut ingest = self.ingest();
        ingest.break_run();
        ingest.frames = None;
    }

    /// Writes the broadcast to the disk from here on.
    pub fn record(self: &Arc<Self>, server: &Arc<Server>, broadcast: &Broadcast, settings: &config::App) {
        let cuts = self.cuts.cursor(Start::Oldest);
        let task = recorder::start(server, broadcast, settings.record.sync.0, cuts, self.clone());
        *self.recorder.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Ends all media without ending the broadcast; returns when what is recorded is on the disk.
    pub async fn close(&self) {
        {
            let mut ingest = self.ingest();
            ingest.break_run();
            ingest.frames = None;
        }
        let recorder = self.recorder.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(recorder) = recorder {
            // A panic of the recorder is logged where it happens.
            let _ = recorder.await;
        }
    }

    /// Why the broadcast ended, once it has.
    pub fn end_reason(&self) -> Option<EndReason> {
        self.end_reason.get().copied()
    }

    /// There is a recording.
    pub fn is_recorded(&self) -> bool {
        self.recorder.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// The newest decoder parameters.
    pub fn tracks(&self) -> Option<Arc<Tracks>> {
        self.ingest().tracks.clone()
    }

    /// What is pushed, and how well.
    pub fn pushed(&self, now: UnixMillis) -> Pushed {
        let ingest = self.ingest();
        match &ingest.unseen {
            Some(Unseen { timeline, health, tracks, .. }) => {
                Pushed { tracks: Some(tracks.clone()), health: health.snapshot(now, timeline.repairs()) }
            }
            None => Pushed {
                tracks: ingest.tracks.clone(),
                health: ingest.health.snapshot(now, ingest.timeline.repairs()),
            },
        }
    }

    /// A new FLV viewer's place.
    pub fn join_flv(&self) -> Cursor<Shared> {
        self.flv.join(&self.frames)
    }

    /// A new RTMP viewer's place.
    pub fn join_rtmp(&self) -> Cursor<Shared> {
        self.rtmp.join(&self.frames)
    }

    /// How many watch through `protocol`.
    pub fn viewers(&self, protocol: Protocol) -> Gauge {
        self.viewers.get_or_create(&protocol).clone()
    }

    /// The first segment is complete, or becomes so within `patience`.
    pub async fn has_segment_within(&self, patience: Duration) -> bool {
        let mut changes = self.changes.subscribe();
        let complete = async {
            while self.window().newest().is_none() {
                if changes.changed().await.is_err() {
                    return false;
                }
            }
            true
        };
        timeout(patience, complete).await.unwrap_or(false)
    }

    /// The multivariant playlist with `uri` in it, once there is a segment.
    pub fn multivariant(&self, uri: &str) -> Option<Bytes> {
        self.window().multivariant(uri)
    }

    /// `EXT-X-TARGETDURATION` in seconds, known with the first segment.
    pub fn target_duration(&self) -> Option<u32> {
        self.window().target_duration()
    }

    /// The media playlist, once there is a segment; `query` goes to every address in it.
    pub fn playlist(&self, format: Format, query: &str) -> Option<Playlist> {
        let (text, target_duration) = {
            let window = self.window();
            (window.playlist(format, query)?, window.target_duration()?)
        };
        // A viewer's own playlist is not worth compressing: it is used once.
        if query.is_empty() {
            let (gzip, etag) = self.playlists.zip(format, &text);
            return Some(Playlist { text, gzip: Some(gzip), etag, target_duration });
        }
        Some(Playlist { etag: etag(&text), text, gzip: None, target_duration })
    }

    /// A segment, listed or not long gone from the list.
    pub fn segment(&self, number: u64) -> Option<Arc<Segment>> {
        self.window().segment(number).cloned()
    }

    /// The same as MPEG-TS: made when the first viewer asks, then shared.
    pub fn ts_segment(&self, number: u64) -> Option<Result<Bytes, Arc<ts::Error>>> {
        let segment = self.window().segment(number).cloned()?;
        Some(self.ts.get_or_make(&segment))
    }

    /// An initialisation section of those segments.
    pub fn init(&self, number: u32) -> Option<Arc<Init>> {
        self.window().init(number).cloned()
    }

    /// Cuts the frames into segments, for the live window and the recorder alike.
    async fn cut(self: Arc<Self>, mut segmenter: Segmenter, recorded: Publisher<Recorded>) {
        let mut frames = self.frames.cursor(Start::Oldest);
        let (mut batch, mut cuts, mut number) = (Vec::new(), Vec::new(), 0);
        loop {
            match frames.next(&mut batch).await {
                Next::Entries => batch.drain(..).for_each(|Queued(item)| segmenter.push(&item, &mut cuts)),
                Next::Lagged { skipped } => {
                    tracing::warn!(
                        skipped,
                        "frames left out of HLS and of the recording: this machine is too slow"
                    );
                    segmenter.push(&Item::Break, &mut cuts);
                }
                Next::End => break,
            }
            for cut in cuts.drain(..) {
                number += 1;
                recorded.push(Recorded { cut: cut.clone(), number });
                self.wait_for_recorder(number).await;
                self.show(&cut);
            }
        }
        self.window().end();
        self.changes.send_modify(|changes| *changes += 1);
    }

    /// What viewers have seen must be there after a restart: a number that is given twice is served stale by every
    /// cache. So the recorder comes first, as long as its disk keeps up; live doesn't wait for a sick one.
    async fn wait_for_recorder(&self, number: u64) {
        if !self.is_recorded() {
            return;
        }
        let mut written = self.written.subscribe();
        let keeps_up = *written.borrow() + RECORDER_BEHIND >= number;
        if keeps_up {
            // Too late is the recorder's own matter: it says so.
            let _ = timeout(RECORDER_PATIENCE, written.wait_for(|written| *written >= number)).await;
        }
    }

    /// The recorder has written every cut up to `number`, or given it up.
    pub fn note_written(&self, number: u64) {
        self.written.send_replace(number);
    }

    fn show(&self, cut: &Cut) {
        if let Err(error) = self.window().apply(cut) {
            tracing::error!(%error, "a cut was left out of the live window");
        }
        self.changes.send_modify(|changes| *changes += 1);
    }

    fn ingest(&self) -> MutexGuard<'_, Ingest> {
        self.ingest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A broadcast may begin or go on here.
pub fn is_entry(sample: &Sample) -> bool {
    match sample.packet.track {
        TrackId::Video => sample.packet.keyframe,
        TrackId::Audio => sample.tracks.video.is_none(),
        TrackId::Data => false,
    }
}

impl Ingest {
    fn look_at(&mut self, epoch: Epoch, sample: Sample, now: UnixMillis) {
        if self.frames.is_none() {
            return;
        }
        let fresh = || Unseen {
            epoch,
            timeline: Timeline::new(),
            health: Health::new(),
            tracks: sample.tracks.clone(),
        };
        let mut unseen = self.unseen.take().filter(|unseen| unseen.epoch == epoch).unwrap_or_else(fresh);
        unseen.tracks = sample.tracks.clone();
        unseen.timeline.push(sample, now, &mut self.made);
        self.made.drain(..).for_each(|frame| unseen.health.record(&frame, now));
        self.unseen = Some(unseen);
    }

    fn publish(&mut self, now: UnixMillis) {
        for frame in self.made.drain(..) {
            self.health.record(&frame, now);
            if let Some(frames) = &self.frames {
                frames.push(Queued(Item::Frame(Arc::new(frame))));
            }
        }
    }

    fn break_run(&mut self) {
        if self.open.take().is_some() {
            let now = UnixMillis(crate::access::unix_now().0);
            self.timeline.end_run(now, &mut self.made);
            self.publish(now);
            // Nothing is pushed, so there is nothing to be said of its health.
            self.health = Health::new();
            if let Some(frames) = &self.frames {
                frames.push(Queued(Item::Break));
            }
        }
    }
}
