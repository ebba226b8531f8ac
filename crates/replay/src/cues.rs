//! The timed events of a broadcast, as many as are kept.

use std::sync::Arc;

use kaibo_media::{Cue, Timestamp};

/// Events that are kept of a broadcast: one every ten seconds for 12 h. Of what an encoder sends, which may be a time code
/// every second, half of that: it must not take the place of what was asked for.
const MOST: usize = 4320;

/// Their bytes, and again half for an encoder's. At 32 recordings in memory that is 64 MiB.
const BYTES: usize = 2 << 20;

/// The timed events of a broadcast in the order in which they came, within bounds.
#[derive(Clone, Debug, Default)]
pub struct Cues {
    kept: Vec<Arc<Cue>>,
    bytes: usize,
}

impl Cues {
    /// Whether `cue` is kept, if it comes next.
    pub fn has_room(&self, cue: &Cue) -> bool {
        let share = if cue.script.is_some() { 2 } else { 1 };
        self.kept.len() < MOST / share && self.bytes + cue.size() <= BYTES / share
    }

    /// Keeps an event, if there is room.
    pub fn keep(&mut self, cue: Arc<Cue>) {
        if self.has_room(&cue) {
            self.bytes += cue.size();
            self.kept.push(cue);
        }
    }

    /// Drops those from number `from` on that are not due before `end`.
    pub(crate) fn cut(&mut self, from: usize, end: Timestamp) {
        for cue in self.kept.extract_if(from.min(self.kept.len()).., |cue| cue.at >= end) {
            self.bytes -= cue.size();
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Arc<Cue>] {
        &self.kept
    }
}
