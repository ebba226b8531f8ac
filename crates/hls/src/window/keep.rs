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

    /// Duration of the listed ones.
    pub(super) fn duration(&self) -> Span {
        self.duration
    }

    /// Lists a segment and lets go of others as `config` says. Answers those that leave the list, oldest first.
    pub(super) fn push(
        &mut self,
        segment: Arc<Segment>,
        config: &Config,
        target_duration: u32,
    ) -> Vec<Arc<Segment>> {
        self.elapsed += segment.duration;
        self.duration += segment.duration;
        self.bytes += segment.size(Format::Fmp4);
        self.listed.push_back(segment);

        let least = Span::from_millis(i64::from(target_duration) * 1000 * TARGET_DURATIONS);
        let mut left = Vec::new();
        while let Some(segment) = self.unlist(least.max(config.window)) {
            left.push(segment);
        }
        while self.removed.front().is_some_and(|removed| removed.until <= self.elapsed) {
            self.forget();
        }
        while self.bytes > config.bytes {
            if self.removed.is_empty() {
                let Some(segment) = self.unlist(least) else { break };
                left.push(segment);
            }
            self.forget();
        }
        self.longest = self.longest.max(self.duration);
        left
    }

    /// Takes the oldest segment from the list, if `least` and [`SEGMENTS`] stay.
    fn unlist(&mut self, least: Span) -> Option<Arc<Segment>> {
        let stays = |oldest: &mut Arc<Segment>| self.duration - oldest.duration >= least;
        if self.listed.len() <= SEGMENTS {
            return None;
        }
        let segment = self.listed.pop_front_if(stays)?;
        self.duration -= segment.duration;
        let until = self.elapsed + segment.duration + self.longest;
        self.removed.push_back(Removed { until, segment: Arc::clone(&segment) });
        Some(segment)
    }

    /// Drops the segment that left the list first.
    fn forget(&mut self) {
        if let Some(removed) = self.removed.pop_front() {
            self.bytes -= removed.segment.size(Format::Fmp4);
        }
    }
}
