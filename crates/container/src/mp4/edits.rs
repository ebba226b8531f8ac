//! Which stretches of a track's own timeline are seen when (`elst`, ISO/IEC 14496-12 §8.6.6).

/// A stretch of the movie during which a stretch of the track's own timeline is seen, in the track's ticks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Edit {
    from: i64,
    to: i64,
    /// What is seen at `from` stands at `from + lead` in the track.
    lead: i64,
}

/// The stretches in the order of time.
#[derive(Clone, Debug, Default)]
pub struct Edits(Vec<Edit>);

/// A line of an edit list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line {
    /// In the movie's ticks.
    pub duration: u64,
    /// In the track's, from its first sample; -1: nothing is seen.
    pub media_time: i64,
}

impl Edits {
    /// Something of the track is seen from `from` to `to`, if that is any time.
    pub fn show(&mut self, from: i64, to: i64, lead: i64) {
        if to <= from {
            return;
        }
        match self.0.last_mut() {
            Some(last) if last.lead == lead => {
                last.from = last.from.min(from);
                last.to = last.to.max(to);
            }
            Some(last) => {
                // What comes next is seen in its place.
                last.to = last.to.min(from).max(last.from);
                self.0.push(Edit { from, to, lead });
            }
            None => self.0.push(Edit { from, to, lead }),
        }
    }

    /// Where something is seen first.
    pub fn start(&self) -> Option<i64> {
        self.0.first().map(|edit| edit.from)
    }

    /// The list of a movie that begins at `start`, whose ticks `in_movie` makes of the track's. The track's own timeline
    /// begins at `first`. And how long the track is seen, gaps included.
    pub fn lines(&self, start: i64, first: i64, in_movie: impl Fn(i64) -> i64) -> (Vec<Line>, u64) {
        let mut lines = Vec::new();
        let mut at = start;
        for edit in &self.0 {
            let (from, to) = (in_movie(edit.from).max(at), in_movie(edit.to));
            let (Ok(gap), Ok(duration @ 1..)) = (u64::try_from(from - at), u64::try_from(to - from)) else {
                continue;
            };
            if gap > 0 {
                lines.push(Line { duration: gap, media_time: -1 });
            }
            lines.push(Line { duration, media_time: (edit.from + edit.lead - first).max(0) });
            at = to;
        }
        (lines, u64::try_from(at - start).unwrap_or(0))
    }
}

/// The list says nothing that isn't so without it.
pub fn is_plain(lines: &[Line]) -> bool {
    matches!(lines, [] | [Line { media_time: 0, .. }])
}
