//! What the backend said lately, and what it is being asked.

use std::{
    collections::{HashMap, VecDeque},
    net::IpAddr,
    time::{Duration, Instant},
};

use kaibo_broadcast::{App, Stream};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::{Answer, Protocol, Question, Verdict};
use crate::config::Action;

/// Questions that are known: some 500 bytes each.
const KNOWN: usize = 10_000;

/// What makes two questions the same.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    action: Action,
    app: App,
    stream: Stream,
    protocol: Protocol,
    address: IpAddr,
    /// Of the query: it may be long.
    query: [u8; 32],
}

impl Key {
    pub fn of(question: &Question) -> Self {
        Self {
            action: question.action,
            app: question.app.clone(),
            stream: question.stream.clone(),
            protocol: question.protocol,
            address: question.address,
            query: Sha256::digest(&question.query).into(),
        }
    }
}

/// A verdict, and since when it holds.
pub struct Answered {
    pub verdict: Verdict,
    pub at: Instant,
}

/// At most [`KNOWN`] questions; the oldest give way.
#[derive(Default)]
pub struct Remembered {
    known: HashMap<Key, (u64, Answer)>,
    /// In the order in which they were asked, also those that were asked again since.
    order: VecDeque<(u64, Key)>,
    asked: u64,
}

impl Remembered {
    /// The answer to `key`, given or to be waited for. With it comes whom to tell the answer, where it is to be asked
    /// now: answers hold for `cache`, failures for nobody but those who wait for them.
    pub fn look_up(
        &mut self,
        key: Key,
        cache: Duration,
        now: Instant,
    ) -> (Answer, Option<watch::Sender<Option<Answered>>>) {
        if let Some((_, answer)) = self.known.get(&key) {
            let holds = match &*answer.borrow() {
                Some(Answered { verdict: Verdict::Failed, .. }) => false,
                Some(answered) => now.saturating_duration_since(answered.at) < cache,
                // Whoever asks tells, unless its task was lost.
                None => answer.has_changed().is_ok(),
            };
            if holds {
                return (answer.clone(), None);
            }
        }
        while self.order.len() >= KNOWN
            && let Some((asked, oldest)) = self.order.pop_front()
        {
            if self.known.get(&oldest).is_some_and(|(newest, _)| *newest == asked) {
                self.known.remove(&oldest);
            }
        }
        self.asked += 1;
        let (told, answer) = watch::channel(None);
        self.known.insert(key.clone(), (self.asked, answer.clone()));
        self.order.push_back((self.asked, key));
        (answer, Some(told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(query: &str) -> Key {
        let (app, stream) = ("live".parse().unwrap(), "room".parse().unwrap());
        let from = (IpAddr::from([127, 0, 0, 1]), query);
        Key::of(&Question::new(Action::Play, &app, &stream, Protocol::Flv, from, None))
    }

    #[test]
    fn an_answer_holds_for_its_time_and_a_failure_for_none() {
        let (mut remembered, now) = (Remembered::default(), Instant::now());
        let cache = Duration::from_secs(10);
        let (_, first) = remembered.look_up(key("user=1"), cache, now);
        let first = first.unwrap();
        assert!(remembered.look_up(key("user=1"), cache, now).1.is_none(), "it is being asked");
        assert!(remembered.look_up(key("user=2"), cache, now).1.is_some(), "somebody else");
        first.send_replace(Some(Answered { verdict: Verdict::Denied(None), at: now }));
        assert!(remembered.look_up(key("user=1"), cache, now + cache / 2).1.is_none());
        let (_, again) = remembered.look_up(key("user=1"), cache, now + cache);
        again.unwrap().send_replace(Some(Answered { verdict: Verdict::Failed, at: now + cache }));
        let (_, again) = remembered.look_up(key("user=1"), cache, now + cache);
        drop(again.unwrap());
        assert!(remembered.look_up(key("user=1"), cache, now + cache).1.is_some(), "its task was lost");
    }

    #[test]
    fn what_is_known_is_bounded() {
        let (mut remembered, now) = (Remembered::default(), Instant::now());
        for number in 0..KNOWN + 100 {
            let (_, told) = remembered.look_up(key(&number.to_string()), Duration::from_secs(10), now);
            told.unwrap().send_replace(Some(Answered { verdict: Verdict::Allowed, at: now }));
            // Asked again and again, one question doesn't push out the others' places for good.
            remembered.look_up(key("failing"), Duration::ZERO, now);
        }
        assert!(remembered.known.len() <= KNOWN && remembered.order.len() <= KNOWN);
        let newest = key(&(KNOWN + 99).to_string());
        assert!(remembered.look_up(newest, Duration::from_secs(10), now).1.is_none());
    }
}
