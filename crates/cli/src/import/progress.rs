//! How far it is, on standard error: a line that is written over on a terminal, and a line every few
//! seconds elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use super::report::MountCounts;
use crate::table::plain;

/// Between two lines.
const TERMINAL: Duration = Duration::from_millis(200);
const LOG: Duration = Duration::from_secs(5);

pub(crate) struct Progress {
    mount: String,
    began: Instant,
    is_terminal: bool,
}

impl Progress {
    pub(crate) fn new(mount: &str) -> Self {
        Self {
            mount: mount.to_owned(),
            began: Instant::now(),
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    pub(crate) fn pause(&self) -> Duration {
        match self.is_terminal {
            true => TERMINAL,
            false => LOG,
        }
    }

    pub(crate) fn tell(&self, counts: MountCounts) {
        let line = line(&self.mount, counts, self.began.elapsed());
        let mut stderr = std::io::stderr();
        // Nobody is left to tell when this cannot be written.
        let _ = match self.is_terminal {
            true => write!(stderr, "\r\x1b[K{line}"),
            false => writeln!(stderr, "{line}"),
        };
    }

    pub(crate) fn end(&self, counts: MountCounts) {
        self.tell(counts);
        if self.is_terminal {
            let _ = writeln!(std::io::stderr());
        }
    }
}

fn line(mount: &str, counts: MountCounts, elapsed: Duration) -> String {
    let MountCounts {
        secrets,
        copied,
        same,
        conflicts,
        refused,
        failed,
        versions_written,
        ..
    } = counts;
    let millis = elapsed.as_millis().max(1);
    let rate = u128::from(secrets) * 1_000 / millis;
    let mut text = format!(
        "{}: {secrets} secrets, {copied} copied with {versions_written} versions, {same} as they were",
        plain(mount)
    );
    for (number, word) in [
        (conflicts, "in conflict"),
        (refused, "refused"),
        (failed, "failed"),
    ] {
        if number > 0 {
            text.push_str(&format!(", {number} {word}"));
        }
    }
    format!("{text}, {rate} secrets/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_and_how_fast() {
        let counts = MountCounts {
            secrets: 10,
            copied: 7,
            same: 2,
            conflicts: 1,
            versions_written: 21,
            ..MountCounts::default()
        };
        assert_eq!(
            line("kv/", counts, Duration::from_millis(500)),
            "kv/: 10 secrets, 7 copied with 21 versions, 2 as they were, 1 in conflict, 20 secrets/s"
        );
    }
}
