//! What the qualities of one stream share: a timeline, and the places where it is cut. An encoder that sends its
//! pictures in three sizes sends three broadcasts; players change between them where their times are the same.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use kaibo_container::{segment::Cut, segmenter::Beside};
use kaibo_media::{Mark, Packet, Place, Span, Timeline, Timestamp, UnixMillis};

/// Segments of a member that another one may begin in: pushes of one encoder come seconds apart at the most, and no
/// segment is shorter than half a second unless something is wrong.
const SEGMENTS: usize = 8;

/// A member that belongs before its own end waits for a keyframe behind it. If that lies further ahead, the clocks
/// make no sense, and it goes on by itself.
const OVERLAP: Span = Span::from_millis(10_000);

/// A frame may lie so far before the beginning of the segment that it belongs to: half of one of 25 a second.
const JITTER: Span = Span::from_millis(20);

/// The qualities of one stream.
#[derive(Debug, Default)]
pub struct Group(Mutex<Members>);

/// No more than the configured qualities, which end before others of their name begin.
#[derive(Debug, Default)]
struct Members {
    next: u64,
    states: BTreeMap<u64, State>,
}

#[derive(Debug)]
struct State {
    /// Its newest frame, while its times are the group's.
    mark: Option<Mark>,
    /// Where its media ends.
    end: Timestamp,
    /// The newest segments, oldest first.
    segments: VecDeque<Beside>,
}

/// One broadcast's place in its group; given up when dropped.
#[derive(Debug)]
pub struct Member {
    group: Arc<Group>,
    key: u64,
}

impl Group {
    /// Takes in a broadcast whose media ended at `end` before a restart of the server, or begins.
    pub fn join(self: Arc<Self>, end: Timestamp) -> Member {
        let mut members = self.members();
        let key = members.next;
        members.next += 1;
        members.states.insert(key, State { mark: None, end, segments: VecDeque::new() });
        drop(members);
        Member { group: self, key }
    }

    fn members(&self) -> MutexGuard<'_, Members> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Member {
    /// Where a run belongs that begins with `first`, which arrived at `now`: by the frames of the others where any is
    /// live, else behind all that the group has shown. None if a later keyframe has to begin it.
    pub fn place(&self, first: &Packet, timeline: &Timeline, now: UnixMillis) -> Option<Place> {
        let mut members = self.group.members();
        let others = members.states.iter().filter(|(key, _)| **key != self.key);
        let newest = others.filter_map(|(_, other)| other.mark).max_by_key(|mark| mark.arrived);
        let behind = |end: Timestamp| {
            let early = Timestamp::from_millis(end.as_millis()) < end;
            let at = Timestamp::from_millis(end.as_millis() + i64::from(early));
            Place { at, wall: timeline.wall_of_next_run(at, now) }
        };
        let place = match newest {
            None => {
                behind(members.states.values().map(|state| state.end).fold(timeline.end(), Timestamp::max))
            }
            Some(mark) => {
                let place = mark.place(first.time_ms, now);
                match timeline.has_room(first, place) {
                    true => place,
                    false if timeline.end() - place.at <= OVERLAP => return None,
                    // Nobody goes by this one.
                    false => return Some(behind(timeline.end())),
                }
            }
        };
        if let Some(own) = members.states.get_mut(&self.key) {
            own.mark = Some(Mark { input_ms: first.time_ms, place, arrived: now });
        }
        Some(place)
    }

    /// It has come to `end`; `mark` is its newest frame, where that can be said.
    pub fn note(&self, mark: Option<Mark>, end: Timestamp) {
        if let Some(own) = self.group.members().states.get_mut(&self.key) {
            own.mark = own.mark.map(|before| mark.unwrap_or(before));
            own.end = end;
        }
    }

    /// Its publisher is away.
    pub fn pause(&self, end: Timestamp) {
        if let Some(own) = self.group.members().states.get_mut(&self.key) {
            (own.mark, own.end) = (None, end);
        }
    }

    /// It is over: those that follow begin anew.
    pub fn leave(&self) {
        self.group.members().states.remove(&self.key);
    }

    /// Its media was cut.
    pub fn note_cuts(&self, cuts: &[Cut]) {
        let mut members = self.group.members();
        let Some(own) = members.states.get_mut(&self.key) else { return };
        for cut in cuts {
            match cut {
                Cut::Begin(head) => {
                    let before = own.segments.back();
                    let segment = Beside {
                        number: head.number,
                        discontinuity: head.discontinuity,
                        start: head.start,
                        target_duration: before.and_then(|before| before.target_duration),
                        part_target: before.and_then(|before| before.part_target),
                    };
                    own.segments.push_back(segment);
                    if own.segments.len() > SEGMENTS {
                        own.segments.pop_front();
                    }
                }
                Cut::End(end) => {
                    for segment in &mut own.segments {
                        segment.target_duration = Some(end.target_duration);
                        segment.part_target = end.part_target;
                    }
                }
                Cut::Part(_) => {}
            }
        }
    }

    /// The segment that `at` falls into in another member that is live.
    pub fn beside(&self, at: Timestamp) -> Option<Beside> {
        let members = self.group.members();
        let others = members.states.iter().filter(|(key, other)| **key != self.key && other.mark.is_some());
        let newest = others.max_by_key(|(_, other)| other.mark.map(|mark| mark.arrived));
        newest?.1.segments.iter().rfind(|segment| segment.start <= at + JITTER).copied()
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.leave();
    }
}

#[cfg(test)]
mod tests;
