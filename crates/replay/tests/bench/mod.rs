//! A file system that can be full, sick, killed or cut off from its power.

#![allow(dead_code, reason = "every test file uses its part")]

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs, io,
    io::Write,
    ops::Range,
    path::{Path, PathBuf},
    rc::Rc,
};

use kaibo_replay::{Disk, DiskFile};

/// Random numbers that a seed replays (splitmix64).
#[derive(Clone)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % bound.max(1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

/// A folder for histories, in memory where the system has such a place.
pub fn folder() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// A file: what the process sees, what the disk has, and what it has yet to get.
#[derive(Default)]
struct Inode {
    cache: Vec<u8>,
    durable: Vec<u8>,
    dirty: Vec<Range<usize>>,
}

impl Inode {
    /// Everything written, nothing since the last sync, or some blocks under any length between the two.
    fn after_power_loss(&self, random: &mut Random) -> Vec<u8> {
        match random.below(4) {
            0 => return self.durable.clone(),
            1 => return self.on_disk(self.cache.len(), |_| true),
            _ => {}
        }
        let (short, long) =
            (self.cache.len().min(self.durable.len()), self.cache.len().max(self.durable.len()));
        let len =
            if random.one_in(2) { long } else { short + random.below((long - short) as u64 + 1) as usize };
        self.on_disk(len, |_| !random.one_in(4))
    }

    /// The durable bytes, and of the dirty ones those blocks that are `kept`. Blocks are small, as the files are.
    fn on_disk(&self, len: usize, mut kept: impl FnMut(usize) -> bool) -> Vec<u8> {
        let mut disk = self.durable.clone();
        disk.resize(len, 0);
        let end = len.min(self.cache.len());
        for range in &self.dirty {
            for start in (range.start..range.end.min(end)).step_by(32) {
                let block = start..(start + 32).min(range.end).min(end);
                if kept(start) {
                    disk[block.clone()].copy_from_slice(&self.cache[block]);
                }
            }
        }
        disk
    }
}

#[derive(Default)]
struct State {
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// Writes and new files fail, after half of the bytes.
    full: bool,
    /// Bytes that it says are free.
    free: u64,
    /// Syncs fail, and what they should have written never gets there.
    sick: bool,
    /// Writes, new files and syncs fail with this number.
    fault: Option<i32>,
    /// How many more bytes the process gets to write before it is killed.
    fuel: Option<usize>,
}

impl State {
    /// Whatever would change something asks here first.
    fn takes(&self) -> io::Result<()> {
        self.fault.map_or(Ok(()), |number| Err(io::Error::from_raw_os_error(number)))
    }

    fn is_dead(&self) -> bool {
        self.fuel == Some(0)
    }
}

#[derive(Clone, Default)]
pub struct BadDisk(Rc<RefCell<State>>);

pub struct BadFile {
    disk: BadDisk,
    inode: usize,
}

impl BadDisk {
    /// Starts with what is in `root`, all of it durable.
    pub fn load(root: &Path) -> Self {
        let mut state = State::default();
        for dir in fs::read_dir(root).unwrap() {
            for file in fs::read_dir(dir.unwrap().path()).unwrap() {
                let path = file.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                state.names.insert(path, state.inodes.len());
                state.inodes.push(Inode { cache: bytes.clone(), durable: bytes, dirty: Vec::new() });
            }
        }
        state.durable_names = state.names.clone();
        Self(Rc::new(RefCell::new(state)))
    }

    pub fn set_full(&self, full: bool) {
        self.0.borrow_mut().full = full;
    }

    pub fn set_free(&self, bytes: u64) {
        self.0.borrow_mut().free = bytes;
    }

    /// Everything that changes something fails, as on a disk that the kernel has taken to be read-only.
    pub fn set_fault(&self, fault: Option<i32>) {
        self.0.borrow_mut().fault = fault;
    }

    pub fn set_sick(&self, sick: bool) {
        self.0.borrow_mut().sick = sick;
    }

    /// After this many more bytes the process is killed, maybe in the middle of a write. Nothing that it does from
    /// then on happens.
    pub fn kill_after(&self, bytes: u64) {
        self.0.borrow_mut().fuel = Some(bytes as usize);
    }

    pub fn is_dead(&self) -> bool {
        self.0.borrow().is_dead()
    }

    /// Leaves in `root` what a killed process leaves.
    pub fn leave(&self, root: &Path) {
        let state = self.0.borrow();
        let files = state.names.iter().map(|(path, inode)| (path, &state.inodes[*inode].cache));
        put(root, files);
    }

    /// Leaves in `root` what a power loss leaves: of what was not synced, anything may be there or not.
    pub fn cut_power(&self, root: &Path, random: &mut Random) {
        let state = &mut *self.0.borrow_mut();
        for inode in &mut state.inodes {
            inode.cache = inode.after_power_loss(random);
        }
        let mut names = state.durable_names.clone();
        for (path, inode) in &state.names {
            if names.get(path) != Some(inode) && random.one_in(2) {
                names.insert(path.clone(), *inode);
            }
        }
        put(root, names.iter().map(|(path, inode)| (path, &state.inodes[*inode].cache)));
    }
}

fn put<'f>(root: &Path, files: impl Iterator<Item = (&'f PathBuf, &'f Vec<u8>)>) {
    fs::remove_dir_all(root).unwrap();
    fs::create_dir(root).unwrap();
    for (path, bytes) in files {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
}

fn no_space() -> io::Error {
    io::Error::from(io::ErrorKind::StorageFull)
}

impl Disk for BadDisk {
    type File = BadFile;

    fn create_dir(&self, path: &Path) -> io::Result<()> {
        fs::create_dir(path)
    }

    fn create(&self, path: &Path) -> io::Result<BadFile> {
        let state = &mut *self.0.borrow_mut();
        state.takes()?;
        if state.full || state.is_dead() {
            return Err(no_space());
        }
        state.names.insert(path.to_owned(), state.inodes.len());
        state.inodes.push(Inode::default());
        Ok(BadFile { disk: self.clone(), inode: state.inodes.len() - 1 })
    }

    fn append(&self, path: &Path) -> io::Result<BadFile> {
        let inode = self.0.borrow().names.get(path).copied();
        Ok(BadFile { disk: self.clone(), inode: inode.ok_or(io::ErrorKind::NotFound)? })
    }

    fn free(&self, _: &Path) -> io::Result<u64> {
        Ok(self.0.borrow().free)
    }

    fn sync_dir(&self, _: &Path) -> io::Result<()> {
        let state = &mut *self.0.borrow_mut();
        state.takes()?;
        if state.sick || state.is_dead() {
            return Err(io::Error::other("sick"));
        }
        state.durable_names = state.names.clone();
        Ok(())
    }
}

impl Write for BadFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let state = &mut *self.disk.0.borrow_mut();
        state.takes()?;
        let len = if state.full { bytes.len() / 2 } else { bytes.len() };
        let len = len.min(state.fuel.unwrap_or(len));
        if len == 0 {
            return Err(no_space());
        }
        let inode = &mut state.inodes[self.inode];
        let range = inode.cache.len()..inode.cache.len() + len;
        inode.cache.extend_from_slice(&bytes[..len]);
        inode.dirty.push(range);
        if let Some(fuel) = &mut state.fuel {
            *fuel -= len;
        }
        Ok(len)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for BadFile {
    fn set_len(&mut self, len: u64) -> io::Result<()> {
        let state = &mut *self.disk.0.borrow_mut();
        state.takes()?;
        if state.is_dead() {
            return Err(no_space());
        }
        let inode = &mut state.inodes[self.inode];
        inode.cache.resize(len as usize, 0);
        inode.dirty.retain_mut(|range| {
            range.end = range.end.min(len as usize);
            range.start < range.end
        });
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let state = &mut *self.disk.0.borrow_mut();
        state.takes()?;
        if state.is_dead() {
            return Err(io::Error::other("dead"));
        }
        let inode = &mut state.inodes[self.inode];
        let dirty = std::mem::take(&mut inode.dirty);
        if state.sick {
            return Err(io::Error::other("sick"));
        }
        inode.durable.resize(inode.cache.len(), 0);
        for range in dirty {
            inode.durable[range.clone()].copy_from_slice(&inode.cache[range]);
        }
        Ok(())
    }
}
