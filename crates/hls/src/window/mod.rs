//! The live window of one broadcast: the segments that are listed, those that just left the list, and the one that is
//! being made.

mod keep;
mod misplaced;
mod segment;

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use kaibo_container::segment::{Cut, Init, Part, SegmentEnd, SegmentHead};
use kaibo_media::{Span, Tracks};

use self::keep::Kept;
pub use self::{misplaced::Misplaced, segment::Segment};
use crate::{
    multivariant::{Rates, multivariant},
    playlist::{Kind, Playlist},
    uris::{Format, Uris},
};

/// How much a window lists and keeps.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Media time that stays listed, where that is more than three target durations and six segments.
    pub window: Span,
    /// Memory for complete segments in bytes. Above it, segments that left the list are dropped first, then the list
    /// is shortened, but never below three target durations and six segments: those must stay (RFC 8216 §6.2.2, Apple
    /// 8.11).
    pub bytes: usize,
    /// Discontinuity sequence number of the segment before the first that is applied: 0 in a new broadcast, the last
    /// one published where a broadcast goes on after a restart.
    pub discontinuity: u64,
}

impl Default for Config {
    fn default() -> Self {
        // 30 s listed and about as much that has left the list: 64 MiB are enough up to 8 Mbit/s.
        Self { window: Span::from_millis(30_000), bytes: 64 << 20, discontinuity: 0 }
    }
}

/// How far a broadcast has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// The segment that is being made, or is to be made next.
    pub segment: u64,
    /// How many of its parts are complete.
    pub parts: u32,
}

/// The live window of one broadcast.
#[derive(Debug)]
pub struct Window {
    config: Config,
    kept: Kept,
    open: Option<Open>,
    /// Frozen when the first segment is complete.
    target_duration: Option<u32>,
    /// Number of the segment that is being made, or is to be made next; any until the first begins.
    due: Option<u64>,
    /// Discontinuity number of the newest complete segment.
    discontinuity: u64,
    /// Every segment ever listed began with a keyframe. Once this is lost, `EXT-X-INDEPENDENT-SEGMENTS` does not come
    /// back: a tag that comes and goes is an edit that RFC 8216 §6.2.1 does not allow.
    independent: bool,
    ended: bool,
    version: u64,
    rendered: Rendered,
}

/// The segment that is being made. Its size is bounded by the segmenter.
#[derive(Debug)]
struct Open {
    head: Arc<SegmentHead>,
    parts: Vec<Arc<Part>>,
}

/// The playlists as of the last change, rendered when first asked for.
#[derive(Debug, Default)]
struct Rendered {
    fmp4: OnceLock<Bytes>,
    ts: OnceLock<Bytes>,
}

impl Window {
    /// An empty window.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            kept: Kept::default(),
            open: None,
            target_duration: None,
            due: None,
            discontinuity: config.discontinuity,
            independent: true,
            ended: false,
            version: 0,
            rendered: Rendered::default(),
        }
    }

    /// Follows the segmenter.
    ///
    /// # Errors
    /// If `cut` does not follow from those before it.
    pub fn apply(&mut self, cut: &Cut) -> Result<(), Misplaced> {
        if self.ended {
            return Err(Misplaced::Ended);
        }
        match cut {
            Cut::Begin(head) => self.begin(head)?,
            Cut::Part(part) => self.part(part)?,
            Cut::End(end) => self.complete(end)?,
        }
        self.version += 1;
        Ok(())
    }

    /// The broadcast has ended: `EXT-X-ENDLIST`. A segment that is not complete is dropped.
    pub fn end(&mut self) {
        if !self.ended {
            self.ended = true;
            self.open = None;
            self.version += 1;
            self.rendered = Rendered::default();
        }
    }

    fn begin(&mut self, head: &Arc<SegmentHead>) -> Result<(), Misplaced> {
        let (number, found, before) = (head.number, head.discontinuity, self.discontinuity);
        if let Some(open) = &self.open {
            return Err(Misplaced::Nested { number, open: open.head.number });
        }
        if let Some(due) = self.due.filter(|due| *due != number) {
            return Err(Misplaced::Number { number, due });
        }
        if found != before && found != before.saturating_add(1) {
            return Err(Misplaced::Discontinuity { number, found, before });
        }
        self.due = Some(number);
        self.open = Some(Open { head: Arc::clone(head), parts: Vec::new() });
        Ok(())
    }

    fn part(&mut self, part: &Arc<Part>) -> Result<(), Misplaced> {
        let (segment, index) = (part.segment, part.index);
        match &mut self.open {
            Some(open) if open.head.number == segment && open.parts.len() == index as usize => {
                open.parts.push(Arc::clone(part));
                Ok(())
            }
            _ => Err(Misplaced::Part { segment, index }),
        }
    }

    fn complete(&mut self, end: &SegmentEnd) -> Result<(), Misplaced> {
        let complete = self.open.take_if(|open| open.head.number == end.number && !open.parts.is_empty());
        let Some(Open { head, parts }) = complete else { return Err(Misplaced::End { number: end.number }) };
        let target_duration = *self.target_duration.get_or_insert(end.target_duration);
        self.independent &= head.independent;
        let discontinuity_before = std::mem::replace(&mut self.discontinuity, head.discontinuity);
        self.due = Some(head.number.saturating_add(1));
        let segment = Segment { head, parts: parts.into(), duration: end.duration, discontinuity_before };
        self.kept.push(Arc::new(segment), &self.config, target_duration);
        self.rendered = Rendered::default();
        Ok(())
    }

    /// Changes with everything that is applied: whoever waits for a change compares it.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How far the broadcast has come.
    pub fn position(&self) -> Position {
        let parts = self.open.as_ref().map_or(0, |open| open.parts.len() as u32);
        Position { segment: self.due.unwrap_or(0), parts }
    }

    /// Nothing comes any more.
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// `EXT-X-TARGETDURATION` in seconds, known with the first segment.
    pub fn target_duration(&self) -> Option<u32> {
        self.target_duration
    }

    /// A complete segment, listed or not long gone from the list.
    pub fn segment(&self, number: u64) -> Option<&Arc<Segment>> {
        self.kept.all().find(|segment| segment.number() == number)
    }

    /// The segment that was completed last.
    pub fn newest(&self) -> Option<&Arc<Segment>> {
        self.kept.listed().next_back()
    }

    /// The listed segments, oldest first.
    pub fn listed(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> {
        self.kept.listed()
    }

    /// An initialisation section that some segment here needs.
    pub fn init(&self, number: u32) -> Option<&Arc<Init>> {
        let open = self.open.as_ref().map(|open| &open.head);
        let mut heads = self.kept.all().map(|segment| &segment.head).chain(open);
        heads.find(|head| head.init.number == number).map(|head| &head.init)
    }

    /// The media playlist, none before the first segment. `query` goes to every URI in it, see [`Uris::query`]; without
    /// one, the playlist is rendered once per change and shared.
    pub fn playlist(&self, format: Format, query: &str) -> Option<Bytes> {
        if !query.is_empty() {
            return self.render(format, query);
        }
        let rendered = match format {
            Format::Fmp4 => &self.rendered.fmp4,
            Format::Ts => &self.rendered.ts,
        };
        match rendered.get() {
            Some(text) => Some(text.clone()),
            None => self.render(format, query).map(|text| rendered.get_or_init(|| text).clone()),
        }
    }

    fn render(&self, format: Format, query: &str) -> Option<Bytes> {
        let first = self.kept.listed().next()?;
        let playlist = Playlist {
            kind: Kind::Live,
            ended: self.ended,
            target_duration: self.target_duration?,
            media_sequence: first.number(),
            discontinuity_sequence: first.discontinuity_before,
            independent: self.independent,
            uris: Uris { prefix: "", format, query },
            entries: self.kept.listed().map(|segment| segment.entry()),
        };
        Some(playlist.render().into())
    }

    /// The multivariant playlist, none before the first segment: one variant at `uri`, described by the newest segment
    /// and the rates measured.
    pub fn multivariant(&self, uri: &str) -> Option<Bytes> {
        Some(multivariant(uri, self.tracks()?, self.rates()?).into())
    }

    /// Decoder parameters of the newest segment.
    pub fn tracks(&self) -> Option<&Arc<Tracks>> {
        self.newest().map(|segment| &segment.head.init.tracks)
    }

    /// Bit rates of the listed segments.
    pub fn rates(&self) -> Option<Rates> {
        let segments = self.kept.listed().map(|segment| (segment.size(), segment.duration));
        Some(Rates::of(segments, self.target_duration?))
    }
}
