//! What the disk holds, and what of it may go.

use std::collections::HashMap;

use kaibo_replay::Id;

use super::{Archive, Error, blocking, live::Live};

/// The final recordings that the bucket has, and what of them is here too.
#[derive(Default)]
pub struct Spool {
    whole: HashMap<Id, Whole>,
    /// It was told that the disk holds too much.
    told: bool,
}

struct Whole {
    /// When it became final, in milliseconds since 1970.
    since: i64,
    bytes: u64,
}

impl Spool {
    pub fn knows(&self, id: &Id) -> bool {
        self.whole.contains_key(id)
    }

    pub fn keep(&mut self, id: Id, since: i64, bytes: u64) {
        self.whole.insert(id, Whole { since, bytes });
    }

    pub fn forget(&mut self, id: &Id) {
        self.whole.remove(id);
    }

    /// Bytes of segments that could go.
    pub fn bytes(&self) -> u64 {
        self.whole.values().map(|whole| whole.bytes).sum()
    }

    /// Makes room for `excess` bytes: files of the oldest recordings that the bucket has, then the oldest of live ones.
    pub async fn make_room(
        &mut self,
        archive: &Archive,
        mut excess: u64,
        live: impl Iterator<Item = &mut Live>,
    ) -> Result<(), Error> {
        if excess == 0 {
            self.told = false;
            return Ok(());
        }
        let mut oldest: Vec<(i64, Id)> = self
            .whole
            .iter()
            .filter(|(_, whole)| whole.bytes > 0)
            .map(|(id, whole)| (whole.since, id.clone()))
            .collect();
        oldest.sort();
        for (_, id) in oldest {
            if excess == 0 {
                break;
            }
            let (disk, named) = (archive.disk.clone(), id.clone());
            let free = blocking(move || disk.drop_all_segments(&named)).await?;
            if let Some(whole) = self.whole.get_mut(&id) {
                whole.bytes = 0;
            }
            tracing::debug!(recording = %id, bytes = free, "its segments are in the bucket only");
            excess = excess.saturating_sub(free);
        }
        for live in live {
            if excess == 0 {
                break;
            }
            let segments = live.droppable(excess);
            let numbers: Vec<u64> = segments.iter().map(|segment| segment.number).collect();
            let (disk, id, dropped) = (archive.disk.clone(), live.id.clone(), numbers.len());
            let free = blocking(move || disk.drop_segments(&id, numbers)).await?;
            live.note_dropped(dropped);
            excess = excess.saturating_sub(free);
        }
        if excess > 0 && !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                excess,
                "the disk holds more than storage.spool_max: nothing goes before the bucket has it"
            );
        }
        Ok(())
    }
}
