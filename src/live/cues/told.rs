//! The timed events of a broadcast so far.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kaibo_broadcast::BroadcastId;
use kaibo_media::Cue;
use kaibo_replay::Cues as Kept;
use tokio::sync::{broadcast, watch};

/// The events that were told, for those who look at them beside the media.
pub struct Told {
    kept: Mutex<Kept>,
    /// How many there are.
    count: watch::Sender<usize>,
    /// For those who listen to every broadcast, and which this is.
    everybody: (BroadcastId, Everybody),
}

/// Those who listen to the events of every broadcast.
pub type Everybody = broadcast::Sender<(BroadcastId, Arc<Cue>)>;

impl Told {
    /// Those of a broadcast that goes on after a restart.
    pub fn new(past: &[Arc<Cue>], everybody: (BroadcastId, Everybody)) -> Self {
        let mut kept = Kept::default();
        past.iter().cloned().for_each(|cue| kept.keep(cue));
        let count = watch::Sender::new(kept.all().len());
        Self { kept: Mutex::new(kept), count, everybody }
    }

    /// Those from number `from` on, counted from 0, but no more than `most`.
    pub fn after(&self, from: usize, most: usize) -> Vec<Arc<Cue>> {
        self.lock().all().iter().skip(from).take(most).cloned().collect()
    }

    /// How many there are, with every change.
    pub fn watch(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }

    pub(super) fn has_room(&self, cue: &Cue) -> bool {
        self.lock().has_room(cue)
    }

    /// What a publisher sends beyond its share is told all the same, and not kept.
    pub(super) fn keep(&self, cue: &Arc<Cue>) {
        let count = {
            let mut kept = self.lock();
            kept.keep(cue.clone());
            kept.all().len()
        };
        self.count.send_replace(count);
        // An error says that nobody listens.
        let (id, everybody) = &self.everybody;
        let _ = everybody.send((id.clone(), cue.clone()));
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
