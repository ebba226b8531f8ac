//! The newest segments of a recording as the cuts that made them, for a live playlist that goes on after a restart.

use std::sync::Arc;

use bytes::Bytes;
use kaibo_container::{
    fmp4::{self, fragments, read_part},
    segment::{Cut, Init, Part, SegmentEnd, SegmentHead},
};
use kaibo_media::{Frame, Run, Span};

use crate::{Error, File, Id, Recording, Recordings, Segment};

/// Segments that are read for one that begins with a keyframe: GOPs of 16 s, cut every 2 s.
const SEARCHED: usize = 8;

/// Bytes that are read first of a segment to find its first part: half a second of 4 Mbit/s.
const PART: u64 = 256 << 10;

impl Recordings {
    /// The cuts of the newest segments of `recording`, which last for `span` together. None of a recording that broke
    /// off within its first segment or before the first part of another: a playlist that begins with them could not
    /// go on with [`Recording::resume`]'s number.
    pub fn tail(&self, id: &Id, recording: &Recording, span: Span) -> Result<Vec<Cut>, Error> {
        let resume = recording.resume();
        let segments = newest(recording.segments(), span);
        // What only an archive has any more is none of it: a restart waits for no network.
        let absent = segments.iter().rposition(|segment| !self.has_segment(id, segment.number));
        let segments = segments.get(absent.map_or(0, |at| at + 1)..).unwrap_or_default();
        let follows = |last: &Segment| last.number.saturating_add(1) == resume.next_segment;
        let Some(target_duration) = resume.target_duration.filter(|_| segments.last().is_some_and(follows))
        else {
            return Ok(Vec::new());
        };
        let mut cuts = Vec::new();
        let mut init: Option<Arc<Init>> = None;
        for segment in segments {
            let known = init.take().filter(|init| init.number == segment.init);
            let needed = match known {
                Some(known) => known,
                None => self.init_of(id, recording, segment)?,
            };
            cuts.push(Cut::Begin(Arc::new(SegmentHead {
                number: segment.number,
                discontinuity: segment.discontinuity,
                init: needed.clone(),
                start: segment.start,
                wall: segment.wall,
                independent: segment.independent,
                filler: segment.filler,
            })));
            cuts.extend(self.parts(id, segment, &needed)?.into_iter().map(|part| Cut::Part(Arc::new(part))));
            cuts.push(Cut::End(SegmentEnd {
                number: segment.number,
                duration: segment.duration,
                target_duration,
                part_target: resume.part_target,
            }));
            init = Some(needed);
        }
        Ok(cuts)
    }

    /// The frame that the newest segment of a publisher's begins with, of the newest initialisation section: a picture
    /// to be held, and its tracks. Of sound alone some frame.
    pub fn newest_opening(&self, id: &Id, recording: &Recording) -> Result<Option<Frame>, Error> {
        let mut own = recording.segments().iter().rev().filter(|segment| !segment.filler);
        let Some(segment) = own.next() else { return Ok(None) };
        let init = self.init_of(id, recording, segment)?;
        let same = own.take_while(|older| older.init == segment.init);
        // A segment that was cut within a long group of pictures begins with none.
        for segment in std::iter::once(segment).chain(same).take(SEARCHED).filter(|found| found.independent) {
            let opening = match self.opening(id, segment, &init) {
                Err(error) if error.is_absent() => break,
                opening => opening?,
            };
            if opening.is_some() {
                return Ok(opening);
            }
        }
        Ok(None)
    }

    /// The keyframe that a segment begins with, as far as it begins with one; of sound alone some frame. Reads no more of the
    /// file than its first part.
    pub fn opening(&self, id: &Id, segment: &Segment, init: &Init) -> Result<Option<Frame>, Error> {
        let (file, mut most) = (File::Segment(segment.number), PART);
        loop {
            let wanted = most.min(segment.bytes);
            let bytes = self.read(id, file, 0..wanted)?;
            match segment.opening(&bytes, init) {
                Ok(opening) => return Ok(opening),
                Err(fmp4::Error::Torn { .. }) if wanted < segment.bytes => most = most.saturating_mul(4),
                Err(_) => return Err(Error::Corrupt(self.path(id, file))),
            }
        }
    }

    pub(crate) fn init_of(
        &self,
        id: &Id,
        recording: &Recording,
        segment: &Segment,
    ) -> Result<Arc<Init>, Error> {
        let stored = recording.inits().iter().find(|init| init.number == segment.init);
        // Reading the index has made sure of it.
        let stored = stored.ok_or_else(|| Error::Missing(id.clone()))?;
        let bytes = self.init(id, stored)?;
        Ok(Arc::new(Init { number: stored.number, bytes, tracks: Arc::new(stored.tracks.clone()) }))
    }

    pub(crate) fn parts(&self, id: &Id, segment: &Segment, init: &Init) -> Result<Vec<Part>, Error> {
        let file = File::Segment(segment.number);
        let bytes = self.read(id, file, 0..segment.bytes)?;
        segment.parts(&bytes, init).ok_or_else(|| Error::Corrupt(self.path(id, file)))
    }
}

impl Segment {
    /// Its parts, where `bytes` are its own and `init` is what it needs; none if they are not.
    pub fn parts(&self, bytes: &Bytes, init: &Init) -> Option<Vec<Part>> {
        let (mut parts, mut at, mut start) = (Vec::new(), 0, self.start);
        for fragment in fragments(bytes, &init.tracks) {
            let fragment = fragment.ok()?;
            parts.push(Part {
                segment: self.number,
                index: parts.len() as u32,
                start,
                duration: fragment.duration,
                independent: fragment.samples.iter().any(|sample| sample.keyframe),
                bytes: bytes.slice(at..at + fragment.len),
                samples: fragment.samples,
                cues: fragment.cues,
            });
            at += fragment.len;
            start += fragment.duration;
        }
        // The bytes know the lengths of their tracks, the index where the segment ended. What is made of the segment
        // reaches as far as it did before the restart: its TS form is the same again.
        if let Some(last) = parts.last_mut() {
            last.duration = self.end() - last.start;
        }
        Some(parts)
    }
}

impl Segment {
    /// The keyframe that it begins with, as far as it begins with one; of sound alone some frame. `bytes` are its own, its
    /// first part at the least, and `init` is what it needs.
    pub fn opening(&self, bytes: &[u8], init: &Init) -> Result<Option<Frame>, fmp4::Error> {
        let part = read_part(bytes, &init.tracks)?;
        let opening = part.samples.iter().find(|sample| sample.keyframe);
        Ok(opening.map(|sample| Frame {
            tracks: init.tracks.clone(),
            run: Run { start: self.start, wall: self.wall, ..Run::default() },
            track: sample.track,
            dts: sample.dts,
            pts_offset: sample.pts_offset,
            keyframe: true,
            filler: false,
            data: Bytes::copy_from_slice(
                bytes.get(sample.range.start as usize..sample.range.end as usize).unwrap_or_default(),
            ),
        }))
    }
}

/// The last of `segments` that fill `span`; without a hole in their numbers, which no playlist may have.
fn newest(segments: &[Segment], span: Span) -> &[Segment] {
    let mut duration = Span::ZERO;
    let mut from = segments.len();
    while let Some(segment) = from.checked_sub(1).and_then(|at| segments.get(at)) {
        let follows = segments.get(from).is_none_or(|next| segment.number.saturating_add(1) == next.number);
        if duration >= span || !follows {
            break;
        }
        duration += segment.duration;
        from -= 1;
    }
    segments.get(from..).unwrap_or_default()
}
