//! Broadcasts whose media is no longer in memory, or soon won't be.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
};

use kaibo_broadcast::{App, BroadcastId, Stream};

use super::Status;

/// Ended broadcasts that are known without asking the store.
const HISTORY: usize = 10_000;

/// Broadcasts that are over; at most [`HISTORY`] of them, each once.
///
/// Of each name that is in it, the newest one made is known by the name, deleted or not: it has the keys that may not
/// open the name again, and their encoders knock on. A name is let go of with its newest.
#[derive(Default)]
pub struct Past {
    /// In the order of their retirement.
    order: VecDeque<Arc<Status>>,
    by_name: HashMap<(App, Stream), Arc<Status>>,
}

impl Past {
    /// The newest of a name.
    pub fn newest(&self, name: &(App, Stream)) -> Option<&Arc<Status>> {
        self.by_name.get(name)
    }

    /// One that is known has changed.
    pub fn replace(&mut self, status: &Arc<Status>) {
        let known = self.order.iter_mut().chain(self.by_name.values_mut());
        known.filter(|known| known.id == status.id).for_each(|known| *known = status.clone());
    }

    /// Takes in a broadcast that is over, or what is new of one that it knows.
    pub fn push(&mut self, status: Arc<Status>) {
        // Going through all of them takes some 100 µs.
        self.order.retain(|known| known.id != status.id);
        if self.order.len() >= HISTORY
            && let Some(oldest) = self.order.pop_front()
        {
            self.let_go(&oldest.id, name(&oldest));
        }
        let name = name(&status);
        if self.by_name.get(&name).is_none_or(|last| last.created_at <= status.created_at) {
            self.by_name.insert(name, status.clone());
        }
        self.order.push_back(status);
    }

    /// A broadcast was deleted. Its name remembers its keys, unless a newer one has taken the name over.
    pub fn delete(&mut self, known: &Status) {
        self.order.retain(|status| status.id != known.id);
        let name = name(known);
        if self.by_name.get(&name).is_none_or(|last| last.created_at <= known.created_at) {
            // What is left of it counts as any other one, and is let go of in its turn.
            self.push(Arc::new(Status { recorded: false, ..known.clone() }));
        }
    }

    fn let_go(&mut self, id: &BroadcastId, name: (App, Stream)) {
        if self.by_name.get(&name).is_some_and(|last| last.id == *id) {
            self.by_name.remove(&name);
        }
    }
}

fn name(status: &Status) -> (App, Stream) {
    (status.app.clone(), status.stream.clone())
}

#[cfg(test)]
mod tests {
    use kaibo_broadcast::{Broadcast, Credential, Event, Millis, Policy, Publish};
    use kaibo_store::Record;

    use super::*;

    /// The broadcast `id` of live/STREAM, made at second `at`, and stopped while `key` pushed into it.
    fn stopped(id: &str, stream: &str, at: i64, key: &str) -> Arc<Status> {
        let now = Millis(at * 1000);
        let (app, stream) = ("live".parse().unwrap(), stream.parse().unwrap());
        let mut broadcast = Broadcast::ad_hoc(id.parse().unwrap(), app, stream, Policy::default(), &[], now);
        let fingerprint = serde_json::from_value(key.into()).unwrap();
        let credential = Some(Credential { fingerprint, expires: Millis(1 << 40) });
        broadcast.handle(Event::Publish(Publish { credential, expired: false }), now);
        broadcast.handle(Event::Keyframe { epoch: broadcast.owner().unwrap() }, now);
        broadcast.handle(Event::Stop, now);
        let status = Status::of_record(&Record::new(&broadcast, "local", 1).unwrap(), now).unwrap();
        assert_eq!(status.barred.len(), 1);
        Arc::new(status)
    }

    /// Which broadcast bars keys from `stream`.
    fn bars<'p>(past: &'p Past, stream: &str) -> Option<&'p str> {
        let name = ("live".parse().unwrap(), stream.parse().unwrap());
        past.newest(&name).map(|status| status.id.as_str())
    }

    #[test]
    fn each_broadcast_is_there_once_and_its_name_knows_the_newest() {
        let mut past = Past::default();
        let (old, new) = (stopped("old", "room", 1, "a"), stopped("new", "room", 2, "b"));
        past.push(new.clone());
        // Its playlist was shown for longer.
        past.push(old.clone());
        past.push(old);
        past.push(new);
        assert_eq!((bars(&past, "room"), past.order.len()), (Some("new"), 2));
    }

    #[test]
    fn a_deleted_broadcast_still_bars_its_keys() {
        let mut past = Past::default();
        let (old, new) = (stopped("old", "room", 1, "a"), stopped("new", "room", 2, "b"));
        past.push(old.clone());
        past.push(new.clone());
        past.delete(&new);
        assert_eq!(bars(&past, "room"), Some("new"));
        past.delete(&old);
        assert_eq!((bars(&past, "room"), past.order.len()), (Some("new"), 1), "and the older one is gone");
        let newest = stopped("newest", "room", 3, "c");
        past.push(newest);
        past.delete(&new);
        assert_eq!((bars(&past, "room"), past.order.len()), (Some("newest"), 1));
    }

    #[test]
    fn the_past_is_bounded() {
        let mut past = Past::default();
        let one = stopped("first", "first", 1, "a");
        past.push(one.clone());
        let named = |id: &str| {
            let (id, stream) = (id.parse().unwrap(), id.parse().unwrap());
            Arc::new(Status { id, stream, ..(*one).clone() })
        };
        past.order.extend(std::iter::repeat_n(named("filler"), HISTORY - 1));
        past.push(named("last"));
        assert_eq!((past.order.len(), past.by_name.len()), (HISTORY, 1));
        assert_eq!((bars(&past, "first"), bars(&past, "last")), (None, Some("last")));
    }
}
