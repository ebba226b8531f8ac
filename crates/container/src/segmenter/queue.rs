//! Frames of one track that wait for their part.

use std::{collections::VecDeque, sync::Arc};

use kaibo_media::{Frame, Span, Timestamp};

use crate::fmp4::Timed;

/// A frame still without a successor after this time has none: the track paused.
const PAUSE: Span = Span::from_millis(1000);

/// Frames of one track in decoding order.
#[derive(Debug)]
pub(super) struct Queue {
    frames: VecDeque<Arc<Frame>>,
    bytes: usize,
    newest: Option<Timestamp>,
    pace: Pace,
}

impl Queue {
    /// `frame` is how long a frame lasts, as far as the decoder parameters say.
    pub(super) fn new(frame: Option<Span>) -> Self {
        Self { frames: VecDeque::new(), bytes: 0, newest: None, pace: Pace::new(frame) }
    }

    pub(super) fn push(&mut self, frame: Arc<Frame>) {
        if let Some(newest) = self.newest.replace(frame.dts) {
            self.pace.observe(frame.dts - newest);
        }
        self.bytes += frame.data.len();
        self.frames.push_back(frame);
    }

    pub(super) fn drop_oldest(&mut self) {
        if let Some(frame) = self.frames.pop_front() {
            self.bytes -= frame.data.len();
        }
    }

    /// Drops the frames that are due before `time`.
    pub(super) fn drop_before(&mut self, time: Timestamp) {
        while self.frames.front().is_some_and(|frame| frame.dts < time) {
            self.drop_oldest();
        }
    }

    pub(super) fn len(&self) -> usize {
        self.frames.len()
    }

    /// Bytes of the frames that wait.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// How long a frame usually lasts.
    pub(super) fn frame_duration(&self) -> Span {
        Span::from_scale(self.pace.micros, 1_000_000)
    }

    /// Half of [`Queue::frame_duration`].
    pub(super) fn half_frame(&self) -> Span {
        Span::from_scale(self.pace.micros, 2_000_000)
    }

    /// The oldest waiting frame.
    pub(super) fn oldest(&self) -> Option<&Arc<Frame>> {
        self.frames.front()
    }

    /// Decoding time of the newest waiting frame.
    pub(super) fn newest(&self) -> Option<Timestamp> {
        self.frames.back().map(|frame| frame.dts)
    }

    /// The newest waiting frame that is due before `time`.
    pub(super) fn newest_before(&self, time: Timestamp) -> Option<&Arc<Frame>> {
        self.frames.iter().rev().find(|frame| frame.dts < time)
    }

    /// Takes the frames due before `time`; the last one lasts as long as usual if its successor is not there yet.
    pub(super) fn take_before(&mut self, time: Timestamp) -> Vec<Timed> {
        self.take(self.due(time))
    }

    /// The same, but leaves the last one while its successor may still come, for durations without a guess.
    pub(super) fn take_timed(&mut self, time: Timestamp) -> Vec<Timed> {
        let due = self.due(time);
        let waiting = due == self.len() && self.newest().is_some_and(|newest| time - newest <= PAUSE);
        self.take(if waiting { due.saturating_sub(1) } else { due })
    }

    /// Takes the frames due before `time`, or all; the last one lasts as long as usual whatever follows.
    pub(super) fn take_ended(&mut self, time: Option<Timestamp>) -> Vec<Timed> {
        let mut taken = self.take(time.map_or(self.len(), |time| self.due(time)));
        if let Some(Timed { frame, end }) = taken.last_mut() {
            *end = frame.dts + self.frame_duration();
        }
        taken
    }

    fn due(&self, time: Timestamp) -> usize {
        self.frames.iter().take_while(|frame| frame.dts < time).count()
    }

    fn take(&mut self, count: usize) -> Vec<Timed> {
        let mut taken = Vec::with_capacity(count);
        for _ in 0..count {
            let Some(frame) = self.frames.pop_front() else { break };
            self.bytes -= frame.data.len();
            let end = self.frames.front().map_or(frame.dts + self.frame_duration(), |next| next.dts);
            taken.push(Timed { frame, end });
        }
        taken
    }
}

/// How long the frames of a track usually last: a moving average, because RTMP's milliseconds jitter by one.
#[derive(Debug)]
struct Pace {
    micros: i64,
    observed: bool,
}

impl Pace {
    fn new(frame: Option<Span>) -> Self {
        // Without a word from the encoder: 30 frames per second.
        let micros = frame.map_or(33_333, |frame| frame.in_scale(1_000_000));
        Self { micros: micros.clamp(1_000, 500_000), observed: false }
    }

    fn observe(&mut self, duration: Span) {
        let micros = duration.in_scale(1_000_000);
        // A gap says nothing of the pace.
        let longest = if self.observed { self.micros * 4 } else { 500_000 };
        if !(1_000..=longest.min(500_000)).contains(&micros) {
            return;
        }
        if self.observed {
            self.micros += (micros - self.micros) / 16;
        } else {
            self.micros = micros;
            self.observed = true;
        }
    }
}
