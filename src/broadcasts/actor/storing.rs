//! What the actor makes durable, and when.

use kaibo_broadcast::Effect;
use kaibo_store::{Error as StoreError, NewNotice};

use super::{
    super::{Status, unsaved::Saved},
    Actor,
};
use crate::notices;

impl Actor {
    /// Makes the broadcast as it is now durable, before anybody can see what follows from it. If the disk can't take
    /// it, live goes on all the same, and does not wait again: [`Actor::retry`] stores it as soon as that works.
    pub(super) async fn store(&mut self, effects: &[Effect]) -> Result<(), StoreError> {
        if self.forgotten {
            return Ok(());
        }
        let now = self.server.clock.now();
        let status = Status::of(&self.broadcast, &self.about, &self.handle.live, now);
        let recorded = self.is_to_be_recorded();
        let told = effects.iter().filter_map(|effect| match effect {
            Effect::Announce(notice) => {
                let push = self.about.push.as_ref();
                Some(notices::event(&self.server, notice, &status, push, recorded, now))
            }
            _ => None,
        });
        let told: Vec<_> = told.collect();
        self.keep(told);
        if self.unsaved.is_behind() {
            return Err(StoreError::RolledBack);
        }
        self.save().await
    }

    /// Puts `told` behind the events that are to be stored.
    pub(super) fn keep(&mut self, told: impl IntoIterator<Item = NewNotice>) {
        let dropped = self.unsaved.add(told);
        if dropped > 0 {
            self.server.metrics.events_dropped.inc_by(dropped as u64);
            tracing::error!(broadcast = %self.broadcast.id(), dropped, "too many events wait to be stored");
        }
    }

    /// Stores the broadcast as it is now and the events that wait; of one that is forgotten the events alone.
    pub(super) async fn save(&mut self) -> Result<(), StoreError> {
        if self.unsaved.is_saving() {
            let saved = self.unsaved.saved().await;
            self.note_retried(saved);
        }
        self.begin_save();
        let saved = self.unsaved.saved().await;
        self.note_saved(saved)
    }

    fn begin_save(&mut self) {
        let record = (!self.forgotten)
            .then(|| Status::to_record(&self.broadcast, &self.about, &self.handle.live))
            .transpose();
        self.unsaved.begin(&self.server.store, self.broadcast.id(), record);
    }

    /// Makes the next attempt if the last save failed and it is time.
    pub(super) fn retry(&mut self) {
        if self.unsaved.is_due() {
            self.begin_save();
        }
    }

    pub(super) fn note_retried(&mut self, saved: Saved) {
        // An error is logged, and tried again.
        let _ = self.note_saved(saved);
    }

    fn note_saved(&mut self, (events, saved): Saved) -> Result<(), StoreError> {
        let broadcast = self.broadcast.id();
        match saved {
            Ok(sequences) => {
                let was_behind = self.unsaved.is_behind();
                if self.unsaved.stored(&events) && was_behind {
                    tracing::info!(%broadcast, "stored at last");
                }
                self.server.tell(events, &sequences);
                Ok(())
            }
            Err(error) => {
                self.server.metrics.store_errors.inc();
                if self.unsaved.failed(&self.server.metrics.store_pending) {
                    tracing::error!(%broadcast, %error, "can't store a broadcast; it is tried again");
                }
                Err(error)
            }
        }
    }

    /// A recording that begins, or loses something, between two transitions: that is known after a restart, too.
    pub(super) async fn note_recording(&mut self) {
        self.kept = self.handle.live.kept();
        // An error is logged, and tried again.
        let _ = self.store(&[]).await;
        self.show();
    }
}
