//! The hold picture: while the publisher is away, viewers see the last picture, silent and still.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use kaibo_hold::{Filler, Keeper};
use kaibo_media::{Edge, Frame, Item, Span, Timestamp, TrackId, UnixMillis};
use tokio::time::{MissedTickBehavior, interval};

use super::{Live, ingest::Ingest};
use crate::{access::unix_now, config, packager::Queued, telemetry::Metrics};

/// How often filler is made: at 10 pictures per second one at a time, so that FLV players get it evenly.
const TICK: Duration = Duration::from_millis(100);

/// A publisher whose loss is noticed late has left a gap against the wall clock. So much of it is filled at once: HLS
/// players take it without a stall, and FLV players do not fall further behind for good.
const CATCH_UP: Span = Span::from_millis(4000);

/// The side of [`Ingest`] that goes on without a publisher.
pub struct Hold {
    /// What can be held.
    pub keeper: Keeper,
    enabled: bool,
    /// Viewers are sent nothing (a ban).
    withheld: bool,
    /// Longest time to hold a picture.
    longest: Duration,
    segment: Span,
    now: Option<Holding>,
    /// Of a picture that is no longer held, until the first frames of the publisher that is back are there.
    last: Option<Filler>,
    /// Counts the times that a picture was held.
    count: u64,
    metrics: Arc<Metrics>,
}

/// A picture being held.
struct Holding {
    filler: Filler,
    /// Where the timeline was at `since`.
    from: Timestamp,
    since: Instant,
}

impl Hold {
    /// `opening`: a frame from before a restart.
    pub fn new(settings: &config::Hls, opening: Option<Frame>, metrics: Arc<Metrics>) -> Self {
        let mut keeper = Keeper::default();
        if let Some(opening) = opening {
            keeper.note(&opening);
        }
        let longest = settings.hold_max.0;
        Self {
            keeper,
            enabled: settings.hold == config::Hold::Picture,
            withheld: false,
            longest: if longest.is_zero() { Duration::MAX } else { longest },
            segment: Span::from_millis(settings.segment.as_millis()),
            now: None,
            last: None,
            count: 0,
            metrics,
        }
    }

    fn stop(&mut self) {
        let Some(Holding { filler, .. }) = self.now.take() else { return };
        self.metrics.holding.dec();
        self.last = Some(filler);
    }
}

impl Ingest {
    /// Holds the picture, if that can be done, in the run that was cut off, after a publisher was `silent` for so long.
    /// Answers with the number of this time.
    pub fn hold_on(&mut self, silent: Span) -> Option<u64> {
        let edge = self.timeline.edge();
        self.hold_from(edge, silent.clamp(Span::ZERO, CATCH_UP))
    }

    /// The same in a run of its own: the wall clock has gone on, and nobody has seen anything meanwhile.
    pub fn hold_anew(&mut self) -> Option<u64> {
        if self.owner().is_some() || self.hold.now.is_some() {
            return None;
        }
        let edge = self.timeline.edge_of_next_run(UnixMillis(unix_now().0));
        self.hold_from(edge, Span::ZERO)
    }

    fn hold_from(&mut self, edge: Edge, behind: Span) -> Option<u64> {
        let hold = &mut self.hold;
        if !hold.enabled || hold.withheld || self.frames.is_none() {
            return None;
        }
        let filler = hold.keeper.filler(edge, hold.segment)?;
        let from = edge.picture.max(edge.sound) + behind;
        hold.now = Some(Holding { filler, from, since: Instant::now() });
        hold.count += 1;
        hold.metrics.holding.inc();
        Some(hold.count)
    }

    /// A picture is held.
    pub fn is_holding(&self) -> bool {
        self.hold.now.is_some()
    }

    /// Viewers are to be sent nothing.
    pub fn withhold(&mut self) {
        self.hold.withheld = true;
        self.let_go();
    }

    /// They are again.
    pub fn restore(&mut self) {
        self.hold.withheld = false;
    }

    /// Makes what is due, if the picture is still being held for the `number`th time.
    fn fill(&mut self, number: u64) -> bool {
        if self.hold.count != number {
            return false;
        }
        let Some(Holding { filler, from, since }) = &mut self.hold.now else { return false };
        let held = since.elapsed();
        let millis = i64::try_from(held.as_millis()).unwrap_or(i64::MAX);
        let mut frames = Vec::new();
        filler.fill(*from + Span::from_millis(millis), &mut frames);
        self.timeline.filled(filler.edge());
        self.note_end();
        self.show_filler(frames);
        let go_on = held < self.hold.longest;
        if !go_on {
            self.let_go();
        }
        go_on
    }

    /// Holds the picture no longer.
    pub fn let_go(&mut self) {
        self.hold.stop();
        self.finish_hold();
        if self.hold.last.take().is_some() {
            self.show_break();
        }
    }

    /// Holds the picture no longer, for the publisher is back; [`Ingest::finish_hold`] and [`Ingest::join_hold`] follow
    /// with its first frames.
    pub fn stop_hold(&mut self) {
        self.hold.stop();
    }

    /// Ends the last segment of a picture that is no longer held. A run may begin behind it now.
    pub fn finish_hold(&mut self) {
        let Some(filler) = &mut self.hold.last else { return };
        let mut frames = Vec::new();
        filler.finish(&mut frames);
        self.timeline.filled(filler.edge());
        self.note_end();
        self.show_filler(frames);
    }

    /// Joins it to the frames just made, with which the publisher is back.
    pub fn join_hold(&mut self) {
        let Some(mut filler) = self.hold.last.take() else { return };
        let mut silence = Vec::new();
        if let Some(sound) = self.made.iter().find(|frame| frame.track == TrackId::Audio) {
            filler.silence_until(sound.dts, &mut silence);
        }
        self.show_filler(silence);
        self.show_break();
    }

    /// It is no media of a publisher: nothing is to be said of its health.
    fn show_filler(&mut self, filler: Vec<Frame>) {
        for frame in filler {
            let cues = self.cues.due(&frame);
            if let Some(frames) = &self.frames {
                cues.into_iter().for_each(|cue| frames.push(Queued(Item::Cue(cue))));
                frames.push(Queued(Item::Frame(Arc::new(frame))));
            }
        }
    }
}

impl Live {
    /// Holds the picture of a broadcast that waits for its publisher, although none has just gone: after a restart of
    /// the server, or a ban.
    pub fn hold_anew(self: &Arc<Self>) {
        let holding = self.ingest().hold_anew();
        self.hold(holding);
    }

    /// Makes filler while the picture is held for the `number`th time.
    pub(super) fn hold(self: &Arc<Self>, number: Option<u64>) {
        let Some(number) = number else { return };
        let live = self.clone();
        tokio::spawn(async move {
            let mut ticks = interval(TICK);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            // The first tick comes at once, when nothing is due yet.
            ticks.tick().await;
            loop {
                ticks.tick().await;
                if !live.ingest().fill(number) {
                    return;
                }
            }
        });
    }
}
