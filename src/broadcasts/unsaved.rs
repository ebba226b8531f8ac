//! What a broadcast has to store and could not, yet.

use std::{collections::VecDeque, future::pending, time::Duration};

use kaibo_broadcast::BroadcastId;
use kaibo_store::{Error as StoreError, Handle as Store, NewNotice, Record};
use prometheus_client::metrics::gauge::Gauge;
use tokio::{task::JoinHandle, time::Instant};

/// Events that wait for the store at most. A broadcast has some ten in an hour, of a few kB each; beyond this the
/// oldest go.
const EVENTS: usize = 256;

/// From one attempt to the next.
const PAUSE: Duration = Duration::from_secs(1);

/// The events of one broadcast that are not stored, in order, and the attempts to store them.
#[derive(Default)]
pub struct Unsaved {
    events: VecDeque<NewNotice>,
    /// What was seen last is newer than what was stored last.
    stale: bool,
    /// Since a save has failed.
    behind: Option<Behind>,
    saving: Option<JoinHandle<Saved>>,
}

/// How a save went, and of which events.
pub type Saved = (Vec<NewNotice>, Result<Vec<u64>, StoreError>);

struct Behind {
    next: Instant,
    /// How many broadcasts are behind, with this one.
    counted: Gauge,
}

impl Drop for Behind {
    fn drop(&mut self) {
        self.counted.dec();
    }
}

impl Unsaved {
    /// Adds `events` to what the next save stores; how many had to go for them.
    pub fn add(&mut self, events: impl IntoIterator<Item = NewNotice>) -> usize {
        self.stale = true;
        self.events.extend(events);
        let surplus = self.events.len().saturating_sub(EVENTS);
        self.events.drain(..surplus);
        surplus
    }

    /// A save has failed and none has worked since. Whoever waits for a store in this state waits for nothing.
    pub fn is_behind(&self) -> bool {
        self.behind.is_some()
    }

    /// It is time for another attempt.
    pub fn is_due(&self) -> bool {
        self.saving.is_none() && self.behind.as_ref().is_some_and(|behind| behind.next <= Instant::now())
    }

    /// Begins to store what there is. `record`: the broadcast as it is now; none of one that is to leave nothing behind.
    pub fn begin(&mut self, store: &Store, id: &BroadcastId, record: Result<Option<Record>, StoreError>) {
        self.stale = false;
        let (store, id, events) = (store.clone(), id.clone(), Vec::from_iter(self.events.iter().cloned()));
        self.saving = Some(tokio::spawn(async move {
            let record = match record {
                Ok(record) => record,
                Err(error) => return (events, Err(error)),
            };
            let told = events.clone();
            let saved = store.ask(move |store| match record {
                Some(record) => store.save(&record, &told),
                None => {
                    store.delete(&id)?;
                    store.post(&told)
                }
            });
            let saved = saved.await;
            (events, saved)
        }));
    }

    /// How the save that is under way goes; never answers if there is none. Cancelling loses nothing.
    pub async fn saved(&mut self) -> Saved {
        let Some(saving) = &mut self.saving else { return pending().await };
        let saved = saving.await;
        self.saving = None;
        // A panic is logged where it happens; the events are tried again.
        saved.unwrap_or_else(|_| (Vec::new(), Err(StoreError::Closed)))
    }

    /// A save is under way.
    pub fn is_saving(&self) -> bool {
        self.saving.is_some()
    }

    /// `events` are stored. True: so is everything else.
    pub fn stored(&mut self, events: &[NewNotice]) -> bool {
        self.events.retain(|waiting| !events.iter().any(|stored| stored.id == waiting.id));
        if self.stale {
            // At once: the store works again.
            if let Some(behind) = &mut self.behind {
                behind.next = Instant::now();
            }
            return false;
        }
        self.behind = None;
        true
    }

    /// A save failed. True: the one before it had not.
    pub fn failed(&mut self, counted: &Gauge) -> bool {
        let next = Instant::now() + PAUSE;
        match &mut self.behind {
            Some(behind) => {
                behind.next = next;
                false
            }
            None => {
                counted.inc();
                self.behind = Some(Behind { next, counted: counted.clone() });
                true
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use kaibo_broadcast::Millis;

    use super::*;

    fn event(number: usize) -> NewNotice {
        NewNotice {
            id: number.to_string(),
            broadcast: None,
            kind: "push.up".into(),
            at: Millis(0),
            body: String::new(),
            endpoints: Vec::new(),
        }
    }

    #[tokio::test]
    async fn what_came_during_a_save_is_kept_for_the_next_one() {
        let (mut unsaved, pending) = (Unsaved::default(), Gauge::default());
        unsaved.add([event(1)]);
        assert!(unsaved.failed(&pending), "this is news");
        assert!(!unsaved.failed(&pending), "and this is not");
        assert_eq!(pending.get(), 1);
        unsaved.stale = false;
        unsaved.add([event(2)]);
        assert!(!unsaved.stored(&[event(1)]));
        assert!(unsaved.is_due(), "at once");
        assert_eq!(unsaved.events, [event(2)]);
        unsaved.stale = false;
        assert!(unsaved.stored(&[event(2)]));
        assert_eq!(pending.get(), 0);
    }

    #[test]
    fn the_oldest_go_where_too_many_wait() {
        let mut unsaved = Unsaved::default();
        assert_eq!(unsaved.add((0..EVENTS).map(event)), 0);
        assert_eq!(unsaved.add([event(EVENTS)]), 1);
        assert_eq!(unsaved.events.front(), Some(&event(1)));
    }
}
