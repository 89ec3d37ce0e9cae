//! The one thing of a killed PostgreSQL that the kernel keeps: the segment by which a second
//! server on the same files notices the first. Each is small, but there are only so many.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// How long processes may take to end when the first of them is gone.
const DETACHED_MAX: Duration = Duration::from_secs(10);

/// A System V shared memory segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment(String);

impl Segment {
    /// That of the server on these files. One that ended in order has none any more.
    pub fn of(data: &Path) -> Option<Self> {
        // The seventh line: the segment's key and its id.
        let told = std::fs::read_to_string(data.join("postmaster.pid")).ok()?;
        let id = told.lines().nth(6)?.split_whitespace().nth(1)?;
        Some(Self(id.to_owned()))
    }

    /// How many processes are attached to it; `None` when there is none such.
    pub fn attached(&self) -> Option<u32> {
        let all = std::fs::read_to_string("/proc/sysvipc/shm").ok()?;
        // key, id, permissions, size, creator's process, last process, attached, …
        let mut rows = all.lines().map(|row| row.split_whitespace());
        rows.find_map(|mut row| (row.nth(1)? == self.0).then(|| row.nth(4)?.parse().ok())?)
    }

    /// Gives it back. Who is attached when the first process is gone ends by itself, soon.
    pub(crate) fn free(&self) {
        let begun = Instant::now();
        while self.attached() > Some(0) && begun.elapsed() < DETACHED_MAX {
            std::thread::sleep(Duration::from_millis(5));
        }
        if self.attached().is_none() {
            return;
        }
        let freed = Command::new("ipcrm").args(["-m", &self.0]).output();
        if self.attached().is_some() {
            eprintln!("segment {} is left: {freed:?}", self.0);
        }
    }
}
