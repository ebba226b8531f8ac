//! What the ring holds, and what has to leave it.

use std::{collections::VecDeque, mem};

use crate::cursor::BATCH_ENTRIES;

/// Something that flows through a ring. What the methods say must never change.
pub trait Entry: Clone + Send + Sync + 'static {
    /// Bytes that it keeps in memory.
    fn size(&self) -> usize;
    /// A reader may start here.
    fn keyframe(&self) -> bool;
    /// When it is due, in milliseconds on the writer's timeline.
    fn time(&self) -> i64;
    /// Readers who have time until later ([`crate::Cursor::next_from`]) are told of it at once.
    fn urgent(&self) -> bool {
        self.keyframe()
    }
}

/// How much a ring holds.
///
/// Everything since the newest keyframe is kept however old it is, so that whoever joins has a place to start;
/// `bytes` and `entries` are the bounds of memory and hold even then. The newest entry always stays.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sum of [`Entry::size`]: memory, whatever a publisher's bit rate.
    pub bytes: usize,
    /// Milliseconds from the oldest to the newest entry: how far behind a reader may be before it jumps to the newest
    /// keyframe.
    pub millis: i64,
    /// Entries: what each costs beside its bytes, if a publisher sends very many tiny ones.
    pub entries: usize,
}

/// The entries of a ring, numbered from 0 in the order of their arrival.
pub(crate) struct Held<T> {
    entries: VecDeque<T>,
    limits: Limits,
    bytes: usize,
    /// Number of the entry to come.
    next: u64,
    /// Number of the newest keyframe, unless it had to leave.
    keyframe: Option<u64>,
    /// Number of the entry behind the newest urgent one.
    urgent: u64,
    ended: bool,
}

/// What a ring has come to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reached {
    /// When the newest entry is due.
    time: i64,
    /// Numbers of the oldest entry, of the one to come and of the one behind the newest urgent one.
    first: u64,
    next: u64,
    urgent: u64,
    ended: bool,
}

impl Reached {
    /// There is something for a reader who is at entry `next` and has time until `time`.
    pub(crate) fn suffices(&self, next: u64, time: i64) -> bool {
        let unread = self.next.saturating_sub(next);
        self.ended
            || unread > 0 && self.time >= time
            || self.urgent > next
            || self.first > next
            || unread >= BATCH_ENTRIES as u64
    }
}

impl<T: Entry> Held<T> {
    pub(crate) fn new(limits: Limits) -> Self {
        Self { entries: VecDeque::new(), limits, bytes: 0, next: 0, keyframe: None, urgent: 0, ended: false }
    }

    /// Number of the oldest entry held (of the one to come, if none is).
    pub(crate) fn first(&self) -> u64 {
        self.next - self.entries.len() as u64
    }

    pub(crate) fn next(&self) -> u64 {
        self.next
    }

    pub(crate) fn keyframe(&self) -> Option<u64> {
        self.keyframe
    }

    pub(crate) fn ended(&self) -> bool {
        self.ended
    }

    pub(crate) fn reached(&self) -> Reached {
        Reached {
            time: self.entries.back().map_or(i64::MIN, Entry::time),
            first: self.first(),
            next: self.next,
            urgent: self.urgent,
            ended: self.ended,
        }
    }

    pub(crate) fn end(&mut self) {
        self.ended = true;
    }

    /// The entries from `number` on.
    pub(crate) fn from(&self, number: u64) -> impl Iterator<Item = &T> {
        self.entries.iter().skip(number.saturating_sub(self.first()) as usize)
    }

    /// Takes an entry in; moves what has to leave into `old`, because freeing it takes time that belongs outside of the
    /// lock.
    pub(crate) fn push(&mut self, entry: T, old: &mut Vec<T>) {
        let now = entry.time();
        if entry.keyframe() {
            self.keyframe = Some(self.next);
        }
        if entry.urgent() {
            self.urgent = self.next + 1;
        }
        self.bytes += entry.size();
        self.entries.push_back(entry);
        self.next += 1;
        while self.entries.len() > 1 && self.oldest_must_leave(now) {
            let first = self.first();
            self.keyframe = self.keyframe.filter(|keyframe| *keyframe != first);
            if let Some(oldest) = self.entries.pop_front() {
                self.bytes -= oldest.size();
                old.push(oldest);
            }
        }
    }

    /// Puts `entry` in the place of entry `number`, if that is held, and the one that was there into `entry`.
    pub(crate) fn replace(&mut self, number: u64, entry: &mut T) {
        let at = number.checked_sub(self.first()).and_then(|at| usize::try_from(at).ok());
        if let Some(held) = at.and_then(|at| self.entries.get_mut(at)) {
            mem::swap(held, entry);
            self.bytes = self.bytes.saturating_sub(entry.size()).saturating_add(held.size());
        }
    }

    fn oldest_must_leave(&self, now: i64) -> bool {
        let over = self.bytes > self.limits.bytes || self.entries.len() > self.limits.entries;
        let aged =
            self.entries.front().is_some_and(|oldest| now.saturating_sub(oldest.time()) > self.limits.millis);
        over || aged && self.keyframe.is_none_or(|keyframe| self.first() < keyframe)
    }
}
