//! What a broadcast's media has from before a restart of the server.

use std::{sync::Arc, time::Duration};

use kaibo_broadcast::Millis;
use kaibo_container::{segment::Cut, segmenter};
use kaibo_hls::Old;
use kaibo_media::{Cue, Frame, Timeline, Timestamp, Tracks};

/// What a broadcast's media goes on from.
pub struct Past {
    pub timeline: Timeline,
    pub segmenter: segmenter::Resume,
    /// The newest decoder parameters.
    pub tracks: Option<Arc<Tracks>>,
    /// The frame that the newest recorded media of a publisher begins with: what can be held.
    pub opening: Option<Frame>,
    /// Discontinuity sequence number of the segment before `tail`.
    pub discontinuity: u64,
    /// Those that were listed before them, without a hole.
    pub older: Vec<Old>,
    /// Every recorded segment begins with a keyframe.
    pub all_independent: bool,
    /// The segments that were listed last.
    pub tail: Vec<Cut>,
    /// All timed events.
    pub cues: Vec<Arc<Cue>>,
}

impl Default for Past {
    fn default() -> Self {
        Self {
            timeline: Timeline::default(),
            segmenter: segmenter::Resume::default(),
            tracks: None,
            opening: None,
            discontinuity: 0,
            older: Vec::new(),
            all_independent: true,
            tail: Vec::new(),
            cues: Vec::new(),
        }
    }
}

impl Past {
    /// When the newest media came that was recorded.
    pub fn heard(&self) -> Option<Millis> {
        let newest = self.tail.iter().rposition(|cut| matches!(cut, Cut::Begin(_)))?;
        let media = self.tail.get(newest..).unwrap_or_default().iter();
        media.fold(None, |heard, cut| match cut {
            Cut::Begin(head) => Some(Millis(head.wall.0)),
            Cut::Part(part) => heard.map(|Millis(heard)| Millis(heard + part.duration.as_millis())),
            Cut::End(_) => heard,
        })
    }

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
