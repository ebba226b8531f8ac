//! Small disks, which can be filled.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

/// A file system in memory, which is there until this is dropped.
pub struct Disk {
    at: PathBuf,
}

impl Disk {
    /// A disk of `mib` MiB in the folder `at`.
    ///
    /// # Panics
    /// Where nothing can be mounted: a disk that can't be filled shows nothing.
    pub fn mount(at: &Path, mib: u32) -> Self {
        Self::with(at, &format!("size={mib}m"))
    }

    /// A disk over `at` on which nothing can be made or changed (EROFS).
    pub fn read_only(at: &Path) -> Self {
        Self::with(at, "ro")
    }

    /// What is in the folder `at` stays there, and nothing of it can be changed (EROFS).
    pub fn freeze(at: &Path) -> Self {
        Self::of(Command::new("mount").args(["--bind", "-o", "ro"]).arg(at), at)
    }

    fn with(at: &Path, options: &str) -> Self {
        Self::of(Command::new("mount").args(["-t", "tmpfs", "-o", options, "kaibo-test"]), at)
    }

    fn of(mount: &mut Command, at: &Path) -> Self {
        let mounted = mount.arg(at).output();
        let mounted = mounted.expect("this test needs the program mount");
        assert!(
            mounted.status.success(),
            "THIS TEST NEEDS root (CAP_SYS_ADMIN), to mount something at {}: {}",
            at.display(),
            String::from_utf8_lossy(&mounted.stderr)
        );
        Self { at: at.to_path_buf() }
    }

    /// Fills it up to the last byte but `left`. Free again: [`Disk::free`].
    pub fn fill(&self, left: u64) {
        let mut ballast = File::options().create(true).append(true).open(self.ballast()).unwrap();
        // Down to single pages, as a file system counts; half of the way at a time, as it needs some for itself.
        for block in [1 << 20, 4096_u64] {
            let zeros = vec![0; block as usize];
            loop {
                let fit = self.left().saturating_sub(left) / block;
                let full = (0..fit.div_ceil(2)).any(|_| ballast.write_all(&zeros).is_err());
                if fit == 0 || full {
                    break;
                }
            }
        }
    }

    /// Takes away what [`Disk::fill`] has put there.
    pub fn free(&self) {
        fs::remove_file(self.ballast()).unwrap();
    }

    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        let asked = Command::new("stat").args(["-f", "-c", "%a %S"]).arg(&self.at).output().unwrap();
        let said = String::from_utf8(asked.stdout).unwrap();
        let (blocks, size) = said.trim().split_once(' ').unwrap();
        blocks.parse::<u64>().unwrap() * size.parse::<u64>().unwrap()
    }

    fn ballast(&self) -> PathBuf {
        self.at.join("ballast")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Lazily: whoever still has a file open there keeps it, and it goes with the last one.
        let gone = Command::new("umount").arg("-l").arg(&self.at).status();
        if !std::thread::panicking() {
            assert!(gone.unwrap().success(), "{} stays mounted", self.at.display());
        }
    }
}
