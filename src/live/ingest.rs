//! The writing side of a broadcast's media: one publisher at a time.

use std::sync::Arc;

use kaibo_broadcast::Epoch;
use kaibo_container::{flv::Flv, ts};
use kaibo_hub::Publisher;
use kaibo_media::{Frame, Health, HealthReport, Item, Sample, Span, Timeline, TrackId, Tracks, UnixMillis};

use super::{Accepted, Member, Past, Untold, Wish, cues::Cues, hold::Hold, preview::Preview};
use crate::{
    access::unix_now,
    config,
    packager::{Gathering, Queued},
    telemetry::Metrics,
};

/// Takes what publishers send, and gives it its place on the broadcast's timeline.
pub struct Ingest {
    /// The publish session whose media is public now.
    open: Option<Epoch>,
    /// It has not sent a sample to begin with.
    opening: bool,
    pub(super) timeline: Timeline,
    /// Its place among other qualities of the same stream.
    pub(super) group: Option<Arc<Member>>,
    health: Health,
    tracks: Option<Arc<Tracks>>,
    /// The push whose media is not public now.
    unseen: Option<Unseen>,
    /// The frames just made, on their way into the ring.
    pub(super) made: Vec<Frame>,
    /// None once the broadcast is over.
    pub(super) frames: Option<Publisher<Queued>>,
    /// The newest keyframe of what viewers were shown.
    keyframe: Option<Arc<Frame>>,
    pub(super) cues: Cues,
    /// When the newest media came.
    newest: UnixMillis,
    pub(super) hold: Hold,
    metrics: Arc<Metrics>,
}

/// A push before the start of its broadcast, or during a pause: its media is looked at, then dropped, unless somebody
/// watches who may. It has a timeline of its own, so nothing of it comes before the public one's beginning.
struct Unseen {
    epoch: Epoch,
    timeline: Timeline,
    health: Health,
    tracks: Arc<Tracks>,
    preview: Option<Preview>,
}

/// What is pushed, public or not.
pub struct Pushed {
    pub tracks: Option<Arc<Tracks>>,
    pub health: HealthReport,
}

/// A broadcast may begin or go on here.
pub fn is_entry(sample: &Sample) -> bool {
    match sample.packet.track {
        TrackId::Video => sample.packet.keyframe,
        TrackId::Audio => sample.tracks.video.is_none(),
        TrackId::Data => false,
    }
}

/// Whoever asks for it is told as well.
fn tell_what_is_left_out(tracks: &Tracks) {
    if let Err(error) = ts::carries(tracks) {
        tracing::info!(%error, "nobody can watch this as MPEG-TS");
    }
    if let Err(error) = Flv::default().carries(tracks) {
        tracing::info!(%error, "nobody can watch this as FLV");
    }
}

impl Ingest {
    /// Writes to `frames`.
    pub fn new(
        past: &mut Past,
        frames: Publisher<Queued>,
        cues: Cues,
        group: Option<Arc<Member>>,
        settings: &config::Hls,
        metrics: Arc<Metrics>,
    ) -> Self {
        let shows = |frame: &&Frame| frame.track == TrackId::Video;
        let keyframe = past.opening.as_ref().filter(shows).cloned().map(Arc::new);
        Self {
            open: None,
            opening: false,
            timeline: std::mem::take(&mut past.timeline),
            group,
            health: Health::new(),
            tracks: past.tracks.take(),
            unseen: None,
            made: Vec::new(),
            frames: Some(frames),
            keyframe,
            cues,
            newest: UnixMillis::default(),
            hold: Hold::new(settings, past.opening.take(), metrics.clone()),
            metrics,
        }
    }

    /// See [`super::Live::open`].
    pub fn open(&mut self, epoch: Epoch) {
        self.stop_hold();
        self.open = Some(epoch);
        self.opening = true;
        self.unseen = None;
        self.timeline.begin_run();
    }

    /// The publish session whose media is public.
    pub fn owner(&self) -> Option<Epoch> {
        self.open
    }

    /// See [`super::Live::push`].
    pub fn push(&mut self, epoch: Epoch, samples: impl Iterator<Item = Sample>, now: UnixMillis) {
        if self.open != Some(epoch) {
            samples.for_each(|sample| self.look_at(epoch, sample, now));
            return;
        }
        samples.for_each(|sample| self.take(sample, now));
        self.metrics.ingest_frames.inc_by(self.made.len() as u64);
        self.publish(now);
    }

    fn take(&mut self, sample: Sample, now: UnixMillis) {
        if self.opening {
            if !is_entry(&sample) {
                return;
            }
            self.finish_hold();
            if !self.has_place(&sample, now) {
                return;
            }
        }
        (self.opening, self.newest) = (false, now);
        let (track, input_ms) = (sample.packet.track, sample.packet.time_ms);
        if !self.tracks.as_ref().is_some_and(|known| Arc::ptr_eq(known, &sample.tracks)) {
            self.tracks = Some(sample.tracks.clone());
            tell_what_is_left_out(&sample.tracks);
        }
        self.timeline.push(sample, now, &mut self.made);
        if let Some(group) = &self.group {
            group.note(self.timeline.mark(track, input_ms, now), self.timeline.end());
        }
    }

    /// See [`super::Live::forget_unseen`].
    pub fn forget_unseen(&mut self, epoch: Epoch) {
        self.unseen.take_if(|unseen| unseen.epoch == epoch);
    }

    /// The publisher went away: what is half-packaged is closed now. Answers for how long it had been silent, if there
    /// was one.
    pub fn break_run(&mut self) -> Option<Span> {
        self.open.take()?;
        if self.opening {
            // It was back without a frame.
            self.let_go();
        }
        let now = UnixMillis(unix_now().0);
        self.timeline.end_run(now, &mut self.made);
        self.publish(now);
        self.cues.pause(self.timeline.end());
        self.note_end();
        // Nothing is pushed, so there is nothing to be said of its health.
        self.health = Health::new();
        self.show_break();
        Some(Span::from_millis(now.0.saturating_sub(self.newest.0)))
    }

    /// Nothing follows.
    pub fn end(&mut self) {
        self.break_run();
        self.unseen = None;
        self.let_go();
        self.frames = None;
        if let Some(group) = &self.group {
            group.leave();
        }
    }

    /// The newest decoder parameters.
    pub fn tracks(&self) -> Option<Arc<Tracks>> {
        self.tracks.clone()
    }

    /// See [`super::Live::newest_keyframe`].
    pub fn newest_keyframe(&self) -> Option<Arc<Frame>> {
        self.keyframe.clone()
    }

    /// What is pushed, and how well.
    pub fn pushed(&self, now: UnixMillis) -> Pushed {
        match &self.unseen {
            Some(Unseen { timeline, health, tracks, .. }) => {
                Pushed { tracks: Some(tracks.clone()), health: health.snapshot(now, timeline.repairs()) }
            }
            None => Pushed {
                tracks: self.tracks.clone(),
                health: self.health.snapshot(now, self.timeline.repairs()),
            },
        }
    }

    /// What is pushed and not public, to be watched.
    pub fn preview(&mut self, gathering: Gathering) -> Option<(&Preview, Arc<Tracks>)> {
        let unseen = self.unseen.as_mut()?;
        let preview = unseen.preview.get_or_insert_with(|| Preview::new(gathering));
        Some((preview, unseen.tracks.clone()))
    }

    /// What is half-packaged is to be closed.
    pub(super) fn show_break(&self) {
        if let Some(frames) = &self.frames {
            frames.push(Queued(Item::Break));
        }
    }

    /// Without a publisher its media has come to where it is now.
    pub(super) fn note_end(&self) {
        if let Some(group) = &self.group {
            group.pause(self.timeline.end());
        }
    }

    /// A run may begin with `first`. Among other qualities that is where those are, once that is behind its own end.
    fn has_place(&mut self, first: &Sample, now: UnixMillis) -> bool {
        let Some(group) = &self.group else { return true };
        let place = group.place(&first.packet, &self.timeline, now);
        place.inspect(|place| self.timeline.begin_at(*place)).is_some()
    }

    fn look_at(&mut self, epoch: Epoch, sample: Sample, now: UnixMillis) {
        if self.frames.is_none() {
            return;
        }
        let fresh = || Unseen {
            epoch,
            timeline: Timeline::new(),
            health: Health::new(),
            tracks: sample.tracks.clone(),
            preview: None,
        };
        let mut unseen = self.unseen.take().filter(|unseen| unseen.epoch == epoch).unwrap_or_else(fresh);
        unseen.tracks = sample.tracks.clone();
        unseen.timeline.push(sample, now, &mut self.made);
        // Made again for the next one who comes.
        unseen.preview.take_if(|preview| !preview.is_watched());
        for frame in self.made.drain(..) {
            unseen.health.record(&frame, now);
            if let Some(preview) = &unseen.preview {
                preview.push(frame);
            }
        }
        self.unseen = Some(unseen);
    }

    fn publish(&mut self, now: UnixMillis) {
        // What an encoder tells beside its media joins nothing.
        if self.made.iter().any(|frame| frame.track != TrackId::Data) {
            self.join_hold();
        }
        let Some(frames) = &self.frames else { return self.made.clear() };
        for frame in self.made.drain(..) {
            if frame.track == TrackId::Data {
                if let Some(cue) = self.cues.of_publisher(&frame, now) {
                    frames.push(Queued(Item::Cue(cue)));
                }
                continue;
            }
            self.health.record(&frame, now);
            self.hold.keeper.note(&frame);
            for cue in self.cues.due(&frame) {
                frames.push(Queued(Item::Cue(cue)));
            }
            let frame = Arc::new(frame);
            if frame.keyframe && frame.track == TrackId::Video {
                self.keyframe = Some(frame.clone());
            }
            frames.push(Queued(Item::Frame(frame)));
        }
    }

    /// See [`super::Live::tell`].
    pub fn tell(&mut self, wish: Wish, now: UnixMillis) -> Result<Accepted, Untold> {
        let frames = self.frames.as_ref().ok_or(Untold::NoMedia)?;
        let (accepted, cue) = self.cues.ask(wish, now)?;
        if let Some(cue) = cue {
            frames.push(Queued(Item::Cue(cue)));
        }
        Ok(accepted)
    }
}
