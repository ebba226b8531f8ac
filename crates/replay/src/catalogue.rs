//! The recordings in a folder.

use std::{
    fs,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use kaibo_media::UnixMillis;

use crate::{
    Disk, DiskFile, Error, File, Finished, Id, Local, Meta, Recording, StoredInit, Writer,
    disk::open,
    fact::{self, Fact},
    recording::INDEX,
};

/// What a deleted recording is called until its files are gone. The dot keeps it apart from every id.
pub(crate) const DELETED: &str = ".deleted-";
/// What the name of a frames' file ends with while it is made anew.
const MENDED: &str = "new";
/// What an excerpt is called until it is whole.
pub(crate) const DRAFT: &str = ".draft-";
/// Bytes at the end of an index that hold its last line, if that says that the recording is final.
const TAIL: u64 = 4096;

/// A recording in a list.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its name.
    pub id: Id,
    /// What it is of.
    pub meta: Meta,
    /// Whether, when and why it became final.
    pub finished: Option<Finished>,
}

/// The folder that holds all recordings.
#[derive(Clone, Debug)]
pub struct Recordings {
    pub(crate) root: PathBuf,
}

impl Recordings {
    /// Makes the folder if it is not there.
    pub fn new(root: impl Into<PathBuf>) -> Result<Self, Error> {
        let root = root.into();
        fs::create_dir_all(&root).map_err(Error::at(&root))?;
        Ok(Self { root })
    }

    /// Begins a recording.
    pub fn create(&self, id: &Id, meta: Meta) -> Result<Writer, Error> {
        Writer::create(Local, &self.root, id, meta)
    }

    /// Goes on with a recording that was not finished.
    pub fn reopen(&self, id: &Id, wall: UnixMillis) -> Result<Writer, Error> {
        Writer::reopen(Local, &self.root, id, wall)
    }

    pub(crate) fn folder(&self, id: &Id) -> PathBuf {
        self.root.join(id.as_str())
    }

    /// Bytes that may still be written to its disk.
    pub fn free(&self) -> Result<u64, Error> {
        Local.free(&self.root).map_err(Error::at(&self.root))
    }

    /// There is something on the disk under this name.
    pub fn contains(&self, id: &Id) -> bool {
        fs::symlink_metadata(self.root.join(id.as_str())).is_ok()
    }

    /// Reads what a recording holds. Of one that is being written use [`Writer::listing`].
    pub fn open(&self, id: &Id) -> Result<Recording, Error> {
        Recording::open(&self.root, id)
    }

    /// What is in `range` of a file, which may end before: then there is less.
    pub fn read(&self, id: &Id, file: File, range: Range<u64>) -> Result<Bytes, Error> {
        let path = self.path(id, file);
        let asked = range.end.saturating_sub(range.start);
        let read = || {
            let mut file = open(&path)?;
            // Whoever asks for more than there is must not make room for it.
            let there = file.metadata()?.len().saturating_sub(range.start).min(asked);
            let mut bytes = Vec::with_capacity(usize::try_from(there).unwrap_or(0));
            if range.start > 0 {
                file.seek(SeekFrom::Start(range.start))?;
            }
            file.take(asked).read_to_end(&mut bytes)?;
            Ok(bytes)
        };
        read().map(Bytes::from).map_err(Error::at(&path))
    }

    /// Begins to write the frames' file of a final recording anew, see [`crate::Frames`].
    pub fn mend(&self, id: &Id) -> Result<Mended, Error> {
        let path = self.path(id, File::Frames);
        let new = path.with_extension(MENDED);
        let file = Local.create(&new).map_err(Error::at(&new))?;
        Ok(Mended { file, new, path })
    }

    pub(crate) fn path(&self, id: &Id, file: File) -> PathBuf {
        self.root.join(id.as_str()).join(file.name())
    }

    /// The bytes of an initialisation section.
    pub fn init(&self, id: &Id, init: &StoredInit) -> Result<Bytes, Error> {
        let file = File::Init(init.number);
        let bytes = self.read(id, file, 0..init.bytes)?;
        init.is_of(&bytes).then_some(bytes).ok_or_else(|| Error::Corrupt(self.path(id, file)))
    }

    /// All recordings, oldest first. Reads two lines of each; what is no recording is passed over.
    pub fn scan(&self) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        for found in fs::read_dir(&self.root).map_err(Error::at(&self.root))? {
            let found = found.map_err(Error::at(&self.root))?;
            let id = found.file_name().to_str().and_then(|name| name.parse::<Id>().ok());
            // The type is that of the entry itself: a link to a folder is a link.
            let folder = found.file_type().is_ok_and(|kind| kind.is_dir());
            if let Some(id) = id.filter(|_| folder)
                && let Ok(Some((meta, finished))) = ends(&found.path().join(INDEX))
            {
                entries.push(Entry { id, meta, finished });
            }
        }
        entries.sort_by(|a, b| (a.meta.started, &a.id).cmp(&(b.meta.started, &b.id)));
        Ok(entries)
    }

    /// Recordings that became final longer than `retention` ago. What was cut out of one stays.
    pub fn expired(&self, now: UnixMillis, retention: Duration) -> Result<Vec<Id>, Error> {
        let retention = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let old = |finished: &Finished| finished.wall.0.saturating_add(retention) < now.0;
        let entries = self.scan()?;
        Ok(entries
            .into_iter()
            .filter(|entry| entry.meta.excerpt.is_none() && entry.finished.as_ref().is_some_and(old))
            .map(|entry| entry.id)
            .collect())
    }

    /// Deletes a recording. It is gone for everybody at once, even if the server is killed halfway; who reads one of
    /// its files reads on.
    pub fn delete(&self, id: &Id) -> Result<(), Error> {
        let (dir, gone) = (self.root.join(id.as_str()), self.root.join(format!("{DELETED}{id}")));
        if !fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) {
            return Err(Error::Missing(id.clone()));
        }
        remove(&gone)?;
        fs::rename(&dir, &gone).map_err(Error::at(&dir))?;
        remove(&gone)
    }

    /// Removes what an interrupted [`Recordings::delete`] or [`Recordings::cut_out`] has left.
    pub fn sweep(&self) -> Result<(), Error> {
        for found in fs::read_dir(&self.root).map_err(Error::at(&self.root))? {
            let found = found.map_err(Error::at(&self.root))?;
            let left = |name: &str| name.starts_with(DELETED) || name.starts_with(DRAFT);
            if found.file_name().to_str().is_some_and(left) {
                remove(&found.path())?;
            }
        }
        Ok(())
    }
}

/// A frames' file that takes the place of the one before when it is whole.
#[derive(Debug)]
pub struct Mended {
    file: fs::File,
    new: PathBuf,
    path: PathBuf,
}

impl Mended {
    /// Appends records as they are encoded.
    pub fn write(&mut self, records: &[u8]) -> Result<(), Error> {
        self.file.write_all(records).map_err(Error::at(&self.new))
    }

    /// Puts it in its place.
    pub fn finish(mut self) -> Result<(), Error> {
        let placed = self.file.sync().and_then(|()| fs::rename(&self.new, &self.path));
        placed.map_err(Error::at(&self.path))
    }
}

pub(crate) fn remove(dir: &Path) -> Result<(), Error> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(Error::at(dir)(error)),
        _ => Ok(()),
    }
}

/// The first line of an index, and the last one if it is that of a final recording.
pub(crate) fn ends(path: &Path) -> io::Result<Option<(Meta, Option<Finished>)>> {
    let mut head = Vec::new();
    BufReader::with_capacity(TAIL as usize, open(path)?)
        .take(fact::LINE as u64)
        .read_until(b'\n', &mut head)?;
    let Some(Ok(Fact::Opened(meta))) = fact::read(&head) else { return Ok(None) };

    let mut file = open(path)?;
    let len = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(len.saturating_sub(TAIL)))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let last = tail.split_inclusive(|byte| *byte == b'\n').next_back().and_then(fact::read);
    let finished = match last {
        Some(Ok(Fact::Finished(finished))) => Some(finished),
        _ => None,
    };
    Ok(Some((meta, finished)))
}
