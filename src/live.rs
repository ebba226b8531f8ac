//! The media of one broadcast: the timeline that its publishers write, and everything that reads it.

mod cache;
mod cues;
mod cutting;
mod group;
mod hold;
mod ingest;
mod past;
mod preview;
mod shown;

use std::{
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use kaibo_audience::{Pace, Phase};
use kaibo_broadcast::{Broadcast, BroadcastId, EndReason, Epoch};
use kaibo_container::{
    flv::{Flv, Messages},
    segment::{Cut, Init, Part},
    segmenter::{self, Segmenter},
    ts,
};
use kaibo_hls::{Format, Position, Segment, View, Window};
use kaibo_hub::{Limits, Ring, Start, ring};
use kaibo_media::{Cue, Frame, Sample, Span, Timestamp, Tracks, UnixMillis};
use kaibo_replay::{Listing, Loss};
use tokio::{sync::watch, task::JoinHandle, time::timeout};

use self::{cues::Cues, ingest::Ingest};
pub use self::{
    cues::{Accepted, Everybody, Told, Untold, When, Wish},
    cutting::Recorded,
    group::{Group, Member},
    ingest::{Pushed, is_entry},
    past::Past,
    shown::{Playlist, Shown},
};
use crate::{
    audience::{Audience, Viewer, Visit},
    config,
    packager::{Blocks, Gathering, Outlet, Queued},
    recorder,
    server::Server,
    snapshots::Camera,
};

/// How far a packager or the recorder may be behind before it goes on at the next place to start: a slow disk has
/// this long to come back.
const READER_LAG_MS: i64 = 30_000;

/// Frames, blocks or cuts in a ring: what each costs beside its bytes, at 300 a second for [`READER_LAG_MS`].
const ENTRIES: usize = 10_000;

/// Number of a broadcast's first segment. hls.js 1.7.4 takes a part of segment 0 for a part of none: with each one that it
/// appends it counts what it has of that segment as lost, and loads its parts over and over. The first viewers stood still
/// for 5 s, with 200 requests a second.
const FIRST_SEGMENT: u64 = 1;

/// How long an HLS viewer is taken to be there after it was, at the least: players come once in a target duration or two.
const PRESENCE: Duration = Duration::from_secs(10);

/// What becomes of a broadcast on the disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kept {
    /// There is a recording. One that is just being opened counts, until that fails.
    pub recorded: bool,
    /// What of it was not recorded; none until the recording was opened.
    pub losses: Option<Arc<[Loss]>>,
}

/// The media of one broadcast.
pub struct Live {
    ingest: Mutex<Ingest>,
    /// The timed events so far.
    told: Arc<Told>,
    /// Its place among other qualities of the same stream.
    group: Option<Arc<Member>>,
    frames: Ring<Queued>,
    flv: Arc<Outlet<Flv>>,
    rtmp: Arc<Outlet<Messages>>,
    window: Mutex<Window>,
    /// The window as it is now, for those who read it and those who wait for it to change.
    shown: watch::Sender<Arc<Shown>>,
    cuts: Ring<Recorded>,
    /// Number of the newest cut that the recorder is done with.
    written: watch::Sender<u64>,
    ts: cache::TsSegments,
    recorder: Mutex<Option<JoinHandle<()>>>,
    /// What becomes of it on the disk.
    kept: watch::Sender<Kept>,
    /// Where the media of this process begins.
    begins: Timestamp,
    /// What is recorded, and from which segment on this process does it.
    listing: OnceLock<Arc<Listing>>,
    recorded_from: u64,
    end_reason: OnceLock<EndReason>,
    audience: Arc<Audience>,
    camera: Camera,
    gathering: Gathering,
}

impl Live {
    /// The timeline of a new broadcast, or of one that goes on after a restart, and the task that cuts it into
    /// segments.
    pub fn new(
        server: &Arc<Server>,
        id: &BroadcastId,
        settings: &config::App,
        group: Option<Arc<Member>>,
        audience: Arc<Audience>,
        mut past: Past,
    ) -> Arc<Self> {
        let limits = &server.settings().config.limits;
        let (frames, reader) =
            ring(Limits { bytes: limits.stream_buffer.0, millis: READER_LAG_MS, entries: ENTRIES });
        let (cuts, recorded) =
            ring(Limits { bytes: limits.stream_buffer.0, millis: READER_LAG_MS, entries: ENTRIES });
        let gathering = Gathering {
            batch: match settings.flv.batch {
                // Those who write let frames gather while they are busy.
                config::Batch::Auto => Duration::ZERO,
                config::Batch::Fixed(batch) => batch.0,
            },
            hold: settings.flv.hold.0,
            limits: Limits {
                bytes: limits.stream_buffer.0,
                millis: limits.viewer_lag.as_millis(),
                entries: ENTRIES,
            },
        };
        let begins = past.timeline.end();
        past.segmenter.next_segment = past.segmenter.next_segment.max(FIRST_SEGMENT);
        let mut window = Window::new(kaibo_hls::Config {
            window: Span::from_millis(settings.hls.window.as_millis()),
            discontinuity: past.discontinuity,
            reach: Span::from_millis(settings.hls.dvr_window.as_millis()),
            parts_from: past.segmenter.next_segment,
            joins: group.is_some() && past.segmenter.next_init == 0,
            independent: past.all_independent,
            ..kaibo_hls::Config::default()
        });
        window.recall(past.older.drain(..));
        // Those of the segments that are taken up as cuts come with them.
        let tail = past.tail.iter().find_map(|cut| match cut {
            Cut::Begin(head) => Some(head.start),
            _ => None,
        });
        let before_tail = |cue: &&Arc<Cue>| tail.is_none_or(|tail| cue.at < tail);
        window.recall_cues(past.cues.iter().filter(before_tail).cloned());
        for cut in &past.tail {
            // It comes from the recording.
            if let Err(error) = window.apply_recorded(cut, |_| true) {
                tracing::error!(%error, "a recorded segment was left out of the live window");
            }
        }
        let segmenter = segmenter::Config {
            segment: Span::from_millis(settings.hls.segment.as_millis()),
            part: Span::from_millis(settings.hls.part.as_millis()),
        };
        let told = Arc::new(Told::new(&past.cues, (id.clone(), server.timed.clone())));
        let live = Arc::new(Self {
            ingest: Mutex::new(Ingest::new(
                &mut past,
                frames,
                Cues::new(told.clone()),
                group.clone(),
                &settings.hls,
                server.metrics.clone(),
            )),
            told,
            group,
            flv: Outlet::new(Flv::default(), gathering),
            rtmp: Outlet::new(Messages::default(), gathering),
            shown: watch::Sender::new(Arc::new(Shown::new(window.view(), false))),
            window: Mutex::new(window),
            cuts: recorded,
            written: watch::Sender::new(0),
            ts: cache::TsSegments::default(),
            recorder: Mutex::new(None),
            kept: watch::Sender::default(),
            begins,
            listing: OnceLock::new(),
            recorded_from: past.segmenter.next_segment,
            end_reason: OnceLock::new(),
            audience,
            camera: Camera::default(),
            gathering,
            frames: reader,
        });
        tokio::spawn(live.clone().cut(Segmenter::new(segmenter, past.segmenter), cuts));
        live
    }

    /// From now on the media of `epoch` is public, and nobody else's; its next keyframe begins a new run.
    pub fn open(&self, epoch: Epoch) {
        self.ingest().open(epoch);
    }

    /// The media of `epoch` is public.
    pub fn is_open_for(&self, epoch: Epoch) -> bool {
        self.ingest().owner() == Some(epoch)
    }

    /// Takes samples that arrived at `now`: to show them, if their publisher is the one whose media is public.
    pub fn push(&self, epoch: Epoch, samples: impl Iterator<Item = Sample>, now: UnixMillis) {
        self.ingest().push(epoch, samples, now);
    }

    /// Has a timed event told that is asked for at `now`.
    pub fn tell(&self, wish: Wish, now: UnixMillis) -> Result<Accepted, Untold> {
        self.ingest().tell(wish, now)
    }

    /// The timed events that were told.
    pub fn told(&self) -> &Told {
        &self.told
    }

    /// The push of `epoch` is gone, so there is nothing more to be said of it.
    pub fn forget_unseen(&self, epoch: Epoch) {
        self.ingest().forget_unseen(epoch);
    }

    /// Sends viewers of open streams nothing more, and lets no others in (a ban).
    pub fn withhold(&self) {
        self.ingest().withhold();
        self.flv.shut();
        self.rtmp.shut();
    }

    /// Lets viewers of open streams in again.
    pub fn restore(self: &Arc<Self>) {
        self.flv.reopen();
        self.rtmp.reopen();
        self.ingest().restore();
        self.hold_anew();
    }

    /// The publisher went away: what is half-packaged is closed now, and the picture is held from here on.
    pub fn break_run(self: &Arc<Self>) {
        let holding = {
            let mut ingest = self.ingest();
            ingest.break_run().and_then(|silent| ingest.hold_on(silent))
        };
        self.hold(holding);
    }

    /// The picture is held: viewers see it, silent and still, while the publisher is away.
    pub fn is_holding(&self) -> bool {
        self.ingest().is_holding()
    }

    /// The broadcast is over.
    pub fn end(&self, reason: EndReason) {
        // Only the first reason counts, and only one is ever given.
        let _ = self.end_reason.set(reason);
        self.ingest().end();
    }

    /// Writes the broadcast to the disk from here on.
    pub fn record(self: &Arc<Self>, server: &Arc<Server>, broadcast: &Broadcast, settings: &config::App) {
        let cuts = self.cuts.cursor(Start::Oldest);
        self.note_recorded(true);
        let task = recorder::start(server, broadcast, settings.record.sync.0, cuts, self.clone());
        *self.recorder.lock().unwrap_or_else(PoisonError::into_inner) = Some(task);
    }

    /// Ends all media without ending the broadcast; returns when what is recorded is on the disk.
    pub async fn close(&self) {
        self.ingest().end();
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

    /// What becomes of it on the disk.
    pub fn kept(&self) -> Kept {
        self.kept.borrow().clone()
    }

    /// Returns when [`Live::kept`] is no longer `known`.
    pub async fn kept_changes(&self, known: &Kept) {
        // An error can't be: the sender is here.
        let _ = self.kept.subscribe().wait_for(|kept| kept != known).await;
    }

    /// The recorder has opened the recording, or could not.
    pub fn note_recorded(&self, recorded: bool) {
        self.kept.send_modify(|kept| kept.recorded = recorded);
    }

    /// What the recorder could not write so far.
    pub fn note_losses(&self, losses: &[Loss]) {
        self.kept.send_if_modified(|kept| {
            // Of a recording without any there is nothing to be stored.
            let changed = kept.losses.as_deref().unwrap_or_default() != losses;
            if changed {
                kept.losses = Some(losses.into());
            }
            changed
        });
    }

    /// Where the media of this process begins on the broadcast's timeline.
    pub fn begins(&self) -> Timestamp {
        self.begins
    }

    /// The recorder has opened the recording, and lists there what it has written.
    pub fn note_listing(&self, listing: Arc<Listing>) {
        // There is one recorder.
        let _ = self.listing.set(listing);
    }

    /// The recording has `segment` exactly as viewers were shown it.
    fn is_kept(&self, segment: &Segment) -> bool {
        let number = segment.number();
        let same = |kept: &kaibo_replay::Segment| {
            kept.duration == segment.duration && kept.bytes == segment.size(Format::Fmp4) as u64
        };
        // What there was before a restart was taken from the recording.
        number < self.recorded_from
            || self.listing.get().is_some_and(|listing| {
                listing.read(|kept| {
                    let at = kept.binary_search_by_key(&number, |kept| kept.number);
                    at.is_ok_and(|at| kept.get(at).is_some_and(same))
                })
            })
    }

    /// Returns when the last segment is cut.
    pub async fn ended(&self) {
        // An error can't be: the sender is here.
        let _ = self.shown.subscribe().wait_for(|shown| shown.closed || shown.view.ended()).await;
    }

    /// Where its timeline has got to.
    pub fn end_of_timeline(&self) -> Timestamp {
        self.ingest().timeline.end()
    }

    /// The newest decoder parameters.
    pub fn tracks(&self) -> Option<Arc<Tracks>> {
        self.ingest().tracks()
    }

    /// The newest keyframe that everybody may see, or that was recorded before a restart. Neither filler nor what is pushed
    /// before the start or during a pause.
    pub fn newest_keyframe(&self) -> Option<Arc<Frame>> {
        self.ingest().newest_keyframe()
    }

    /// What takes its snapshots.
    pub fn camera(&self) -> &Camera {
        &self.camera
    }

    /// What is pushed, and how well.
    pub fn pushed(&self, now: UnixMillis) -> Pushed {
        self.ingest().pushed(now)
    }

    /// Somebody waits for the next frame, or for the next part.
    pub fn is_awaited(&self) -> bool {
        // Packagers read frames, and one other, which cuts segments and has time.
        self.frames.cursors() > 1 || self.shown.receiver_count() > 0
    }

    /// Others find their place by when its frames come: it is one quality of several.
    pub fn sets_the_pace(&self) -> bool {
        self.group.is_some()
    }

    /// A new FLV viewer's place.
    pub fn join_flv(&self) -> Blocks {
        self.flv.join(&self.frames)
    }

    /// A new RTMP viewer's place.
    pub fn join_rtmp(&self) -> Blocks {
        self.rtmp.join(&self.frames)
    }

    /// A place for an FLV viewer who may see what is pushed before the start, and its tracks. None while nothing is
    /// pushed.
    pub fn preview_flv(&self) -> Option<(Blocks, Arc<Tracks>)> {
        let mut ingest = self.ingest();
        let (preview, tracks) = ingest.preview(self.gathering)?;
        Some((preview.join_flv(), tracks))
    }

    /// The same for an RTMP viewer.
    pub fn preview_rtmp(&self) -> Option<Blocks> {
        self.ingest().preview(self.gathering).map(|(preview, _)| preview.join_rtmp())
    }

    /// Its viewers.
    pub fn audience(&self) -> &Arc<Audience> {
        &self.audience
    }

    /// An HLS viewer asks for something; none if it has too much under way.
    pub fn visit(&self, viewer: Viewer<'_>) -> Option<Visit<&Audience>> {
        self.audience.visit(Phase::During, viewer)
    }

    /// How its HLS viewers come and go.
    pub fn pace(&self) -> Pace {
        let target = Duration::from_secs(self.target_duration().unwrap_or(0).into());
        Pace { kept: PRESENCE.max(target * 3), target }
    }

    /// What HLS viewers are shown now.
    pub fn shown(&self) -> Arc<Shown> {
        self.shown.borrow().clone()
    }

    /// The same as soon as it is as `wanted`; none if it does not become so within `patience`.
    pub async fn shown_when(&self, patience: Duration, wanted: impl Fn(&View) -> bool) -> Option<Arc<Shown>> {
        let now = self.shown();
        if wanted(&now.view) {
            return Some(now);
        }
        let mut shown = self.shown.subscribe();
        let awaited = shown.wait_for(|shown| shown.closed || wanted(&shown.view));
        let shown = timeout(patience, awaited).await.ok()?.ok()?.clone();
        wanted(&shown.view).then_some(shown)
    }

    /// What is shown once the first segment is complete; none if that takes longer than `patience`.
    pub async fn with_segment_within(&self, patience: Duration) -> Option<Arc<Shown>> {
        self.shown_when(patience, |view| view.newest().is_some()).await
    }

    /// `EXT-X-TARGETDURATION` in seconds, known with the first segment.
    pub fn target_duration(&self) -> Option<u32> {
        self.shown.borrow().view.target_duration()
    }

    /// A part, listed or not long gone from the list.
    pub fn part(&self, Position { segment, parts: index }: Position) -> Option<Arc<Part>> {
        let listed = self.shown.borrow().view.part(segment, index).cloned();
        listed.or_else(|| self.window().part(segment, index).cloned())
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

    /// The recorder has written every cut up to `number`, or given it up.
    pub fn note_written(&self, number: u64) {
        self.written.send_replace(number);
    }

    fn ingest(&self) -> MutexGuard<'_, Ingest> {
        self.ingest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
