//! A stretch of a recording within which time does not jump: where it stands in the movie, and which frames belong
//! to it.

use std::ops::Range;

use kaibo_media::{Span, Timestamp, TrackId, Tracks};

use super::{Error, Moof, Shown, TrackRun, read_moof};

/// Ticks per second that hold every sample rate of the field, and still leave 6 s to 32 bits.
const FLICKS: u32 = 705_600_000;

/// What was found in a segment.
#[derive(Debug)]
pub struct Found {
    pub segment: u64,
    pub tracks: Tracks,
    /// Each with the bytes of its part.
    pub parts: Vec<(Moof, u64)>,
}

impl Found {
    pub fn read(shown: &Shown<'_>) -> Result<Self, Error> {
        let (mut rest, mut parts) = (shown.moofs, Vec::new());
        while !rest.is_empty() {
            let moof = read_moof(rest, shown.tracks)?;
            rest = rest.get(moof.len..).unwrap_or_default();
            // The header of the `mdat`, and the tracks one after the other.
            let mut end = moof.len + 8;
            for run in &moof.runs {
                if run.offset != end {
                    return Err(Error::Scattered);
                }
                end += run.media_len();
            }
            parts.push((moof, end as u64));
        }
        Ok(Self { segment: shown.segment, tracks: shown.tracks.clone(), parts })
    }

    fn pictures(&self) -> impl Iterator<Item = Picture> + '_ {
        let runs =
            self.parts.iter().flat_map(|(moof, _)| &moof.runs).filter(|run| run.track == TrackId::Video);
        runs.flat_map(|run| {
            run.entries.iter().scan(run.first, |dts, entry| {
                let at = Timestamp::from_scale(*dts, run.timescale);
                *dts = dts.saturating_add(entry.duration.into());
                let offset = Span::from_scale(entry.composition.into(), run.timescale);
                Some(Picture { dts: at, offset, keyframe: entry.sync })
            })
        })
    }
}

struct Picture {
    dts: Timestamp,
    /// Presentation time minus decoding time.
    offset: Span,
    keyframe: bool,
}

/// Where a stretch stands.
#[derive(Clone, Copy, Debug)]
pub struct Stretch {
    /// From media time to the movie's.
    pub shift: Span,
    /// Where it begins in the movie.
    pub begins: Span,
    /// Where it ends in media time, so far.
    pub end: Timestamp,
    /// Its pictures are seen this much later than they are decoded: what the first keyframe waits.
    delay: Span,
    /// It begins inside of a group of pictures, at this media time.
    cut: Option<Timestamp>,
    /// The keyframe that it is decoded from: a segment, and how many pictures of it come before.
    keyframe: (u64, usize),
}

impl Stretch {
    /// One that begins with `shown`, whose media is `found`, at `position` of the movie.
    pub fn new(shown: &Shown<'_>, leads: &[Found], found: &Found, position: Span) -> Self {
        let cut = shown.from.or((!leads.is_empty()).then_some(shown.start));
        let all = leads.iter().chain([found]);
        let all = all.flat_map(|found| {
            found.pictures().enumerate().map(|(at, picture)| ((found.segment, at), picture))
        });
        let keyframe = cut.and_then(|cut| {
            all.take_while(|(_, picture)| picture.dts <= cut).filter(|(_, picture)| picture.keyframe).last()
        });
        let (keyframe, first) = match keyframe {
            Some((at, picture)) => (at, Some(picture)),
            // None lies before it: it begins with what there is.
            None => ((shown.segment, 0), found.pictures().next()),
        };
        let delay = first.map_or(Span::ZERO, |picture| picture.offset);
        let starts = cut.unwrap_or(shown.start);
        Self {
            shift: position - starts.since_zero() - delay,
            begins: position,
            end: shown.end,
            delay,
            cut,
            keyframe,
        }
    }

    pub fn is_cut(&self) -> bool {
        self.cut.is_some()
    }

    /// Where in the movie a picture is seen that media time `at` is the end of.
    pub fn place(&self, at: Timestamp) -> Span {
        (at + self.delay + self.shift).since_zero()
    }

    /// The keyframe, or something behind it, is in `found`.
    pub fn needs(&self, found: &Found) -> bool {
        found.segment >= self.keyframe.0
    }

    /// Which of the pictures in `found` are decoded, counted from its start.
    pub fn wanted(&self, found: &Found, to: Option<Timestamp>) -> Range<usize> {
        let (segment, before) = self.keyframe;
        let from = if self.is_cut() && found.segment == segment { before } else { 0 };
        let end = to.map_or(usize::MAX, |to| {
            // What is decoded after it may have to be seen before it.
            let seen = |picture: &Picture| picture.dts + picture.offset - self.delay < to;
            let last = found.pictures().enumerate().filter(|(_, picture)| seen(picture)).last();
            last.map_or(0, |(at, _)| at + 1)
        });
        from..end.max(from)
    }

    /// Which frames of sound are heard.
    pub fn heard(&self, run: &TrackRun, to: Option<Timestamp>) -> Range<usize> {
        let from = self.cut.map(|cut| (cut + self.delay).in_scale(run.timescale));
        let to = to.map(|to| (to + self.delay).in_scale(run.timescale));
        let (mut dts, mut kept) = (run.first, 0..0);
        for (at, entry) in run.entries.iter().enumerate() {
            let end = dts.saturating_add(entry.duration.into());
            if from.is_some_and(|from| end <= from) {
                kept = at + 1..at + 1;
            } else if to.is_none_or(|to| dts < to) {
                kept.end = at + 1;
            }
            dts = end;
        }
        kept
    }
}

/// Ticks per second that hold all of `rates`.
pub fn common_scale(rates: impl Iterator<Item = u32>) -> u32 {
    let common = rates.filter(|rate| *rate > 0).try_fold(1u32, |common, rate| {
        let (mut a, mut b) = (common, rate);
        while b > 0 {
            (a, b) = (b, a % b);
        }
        common.checked_mul(rate / a)
    });
    common.filter(|common| *common <= FLICKS).unwrap_or(FLICKS)
}
