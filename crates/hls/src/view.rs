//! The live window at one moment, as every viewer of it sees it.

use std::{collections::VecDeque, sync::Arc};

use kaibo_container::segment::{Part, SegmentHead};
use kaibo_media::{Cue, Span, Tracks};

use crate::{
    dates,
    multivariant::{Rates, Variant, multivariant},
    pieces::Pieces,
    playlist::{Entry, Kind, LowLatency, Playlist, Report, SKIP_BOUNDARY},
    reach::Reach,
    uris::{Format, Uris},
    window::{Position, Segment, entry},
};

/// Target durations before the end within which parts are listed (rfc8216bis §6.2.2).
const PARTS: u32 = 3;

/// The live window at one moment. Made once per change, then shared: whoever renders a playlist or looks for a new part
/// needs no lock for it.
#[derive(Clone, Debug)]
pub struct View {
    /// What is listed in front of `listed`.
    pub(crate) reach: Arc<Reach>,
    pub(crate) listed: Arc<[Arc<Segment>]>,
    pub(crate) open: Option<Open>,
    /// The timed events of all of them, and perhaps older ones.
    pub(crate) cues: Arc<VecDeque<Arc<Cue>>>,
    pub(crate) position: Position,
    pub(crate) target_duration: Option<u32>,
    pub(crate) part_target: Option<Span>,
    /// Number of the first segment whose parts may be listed.
    pub(crate) parts_from: u64,
    pub(crate) independent: bool,
    /// Nothing follows what is there.
    pub(crate) last: bool,
    pub(crate) ended: bool,
}

/// The segment that is being made, with its parts so far.
#[derive(Clone, Debug)]
pub(crate) struct Open {
    pub head: Arc<SegmentHead>,
    pub parts: Box<[Arc<Part>]>,
}

impl Open {
    fn duration(&self) -> Span {
        self.parts.iter().map(|part| part.duration).sum()
    }
}

/// Which media playlist is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Which form of the segments.
    pub format: Format,
    /// As a delta update, if it would leave something out.
    pub delta: bool,
    /// Goes to every URI, see [`Uris::query`].
    pub query: &'a str,
    /// How far the other renditions are.
    pub reports: &'a [Report<'a>],
}

impl View {
    /// The media playlist, none before the first segment.
    pub fn playlist(&self, wanted: Wanted<'_>) -> Option<String> {
        self.pieces(wanted).map(Pieces::into_string)
    }

    /// The same in pieces: those of the past are shared between its versions.
    pub fn pieces(&self, wanted: Wanted<'_>) -> Option<Pieces> {
        let Wanted { format, delta, query, reports } = wanted;
        let first = self.listed.first()?;
        let target_duration = self.target_duration?;
        let part_target = self.part_target.filter(|_| format == Format::Fmp4);
        let low_latency = part_target.map(|part_target| LowLatency {
            part_target,
            hint: (!self.last).then_some((self.position.segment, self.position.parts)),
            skipped: if delta { self.skippable(target_duration.saturating_mul(SKIP_BOUNDARY)) } else { 0 },
            reports,
        });
        let with_parts = match low_latency {
            Some(_) => self.older_than(target_duration.saturating_mul(PARTS)),
            None => self.listed.len(),
        };
        let complete = self.listed.iter().enumerate().map(|(at, segment)| {
            let listed = at >= with_parts && segment.number() >= self.parts_from;
            segment.entry(if listed { &segment.parts } else { &[] })
        });
        // A segment without a part has nothing to show yet.
        let open = self.open.iter().filter(|open| low_latency.is_some() && !open.parts.is_empty());
        let (media_sequence, discontinuity_sequence, from) = match self.reach.first() {
            Some(old) => (old.number, old.discontinuity_before, old.wall),
            None => (first.number(), first.discontinuity_before, first.head.wall),
        };
        let last = self.newest().map_or(from, |last| last.head.wall + last.duration);
        let to = open.clone().next().map_or(last, |open| open.head.wall + open.duration());
        let date_ranges = dates::listed(self.cues.iter(), from, to);
        let playlist = Playlist {
            kind: Kind::Live,
            ended: self.ended,
            target_duration,
            media_sequence,
            discontinuity_sequence,
            independent: self.independent,
            date_ranges: &date_ranges,
            start: None,
            uris: Uris { prefix: "", format, query },
            entries: complete.chain(open.map(|open| -> Entry<'_> { entry(&open.head, &open.parts) })),
            low_latency,
        };
        Some(playlist.pieces(&self.reach))
    }

    /// How many entries at the head of the whole list end that many seconds or more before its end.
    fn skippable(&self, seconds: u32) -> usize {
        let in_memory = self.older_than(seconds);
        if in_memory > 0 {
            return self.reach.len() + in_memory;
        }
        // Memory holds less than that.
        let boundary = Span::from_scale(seconds.into(), 1);
        let open = self.open.iter().flat_map(|open| open.parts.iter()).map(|part| part.duration);
        let mut behind: Span = self.listed.iter().map(|segment| segment.duration).chain(open).sum();
        let mut older = self.reach.len();
        for old in self.reach.newest_first() {
            if behind >= boundary {
                break;
            }
            behind += old.duration;
            older -= 1;
        }
        older
    }

    /// How many segments in memory, from the oldest on, end that many seconds or more before the end of the list.
    fn older_than(&self, seconds: u32) -> usize {
        let boundary = Span::from_scale(seconds.into(), 1);
        let open = self.open.iter().flat_map(|open| open.parts.iter());
        let mut behind: Span = open.map(|part| part.duration).sum();
        let mut older = self.listed.len();
        for segment in self.listed.iter().rev() {
            if behind >= boundary {
                break;
            }
            behind += segment.duration;
            older -= 1;
        }
        older
    }

    /// The multivariant playlist, none before the first segment: one variant at `uri`, described by the newest segment
    /// and the rates of the form that it leads to.
    pub fn multivariant(&self, format: Format, uri: &str) -> Option<String> {
        let variant = Variant { uri, tracks: self.tracks()?, rates: self.rates(format)? };
        Some(multivariant([variant]))
    }

    /// Decoder parameters of the newest segment.
    pub fn tracks(&self) -> Option<&Arc<Tracks>> {
        self.newest().map(|segment| &segment.head.init.tracks)
    }

    /// Bit rates of the listed segments.
    pub fn rates(&self, format: Format) -> Option<Rates> {
        let segments: Vec<_> =
            self.listed.iter().map(|segment| (segment.size(format), segment.duration)).collect();
        Some(Rates::of(segments.iter().copied(), self.target_duration?))
    }

    /// How far the broadcast has come.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Segment and index of the newest part, for a [`Report`]; none before the first segment.
    pub fn newest_part(&self) -> Option<(u64, u32)> {
        let newest = match &self.open {
            Some(open) if !open.parts.is_empty() => open.parts.last()?,
            _ => self.newest()?.parts.last()?,
        };
        Some((newest.segment, newest.index))
    }

    /// The segment that was completed last.
    pub fn newest(&self) -> Option<&Arc<Segment>> {
        self.listed.last()
    }

    /// The listed segments that are in memory, oldest first.
    pub fn listed(&self) -> &[Arc<Segment>] {
        &self.listed
    }

    /// `EXT-X-TARGETDURATION` in seconds, known with the first segment.
    pub fn target_duration(&self) -> Option<u32> {
        self.target_duration
    }

    /// `EXT-X-PART-INF:PART-TARGET`, known with the first segment.
    pub fn part_target(&self) -> Option<Span> {
        self.part_target
    }

    /// Nothing comes any more.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// A part of a listed segment or of the one that is being made.
    pub fn part(&self, segment: u64, index: u32) -> Option<&Arc<Part>> {
        let open = self.open.as_ref().filter(|open| open.head.number == segment).map(|open| &open.parts);
        let listed = || self.listed.iter().rev().find(|listed| listed.number() == segment);
        open.or_else(|| listed().map(|segment| &segment.parts))?.get(index as usize)
    }
}
