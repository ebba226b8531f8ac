//! What a recording's folder keeps once its segments also lie elsewhere, in an archive: everything but them.
//!
//! A file called `archived` says that the archive has all of the recording. It names the small files as they were then,
//! so that it says nothing any more once one of them has changed. A recording that was deleted here leaves an empty
//! folder behind until the archive has deleted it too.

use std::{
    collections::BTreeMap,
    fs::{self, DirEntry, File},
    io::{self, Read, Write},
    path::Path,
    time::UNIX_EPOCH,
};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    Disk as _, Error, Finished, Id, Local, Recordings,
    catalogue::{DELETED, DRAFT, ends, remove},
    disk::open,
    recording::{INDEX, is_segment, segment_file},
};

/// The mark.
const ARCHIVED: &str = "archived";
/// What is written under another name first. The dot keeps a folder apart from every id, and a file out of the archive.
const FRESH: &str = ".fresh-";
/// Bytes of the longest mark that is believed: a hundred bytes for each small file.
const MARK: u64 = 1 << 20;

/// What of a recording lies in its folder.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Here {
    /// The archive has all of it.
    pub archived: bool,
    /// Whether, when and why it became final.
    pub finished: Option<Finished>,
    /// Bytes of its segments that are here.
    pub bytes: u64,
}

/// A file of a recording that is no segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SmallFile {
    /// Its name.
    pub name: String,
    /// Its length in bytes.
    pub len: u64,
    /// The archive got it as it is now.
    pub archived: bool,
}

/// A small file as it was when the archive got it: its length, and when it was changed, in nanoseconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Version(u64, u128);

impl Recordings {
    /// The names of everything that looks like a recording.
    pub fn ids(&self) -> Result<Vec<Id>, Error> {
        self.named(|name| name.parse().ok())
    }

    /// As [`Recordings::sweep`] where there is an archive: what was deleted here leaves an empty folder until the archive
    /// has deleted it, too. Answers which those are.
    pub fn sweep_archived(&self) -> Result<Vec<Id>, Error> {
        for prefix in [FRESH, DRAFT] {
            for half in self.named(|name| name.strip_prefix(prefix)?.parse().ok())? {
                remove(&self.root.join(format!("{prefix}{half}")))?;
            }
        }
        let doomed = self.named(|name| name.strip_prefix(DELETED)?.parse().ok())?;
        doomed.iter().try_for_each(|id| self.empty_doomed(id))?;
        Ok(doomed)
    }

    fn named(&self, id: impl Fn(&str) -> Option<Id>) -> Result<Vec<Id>, Error> {
        let mut ids = Vec::new();
        for found in fs::read_dir(&self.root).map_err(Error::at(&self.root))? {
            let found = found.map_err(Error::at(&self.root))?;
            if found.file_type().is_ok_and(|kind| kind.is_dir())
                && let Some(id) = found.file_name().to_str().and_then(&id)
            {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    /// Looks what of a recording is here; none if that is no recording.
    pub fn here(&self, id: &Id) -> Result<Option<Here>, Error> {
        let dir = self.root.join(id.as_str());
        let Ok(Some((_, finished))) = ends(&dir.join(INDEX)) else { return Ok(None) };
        let mut here = Here { archived: false, finished, bytes: 0 };
        let mut small = BTreeMap::new();
        for (name, file) in files(&dir)? {
            if is_segment(&name) {
                here.bytes += file.metadata().map_or(0, |data| data.len());
            } else if let Some(version) = version(&file) {
                small.insert(name, version);
            }
        }
        here.archived = mark(&dir).is_some_and(|mark| mark == small);
        Ok(Some(here))
    }

    /// The files of a recording that are no segments; the index last: who has that has all of it.
    pub fn small_files(&self, id: &Id) -> Result<Vec<SmallFile>, Error> {
        let dir = self.root.join(id.as_str());
        let archived = mark(&dir).unwrap_or_default();
        let mut small = Vec::new();
        for (name, file) in files(&dir)?.into_iter().filter(|(name, _)| !is_segment(name)) {
            let version = version(&file);
            let archived = version.is_some() && archived.get(&name) == version.as_ref();
            small.push(SmallFile { name, len: version.map_or(0, |Version(len, _)| len), archived });
        }
        small.sort_by_key(|file| file.name == INDEX);
        Ok(small)
    }

    /// A whole file of a recording, or its first `most` bytes.
    pub fn file(&self, id: &Id, name: &str, most: u64) -> Result<Bytes, Error> {
        let path = self.root.join(id.as_str()).join(name);
        let mut bytes = Vec::new();
        open(&path).and_then(|file| file.take(most).read_to_end(&mut bytes)).map_err(Error::at(&path))?;
        Ok(bytes.into())
    }

    /// For who is about to bring all of a recording to the archive. If that succeeds and no small file changes meanwhile,
    /// it is remembered.
    pub fn archiving(&self, id: &Id) -> Result<Archiving, Error> {
        let dir = self.root.join(id.as_str());
        let small = files(&dir)?.into_iter().filter(|(name, _)| !is_segment(name));
        let small = small.filter_map(|(name, file)| Some((name, version(&file)?))).collect();
        Ok(Archiving { recordings: self.clone(), id: id.clone(), small })
    }

    /// Removes segments that the archive has; the bytes that became free.
    pub fn drop_segments(&self, id: &Id, numbers: impl IntoIterator<Item = u64>) -> Result<u64, Error> {
        let mut free = 0;
        for number in numbers {
            free += drop_file(&self.root.join(id.as_str()).join(segment_file(number)))?;
        }
        Ok(free)
    }

    /// The same with all segments that are here.
    pub fn drop_all_segments(&self, id: &Id) -> Result<u64, Error> {
        let dir = self.root.join(id.as_str());
        let mut free = 0;
        for (name, file) in files(&dir)? {
            if is_segment(&name) {
                free += drop_file(&file.path())?;
            }
        }
        Ok(free)
    }

    /// Brings a segment back from the archive.
    pub fn bring_back(&self, id: &Id, number: u64, bytes: &[u8]) -> Result<(), Error> {
        let dir = self.root.join(id.as_str());
        put(&dir, &segment_file(number), bytes).map_err(Error::at(&dir))
    }

    /// Makes a recording of the small files that the archive has of it, if there is none of this name. Its segments
    /// stay where they are.
    pub fn restore(&self, id: &Id, small: &[(String, Bytes)]) -> Result<(), Error> {
        let (dir, fresh) = (self.root.join(id.as_str()), self.root.join(format!("{FRESH}{id}")));
        remove(&fresh)?;
        let made = || {
            fs::create_dir(&fresh)?;
            for (name, bytes) in small.iter().filter(|(name, _)| is_plain(name)) {
                put(&fresh, name, bytes)?;
            }
            Local.sync_dir(&fresh)
        };
        made().map_err(Error::at(&fresh))?;
        if self.contains(id) {
            remove(&fresh)?;
            return Err(Error::Exists(id.clone()));
        }
        fs::rename(&fresh, &dir).and_then(|()| Local.sync_dir(&self.root)).map_err(Error::at(&dir))?;
        self.archiving(id)?.done()
    }

    /// Deletes a recording here, and leaves behind that the archive has to follow: in one step, so that whatever
    /// happens it is either there or doomed.
    pub fn doom(&self, id: &Id) -> Result<(), Error> {
        let (dir, doomed) = (self.root.join(id.as_str()), self.root.join(format!("{DELETED}{id}")));
        if !fs::symlink_metadata(&dir).is_ok_and(|found| found.is_dir()) {
            return Err(Error::Missing(id.clone()));
        }
        remove(&doomed)?;
        // A power loss must not bring it back once objects are gone.
        fs::rename(&dir, &doomed).and_then(|()| Local.sync_dir(&self.root)).map_err(Error::at(&dir))?;
        self.empty_doomed(id)
    }

    fn empty_doomed(&self, id: &Id) -> Result<(), Error> {
        let doomed = self.root.join(format!("{DELETED}{id}"));
        for found in fs::read_dir(&doomed).map_err(Error::at(&doomed))? {
            let found = found.map_err(Error::at(&doomed))?;
            let removed = match found.file_type() {
                Ok(kind) if kind.is_dir() => fs::remove_dir_all(found.path()),
                _ => fs::remove_file(found.path()),
            };
            removed.map_err(Error::at(&found.path()))?;
        }
        Ok(())
    }

    /// The archive has nothing of a doomed recording any more.
    pub fn bury(&self, id: &Id) -> Result<(), Error> {
        remove(&self.root.join(format!("{DELETED}{id}")))
    }

    /// Whether a segment's file is here.
    pub fn has_segment(&self, id: &Id, number: u64) -> bool {
        fs::symlink_metadata(self.root.join(id.as_str()).join(segment_file(number))).is_ok()
    }
}

/// A recording on its way to the archive.
#[derive(Debug)]
pub struct Archiving {
    recordings: Recordings,
    id: Id,
    small: BTreeMap<String, Version>,
}

impl Archiving {
    /// The archive has all of it, as it was when this was made.
    pub fn done(self) -> Result<(), Error> {
        let dir = self.recordings.root.join(self.id.as_str());
        let written = || put(&dir, ARCHIVED, &serde_json::to_vec(&self.small)?);
        written().map_err(Error::at(&dir))
    }
}

/// The regular files of a recording, but for the mark, for those whose names begin with a dot, and for what is being
/// made.
fn files(dir: &Path) -> Result<Vec<(String, DirEntry)>, Error> {
    let mut files = Vec::new();
    for found in fs::read_dir(dir).map_err(Error::at(dir))? {
        let found = found.map_err(Error::at(dir))?;
        if let Ok(name) = found.file_name().into_string()
            && is_plain(&name)
            && name != ARCHIVED
            && !name.ends_with(".new")
            && found.file_type().is_ok_and(|kind| kind.is_file())
        {
            files.push((name, found));
        }
    }
    Ok(files)
}

/// The archive's names come from outside.
fn is_plain(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    (1..=128).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(plain)
}

fn version(file: &DirEntry) -> Option<Version> {
    let data = file.metadata().ok()?;
    let changed = data.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
    Some(Version(data.len(), changed.as_nanos()))
}

fn mark(dir: &Path) -> Option<BTreeMap<String, Version>> {
    let mut text = Vec::new();
    open(&dir.join(ARCHIVED)).ok()?.take(MARK).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

/// Writes a file that is either whole or not there.
fn put(dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = dir.join(format!("{FRESH}{name}"));
    let mut file = File::create(&fresh)?;
    file.write_all(bytes)?;
    file.sync_data()?;
    fs::rename(&fresh, dir.join(name))
}

fn drop_file(path: &Path) -> Result<u64, Error> {
    let dropped = fs::symlink_metadata(path).and_then(|data| fs::remove_file(path).map(|()| data.len()));
    match dropped {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        dropped => dropped.map_err(Error::at(path)),
    }
}
