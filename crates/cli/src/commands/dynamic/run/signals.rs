//! Signals that this program is sent while another runs for it.

use std::io::IsTerminal;

use anyhow::Context;
use rustix::process::Signal;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// What is passed on.
const PASSED: [Signal; 6] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
];

/// From here on these signals do not end this program. What it was started to ignore (`nohup`)
/// it goes on ignoring, and so does what it starts.
pub(super) struct Signals {
    came: UnboundedReceiver<Signal>,
    is_at_terminal: bool,
}

impl Signals {
    pub(super) fn listen() -> anyhow::Result<Self> {
        let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
        let ignored = ignored(&status);
        let (sender, came) = unbounded_channel();
        for passed in PASSED {
            let number = passed.as_raw();
            if ignored & (1 << (number - 1)) != 0 {
                continue;
            }
            let mut stream = signal(SignalKind::from_raw(number))
                .with_context(|| format!("cannot listen for signal {number}"))?;
            let sender = sender.clone();
            tokio::spawn(async move {
                while stream.recv().await.is_some() && sender.send(passed).is_ok() {}
            });
        }
        Ok(Self {
            came,
            is_at_terminal: std::io::stdin().is_terminal() || std::io::stderr().is_terminal(),
        })
    }

    /// The next one; waits for it.
    pub(super) async fn next(&mut self) -> Signal {
        match self.came.recv().await {
            Some(signal) => signal,
            // Nothing is listened for.
            None => std::future::pending().await,
        }
    }

    /// One that came already and asks for an end.
    pub(super) fn ending(&mut self) -> Option<Signal> {
        std::iter::from_fn(|| self.came.try_recv().ok()).find(|signal| ends(*signal))
    }

    /// Whether the program was sent it as well: a terminal sends its keys to everyone at it.
    pub(super) fn reaches_all(&self, signal: Signal) -> bool {
        self.is_at_terminal && matches!(signal, Signal::INT | Signal::QUIT)
    }
}

/// Whether it asks to end.
pub(super) fn ends(signal: Signal) -> bool {
    matches!(
        signal,
        Signal::HUP | Signal::INT | Signal::QUIT | Signal::TERM
    )
}

/// The exit code of what a signal ended, as shells tell it.
pub(super) fn code(signal: Signal) -> u8 {
    u8::try_from(signal.as_raw()).map_or(u8::MAX, |number| number.saturating_add(128))
}

/// The bits of `SigIgn` in a process's own status.
fn ignored(status: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_nohup_ignores_is_seen() {
        let status = "Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\n";
        assert_eq!(ignored(status), 1 | 1 << 12);
        assert_eq!(ignored(""), 0);
        assert_eq!(code(Signal::TERM), 143);
        assert!(ends(Signal::HUP) && !ends(Signal::USR1));
    }
}
