//! A small file system of its own: a disk that can be full.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file system in memory, mounted at a directory and unmounted at the end.
pub struct SmallDisk(PathBuf);

impl SmallDisk {
    /// `None` where mounting is not permitted.
    pub fn mount(at: &Path, megabytes: u32) -> Option<Self> {
        let size = format!("size={megabytes}m,mode=0700");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(at)
            .output()
            .is_ok_and(|done| done.status.success());
        mounted.then(|| Self(at.to_owned()))
    }

    fn filler(&self) -> PathBuf {
        self.0.join("filler")
    }

    /// Fills it: nothing more can be written.
    ///
    /// # Panics
    /// When not even a name fits.
    pub fn fill(&self) {
        let mut file = File::create(self.filler()).expect("room for a name");
        let block = vec![0_u8; 1 << 16];
        while file.write_all(&block).is_ok() {}
        while file.write_all(&block[..4096]).is_ok() {}
    }

    /// There is room again.
    pub fn free(&self) {
        let _ = std::fs::remove_file(self.filler());
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg("--lazy").arg(&self.0).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("{} is still mounted", self.0.display());
        }
    }
}
