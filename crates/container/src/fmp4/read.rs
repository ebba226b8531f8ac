//! Reading back the parts that [`super::part`] wrote, from a recording that may be torn or damaged.
//!
//! Nothing is taken on trust: a count is checked against the bytes that are there before it is believed, and a
//! frame's range lies within its `mdat`.

use std::sync::Arc;

use kaibo_media::{Cue, Span, Timestamp, TrackId, Tracks};

use super::{Error, emsg, timescale};
use crate::{
    iso::{AUDIO_ID, VIDEO_ID},
    segment::Sample,
};

/// A part as it lies in a recording.
#[derive(Clone, Debug)]
pub struct Fragment {
    /// Bytes of the part.
    pub len: usize,
    /// Its sequence number.
    pub sequence: u32,
    /// Decoding time of its first picture, without pictures of its first audio frame.
    pub start: Timestamp,
    /// Its pictures' duration, without pictures its sound's.
    pub duration: Span,
    /// Its frames in file order; ranges count from the start of the part. Times are exact to a tick of the track.
    pub samples: Box<[Sample]>,
    /// Its timed events.
    pub cues: Box<[Arc<Cue>]>,
}

/// Walks the parts of a segment or recording from its start. Ends after the last whole part, or with an error.
pub fn fragments<'a>(bytes: &'a [u8], tracks: &'a Tracks) -> Fragments<'a> {
    Fragments { rest: bytes, tracks, whole: 0 }
}

/// See [`fragments`].
#[derive(Debug)]
pub struct Fragments<'a> {
    rest: &'a [u8],
    tracks: &'a Tracks,
    whole: usize,
}

impl Fragments<'_> {
    /// How many bytes the parts walked so far take: where to truncate once the walk has ended.
    pub fn whole(&self) -> usize {
        self.whole
    }
}

impl Iterator for Fragments<'_> {
    type Item = Result<Fragment, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let fragment = read_part(self.rest, self.tracks);
        match &fragment {
            Ok(fragment) => {
                self.whole += fragment.len;
                self.rest = self.rest.get(fragment.len..).unwrap_or_default();
            }
            Err(_) => self.rest = &[],
        }
        Some(fragment)
    }
}

/// Reads the part at the start of `bytes`; more may follow it.
pub fn read_part(bytes: &[u8], tracks: &Tracks) -> Result<Fragment, Error> {
    let mut file = Reader { bytes, at: 0 };
    let moof = read_moof(bytes, tracks)?;
    file.at = moof.len;
    let mdat = file.boxed(b"mdat")?;
    let media = mdat.at..mdat.bytes.len();

    let mut samples = Vec::new();
    for run in &moof.runs {
        let in_media = run.offset >= media.start && run.offset + run.media_len() <= media.end;
        if !in_media {
            return Err(mdat.malformed("frames outside the mdat"));
        }
        run.samples(&mut samples).ok_or_else(|| mdat.malformed("part over 4 GiB"))?;
    }
    let first = moof.runs.first();
    Ok(Fragment {
        len: media.end,
        sequence: moof.sequence,
        start: first.map_or(Timestamp::ZERO, TrackRun::start),
        duration: first.map_or(Span::ZERO, |run| run.end() - run.start()),
        samples: samples.into(),
        cues: moof.cues,
    })
}

/// What stands before the media of a part.
#[derive(Clone, Debug)]
pub struct Moof {
    /// Its bytes.
    pub len: usize,
    /// Sequence number of the part.
    pub sequence: u32,
    /// Its timed events, which stand in front.
    pub cues: Box<[Arc<Cue>]>,
    /// A video and an audio track at the most, in file order.
    pub runs: Vec<TrackRun>,
}

/// What a part holds of one track, in the track's own ticks.
#[derive(Clone, Debug)]
pub struct TrackRun {
    /// The track.
    pub track: TrackId,
    /// Ticks per second.
    pub timescale: u32,
    /// Decoding time of the first frame.
    pub first: i64,
    /// Offset of the first frame from the start of the part. The others follow it.
    pub offset: usize,
    /// The frames.
    pub entries: Vec<Entry>,
    /// Audio frames are keyframes only where there are no pictures.
    sound_alone: bool,
}

/// A frame as a `trun` lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Ticks to the frame after it.
    pub duration: u32,
    /// Bytes.
    pub size: u32,
    /// It depends on no other.
    pub sync: bool,
    /// Presentation time minus decoding time, in ticks.
    pub composition: i32,
}

/// The `moof` that a part begins with, with the events in front of it, and how many bytes the part has, of which these need not be all. None where
/// something else stands there, or not enough of it.
pub fn measure(part: &[u8]) -> Option<(&[u8], u64)> {
    let mut file = Reader { bytes: part, at: 0 };
    while file.next_is(b"emsg") {
        file.boxed(b"emsg").ok()?;
    }
    file.boxed(b"moof").ok()?;
    let moof = part.get(..file.at)?;
    let media = file.u32().ok()?;
    let kind: [u8; 4] = file.array().ok()?;
    (kind == *b"mdat").then_some((moof, moof.len() as u64 + u64::from(media)))
}

/// Reads the `moof` at the start of `bytes`; more may follow it.
pub fn read_moof(bytes: &[u8], tracks: &Tracks) -> Result<Moof, Error> {
    let mut file = Reader { bytes, at: 0 };
    let mut cues = Vec::new();
    while file.next_is(b"emsg") {
        let event = file.boxed(b"emsg")?;
        let cue = event.bytes.get(event.at..).and_then(emsg::read);
        cues.push(Arc::new(cue.ok_or_else(|| event.malformed("another event than Kaibo writes"))?));
    }
    // Offsets count from here.
    let base = file.at;
    let mut moof = file.boxed(b"moof")?;
    let mut mfhd = moof.full(b"mfhd", 0)?;
    let sequence = mfhd.u32()?;
    let mut runs = Vec::new();
    while !moof.is_empty() {
        runs.push(TrackRun::read(moof.boxed(b"traf")?, tracks, base)?);
        if runs.len() > 2 {
            return Err(moof.malformed("more than two tracks"));
        }
    }
    Ok(Moof { len: file.at, sequence, cues: cues.into(), runs })
}

impl TrackRun {
    /// Bytes of its frames.
    pub fn media_len(&self) -> usize {
        self.entries.iter().map(|entry| entry.size as usize).sum()
    }

    fn start(&self) -> Timestamp {
        Timestamp::from_scale(self.first, self.timescale)
    }

    fn end(&self) -> Timestamp {
        let duration: i64 = self.entries.iter().map(|entry| i64::from(entry.duration)).sum();
        Timestamp::from_scale(self.first.saturating_add(duration), self.timescale)
    }

    /// Adds its frames to `samples`; none where they reach beyond 4 GiB.
    fn samples(&self, samples: &mut Vec<Sample>) -> Option<()> {
        let (mut dts, mut at) = (self.first, u32::try_from(self.offset).ok()?);
        for entry in &self.entries {
            let end = at.checked_add(entry.size)?;
            let time = Timestamp::from_scale(dts, self.timescale);
            let pts = Timestamp::from_scale(dts.saturating_add(entry.composition.into()), self.timescale);
            let keyframe = match self.track {
                TrackId::Video => entry.sync,
                _ => self.sound_alone,
            };
            samples.push(Sample {
                track: self.track,
                dts: time,
                pts_offset: pts - time,
                keyframe,
                range: at..end,
            });
            dts = dts.saturating_add(entry.duration.into());
            at = end;
        }
        Some(())
    }

    fn read(mut traf: Reader<'_>, tracks: &Tracks, base: usize) -> Result<Self, Error> {
        let mut tfhd = traf.full(b"tfhd", 0x02_0000)?;
        let (track, flags, entry_len) = match tfhd.u32()? {
            VIDEO_ID => (TrackId::Video, 0xF01, 16),
            AUDIO_ID => (TrackId::Audio, 0x301, 8),
            _ => return Err(tfhd.malformed("unknown track")),
        };
        let timescale = timescale(tracks, track);
        if timescale == 0 {
            return Err(tfhd.malformed("track that the stream has not"));
        }
        let mut tfdt = traf.full(b"tfdt", 1 << 24)?;
        let first = i64::try_from(tfdt.u64()?).map_err(|_| tfdt.malformed("time beyond 63 bits"))?;
        let mut trun = traf.full(b"trun", 1 << 24 | flags)?;
        let count = trun.u32()? as usize;
        let offset = base + trun.u32()? as usize;
        if count.checked_mul(entry_len) != Some(trun.left()) {
            return Err(trun.malformed("sample count that doesn't fit its table"));
        }
        let mut entries = Vec::with_capacity(count);
        for _ in 0..count {
            let (duration, size) = (trun.u32()?, trun.u32()?);
            let (sync, composition) = match track {
                TrackId::Video => (trun.u32()? & 0x1_0000 == 0, trun.u32()? as i32),
                _ => (true, 0),
            };
            entries.push(Entry { duration, size, sync, composition });
        }
        Ok(Self { track, timescale, first, offset, entries, sound_alone: tracks.video.is_none() })
    }
}

/// The rest of a box; positions count from the start of the part.
struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    fn is_empty(&self) -> bool {
        self.left() == 0
    }

    fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed { at: self.at, what }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let array = rest.first_chunk().ok_or(Error::Torn { at: self.at })?;
        self.at += N;
        Ok(*array)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_be_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_be_bytes)
    }

    /// Whether the box that comes next is `kind`.
    fn next_is(&self, kind: &[u8; 4]) -> bool {
        self.bytes.get(self.at + 4..self.at + 8) == Some(kind)
    }

    /// Enters the box that comes next, which must be `kind`.
    fn boxed(&mut self, kind: &[u8; 4]) -> Result<Reader<'a>, Error> {
        let start = self.at;
        let size = self.u32()? as usize;
        let found: [u8; 4] = self.array()?;
        if found != *kind || size < 8 {
            return Err(Error::Malformed { at: start, what: "another box than Kaibo writes" });
        }
        let inner = self
            .bytes
            .get(..start + size)
            .map(|bytes| Reader { bytes, at: self.at })
            .ok_or(Error::Torn { at: start })?;
        self.at = start + size;
        Ok(inner)
    }

    /// The same, with a version and flags that must be `expected`.
    fn full(&mut self, kind: &[u8; 4], expected: u32) -> Result<Reader<'a>, Error> {
        let mut inner = self.boxed(kind)?;
        if inner.u32()? != expected {
            return Err(inner.malformed("another version or other flags than Kaibo writes"));
        }
        Ok(inner)
    }
}
