//! Reading back the parts that [`super::part`] wrote, from a recording that may be torn or damaged.
//!
//! Nothing is taken on trust: a count is checked against the bytes that are there before it is believed, and a
//! frame's range lies within its `mdat`.

use kaibo_media::{Span, Timestamp, TrackId, Tracks};

use super::{AUDIO_ID, Error, VIDEO_ID, timescale};
use crate::segment::Sample;

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
    let mut moof = file.boxed(b"moof")?;
    let mut mfhd = moof.full(b"mfhd", 0)?;
    let sequence = mfhd.u32()?;
    let mut runs = Vec::new();
    while !moof.is_empty() {
        runs.push(Run::read(moof.boxed(b"traf")?, tracks)?);
        if runs.len() > 2 {
            return Err(moof.malformed("more than two tracks"));
        }
    }
    let mdat = file.boxed(b"mdat")?;
    let media = mdat.at..mdat.bytes.len();

    let mut samples = Vec::new();
    for run in &mut runs {
        let in_media = run.offset >= media.start && run.offset + run.media_len <= media.end;
        if !in_media {
            return Err(mdat.malformed("frames outside the mdat"));
        }
        samples.append(&mut run.samples);
    }
    Ok(Fragment {
        len: media.end,
        sequence,
        start: runs.first().map_or(Timestamp::ZERO, |run| run.start),
        duration: runs.first().map_or(Span::ZERO, |run| run.duration),
        samples: samples.into(),
    })
}

/// What a `traf` says.
struct Run {
    start: Timestamp,
    duration: Span,
    samples: Vec<Sample>,
    /// Offset of the first frame from the start of the part.
    offset: usize,
    media_len: usize,
}

impl Run {
    fn read(mut traf: Reader<'_>, tracks: &Tracks) -> Result<Self, Error> {
        let mut tfhd = traf.full(b"tfhd", 0x02_0000)?;
        let (track, flags, entry_len) = match tfhd.u32()? {
            VIDEO_ID => (TrackId::Video, 0xF01, 16),
            AUDIO_ID => (TrackId::Audio, 0x301, 8),
            _ => return Err(tfhd.malformed("unknown track")),
        };
        let scale = timescale(tracks, track);
        if scale == 0 {
            return Err(tfhd.malformed("track that the stream has not"));
        }
        let mut tfdt = traf.full(b"tfdt", 1 << 24)?;
        let start = i64::try_from(tfdt.u64()?).map_err(|_| tfdt.malformed("time beyond 63 bits"))?;
        let mut trun = traf.full(b"trun", 1 << 24 | flags)?;
        let count = trun.u32()? as usize;
        let offset = trun.u32()? as usize;
        if count.checked_mul(entry_len) != Some(trun.left()) {
            return Err(trun.malformed("sample count that doesn't fit its table"));
        }

        let mut samples = Vec::with_capacity(count);
        let mut dts = start;
        let mut at = offset;
        for _ in 0..count {
            let duration = trun.u32()?;
            let len = trun.u32()? as usize;
            let (keyframe, composition) = match track {
                TrackId::Video => (trun.u32()? & 0x1_0000 == 0, trun.u32()? as i32),
                _ => (tracks.video.is_none(), 0),
            };
            let end = at + len;
            let range = u32::try_from(at)
                .and_then(|from| Ok(from..u32::try_from(end)?))
                .map_err(|_| trun.malformed("part over 4 GiB"))?;
            let time = Timestamp::from_scale(dts, scale);
            let pts = Timestamp::from_scale(dts.saturating_add(composition.into()), scale);
            samples.push(Sample { track, dts: time, pts_offset: pts - time, keyframe, range });
            dts = dts.saturating_add(duration.into());
            at = end;
        }
        let start = Timestamp::from_scale(start, scale);
        let duration = Timestamp::from_scale(dts, scale) - start;
        Ok(Self { start, duration, samples, offset, media_len: at - offset })
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
