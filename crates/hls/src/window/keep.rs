//! Which segments are listed, and which that left the list may still be fetched.

use std::{collections::VecDeque, sync::Arc};

use kaibo_media::Span;

use super::{Config, Segment};
use crate::uris::Format;

/// Segments that stay listed at least (Apple 8.11).
const SEGMENTS: usize = 6;

/// Target durations that stay listed at least (RFC 8216 §6.2.2).
const TARGET_DURATIONS: i64 = 3;

/// The complete segments, in order: first those that left the list, then the listed ones.
#[derive(Debug, Default)]
pub(super) struct Kept {
    removed: VecDeque<Removed>,
    listed: VecDeque<Arc<Segment>>,
    /// Duration of the listed ones.
    duration: Span,
    /// The longest that `duration` ever was.
    longest: Span,
    /// Bytes of all of them.
    bytes: usize,
    /// Media time since the first one began: the clock here, for media comes in real time.
    elapsed: Span,
}

/// A segment that left the list.
#[derive(Debug)]
struct Removed {
    segment: Arc<Segment>,
    /// When nobody can still want it: a client that has just loaded the longest playlist with it comes to it no later
    /// than one such playlist and its own duration after its removal (RFC 8216 §6.2.2).
    until: Span,
}

impl Kept {
    pub(super) fn listed(&self) -> impl DoubleEndedIterator<Item = &Arc<Segment>> + Clone {
        self.listed.iter()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Segment>> {
        self.removed.iter().map(|removed| &removed.segment).chain(&self.listed)
    }

    /// Lists a segment and lets go of others as `config` says.
    pub(super) fn push(&mut self, segment: Arc<Segment>, config: &Config, target_duration: u32) {
        self.elapsed += segment.duration;
        self.duration += segment.duration;
        self.bytes += segment.size(Format::Fmp4);
        self.listed.push_back(segment);

        let least = Span::from_millis(i64::from(target_duration) * 1000 * TARGET_DURATIONS);
        while self.unlist(least.max(config.window)) {}
        while self.removed.front().is_some_and(|removed| removed.until <= self.elapsed) {
            self.forget();
        }
        while self.bytes > config.bytes && (!self.removed.is_empty() || self.unlist(least)) {
            self.forget();
        }
        self.longest = self.longest.max(self.duration);
    }

    /// Takes the oldest segment from the list, if `least` and [`SEGMENTS`] stay.
    fn unlist(&mut self, least: Span) -> bool {
        let stays = |oldest: &mut Arc<Segment>| self.duration - oldest.duration >= least;
        if self.listed.len() <= SEGMENTS {
            return false;
        }
        let Some(segment) = self.listed.pop_front_if(stays) else { return false };
        self.duration -= segment.duration;
        self.removed.push_back(Removed { until: self.elapsed + segment.duration + self.longest, segment });
        true
    }

    /// Drops the segment that left the list first.
    fn forget(&mut self) {
        if let Some(removed) = self.removed.pop_front() {
            self.bytes -= removed.segment.size(Format::Fmp4);
        }
    }
}
