//! How many watch at a time, as buckets.

use std::collections::VecDeque;

use kaibo_broadcast::Millis;

use crate::{Bucket, Phase, Protocol};

/// Closed buckets that wait to be stored: a day of the short ones. A store that was away for longer loses the oldest.
const UNSAVED: usize = 720;

/// The viewers of one phase at any time. Every time that it is told lies at or after the one before.
#[derive(Debug)]
pub struct Curve {
    phase: Phase,
    watching: u64,
    /// Of those, whose time passes by itself: they are connected.
    connected: u64,
    /// Until when the time of the connected is counted.
    counted: Millis,
    open: Option<Bucket>,
    closed: VecDeque<Bucket>,
    /// The open one as it was stored last.
    saved: Option<Bucket>,
}

impl Curve {
    /// Nobody has come yet.
    pub fn new(phase: Phase) -> Self {
        Self {
            phase,
            watching: 0,
            connected: 0,
            counted: Millis::default(),
            open: None,
            closed: VecDeque::new(),
            saved: None,
        }
    }

    /// How many watch.
    pub fn watching(&self) -> u64 {
        self.watching
    }

    /// When the open bucket ends; none while there is none.
    pub fn border(&self) -> Option<Millis> {
        self.open.map(|open| self.phase.bucket_at(open.start) + self.phase.bucket())
    }

    /// Counts what has passed until `now`, and closes what ended by then.
    pub fn advance(&mut self, now: Millis) {
        while let Some(border) = self.border().filter(|border| *border <= now) {
            self.pass(border);
            if let Some(bucket) = self.open.take() {
                if self.closed.len() >= UNSAVED {
                    self.closed.pop_front();
                }
                self.closed.push_back(bucket);
            }
            if self.watching > 0 {
                self.open(border);
            }
        }
        self.pass(now);
    }

    /// Somebody connected comes.
    pub fn join(&mut self, now: Millis) {
        self.advance(now);
        self.connected += 1;
        self.appear(now);
    }

    /// Somebody connected leaves.
    pub fn leave(&mut self, now: Millis) {
        self.advance(now);
        self.connected = self.connected.saturating_sub(1);
        self.vanish(now);
    }

    /// Somebody comes whose time [`Curve::watched`] tells.
    pub fn appear(&mut self, now: Millis) {
        self.advance(now);
        self.watching += 1;
        let watching = self.watching;
        let bucket = self.open(now);
        bucket.joins += 1;
        if watching > bucket.peak {
            (bucket.peak, bucket.peak_at) = (watching, now);
        }
    }

    /// And leaves.
    pub fn vanish(&mut self, now: Millis) {
        self.advance(now);
        self.open(now).leaves += 1;
        self.watching = self.watching.saturating_sub(1);
    }

    /// Somebody who is not connected has watched for `millis`.
    pub fn watched(&mut self, millis: u64) {
        let now = self.counted;
        if millis > 0 {
            let bucket = self.open(now);
            bucket.watched_ms = bucket.watched_ms.saturating_add(millis);
        }
    }

    /// `bytes` were sent.
    pub fn sent(&mut self, protocol: Protocol, bytes: u64, now: Millis) {
        if bytes > 0 {
            self.advance(now);
            self.open(now).sent.add(protocol, bytes);
        }
    }

    /// Every bucket that is not stored for good, oldest first.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> {
        self.closed.iter().copied().chain(self.open)
    }

    /// Those of them that were not stored as they are now.
    pub fn unsaved(&self) -> impl Iterator<Item = Bucket> {
        self.closed.iter().copied().chain(self.open.filter(|open| Some(*open) != self.saved))
    }

    /// `bucket` was stored.
    pub fn note_saved(&mut self, bucket: &Bucket) {
        self.closed.retain(|closed| closed != bucket);
        if self.open.is_some_and(|open| open.start == bucket.start) {
            self.saved = Some(*bucket);
        }
    }

    /// The open bucket; a new one where there is none.
    fn open(&mut self, now: Millis) -> &mut Bucket {
        let watching = self.watching;
        self.open.get_or_insert_with(|| {
            // Who is there already is there from its beginning on.
            Bucket { start: now, peak: watching, peak_at: now, ..Bucket::default() }
        })
    }

    fn pass(&mut self, now: Millis) {
        let passed = u64::try_from(now.0.saturating_sub(self.counted.0)).unwrap_or(0);
        if let Some(open) = &mut self.open {
            open.watched_ms = open.watched_ms.saturating_add(passed.saturating_mul(self.connected));
        }
        self.counted = self.counted.max(now);
    }
}
