//! Views of a broadcast that end before its newest segment, or begin before its list does: chosen from what is recorded.

use std::{borrow::Cow, collections::VecDeque, sync::Arc};

use kaibo_media::{Cue, Span, UnixMillis};

use crate::{
    dates,
    playlist::{Entry, Kind, Playlist},
    reload::without,
    uris::Uris,
};

/// Segments in a delayed list at least (Apple 8.11), and target durations (RFC 8216 §6.2.2).
const SEGMENTS: usize = 6;
const TARGET_DURATIONS: u32 = 3;

/// The longest delay in seconds: as long as a broadcast usually lasts at the most.
const LONGEST_DELAY: u64 = 12 * 3600;

/// Which part of a broadcast somebody wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shift {
    /// What was live this long ago.
    Delay(Span),
    /// What was live between two moments; all that follows where there is no second.
    Range {
        /// The first moment.
        start: UnixMillis,
        /// The second one.
        end: Option<UnixMillis>,
    },
}

/// What a server refuses with 400.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadShift {
    /// It makes no sense as a number of seconds.
    #[error("{0} is no number of seconds")]
    NoNumber(&'static str),
    /// It may be meant in two ways.
    #[error("{0} stands twice")]
    Twice(&'static str),
    /// The delay is outside its bounds.
    #[error("delay is outside 1 to {LONGEST_DELAY} seconds")]
    Delay,
    /// Two kinds of views at once.
    #[error("delay stands beside start or end")]
    Both,
    /// The range has no beginning.
    #[error("end without start")]
    EndAlone,
    /// The range is empty.
    #[error("end is not after start")]
    Empty,
}

const DELAY: &str = "delay";
const START: &str = "start";
const END: &str = "end";

impl Shift {
    /// Reads it from a query, and answers the rest of that; none where the live view is meant.
    ///
    /// # Errors
    /// Where it makes no sense, see [`BadShift`].
    pub fn parse(query: &str) -> Result<(Option<Self>, Cow<'_, str>), BadShift> {
        if query.is_empty() {
            return Ok((None, query.into()));
        }
        let (delay, start, end) = (seconds(query, DELAY)?, seconds(query, START)?, seconds(query, END)?);
        let shift = match (delay, start, end) {
            (None, None, None) => None,
            (Some(delay @ 1..=LONGEST_DELAY), None, None) => {
                Some(Self::Delay(Span::from_millis(millis(delay))))
            }
            (Some(_), None, None) => return Err(BadShift::Delay),
            (Some(_), ..) => return Err(BadShift::Both),
            (None, None, Some(_)) => return Err(BadShift::EndAlone),
            (None, Some(start), Some(end)) if end <= start => return Err(BadShift::Empty),
            (None, Some(start), end) => Some(Self::Range {
                start: UnixMillis(millis(start)),
                end: end.map(|end| UnixMillis(millis(end))),
            }),
        };
        Ok((shift, without(query, |field| [DELAY, START, END].contains(&name(field)))))
    }

    /// The query that [`Shift::parse`] reads it from.
    pub fn query(&self) -> String {
        match self {
            Self::Delay(delay) => format!("{DELAY}={}", delay.as_millis() / 1000),
            Self::Range { start, end: None } => format!("{START}={}", start.0 / 1000),
            Self::Range { start, end: Some(end) } => {
                format!("{START}={}&{END}={}", start.0 / 1000, end.0 / 1000)
            }
        }
    }
}

fn name(field: &str) -> &str {
    field.split_once('=').map_or(field, |(name, _)| name)
}

/// Ten digits last until the year 2286.
fn seconds(query: &str, wanted: &'static str) -> Result<Option<u64>, BadShift> {
    let mut fields = query.split('&').filter(|field| name(field) == wanted);
    let Some(field) = fields.next() else { return Ok(None) };
    if fields.next().is_some() {
        return Err(BadShift::Twice(wanted));
    }
    let digits = field.split_once('=').map_or("", |(_, digits)| digits);
    let good = digits.len() <= 10 && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| good).map(Some).ok_or(BadShift::NoNumber(wanted))
}

fn millis(seconds: u64) -> i64 {
    i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000)
}

/// Recorded segments that are shown together. Their numbers in the list are their places in the recording, and where
/// something is missing from that there is a discontinuity: what no recording keeps leaves no hole in such a list.
#[derive(Clone, Debug)]
pub struct Selection {
    entries: VecDeque<Entry<'static>>,
    media_sequence: u64,
    discontinuity_sequence: u64,
    /// When the first segment behind them ends, if there is one.
    pub next: Option<UnixMillis>,
}

impl Selection {
    /// What was live at `until`: those that had ended by then, as many as the live list would have shown. All of
    /// `recorded` are walked through, since a clock that was put right may have given them times that go back.
    pub fn live_at(
        recorded: impl Iterator<Item = Entry<'static>>,
        until: UnixMillis,
        window: Span,
        target_duration: u32,
    ) -> Self {
        let least = window.max(Span::from_scale(target_duration.saturating_mul(TARGET_DURATIONS).into(), 1));
        let mut selection = Self::from(0);
        let mut duration = Span::ZERO;
        for entry in joined(recorded) {
            if end(&entry) > until {
                selection.next = Some(end(&entry));
                break;
            }
            duration += lasts(&entry);
            selection.entries.push_back(entry);
            while selection.entries.len() > SEGMENTS
                && let Some(first) = selection.entries.pop_front_if(|first| duration - lasts(first) >= least)
            {
                duration -= lasts(&first);
                selection.media_sequence += 1;
                selection.discontinuity_sequence = first.discontinuity;
            }
        }
        selection
    }

    /// Those that overlap the time from `start` to `end`.
    pub fn between(
        recorded: impl Iterator<Item = Entry<'static>>,
        start: UnixMillis,
        end_at: Option<UnixMillis>,
    ) -> Self {
        let mut all = joined(recorded).skip_while(|entry| end(entry) <= start);
        let first = all.next();
        // A list that loses nothing may begin to count where it likes.
        let mut selection = Self::from(first.map_or(0, |first| first.discontinuity));
        for entry in first.into_iter().chain(all) {
            if end_at.is_some_and(|end_at| entry.wall >= end_at) {
                selection.next = Some(end(&entry));
                break;
            }
            selection.entries.push_back(entry);
        }
        selection
    }

    fn from(discontinuity_sequence: u64) -> Self {
        Self { entries: VecDeque::new(), media_sequence: 0, discontinuity_sequence, next: None }
    }

    /// There is nothing to be shown: players take such a list for a broken one.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// When the last of them ends.
    pub fn end(&self) -> Option<UnixMillis> {
        self.entries.back().map(end)
    }

    /// The list of them.
    pub fn playlist(
        &self,
        kind: Kind,
        ended: bool,
        target_duration: u32,
        independent: bool,
        cues: &[Arc<Cue>],
        uris: Uris<'_>,
    ) -> String {
        let date_ranges = match (self.entries.front(), self.end()) {
            (Some(first), Some(end)) => dates::listed(cues.iter(), first.wall, end),
            _ => Vec::new(),
        };
        Playlist {
            kind,
            ended,
            target_duration,
            media_sequence: self.media_sequence,
            discontinuity_sequence: self.discontinuity_sequence,
            independent,
            date_ranges: &date_ranges,
            start: None,
            uris,
            entries: self.entries.iter().copied(),
            low_latency: None,
        }
        .render()
    }
}

/// `recorded` with discontinuity numbers that count every place at which time jumps, also those where something is lost.
fn joined(recorded: impl Iterator<Item = Entry<'static>>) -> impl Iterator<Item = Entry<'static>> {
    let (mut before, mut joints) = (None::<(u64, u64)>, 0);
    recorded.map(move |entry| {
        let here = (entry.number, entry.discontinuity);
        let follows = |(number, discontinuity): (u64, u64)| (number.saturating_add(1), discontinuity) == here;
        joints += u64::from(before.replace(here).is_some_and(|before| !follows(before)));
        Entry { discontinuity: joints, ..entry }
    })
}

fn lasts(entry: &Entry<'_>) -> Span {
    entry.duration.unwrap_or(Span::ZERO)
}

fn end(entry: &Entry<'_>) -> UnixMillis {
    entry.wall + lasts(entry)
}
