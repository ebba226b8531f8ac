//! Writing a recording.

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use kaibo_container::segment::{Cut, Init, Part, SegmentEnd, SegmentHead};
use kaibo_media::{Cue, Span, Timestamp, UnixMillis};

use crate::{
    Disk, DiskFile, Error, File, Finished, Id, Listing, Local, Loss, Meta, Recording, Segment,
    disk::open,
    fact::Fact,
    frames::{Frames, FramesFile, Moofs},
    index::Index,
    listing,
    recording::{INDEX, init_file, segment_file},
};

/// Losses that a writer remembers. A disk that is full again and again makes one for each segment; all of them stand in
/// the index.
const LOSSES: usize = 100;

/// Writes one recording, cut by cut.
///
/// Whatever fails is lost, reported once and marked in the index; the writer stays usable, and the next segment
/// tries anew.
#[derive(Debug)]
pub struct Writer<D: Disk = Local> {
    disk: D,
    dir: PathBuf,
    index: Index<D::File>,
    frames: FramesFile<D::File>,
    open: Option<Open<D::File>>,
    listing: Arc<Listing>,
    /// The least number that the next segment may have.
    next: u64,
    next_init: u32,
    /// Where the recorded timeline ends.
    end: Timestamp,
    /// Files were made whose names a power loss would take.
    new_names: bool,
    /// See [`Writer::syncs`].
    syncs: u64,
    /// Bytes that the disk is to keep free.
    kept_free: u64,
    /// What is being lost, or was and the disk does not know it yet.
    loss: Option<Loss>,
    /// Every loss so far, for those who ask; see [`Writer::losses`].
    losses: Vec<Loss>,
    /// The index has a line about [`Writer::loss`]: it is over once that line is synced.
    loss_told: bool,
    truncated: bool,
    finished: bool,
}

/// The segment being written.
#[derive(Debug)]
struct Open<F> {
    /// What of it is written.
    segment: Segment,
    cues: Vec<Arc<Cue>>,
    file: F,
    moofs: Moofs,
    /// What of it outlives a power loss.
    synced: (u64, Span),
}

impl<D: Disk> Writer<D> {
    /// Begins a recording in a new folder.
    pub fn create(disk: D, root: &Path, id: &Id, meta: Meta) -> Result<Self, Error> {
        let dir = root.join(id.as_str());
        let path = dir.join(INDEX);
        match disk.create_dir(&dir) {
            // A disk that was full, or a kill, may have left a recording before its first line.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                if has_line(&path).map_err(Error::at(&path))? {
                    return Err(Error::Exists(id.clone()));
                }
            }
            made => made.map_err(Error::at(&dir))?,
        }
        let begun = || {
            let mut index = Index::new(disk.create(&path)?, 0);
            index.append(&Fact::Opened(meta.clone()))?;
            index.sync()?;
            disk.sync_dir(&dir)?;
            disk.sync_dir(root)?;
            Ok(index)
        };
        let index = begun().map_err(Error::at(&path))?;
        let frames = FramesFile::new(disk.create(&dir.join(File::Frames.name())).ok(), 0);
        Ok(Self::on(disk, dir, (index, frames), &Recording::new(meta)))
    }

    /// Goes on with a recording that was not finished, after a restart: what is torn is cut off first.
    pub fn reopen(disk: D, root: &Path, id: &Id, wall: UnixMillis) -> Result<Self, Error> {
        let recording = Recording::open(root, id)?;
        if recording.finished.is_some() {
            return Err(Error::Finished);
        }
        let dir = root.join(id.as_str());
        let path = dir.join(INDEX);
        let mended = || {
            let mut index = Index::new(disk.append(&path)?, recording.whole);
            if let Some(newest) = &recording.newest {
                if newest.whole < newest.claimed {
                    index.append(&Fact::Torn { parts: newest.whole })?;
                }
                // Its bytes may be ones that no sync has seen.
                if newest.bytes > 0 {
                    let mut file = disk.append(&dir.join(segment_file(newest.number)))?;
                    file.set_len(newest.bytes)?;
                    file.sync()?;
                }
            }
            index.append(&Fact::Reopened { wall })?;
            index.sync()?;
            disk.sync_dir(&dir)?;
            Ok(index)
        };
        let index = mended().map_err(Error::at(&path))?;
        let path = dir.join(File::Frames.name());
        let frames = match whole_records(&path, recording.segments()) {
            Ok(len) => FramesFile::new(disk.append(&path).ok(), len),
            Err(_) => FramesFile::new(disk.create(&path).ok(), 0),
        };
        Ok(Self::on(disk, dir, (index, frames), &recording))
    }

    fn on(
        disk: D,
        dir: PathBuf,
        (index, frames): (Index<D::File>, FramesFile<D::File>),
        recording: &Recording,
    ) -> Self {
        let resume = recording.resume();
        let mut writer = Self {
            disk,
            dir,
            index,
            frames,
            open: None,
            listing: Arc::new(Listing::new(recording.segments.clone(), recording.cues.clone())),
            next: resume.next_segment,
            next_init: resume.next_init,
            end: recording.end,
            new_names: false,
            syncs: 0,
            kept_free: 0,
            loss: None,
            losses: recording.losses.clone(),
            loss_told: false,
            truncated: !recording.losses.is_empty() || recording.shown_unrecorded(),
            finished: false,
        };
        if recording.shown_unrecorded() {
            // The process ended within a loss, before its line.
            let from = recording.segments.last().map_or(Timestamp::ZERO, Segment::end);
            writer.lose_because(from, "the disk did not take it, until the server ended".to_owned());
        }
        writer
    }

    /// A segment begins only if this many bytes are free on its disk. None at first.
    pub fn keep_free(&mut self, bytes: u64) {
        self.kept_free = bytes;
    }

    /// The segments so far, for whoever plays the recording while it grows.
    pub fn listing(&self) -> Arc<Listing> {
        self.listing.clone()
    }

    /// What is being lost right now, if anything: where it began and why.
    pub fn losing(&self) -> Option<&Loss> {
        self.loss.as_ref().filter(|_| !self.loss_told)
    }

    /// What was not recorded so far, in order; what is being lost has no end yet. At most [`LOSSES`], the newest.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// Writes the next cut. A part is in the operating system's hands when this returns, a segment that ends is on
    /// the disk. Parts of a segment that could not be written are dropped.
    pub fn write(&mut self, cut: &Cut) -> Result<(), Error> {
        if self.finished {
            return Err(Error::Finished);
        }
        match cut {
            Cut::Begin(head) => {
                let closed = self.close();
                let begun = self.begin(head).inspect_err(|error| self.lose(head.start, error));
                closed.and(begun)
            }
            Cut::Part(part) => self.part(part),
            Cut::End(end) => {
                if self.open.is_none() {
                    return Ok(());
                }
                // Without this line the segment still ends with its last part: nothing is lost.
                let SegmentEnd { target_duration, part_target, .. } = *end;
                let ended = self.index.append(&Fact::End { target_duration, part_target });
                let ended = ended.map_err(Error::at(&self.dir.join(INDEX)));
                self.close().and(ended)
            }
        }
    }

    /// Makes everything written so far outlive a power loss. Call it once per `record.sync`.
    pub fn sync(&mut self) -> Result<(), Error> {
        match self.sync_all() {
            Ok(()) => Ok(()),
            Err(error) => {
                self.give_up();
                self.lose(self.end, &error);
                Err(error)
            }
        }
    }

    /// How often everything written by then was made to outlive a power loss: by [`Writer::sync`], or since a segment
    /// ended.
    pub fn syncs(&self) -> u64 {
        self.syncs
    }

    /// The recorder itself has missed cuts: what is open ends here, and a loss begins.
    pub fn missed(&mut self, why: &str) -> Result<(), Error> {
        let closed = self.close();
        self.lose_because(self.end, why.to_owned());
        closed
    }

    /// The live playlist has gone on without the recording: its next segment is number `next` and begins at `until`.
    /// After a restart it must not go back behind that.
    pub fn skip(&mut self, next: u64, until: Timestamp) -> Result<(), Error> {
        self.index.append(&Fact::Skipped { next, until }).map_err(Error::at(&self.dir))?;
        self.next = self.next.max(next);
        Ok(())
    }

    /// Makes the recording final. If this fails it may be tried again.
    pub fn finish(&mut self, reason: &str, wall: UnixMillis) -> Result<Finished, Error> {
        if self.finished {
            return Err(Error::Finished);
        }
        // What the last segment lost is in the index before the end is.
        let _lost = self.close();
        match self.write_end(reason, wall) {
            Ok(finished) => {
                self.finished = true;
                Ok(finished)
            }
            Err(error) => {
                self.index.forget_unsynced();
                Err(Error::at(&self.dir.join(INDEX))(error))
            }
        }
    }

    fn write_end(&mut self, reason: &str, wall: UnixMillis) -> io::Result<Finished> {
        if let Some(loss) = &self.loss {
            self.index.append(&Fact::Lost(loss.clone()))?;
            self.truncated = true;
        }
        let mut finished = Finished {
            reason: reason.to_owned(),
            wall,
            segments: 0,
            bytes: 0,
            duration: Span::ZERO,
            truncated: self.truncated,
        };
        self.listing.read(|segments| {
            for segment in segments.iter().filter(|segment| !segment.filler) {
                finished.segments += 1;
                finished.bytes += segment.bytes;
                finished.duration += segment.duration;
            }
        });
        self.frames.sync();
        self.index.append(&Fact::Finished(finished.clone()))?;
        self.index.sync()?;
        Ok(finished)
    }

    fn begin(&mut self, head: &SegmentHead) -> Result<(), Error> {
        if head.number < self.next {
            return Err(Error::OutOfOrder { number: head.number, after: self.next.saturating_sub(1) });
        }
        if self.listing.read(<[Segment]>::len) >= listing::MOST {
            return Err(Error::TooLong(listing::MOST));
        }
        // A disk that can't say how full it is may still take something.
        if let Ok(left) = self.disk.free(&self.dir)
            && left < self.kept_free
        {
            return Err(Error::Low { left, kept: self.kept_free });
        }
        if head.init.number >= self.next_init {
            self.init(&head.init)?;
        }
        let path = self.dir.join(segment_file(head.number));
        let file = self.disk.create(&path).map_err(Error::at(&path))?;
        self.new_names = true;

        let segment = Segment {
            number: head.number,
            init: head.init.number,
            discontinuity: head.discontinuity,
            start: head.start,
            duration: Span::ZERO,
            wall: head.wall,
            bytes: 0,
            independent: head.independent,
            filler: head.filler,
        };
        let fact = Fact::Begin {
            number: segment.number,
            init: segment.init,
            discontinuity: segment.discontinuity,
            start: segment.start,
            wall: segment.wall,
            independent: segment.independent,
            filler: segment.filler,
        };
        self.tell_loss(head.start).and_then(|()| self.index.append(&fact)).map_err(Error::at(&self.dir))?;
        let (moofs, synced) = (Moofs::default(), (0, Span::ZERO));
        self.open = Some(Open { segment, cues: Vec::new(), file, moofs, synced });
        self.next = head.number.saturating_add(1);
        self.end = self.end.max(head.start);
        Ok(())
    }

    fn init(&mut self, init: &Init) -> Result<(), Error> {
        let path = self.dir.join(init_file(init.number));
        self.write_init(&path, init).map_err(Error::at(&path))?;
        self.next_init = init.number.saturating_add(1);
        Ok(())
    }

    /// On the disk before the index speaks of it: every later segment depends on it.
    fn write_init(&mut self, path: &Path, init: &Init) -> io::Result<()> {
        let mut file = self.disk.create(path)?;
        file.write_all(&init.bytes)?;
        file.sync()?;
        self.disk.sync_dir(&self.dir)?;
        self.index.append(&Fact::Init {
            number: init.number,
            len: init.bytes.len() as u64,
            crc: crc32fast::hash(&init.bytes),
            tracks: (&*init.tracks).into(),
        })?;
        self.index.sync()
    }

    fn part(&mut self, part: &Part) -> Result<(), Error> {
        let Some(open) = self.open.as_mut().filter(|open| open.segment.number == part.segment) else {
            return Ok(());
        };
        let fact = Fact::Part {
            len: part.bytes.len() as u64,
            crc: crc32fast::hash(&part.bytes),
            duration: part.duration,
        };
        // The line of the part is the last: without it none of this counts.
        let told = part.cues.iter().filter(|cue| self.listing.has_room(cue));
        let written = open.file.write_all(&part.bytes).and_then(|()| {
            told.clone().try_for_each(|cue| self.index.append(&Fact::from(&**cue)))?;
            self.index.append(&fact)
        });
        if let Err(error) = written {
            let error = Error::at(&self.dir.join(segment_file(part.segment)))(error);
            // The bytes of half a part do not count; cutting them off is tidiness, so it may fail too.
            let _untidy = open.file.set_len(open.segment.bytes);
            let _lost = self.close();
            self.lose(self.end, &error);
            return Err(error);
        }
        open.cues.extend(told.cloned());
        open.segment.bytes += part.bytes.len() as u64;
        open.segment.duration += part.duration;
        open.moofs.push(&part.bytes, open.segment.bytes);
        self.end = open.segment.end();
        Ok(())
    }

    /// Ends the open segment with what of it is written, and lists it.
    fn close(&mut self) -> Result<(), Error> {
        self.sync()?;
        if let Some(Open { segment, cues, moofs, .. }) = self.open.take() {
            self.list(segment, cues, moofs);
        }
        Ok(())
    }

    fn list(&mut self, segment: Segment, cues: Vec<Arc<Cue>>, moofs: Moofs) {
        if segment.bytes > 0 {
            self.listing.push(segment, cues);
            self.frames.append(&segment, moofs);
        }
    }

    fn sync_all(&mut self) -> Result<(), Error> {
        if let Some(open) = &mut self.open
            && open.synced.0 != open.segment.bytes
        {
            open.file.sync().map_err(Error::at(&self.dir.join(segment_file(open.segment.number))))?;
        }
        if self.new_names {
            self.disk.sync_dir(&self.dir).map_err(Error::at(&self.dir))?;
            self.new_names = false;
        }
        self.index.sync().map_err(Error::at(&self.dir.join(INDEX)))?;
        if let Some(open) = &mut self.open {
            open.synced = (open.segment.bytes, open.segment.duration);
        }
        if std::mem::take(&mut self.loss_told) {
            self.loss = None;
        }
        self.syncs = self.syncs.wrapping_add(1);
        Ok(())
    }

    /// After a failed sync nobody knows what is on the disk. The open segment ends where the last good sync was.
    fn give_up(&mut self) {
        self.index.forget_unsynced();
        self.loss_told = false;
        if let Some(Open { mut segment, cues, moofs, synced, .. }) = self.open.take() {
            (segment.bytes, segment.duration) = synced;
            self.end = segment.end();
            self.list(segment, cues, moofs);
        }
    }

    fn lose(&mut self, from: Timestamp, why: &Error) {
        self.lose_because(from, why.to_string());
    }

    /// A loss that begins before the one before it is over goes on with that.
    fn lose_because(&mut self, from: Timestamp, why: String) {
        if self.loss.is_none() {
            // Of the segment that came after the last one nothing was written: that loss was not over.
            let joined = self.losses.last().filter(|last| last.until == Some(from)).map(|last| last.from);
            self.loss = Some(Loss { from: joined.unwrap_or(from), until: None, why });
        }
        self.loss_told = false;
        self.list_loss(None);
    }

    /// Lists what is being lost, or was until `until`.
    fn list_loss(&mut self, until: Option<Timestamp>) {
        let Some(Loss { from, why, .. }) = self.loss.clone() else { return };
        self.losses.retain(|known| known.from != from);
        if until.is_none_or(|until| from < until) {
            self.losses.push(Loss { from, until, why });
            let surplus = self.losses.len().saturating_sub(LOSSES);
            self.losses.drain(..surplus);
        }
    }

    /// Puts into the index what was lost until `until`.
    fn tell_loss(&mut self, until: Timestamp) -> io::Result<()> {
        if let Some(loss) = &self.loss
            && loss.from < until
        {
            self.index.append(&Fact::Lost(Loss { until: Some(until), ..loss.clone() }))?;
            self.truncated = true;
        }
        self.list_loss(Some(until));
        self.loss_told = true;
        Ok(())
    }
}

/// How many bytes of the frames' file at `path` are records of the first of `segments`, none left out.
fn whole_records(path: &Path, segments: &[Segment]) -> io::Result<u64> {
    let mut file = open(path)?;
    let mut own = segments.iter().filter(|segment| !segment.filler);
    let (mut frames, mut whole) = (Frames::default(), 0);
    loop {
        let mut bytes = Vec::new();
        if (&mut file).take(1 << 20).read_to_end(&mut bytes)? == 0 {
            return Ok(whole);
        }
        frames.feed(&bytes);
        while let Ok(Some(record)) = frames.record() {
            if !own.next().is_some_and(|segment| record.is_of(segment)) {
                return Ok(whole);
            }
            whole = frames.whole();
        }
    }
}

/// Whether the file at `path` is there and holds a line that is whole. The first one of an index has some 100 bytes.
fn has_line(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    match open(path) {
        Ok(file) => file.take(1 << 16).read_to_end(&mut head)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(error),
    };
    Ok(head.contains(&b'\n'))
}
