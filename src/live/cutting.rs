//! The frames of a broadcast, cut into segments: for the recorder first, then for the viewers.

mod uncut;

use std::{
    sync::{Arc, PoisonError},
    time::Duration,
};

use kaibo_container::{segment::Cut, segmenter::Segmenter};
use kaibo_hub::{Entry, Next, Publisher, Start};
use kaibo_media::{Item, Span};
use tokio::time::{Instant, sleep_until, timeout};

use self::uncut::Uncut;
use super::{Live, Shown};
use crate::packager::Queued;

/// How long a cut is kept from viewers for the recorder to write it; usually it takes a millisecond.
const RECORDER_PATIENCE: Duration = Duration::from_millis(200);

/// A recorder that is further behind than this many cuts (two segments of four parts) is not waited for.
const RECORDER_BEHIND: u64 = 12;

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

impl Live {
    /// Cuts the frames into segments, for the live window and the recorder alike.
    pub(super) async fn cut(self: Arc<Self>, mut segmenter: Segmenter, recorded: Publisher<Recorded>) {
        let mut frames = self.frames.cursor(Start::Oldest);
        let (mut batch, mut cuts, mut number, mut run) = (Vec::new(), Vec::new(), 0, None);
        let (mut shown_at, mut uncut) = (Instant::now(), Uncut::default());
        loop {
            // Until then a frame is only added to a part: it waits for those that follow.
            let due = segmenter.next_cut().map_or(i64::MIN, |at| at.as_millis());
            match frames.next_from(due, &mut batch).await {
                Next::Entries => {
                    let first = frames.position() - batch.len() as u64;
                    for (number, Queued(item)) in (first..).zip(batch.drain(..)) {
                        uncut.note(number, &item);
                        if let Item::Frame(frame) = &item
                            && run.replace(frame.run.number) != Some(frame.run.number)
                            && let Some(beside) =
                                self.group.as_ref().and_then(|group| group.beside(frame.dts))
                        {
                            segmenter.cut_beside(beside, frame.dts, &mut cuts);
                        }
                        segmenter.push(&item, &mut cuts);
                    }
                }
                Next::Lagged { skipped } => {
                    tracing::warn!(
                        skipped,
                        "frames left out of HLS and of the recording: this machine is too slow"
                    );
                    segmenter.push(&Item::Break, &mut cuts);
                }
                Next::End => break,
            }
            if let Some(group) = &self.group {
                group.note_cuts(&cuts);
            }
            for cut in &cuts {
                number += 1;
                recorded.push(Recorded { cut: cut.clone(), number });
                if let Cut::Part(part) = cut {
                    self.frames.replace(uncut.cut(part));
                }
            }
            if !cuts.is_empty() {
                self.wait_for_recorder(number).await;
                self.show(&cuts);
                shown_at = Instant::now();
                cuts.clear();
            }
        }
        // Without a reason the broadcast goes on when the server is back.
        let ended = self.end_reason().is_some();
        drop(recorded);
        if ended {
            self.let_last_part_be_taken(shown_at).await;
        }
        let mut window = self.window();
        if ended {
            window.end();
        }
        self.shown.send_replace(Arc::new(Shown::new(window.view(), !ended)));
    }

    /// hls.js (1.7.4) loads no further part of the last segment once a list says that it is the last: it would never
    /// come to the end. So the list ends when the next part, if there were one, would be due. It is not announced: for
    /// Shaka (5.2) an announced part that doesn't come is a fatal error.
    async fn let_last_part_be_taken(&self, shown_at: Instant) {
        let part = self.window().view().part_target().map_or(0, Span::as_millis);
        sleep_until(shown_at + Duration::from_millis(part.unsigned_abs())).await;
    }

    /// What viewers have seen must be there after a restart: a number that is given twice is served stale by every
    /// cache. So the recorder comes first, as long as its disk keeps up; live doesn't wait for a sick one.
    async fn wait_for_recorder(&self, number: u64) {
        // One that is about to open its recording is waited for, too.
        if self.recorder.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
            return;
        }
        let mut written = self.written.subscribe();
        let keeps_up = *written.borrow() + RECORDER_BEHIND >= number;
        if keeps_up {
            // Too late is the recorder's own matter: it says so.
            let _ = timeout(RECORDER_PATIENCE, written.wait_for(|written| *written >= number)).await;
        }
    }

    /// All of them at once: the last part of a segment is not seen before its end, so that what is announced next is
    /// always what comes.
    fn show(&self, cuts: &[Cut]) {
        let mut window = self.window();
        // The broadcast may be over while what came before its end is still being cut.
        if self.end_reason().is_some() && matches!(cuts.last(), Some(Cut::End(_))) {
            window.announce_nothing();
        }
        for cut in cuts {
            if let Err(error) = window.apply_recorded(cut, |segment| self.is_kept(segment)) {
                tracing::error!(%error, "a cut was left out of the live window");
            }
        }
        self.shown.send_replace(Arc::new(Shown::new(window.view(), false)));
    }
}
