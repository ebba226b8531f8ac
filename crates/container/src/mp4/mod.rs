//! Progressive MP4 (`ftyp`, `moov`, `mdat`; ISO/IEC 14496-12) of what was recorded as parts: a head that is computed,
//! and the frames where they lie.
//!
//! The tables are made of the parts' `moof`s alone. The `mdat` is the media of the parts, one after the other, so a
//! movie needs no file of its own: its head, and a list of which bytes of which segment come where.
//!
//! **Time.** The first picture of a stretch is seen when the stretch begins, at the sum of the durations of what is shown
//! before it; everything else of the stretch keeps its distance from that. Edit lists say what tables can't: that a
//! track begins later than the other, that decoding begins before the first picture is due (reordered pictures), and
//! what in front of a cut is decoded and not shown.
//!
//! **Parameters that change** are one more sample entry. Chromium knows only one of them and gives up at a picture of
//! the other, so where there are several the parameter sets also stand before each keyframe, as the only bytes that
//! were not recorded. (Sample entries of these kinds should hold them alone, ISO/IEC 14496-15 §5.4.2; no player that
//! was tried minds.)

mod edits;
mod head;
mod pieces;
mod stretch;
mod track;

use std::ops::Range;

use bytes::Bytes;
use kaibo_media::{Span, Timestamp, TrackId, Tracks, VideoTrack};

use self::{
    stretch::{Found, Stretch},
    track::{Sample, Track, Window},
};
use crate::{
    fmp4::{self, Moof, TrackRun, read_moof},
    iso::{AudioEntry, Unsupported, VIDEO_TIMESCALE, VideoEntry},
};

/// Samples of one movie: 12 h of 120 pictures and 47 frames of sound per second are 7.2 million. Their tables take 20
/// bytes each at the most, 8 to 10 as a rule.
pub const MOST_SAMPLES: u32 = 8 << 20;

/// Segments in front of a cut that are looked at for a keyframe, see [`Shown::leads`].
const MOST_LEADS: usize = 64;

/// A recorded segment, and what is shown of it.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    /// Its number.
    pub segment: u64,
    /// Its tracks.
    pub tracks: &'a Tracks,
    /// The `moof`s of its parts, one after the other.
    pub moofs: &'a [u8],
    /// Where it begins.
    pub start: Timestamp,
    /// Where it ends.
    pub end: Timestamp,
    /// What is shown begins here, inside of it. None: at its start.
    pub from: Option<Timestamp>,
    /// What is shown ends here, inside of it. None: at its end.
    pub to: Option<Timestamp>,
    /// Time jumps in front of it.
    pub joint: bool,
    /// Nothing of it is shown: it may hold the keyframe that the next one needs, which begins inside of a group of
    /// pictures.
    pub leads: bool,
}

/// Why there is no movie.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A `moof` that can't be read.
    #[error(transparent)]
    Part(#[from] fmp4::Error),
    /// Its frames do not lie one after the other behind it.
    #[error("a part's frames do not follow its head")]
    Scattered,
    /// See [`MOST_SAMPLES`].
    #[error("more than {MOST_SAMPLES} samples in one movie")]
    TooLong,
    /// There is nothing to be seen or heard.
    #[error("a movie without samples")]
    Empty,
}

/// Where a stretch of the movie's bytes lies; it reaches to the next one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Where it begins in the movie.
    pub at: u64,
    /// What holds it.
    pub place: Place,
}

/// What holds a stretch of the movie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A segment.
    Recorded {
        /// Its number.
        segment: u64,
        /// Where in it the stretch begins.
        offset: u64,
    },
    /// All of one of [`Movie::sets`].
    Sets(usize),
}

/// A movie that is nowhere in one piece.
#[derive(Clone, Debug)]
pub struct Movie {
    /// Everything up to the media.
    pub head: Vec<Bytes>,
    /// Where the media is, in order. The first begins where the head ends.
    pub extents: Vec<Extent>,
    /// Parameter sets, as they stand before keyframes.
    pub sets: Vec<Bytes>,
    /// Bytes of the whole.
    pub len: u64,
    /// How long it lasts.
    pub duration: Span,
}

/// Makes a movie, segment by segment.
#[derive(Debug)]
pub struct Builder {
    video: Track,
    audio: Track,
    /// What the tracks were set up for.
    tracks: Tracks,
    /// Where the movie has got to.
    position: Span,
    stretch: Option<Stretch>,
    /// What may hold the keyframe of the next stretch.
    leads: Vec<Found>,
    /// The movie begins inside of a group of pictures.
    is_cut: bool,
    /// Bytes of media so far.
    media: u64,
    /// They count from the beginning of the media.
    extents: Vec<Extent>,
    /// Where the bytes of the newest one end, and in which segment.
    reached: Option<(u64, u64)>,
    /// Keyframes need their parameter sets beside them.
    repeats: bool,
    sets: Vec<Bytes>,
    /// Which of them is needed now.
    needed: Option<usize>,
}

impl Builder {
    /// For segments that have `tracks`.
    pub fn new<'t>(tracks: impl IntoIterator<Item = &'t Tracks>) -> Self {
        let tracks: Vec<_> = tracks.into_iter().collect();
        let audio = tracks.iter().filter_map(|tracks| tracks.audio.as_ref());
        let audio = stretch::common_scale(audio.map(|audio| audio.sample_rate));
        let mut configs = tracks.iter().filter_map(|tracks| tracks.video.as_ref()).map(|video| &video.config);
        let first = configs.next();
        let repeats = configs.any(|config| Some(config) != first);
        Self {
            video: Track::new(VIDEO_TIMESCALE),
            audio: Track::new(audio),
            tracks: Tracks::default(),
            position: Span::ZERO,
            stretch: None,
            leads: Vec::new(),
            is_cut: false,
            media: 0,
            extents: Vec::new(),
            reached: None,
            repeats,
            sets: Vec::new(),
            needed: None,
        }
    }

    /// Adds what is shown of the next segment.
    ///
    /// # Errors
    /// If its `moof`s can't be read, or the movie is too long.
    pub fn push(&mut self, shown: &Shown<'_>) -> Result<(), Error> {
        let found = Found::read(shown)?;
        if shown.leads {
            if self.leads.len() >= MOST_LEADS {
                self.leads.clear();
            }
            self.leads.push(found);
            return Ok(());
        }
        let leads = std::mem::take(&mut self.leads);
        let mut stretch = match self.stretch {
            Some(stretch) if !shown.joint && stretch.end == shown.start => stretch,
            _ => {
                let stretch = Stretch::new(shown, &leads, &found, self.position);
                if stretch.is_cut() {
                    self.is_cut |= self.stretch.is_none();
                    for track in [&mut self.video, &mut self.audio] {
                        track.cut(self.position.in_scale(track.timescale));
                    }
                }
                // What comes before the keyframe is of no use.
                for lead in leads.into_iter().filter(|lead| stretch.needs(lead)) {
                    self.add(&stretch, &lead, None)?;
                }
                stretch
            }
        };
        self.add(&stretch, &found, shown.to)?;
        self.position += shown.to.unwrap_or(shown.end) - shown.from.unwrap_or(shown.start);
        stretch.end = shown.end;
        self.stretch = Some(stretch);
        Ok(())
    }

    /// The movie.
    ///
    /// # Errors
    /// If nothing was added.
    pub fn finish(self) -> Result<Movie, Error> {
        if self.video.samples == 0 && self.audio.samples == 0 {
            return Err(Error::Empty);
        }
        let (head, duration) = head::head(&self.video, &self.audio, self.media, self.is_cut);
        let mut extents = self.extents;
        for extent in &mut extents {
            extent.at += head.len();
        }
        let (len, sets) = (head.len() + self.media, self.sets);
        Ok(Movie { len, head: head.into_pieces(), extents, sets, duration })
    }

    fn add(&mut self, stretch: &Stretch, found: &Found, to: Option<Timestamp>) -> Result<(), Error> {
        self.describe(&found.tracks)?;
        let wanted = stretch.wanted(found, to);
        let window = |scale: u32| Window {
            from: stretch.is_cut().then(|| stretch.begins.in_scale(scale)),
            to: to.map(|to| stretch.place(to).in_scale(scale)),
        };
        let windows = [window(self.video.timescale), window(self.audio.timescale)];
        let (mut offset, mut pictures) = (0, 0);
        for (moof, len) in &found.parts {
            let mut at = offset + moof.len as u64 + 8;
            for run in &moof.runs {
                let kept = match run.track {
                    TrackId::Video => {
                        let before = pictures;
                        pictures += run.entries.len();
                        wanted.start.saturating_sub(before)..wanted.end.saturating_sub(before)
                    }
                    _ => stretch.heard(run, to),
                };
                let kept = kept.start.min(run.entries.len())..kept.end.min(run.entries.len());
                let skipped: u64 = sizes(run.entries.get(..kept.start));
                self.run(stretch, run, kept, (found.segment, at + skipped), windows)?;
                at += run.media_len() as u64;
            }
            offset += len;
        }
        Ok(())
    }

    /// Adds the frames `kept` of a part's track, which lie one after the other from `place` on.
    fn run(
        &mut self,
        stretch: &Stretch,
        run: &TrackRun,
        kept: Range<usize>,
        place: (u64, u64),
        windows: [Window; 2],
    ) -> Result<(), Error> {
        let Some(entries) = run.entries.get(kept.clone()).filter(|kept| !kept.is_empty()) else {
            return Ok(());
        };
        let samples = self.video.samples.saturating_add(self.audio.samples) as usize;
        if samples + entries.len() > MOST_SAMPLES as usize {
            return Err(Error::TooLong);
        }
        let is_video = run.track == TrackId::Video;
        let [of_video, of_audio] = windows;
        let (track, window) = match is_video {
            true => (&mut self.video, of_video),
            false => (&mut self.audio, of_audio),
        };
        track.chunk(self.media, entries.len() as u32);
        let scale = track.timescale;
        let needed = self.needed.filter(|_| is_video);
        let convert = |ticks: i64| match run.timescale == scale {
            true => ticks,
            false => Span::from_scale(ticks, run.timescale).in_scale(scale),
        };
        let shift = stretch.shift.in_scale(scale);
        let skipped = run.entries.get(..kept.start).unwrap_or_default();
        let mut dts = skipped.iter().fold(run.first, |dts, entry| dts.saturating_add(entry.duration.into()));
        let ((segment, mut offset), mut len) = (place, 0);
        for entry in entries {
            let sets = match needed.filter(|_| entry.sync) {
                Some(sets) => {
                    self.place((segment, offset), len);
                    (offset, len) = (offset + len, 0);
                    self.place_sets(sets)
                }
                None => 0,
            };
            let sample = Sample {
                dts: convert(dts).saturating_add(shift),
                composition: i64::from(entry.composition),
                duration: convert(entry.duration.into()),
                size: entry.size.saturating_add(sets),
                sync: entry.sync,
            };
            if is_video { &mut self.video } else { &mut self.audio }.push(sample, window);
            dts = dts.saturating_add(entry.duration.into());
            len += u64::from(entry.size);
        }
        self.place((segment, offset), len);
        Ok(())
    }

    /// The next bytes of media are parameter sets; how many bytes.
    fn place_sets(&mut self, sets: usize) -> u32 {
        // At most what `describe` has put there.
        let len = self.sets.get(sets).map_or(0, |sets| sets.len() as u32);
        self.extents.push(Extent { at: self.media, place: Place::Sets(sets) });
        self.reached = None;
        self.media += u64::from(len);
        len
    }

    /// The next `len` bytes of media lie at `place`: a segment, and where in it.
    fn place(&mut self, (segment, offset): (u64, u64), len: u64) {
        if len == 0 {
            return;
        }
        if self.reached != Some((segment, offset)) {
            self.extents.push(Extent { at: self.media, place: Place::Recorded { segment, offset } });
        }
        self.reached = Some((segment, offset + len));
        self.media += len;
    }

    /// Which of the parameter sets are those of `video`; none in codecs that have none beside their frames.
    fn sets_of(&mut self, video: &VideoTrack) -> Option<usize> {
        let units = video.parameter_sets().ok().filter(|units| !units.is_empty())?;
        let bytes = with_lengths(&units);
        let known = self.sets.iter().position(|known| *known == bytes);
        Some(known.unwrap_or_else(|| {
            self.sets.push(bytes);
            self.sets.len() - 1
        }))
    }

    fn describe(&mut self, tracks: &Tracks) -> Result<(), Error> {
        if self.tracks == *tracks {
            return Ok(());
        }
        if let Some(video) = &tracks.video {
            let entry = VideoEntry::new(video).map_err(unsupported)?;
            let mut bytes = Vec::new();
            entry.write(&mut bytes);
            self.video.describe(bytes, entry.size);
            self.needed = self.repeats.then(|| self.sets_of(video)).flatten();
        }
        if let Some(audio) = &tracks.audio {
            let mut bytes = Vec::new();
            AudioEntry::new(audio).map_err(unsupported)?.write(&mut bytes);
            self.audio.describe(bytes, (0, 0));
        }
        self.tracks = tracks.clone();
        Ok(())
    }
}

/// The bytes of `units` as they stand in a frame: each behind its length.
fn with_lengths(units: &[Bytes]) -> Bytes {
    let mut out = Vec::new();
    for unit in units {
        // A decoder configuration is far below 4 GiB, see `VideoEntry::new`.
        out.extend_from_slice(&(unit.len() as u32).to_be_bytes());
        out.extend_from_slice(unit);
    }
    out.into()
}

fn unsupported(what: Unsupported) -> Error {
    Error::Part(what.into())
}

fn sizes(entries: Option<&[fmp4::Entry]>) -> u64 {
    entries.unwrap_or_default().iter().map(|entry| u64::from(entry.size)).sum()
}
