//! Reading a recording: what its index says, as far as its files bear it out.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read},
    path::{Path, PathBuf},
    sync::Arc,
};

use kaibo_container::segmenter::Resume;
use kaibo_media::{Cue, Span, Timestamp, Tracks};

use crate::{
    Cues, Error, Finished, Id, Loss, Meta, Segment,
    disk::open,
    fact::{self, Fact},
};

/// The name of the index.
pub const INDEX: &str = "index.jsonl";

/// How segments' names end.
const SEGMENT: &str = ".m4s";

/// A file of this name is a segment.
pub fn is_segment(name: &str) -> bool {
    name.ends_with(SEGMENT)
}

pub(crate) fn segment_file(number: u64) -> String {
    format!("{number}{SEGMENT}")
}

pub(crate) fn init_file(number: u32) -> String {
    format!("init-{number}.mp4")
}

/// An initialisation section of a recording.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredInit {
    /// Its number in the broadcast.
    pub number: u32,
    /// Its length in bytes.
    pub bytes: u64,
    /// The decoder parameters in it.
    pub tracks: Tracks,
    pub(crate) crc: u32,
}

impl StoredInit {
    /// These are its bytes.
    pub fn is_of(&self, bytes: &[u8]) -> bool {
        bytes.len() as u64 == self.bytes && crc32fast::hash(bytes) == self.crc
    }
}

/// A recording as it lies on the disk. Opening it changes nothing there: what is torn is left out of this view, and
/// cut off by [`crate::Writer::reopen`].
#[derive(Clone, Debug)]
pub struct Recording {
    pub(crate) meta: Meta,
    pub(crate) inits: Vec<StoredInit>,
    pub(crate) segments: Vec<Segment>,
    pub(crate) losses: Vec<Loss>,
    pub(crate) cues: Cues,
    pub(crate) finished: Option<Finished>,
    /// Where the recorded, or at least the live, timeline ends.
    pub(crate) end: Timestamp,
    /// Bytes of the index that count.
    pub(crate) whole: u64,
    /// The newest segment, the only one that may be in doubt.
    pub(crate) newest: Option<Newest>,
    next: u64,
    /// Numbers below this were shown, though nothing of them may be recorded.
    shown: u64,
    discontinuity: Option<u64>,
    target_duration: Option<u32>,
    part_target: Option<Span>,
}

/// The newest segment of a recording that is not final.
#[derive(Clone, Debug)]
pub(crate) struct Newest {
    pub number: u64,
    /// Parts that the index speaks of.
    pub claimed: usize,
    /// Parts whose bytes are there.
    pub whole: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// A segment that is being read from the index.
struct Current {
    segment: Segment,
    /// Length, checksum and duration of each part.
    parts: Vec<(u64, u32, Span)>,
    /// How many timed events there were before it.
    cues: usize,
}

impl Recording {
    /// Reads the recording `id` in `root`.
    pub fn open(root: &Path, id: &Id) -> Result<Self, Error> {
        let dir = root.join(id.as_str());
        let path = dir.join(INDEX);
        let mut lines = Lines::open(&path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Error::Missing(id.clone()),
            _ => Error::at(&path)(error),
        })?;
        let meta = match lines.next()? {
            Some(Fact::Opened(meta)) => meta,
            Some(_) => return Err(lines.damaged("not the first line of an index")),
            // Its writer is about to begin, or never got that far.
            None => return Err(Error::Missing(id.clone())),
        };
        let mut recording = Self { whole: lines.line.len() as u64, ..Self::new(meta) };
        let mut current = None;
        while let Some(fact) = lines.next()? {
            recording.whole += lines.line.len() as u64;
            recording.take(fact, &mut current).map_err(|what| lines.damaged(what))?;
        }
        if let Some(current) = current {
            recording.doubt(&dir, current)?;
        }
        Ok(recording)
    }

    /// One that holds nothing yet.
    pub(crate) fn new(meta: Meta) -> Self {
        Self {
            meta,
            inits: Vec::new(),
            segments: Vec::new(),
            losses: Vec::new(),
            cues: Cues::default(),
            finished: None,
            end: Timestamp::ZERO,
            whole: 0,
            newest: None,
            next: 0,
            shown: 0,
            discontinuity: None,
            target_duration: None,
            part_target: None,
        }
    }

    /// What it is of.
    pub fn meta(&self) -> &Meta {
        &self.meta
    }

    /// Its initialisation sections.
    pub fn inits(&self) -> &[StoredInit] {
        &self.inits
    }

    /// Its segments, whole and in order.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// What is missing.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// Its timed events.
    pub fn cues(&self) -> &[Arc<Cue>] {
        self.cues.all()
    }

    /// Whether, when and why it became final.
    pub fn finished(&self) -> Option<&Finished> {
        self.finished.as_ref()
    }

    /// The live playlist has shown segments behind the newest recorded one.
    pub(crate) fn shown_unrecorded(&self) -> bool {
        let behind = self.segments.last().map_or(0, |last| last.number.saturating_add(1));
        self.shown > behind
    }

    /// Duration of what the publishers sent.
    pub fn duration(&self) -> Span {
        self.segments.iter().filter(|segment| !segment.filler).map(|segment| segment.duration).sum()
    }

    /// Where the broadcast's timeline has got to.
    pub fn end(&self) -> Timestamp {
        self.end
    }

    /// Where the segmenter of a broadcast that goes on begins. Its initialisation section is to be read from the disk.
    pub fn resume(&self) -> Resume {
        Resume {
            next_segment: self.next,
            discontinuity: self.discontinuity.map_or(0, |discontinuity| discontinuity.saturating_add(1)),
            next_init: self.inits.last().map_or(0, |init| init.number.saturating_add(1)),
            target_duration: self.target_duration,
            part_target: self.part_target,
            init: None,
        }
    }

    fn take(&mut self, fact: Fact, current: &mut Option<Current>) -> Result<(), &'static str> {
        if self.finished.is_some() {
            return Err("behind the last line");
        }
        match fact {
            Fact::Opened(_) => return Err("a first line in the middle"),
            Fact::Init { number, len, crc, tracks } => {
                // Written again if the disk refused to say that it has it.
                self.inits.retain(|known| known.number != number);
                self.inits.push(StoredInit { number, bytes: len, crc, tracks: tracks.into() });
            }
            Fact::Begin { number, init, discontinuity, start, wall, independent, filler } => {
                self.close(current.take());
                if number < self.next {
                    return Err("a segment out of order");
                }
                if !self.inits.iter().any(|known| known.number == init) {
                    return Err("a segment without its initialisation section");
                }
                let (duration, bytes) = (Span::ZERO, 0);
                let segment = Segment {
                    number,
                    init,
                    discontinuity,
                    start,
                    duration,
                    wall,
                    bytes,
                    independent,
                    filler,
                };
                *current = Some(Current { segment, parts: Vec::new(), cues: self.cues.all().len() });
                self.next = number.saturating_add(1);
                self.discontinuity = Some(discontinuity);
            }
            Fact::Cue { id, kind, at, wall, payload } => {
                if current.is_none() {
                    return Err("an event without its segment");
                }
                let (id, kind, payload) = (id.into(), kind.into(), payload.into());
                self.cues.keep(Arc::new(Cue { id, kind, payload, at, wall, script: None }));
            }
            Fact::Part { len, crc, duration } => {
                let current = current.as_mut().ok_or("a part without its segment")?;
                current.parts.push((len, crc, duration));
            }
            Fact::End { target_duration, part_target } => {
                self.target_duration = Some(target_duration);
                self.part_target = part_target.or(self.part_target);
            }
            Fact::Torn { parts } => {
                let current = current.as_mut().ok_or("a torn segment that did not begin")?;
                current.parts.truncate(parts);
            }
            Fact::Lost(loss) => match self.losses.last_mut() {
                // It went on: told again, or from where a segment began that nothing could be written of.
                Some(known) if known.from == loss.from || known.until == Some(loss.from) => {
                    known.until = loss.until
                }
                _ => self.losses.push(loss),
            },
            Fact::Skipped { next, until } => {
                self.next = self.next.max(next);
                self.shown = self.shown.max(next);
                self.end = self.end.max(until);
            }
            Fact::Reopened { .. } => {}
            Fact::Finished(finished) => {
                self.close(current.take());
                self.finished = Some(finished);
            }
        }
        Ok(())
    }

    /// Keeps the parts of `current` as a segment.
    fn close(&mut self, current: Option<Current>) {
        let Some(Current { mut segment, parts, cues }) = current else { return };
        for (len, _, duration) in &parts {
            segment.bytes = segment.bytes.saturating_add(*len);
            segment.duration += *duration;
        }
        // Those of a part that was not written, or is torn, are gone with it.
        self.cues.cut(cues, segment.end());
        if segment.bytes > 0 {
            self.end = self.end.max(segment.end());
            self.segments.push(segment);
        } else if segment.number.saturating_add(1) == self.next && segment.number >= self.shown {
            // Nobody ever saw anything of it: its number and its discontinuity are free again, so that the live
            // playlist goes on without a hole.
            self.next = segment.number;
            self.discontinuity = self.segments.last().map(|last| last.discontinuity);
        }
    }

    /// Keeps those parts of the newest segment whose bytes are on the disk.
    fn doubt(&mut self, dir: &Path, mut current: Current) -> Result<(), Error> {
        let path = dir.join(segment_file(current.segment.number));
        let claimed = current.parts.len();
        let whole = match open(&path) {
            Ok(file) => whole_parts(file, &current.parts).map_err(Error::at(&path))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(error) => return Err(Error::at(&path)(error)),
        };
        current.parts.truncate(whole);
        let bytes = current.parts.iter().map(|(len, ..)| *len).sum();
        self.newest = Some(Newest { number: current.segment.number, claimed, whole, bytes });
        self.close(Some(current));
        Ok(())
    }
}

/// How many of `parts`, from the first on, `file` holds.
fn whole_parts(file: File, parts: &[(u64, u32, Span)]) -> io::Result<usize> {
    let mut file = BufReader::new(file);
    let mut bytes = Vec::new();
    for (whole, (len, crc, _)) in parts.iter().enumerate() {
        bytes.clear();
        (&mut file).take(*len).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != *len || crc32fast::hash(&bytes) != *crc {
            return Ok(whole);
        }
    }
    Ok(parts.len())
}

/// Reads an index up to the first line that is not whole: nothing behind that was synced.
pub(crate) struct Lines<'p> {
    file: BufReader<File>,
    pub line: Vec<u8>,
    path: &'p Path,
    read: usize,
}

impl<'p> Lines<'p> {
    pub fn open(path: &'p Path) -> io::Result<Self> {
        let file = BufReader::with_capacity(1 << 16, open(path)?);
        Ok(Self { file, line: Vec::new(), path, read: 0 })
    }

    pub fn next(&mut self) -> Result<Option<Fact>, Error> {
        self.line.clear();
        (&mut self.file)
            .take(fact::LINE as u64)
            .read_until(b'\n', &mut self.line)
            .map_err(Error::at(self.path))?;
        self.read += 1;
        fact::read(&self.line).transpose().map_err(|error| self.damaged(&error.to_string()))
    }

    fn damaged(&self, what: &str) -> Error {
        Error::Damaged { path: PathBuf::from(self.path), line: self.read, what: what.to_owned() }
    }
}
