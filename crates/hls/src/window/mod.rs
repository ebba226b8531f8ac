//! The live window of one broadcast: the segments that are listed, those that just left the list, and the one that is
//! being made.

mod keep;
mod misplaced;
mod segment;

use std::{collections::VecDeque, sync::Arc};

use kaibo_container::segment::{Cut, Init, Part, SegmentEnd, SegmentHead};
use kaibo_media::{Cue, Span};

use self::keep::Kept;
pub(crate) use self::segment::entry;
pub use self::{misplaced::Misplaced, segment::Segment};
use crate::{
    reach::{Old, Reach},
    view::{self, View},
};

/// Timed events in memory: lists show a hundred at the most, and these take 2 MiB at the worst.
const CUES: usize = 200;

/// How much a window lists and keeps.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// Media time that stays listed, where that is more than three target durations and six segments.
    pub window: Span,
    /// Media time that stays listed beyond `window` as far as it is recorded; zero for none.
    pub reach: Span,
    /// Memory for complete segments in bytes. Above it, segments that left the list are dropped first, then the list
    /// is shortened, but never below three target durations and six segments: those must stay (RFC 8216 §6.2.2, Apple
    /// 8.11).
    pub bytes: usize,
    /// Discontinuity sequence number of the segment before the first that is applied: 0 in a new broadcast, the last
    /// one published where a broadcast goes on after a restart.
    pub discontinuity: u64,
    /// The first segment whose parts are listed. What a recording gives back after a restart has lost their exact
    /// durations: those segments are listed as wholes, although their parts may still be fetched.
    pub parts_from: u64,
    /// The first segment may have any discontinuity sequence number: the list goes by those of other renditions.
    pub joins: bool,
    /// Every segment that was listed before began with a keyframe.
    pub independent: bool,
}

impl Default for Config {
    fn default() -> Self {
        // 30 s listed and about as much that has left the list: 64 MiB are enough up to 8 Mbit/s.
        Self {
            window: Span::from_millis(30_000),
            reach: Span::ZERO,
            bytes: 64 << 20,
            discontinuity: 0,
            parts_from: 0,
            joins: false,
            independent: true,
        }
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
    /// What is listed in front of what is kept.
    reach: Arc<Reach>,
    open: Option<Open>,
    /// The timed events of what is listed, and as many more as come until the list loses a segment.
    cues: Arc<VecDeque<Arc<Cue>>>,
    /// Frozen when the first segment is complete.
    target_duration: Option<u32>,
    /// The same.
    part_target: Option<Span>,
    /// Number of the segment that is being made, or is to be made next; any until the first begins.
    due: Option<u64>,
    /// Discontinuity number of the newest complete segment.
    discontinuity: u64,
    /// Every segment ever listed began with a keyframe. Once this is lost, `EXT-X-INDEPENDENT-SEGMENTS` does not come
    /// back: a tag that comes and goes is an edit that RFC 8216 §6.2.1 does not allow.
    independent: bool,
    /// See [`Window::announce_nothing`].
    last: bool,
    ended: bool,
    /// The complete segments that are listed, for [`Window::view`].
    listed: Arc<[Arc<Segment>]>,
}

/// The segment that is being made. Its size is bounded by the segmenter.
#[derive(Debug)]
struct Open {
    head: Arc<SegmentHead>,
    parts: Vec<Arc<Part>>,
}

impl Window {
    /// An empty window.
    pub fn new(config: Config) -> Self {
        Self {
            config,
            kept: Kept::default(),
            reach: Arc::default(),
            open: None,
            cues: Arc::default(),
            target_duration: None,
            part_target: None,
            due: None,
            discontinuity: config.discontinuity,
            independent: config.independent,
            last: false,
            ended: false,
            listed: Arc::default(),
        }
    }

    /// Before the first cut, where a broadcast goes on after a restart: the segments in front of it that were listed
    /// and are recorded, without a hole in their numbers.
    pub fn recall(&mut self, older: impl IntoIterator<Item = Old>) {
        let reach = Arc::make_mut(&mut self.reach);
        older.into_iter().for_each(|old| reach.push(old));
    }

    /// Follows the segmenter; nothing is recorded.
    ///
    /// # Errors
    /// If `cut` does not follow from those before it.
    pub fn apply(&mut self, cut: &Cut) -> Result<(), Misplaced> {
        self.apply_recorded(cut, |_| false)
    }

    /// The same where segments that leave memory stay listed if they are `recorded` as they were shown. Behind one that
    /// is not the list begins anew: what it lists must be there.
    ///
    /// # Errors
    /// If `cut` does not follow from those before it.
    pub fn apply_recorded(
        &mut self,
        cut: &Cut,
        recorded: impl Fn(&Segment) -> bool,
    ) -> Result<(), Misplaced> {
        if self.ended {
            return Err(Misplaced::Ended);
        }
        match cut {
            Cut::Begin(head) => self.begin(head)?,
            Cut::Part(part) => self.add(part)?,
            Cut::End(end) => self.complete(end, recorded)?,
        }
        Ok(())
    }

    /// Nothing follows what is there: no part is announced any more.
    pub fn announce_nothing(&mut self) {
        self.last = true;
    }

    /// The broadcast has ended: `EXT-X-ENDLIST`. A segment that is not complete is dropped.
    pub fn end(&mut self) {
        self.ended = true;
        self.open = None;
    }

    fn begin(&mut self, head: &Arc<SegmentHead>) -> Result<(), Misplaced> {
        if self.due.is_none() && self.config.joins {
            self.discontinuity = head.discontinuity;
        }
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

    fn add(&mut self, part: &Arc<Part>) -> Result<(), Misplaced> {
        let (segment, index) = (part.segment, part.index);
        match &mut self.open {
            Some(open) if open.head.number == segment && open.parts.len() == index as usize => {
                self.independent &= open.head.independent;
                open.parts.push(Arc::clone(part));
                if !part.cues.is_empty() {
                    self.recall_cues(part.cues.iter().cloned());
                }
                Ok(())
            }
            _ => Err(Misplaced::Part { segment, index }),
        }
    }

    fn complete(&mut self, end: &SegmentEnd, recorded: impl Fn(&Segment) -> bool) -> Result<(), Misplaced> {
        let complete = self.open.take_if(|open| open.head.number == end.number && !open.parts.is_empty());
        let Some(Open { head, parts }) = complete else { return Err(Misplaced::End { number: end.number }) };
        let target_duration = *self.target_duration.get_or_insert(end.target_duration);
        self.part_target = self.part_target.or(end.part_target);
        let discontinuity_before = std::mem::replace(&mut self.discontinuity, head.discontinuity);
        self.due = Some(head.number.saturating_add(1));
        let segment = Segment { head, parts: parts.into(), duration: end.duration, discontinuity_before };
        let left = self.kept.push(Arc::new(segment), &self.config, target_duration);
        self.listed = self.kept.listed().cloned().collect();
        self.reach_back(&left, recorded);
        self.forget_cues();
        Ok(())
    }

    /// Takes up timed events, oldest first.
    pub fn recall_cues(&mut self, cues: impl IntoIterator<Item = Arc<Cue>>) {
        let known = Arc::make_mut(&mut self.cues);
        known.extend(cues);
        known.drain(..known.len().saturating_sub(CUES));
    }

    /// Drops the events of what is not listed any more.
    fn forget_cues(&mut self) {
        let first = self.listed.first().map(|first| first.head.wall);
        let Some(from) = self.reach.first().map(|first| first.wall).or(first) else { return };
        if self.cues.front().is_some_and(|cue| cue.wall < from) {
            Arc::make_mut(&mut self.cues).retain(|cue| cue.wall >= from);
        }
    }

    /// Goes on listing those of `left` that are recorded, and as many of those before them as are wanted.
    fn reach_back(&mut self, left: &[Arc<Segment>], recorded: impl Fn(&Segment) -> bool) {
        if self.config.reach <= Span::ZERO {
            return;
        }
        let reach = Arc::make_mut(&mut self.reach);
        for segment in left {
            if recorded(segment) {
                reach.push(Old::from(&**segment));
            } else {
                *reach = Reach::default();
            }
        }
        let follows = |first: &Arc<Segment>, last: Old| last.number.saturating_add(1) == first.number();
        if let (Some(first), Some(last)) = (self.listed.first(), reach.last())
            && !follows(first, last)
        {
            *reach = Reach::default();
        }
        let least = self.config.reach - self.kept.duration();
        while reach.first().is_some_and(|first| reach.duration() - first.duration >= least) {
            reach.pop();
        }
    }

    /// What viewers see of it now.
    pub fn view(&self) -> View {
        View {
            reach: Arc::clone(&self.reach),
            listed: Arc::clone(&self.listed),
            open: self
                .open
                .as_ref()
                .map(|open| view::Open { head: Arc::clone(&open.head), parts: open.parts.as_slice().into() }),
            cues: Arc::clone(&self.cues),
            position: self.position(),
            target_duration: self.target_duration,
            part_target: self.part_target,
            parts_from: self.config.parts_from,
            independent: self.independent,
            last: self.last || self.ended,
            ended: self.ended,
        }
    }

    /// How far the broadcast has come.
    pub fn position(&self) -> Position {
        let parts = self.open.as_ref().map_or(0, |open| open.parts.len() as u32);
        Position { segment: self.due.unwrap_or(0), parts }
    }

    /// A complete segment, listed or not long gone from the list.
    pub fn segment(&self, number: u64) -> Option<&Arc<Segment>> {
        self.kept.all().find(|segment| segment.number() == number)
    }

    /// A part that is listed, or not long gone from the list.
    pub fn part(&self, segment: u64, index: u32) -> Option<&Arc<Part>> {
        let open = self.open.as_ref().filter(|open| open.head.number == segment);
        match open {
            Some(open) => open.parts.get(index as usize),
            None => self.segment(segment)?.parts.get(index as usize),
        }
    }

    /// An initialisation section that some segment here needs.
    pub fn init(&self, number: u32) -> Option<&Arc<Init>> {
        let open = self.open.as_ref().map(|open| &open.head);
        let mut heads = self.kept.all().map(|segment| &segment.head).chain(open);
        heads.find(|head| head.init.number == number).map(|head| &head.init)
    }
}
