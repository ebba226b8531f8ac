//! Everybody who watches one phase of a broadcast.

use std::{collections::HashMap, time::Duration};

use kaibo_broadcast::Millis;

use crate::{Bucket, Curve, Phase, Protocol};

/// Between two looks through a full table for viewers who have left.
const SWEEP: Duration = Duration::from_secs(1);

/// How viewers without a connection come and go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Whoever was served within this time is there.
    pub kept: Duration,
    /// What was served last is watched for this long.
    pub target: Duration,
}

/// Whether somebody may ask for something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entrance {
    /// Yes; told by [`Crowd::exit`] when that is over.
    Counted,
    /// Yes, but the table is full: nobody counts it.
    Full,
    /// No: it has too much under way.
    Crowded,
}

/// The viewers of one phase: those that are connected as a number, those of HLS as a line each for as long as they are
/// there. (They have only requests, now and then.)
#[derive(Debug)]
pub struct Crowd {
    curve: Curve,
    viewers: HashMap<u64, Presence>,
    /// Of those, no more than this.
    most: usize,
    swept: Option<Millis>,
}

#[derive(Debug, Default)]
struct Presence {
    /// Requests under way.
    asking: u32,
    served: Option<Served>,
}

#[derive(Clone, Copy, Debug)]
struct Served {
    at: Millis,
    /// Until when its watching is counted.
    counted: Millis,
    pace: Pace,
}

impl Served {
    /// Milliseconds watched by `until` that are not counted yet.
    fn count(&mut self, until: Millis) -> u64 {
        let millis = u64::try_from(until.0.saturating_sub(self.counted.0)).unwrap_or(0);
        self.counted = self.counted.max(until);
        millis
    }

    /// When what it got last is over.
    fn end(&self) -> Millis {
        self.at + self.pace.target
    }
}

impl Presence {
    fn lasts(&self, now: Millis) -> bool {
        self.asking > 0 || self.served.is_some_and(|served| now.since(served.at) < served.pace.kept)
    }
}

impl Crowd {
    /// Nobody; of viewers without a connection `most` are counted.
    pub fn new(phase: Phase, most: usize) -> Self {
        Self { curve: Curve::new(phase), viewers: HashMap::new(), most, swept: None }
    }

    /// How many watch.
    pub fn watching(&self) -> u64 {
        self.curve.watching()
    }

    /// How many are there without a connection: those who watch, and those whose first request waits. They begin to watch
    /// with its answer.
    pub fn visitors(&self) -> usize {
        self.viewers.len()
    }

    /// Somebody connected comes.
    pub fn join(&mut self, now: Millis) {
        self.advance(now);
        self.curve.join(now);
    }

    /// Somebody connected leaves.
    pub fn leave(&mut self, now: Millis) {
        self.advance(now);
        self.curve.leave(now);
    }

    /// `bytes` were sent.
    pub fn sent(&mut self, protocol: Protocol, bytes: u64, now: Millis) {
        self.advance(now);
        self.curve.sent(protocol, bytes, now);
    }

    /// The viewer `key` asks for something, of which it may have `at_once` under way.
    pub fn enter(&mut self, key: u64, at_once: u32, now: Millis) -> Entrance {
        self.advance(now);
        if self.viewers.len() >= self.most && !self.viewers.contains_key(&key) {
            if self.swept.is_none_or(|swept| now.since(swept) >= SWEEP) {
                self.sweep(now);
            }
            if self.viewers.len() >= self.most {
                return Entrance::Full;
            }
        }
        // Who was away for too long has left, even if nobody has looked.
        if self.viewers.get(&key).is_some_and(|presence| !presence.lasts(now))
            && let Some(gone) = self.viewers.remove(&key)
        {
            self.gone(gone, now);
        }
        let presence = self.viewers.entry(key).or_default();
        if presence.asking >= at_once {
            return Entrance::Crowded;
        }
        presence.asking = presence.asking.saturating_add(1);
        Entrance::Counted
    }

    /// The viewer `key` got what it asked for. True if it was not there before.
    pub fn served(&mut self, key: u64, now: Millis, pace: Pace) -> bool {
        self.advance(now);
        let Some(presence) = self.viewers.get_mut(&key) else { return false };
        match &mut presence.served {
            Some(served) => {
                let millis = served.count(now);
                (served.at, served.pace) = (now, pace);
                self.curve.watched(millis);
                false
            }
            None => {
                presence.served = Some(Served { at: now, counted: now, pace });
                self.curve.appear(now);
                true
            }
        }
    }

    /// A request of the viewer `key` is over.
    pub fn exit(&mut self, key: u64) {
        if let Some(presence) = self.viewers.get_mut(&key) {
            presence.asking = presence.asking.saturating_sub(1);
            // Whoever got nothing was never there.
            if presence.asking == 0 && presence.served.is_none() {
                self.viewers.remove(&key);
            }
        }
    }

    /// Sees who has left.
    pub fn sweep(&mut self, now: Millis) {
        self.advance(now);
        self.swept = Some(now);
        let gone: Vec<_> = self.viewers.extract_if(|_, presence| !presence.lasts(now)).collect();
        for (_, presence) in gone {
            self.gone(presence, now);
        }
    }

    /// Every bucket that is not stored for good, oldest first, counted until `now`.
    pub fn buckets(&mut self, now: Millis) -> Vec<Bucket> {
        self.count_all(now);
        self.curve.buckets().collect()
    }

    /// Those of them that were not stored as they are now.
    pub fn unsaved(&mut self, now: Millis) -> Vec<Bucket> {
        self.count_all(now);
        self.curve.unsaved().collect()
    }

    /// `bucket` was stored.
    pub fn note_saved(&mut self, bucket: &Bucket) {
        self.curve.note_saved(bucket);
    }

    /// Nobody watches, and there is nothing that would have to go on.
    pub fn is_idle(&self) -> bool {
        self.viewers.is_empty() && self.curve.watching() == 0 && self.curve.buckets().next().is_none()
    }

    fn count_all(&mut self, now: Millis) {
        self.sweep(now);
        self.settle(now);
    }

    fn advance(&mut self, now: Millis) {
        while let Some(border) = self.curve.border().filter(|border| *border <= now) {
            self.settle(border);
            self.curve.advance(border);
        }
        self.curve.advance(now);
    }

    /// Counts what everybody has watched by `now`. What a request shows later of the time before counts when it comes.
    fn settle(&mut self, now: Millis) {
        let millis = self.viewers.values_mut().filter_map(|presence| presence.served.as_mut());
        let millis = millis.map(|served| served.count(served.end().min(now))).fold(0, u64::saturating_add);
        self.curve.watched(millis);
    }

    fn gone(&mut self, presence: Presence, now: Millis) {
        if let Some(mut served) = presence.served {
            self.curve.watched(served.count(served.end()));
            self.curve.vanish(now);
        }
    }
}
