//! Timed events on their way into the media: what the API asks for and what the publisher sends, each at its time.

mod script;
#[cfg(test)]
mod tests;
mod told;

use std::sync::Arc;

use bytes::Bytes;
use kaibo_media::{Cue, Frame, Run, Span, Timestamp, UnixMillis};

pub use self::told::{Everybody, Told};

/// Events per second of a broadcast that the API may tell, and as many that its publisher may send: ten product cards, and
/// no more than 80 kB/s of the longest payloads for each viewer.
const PER_SECOND: u32 = 10;

/// How long ago an event may be due: the call for it took its time. It is told at once.
const LATE: Span = Span::from_millis(3000);

/// How far ahead an event may be announced. What waits is in memory alone.
const AHEAD: Span = Span::from_millis(3_600_000);

/// What is due between two frames is told with the second, at its own time; frames may be so far apart.
const LATE_FRAMES: Span = Span::from_millis(250);

/// Events that wait for their time, 8 KiB each at the most.
const WAITING: usize = 100;

/// An event to be told.
pub struct Wish {
    /// See [`kaibo_media::is_kind`].
    pub kind: String,
    /// JSON on one line, [`kaibo_media::MOST_PAYLOAD`] bytes at the most.
    pub payload: String,
    pub when: When,
}

/// When an event is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Where the stream is.
    Now,
    Media(Timestamp),
    Wall(UnixMillis),
}

/// Why an event is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Untold {
    #[error("there is no media yet")]
    NoMedia,
    #[error("its time was more than 3 s ago")]
    TooLate,
    #[error("its time is more than an hour ahead")]
    TooFarAhead,
    #[error("more than 10 events within a second")]
    TooFast,
    #[error("the broadcast has as many events as can be kept, or that wait for their time")]
    TooMany,
}

/// An event that was accepted. One that waits knows only what it was asked for.
pub struct Accepted {
    pub id: Arc<str>,
    pub at: Option<Timestamp>,
    pub wall: Option<UnixMillis>,
}

/// The side of the ingest that has events told.
pub struct Cues {
    told: Arc<Told>,
    waiting: Vec<Waiting>,
    asked: Rate,
    sent: Rate,
    /// How far the stream is, and its run.
    newest: Option<(Timestamp, Run)>,
}

struct Waiting {
    id: Arc<str>,
    wish: Wish,
}

impl Cues {
    pub fn new(told: Arc<Told>) -> Self {
        Self { told, waiting: Vec::new(), asked: Rate::default(), sent: Rate::default(), newest: None }
    }

    /// Takes what the API asks for at `now`; the event, if it is due.
    pub fn ask(&mut self, wish: Wish, now: UnixMillis) -> Result<(Accepted, Option<Arc<Cue>>), Untold> {
        let (newest, run) = self.newest.ok_or(Untold::NoMedia)?;
        let ahead = match wish.when {
            When::Now => Span::ZERO,
            When::Media(at) => at - newest,
            When::Wall(at) => Span::from_millis(at.0.saturating_sub(now.0)),
        };
        if ahead < Span::ZERO - LATE {
            return Err(Untold::TooLate);
        }
        if ahead > AHEAD {
            return Err(Untold::TooFarAhead);
        }
        if !self.asked.take(now) {
            return Err(Untold::TooFast);
        }
        let id: Arc<str> = format!("ev-{}", uuid::Uuid::now_v7().simple()).into();
        let waiting = Waiting { id: id.clone(), wish };
        let is_due = waiting.is_due(newest, run);
        let cue = waiting.cue(newest, run);
        if !self.told.has_room(&cue) || !is_due && self.waiting.len() >= WAITING {
            return Err(Untold::TooMany);
        }
        if is_due {
            self.told.keep(&cue);
            return Ok((Accepted { id, at: Some(cue.at), wall: Some(cue.wall) }, Some(cue)));
        }
        let (at, wall) = match waiting.wish.when {
            When::Media(at) => (Some(at), None),
            When::Wall(wall) => (None, Some(wall)),
            When::Now => (None, None),
        };
        self.waiting.push(waiting);
        Ok((Accepted { id, at, wall }, None))
    }

    /// `frame` comes next: the events that are due by then.
    pub fn due(&mut self, frame: &Frame) -> Vec<Arc<Cue>> {
        let newest = self.newest.map_or(frame.dts, |(newest, _)| newest.max(frame.dts));
        self.newest = Some((newest, frame.run));
        if self.waiting.is_empty() {
            return Vec::new();
        }
        let due = self.waiting.extract_if(.., |waiting| waiting.is_due(newest, frame.run));
        let mut due: Vec<_> = due.map(|waiting| waiting.cue(newest, frame.run)).collect();
        due.sort_by_key(|cue| cue.at);
        due.iter().for_each(|cue| self.told.keep(cue));
        due
    }

    /// The stream has come to `end`, where it will go on: what is told meanwhile belongs there.
    pub fn pause(&mut self, end: Timestamp) {
        if let Some((newest, _)) = &mut self.newest {
            *newest = (*newest).max(end);
        }
    }

    /// What a publisher sent in a data message; none if it is nothing to be told, or too much.
    pub fn of_publisher(&mut self, frame: &Frame, now: UnixMillis) -> Option<Arc<Cue>> {
        let (kind, payload) = script::read(&frame.data)?;
        if !self.sent.take(now) {
            return None;
        }
        let cue = Arc::new(Cue {
            id: format!("ev-{}", uuid::Uuid::now_v7().simple()).into(),
            kind: kind.into(),
            payload: payload.into(),
            at: whole(frame.dts),
            wall: frame.run.wall_at(whole(frame.dts)),
            // A copy: it stays for long, and shares its memory with everything that was read together.
            script: Some(Bytes::copy_from_slice(&frame.data)),
        });
        self.told.keep(&cue);
        Some(cue)
    }
}

impl Waiting {
    fn is_due(&self, newest: Timestamp, run: Run) -> bool {
        match self.wish.when {
            When::Now => true,
            When::Media(at) => at <= newest,
            When::Wall(wall) => wall <= run.wall_at(newest),
        }
    }

    /// The event of a stream that is at `newest`. One that is due has come to its time with the newest frame, or is late
    /// and told now.
    fn cue(&self, newest: Timestamp, run: Run) -> Arc<Cue> {
        let just_now = newest - LATE_FRAMES;
        let wanted = match self.wish.when {
            When::Now => newest,
            When::Media(at) => at,
            When::Wall(wall) => run.start + Span::from_millis(wall.0.saturating_sub(run.wall.0)),
        };
        let at = whole(if wanted > just_now { wanted.min(newest) } else { newest });
        Arc::new(Cue {
            id: self.id.clone(),
            kind: self.wish.kind.as_str().into(),
            payload: self.wish.payload.as_str().into(),
            at,
            wall: run.wall_at(at),
            script: None,
        })
    }
}

/// `time` in whole milliseconds, as every output can have it: never before it, where a part may have ended.
fn whole(time: Timestamp) -> Timestamp {
    let nearest = time.as_millis();
    Timestamp::from_millis(nearest + i64::from(Timestamp::from_millis(nearest) < time))
}

/// Counts what comes within a second of the clock.
#[derive(Default)]
struct Rate {
    second: i64,
    taken: u32,
}

impl Rate {
    fn take(&mut self, now: UnixMillis) -> bool {
        let second = now.0.div_euclid(1000);
        if self.second != second {
            *self = Self { second, taken: 0 };
        }
        self.taken = self.taken.saturating_add(1);
        self.taken <= PER_SECOND
    }
}
