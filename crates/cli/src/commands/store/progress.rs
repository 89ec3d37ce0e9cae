//! How far it is, on standard error: a line that is written over on a terminal, and a line every
//! few seconds elsewhere.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use scaivault_server::commands::store::Step;

/// Between two lines.
const TERMINAL: Duration = Duration::from_millis(200);
const LOG: Duration = Duration::from_secs(5);

pub(super) struct Progress {
    began: Instant,
    told: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            told: None,
            is_terminal: std::io::stderr().is_terminal(),
        }
    }

    pub(super) fn tell(&mut self, step: Step) {
        let pause = if self.is_terminal { TERMINAL } else { LOG };
        let is_last = step.done >= step.total;
        if !is_last && self.told.is_some_and(|told| told.elapsed() < pause) {
            return;
        }
        self.told = Some(Instant::now());
        let line = line(step, self.began.elapsed());
        let mut stderr = std::io::stderr();
        // Nobody is left to tell when this cannot be written.
        let _ = match self.is_terminal {
            true => write!(stderr, "\r\x1b[K{line}"),
            false => writeln!(stderr, "{line}"),
        };
    }

    pub(super) fn end(&self) {
        if self.is_terminal && self.told.is_some() {
            let _ = writeln!(std::io::stderr());
        }
    }
}

fn line(step: Step, elapsed: Duration) -> String {
    let Step {
        what,
        unit,
        done,
        total,
    } = step;
    let percent = match total {
        0 => 100,
        total => u128::from(done.min(total)) * 100 / u128::from(total),
    };
    let millis = elapsed.as_millis().max(1);
    let rate = u128::from(done) * 1_000 / millis;
    format!("{what}: {done} of {total} {unit}, {percent} %, {rate} {unit}/s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_how_far_and_how_fast() {
        let step = |done, total| Step {
            what: "version",
            unit: "rows",
            done,
            total,
        };
        let told = line(step(50, 200), Duration::from_millis(500));
        assert_eq!(told, "version: 50 of 200 rows, 25 %, 100 rows/s");
        let told = line(step(0, 0), Duration::ZERO);
        assert_eq!(told, "version: 0 of 0 rows, 100 %, 0 rows/s");
    }
}
