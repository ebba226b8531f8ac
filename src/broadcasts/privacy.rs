//! Whose replays are not public: asked for every segment, so not always of the store.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use kaibo_broadcast::BroadcastId;

/// Replays that are watched at the same time, or were lately; 100 bytes each.
const KNOWN: usize = 10_000;

/// What the store said of broadcasts that are no longer in memory.
#[derive(Default)]
pub struct Privacy(Mutex<Known>);

#[derive(Default)]
struct Known {
    private: HashMap<BroadcastId, bool>,
    /// Counts changes: what was read before one is not to be remembered after it.
    changes: u64,
}

impl Privacy {
    /// Whether the replay of `id` is private, or what to say with the answer of the store ([`Privacy::learn`]).
    pub fn look_up(&self, id: &BroadcastId) -> Result<bool, u64> {
        let known = self.known();
        known.private.get(id).copied().ok_or(known.changes)
    }

    /// Remembers what was read since [`Privacy::look_up`] said `changes`.
    pub fn learn(&self, id: BroadcastId, private: bool, changes: u64) {
        let mut known = self.known();
        if known.private.len() >= KNOWN {
            known.private.clear();
        }
        if known.changes == changes {
            known.private.insert(id, private);
        }
    }

    /// What is stored of `id` has changed.
    pub fn forget(&self, id: &BroadcastId) {
        let mut known = self.known();
        known.private.remove(id);
        known.changes += 1;
    }

    /// What is stored of several has changed.
    pub fn forget_all(&self) {
        let mut known = self.known();
        known.private.clear();
        known.changes += 1;
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_read_before_a_change_is_not_remembered_after_it() {
        let (privacy, id) = (Privacy::default(), "b1".parse::<BroadcastId>().unwrap());
        let before = privacy.look_up(&id).unwrap_err();
        privacy.forget(&id);
        privacy.learn(id.clone(), false, before);
        let after = privacy.look_up(&id).unwrap_err();
        privacy.learn(id.clone(), true, after);
        assert_eq!(privacy.look_up(&id), Ok(true));
    }
}
