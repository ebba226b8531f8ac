//! The few things that a recording asks of a file system, so that tests can stand in for a bad one.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::Path,
};

/// Where recordings are written.
pub trait Disk {
    /// A file open for appending.
    type File: DiskFile;

    /// Makes a folder that is not there yet.
    fn create_dir(&self, path: &Path) -> io::Result<()>;

    /// Makes an empty file in the place of whatever has the name.
    fn create(&self, path: &Path) -> io::Result<Self::File>;

    /// Opens a file that is there.
    fn append(&self, path: &Path) -> io::Result<Self::File>;

    /// Makes the names in a folder outlive a power loss.
    fn sync_dir(&self, path: &Path) -> io::Result<()>;

    /// Bytes that may still be written where `path` is.
    fn free(&self, path: &Path) -> io::Result<u64>;
}

/// A file open for appending.
pub trait DiskFile: Write {
    /// Cuts the file to `len` bytes.
    fn set_len(&mut self, len: u64) -> io::Result<()>;

    /// Makes the file's bytes outlive a power loss.
    fn sync(&mut self) -> io::Result<()>;
}

/// The local file system.
#[derive(Clone, Copy, Debug, Default)]
pub struct Local;

impl Disk for Local {
    type File = File;

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<File> {
        let create = || OpenOptions::new().append(true).create_new(true).open(path);
        match create() {
            // It may be a link, which is not to be followed, or have another name in a clip.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_file(path)?;
                create()
            }
            made => made,
        }
    }

    fn append(&self, path: &Path) -> io::Result<File> {
        refuse_links(path)?;
        OpenOptions::new().append(true).open(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_all()
    }

    fn free(&self, path: &Path) -> io::Result<u64> {
        let disk = rustix::fs::statvfs(path)?;
        // What is set aside for root is not for us.
        Ok(disk.f_bavail.saturating_mul(disk.f_frsize))
    }
}

impl DiskFile for File {
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        File::set_len(self, len)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Opens a regular file for reading; a link is none.
pub(crate) fn open(path: &Path) -> io::Result<File> {
    refuse_links(path)?;
    File::open(path)
}

fn refuse_links(path: &Path) -> io::Result<()> {
    if fs::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
}
