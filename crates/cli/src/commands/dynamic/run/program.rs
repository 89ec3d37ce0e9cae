//! The program that is run.

use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};

use super::signals::Signals;
use crate::exit::CliError;

/// The code that this program ends with, too.
pub(super) struct Ended(pub(super) u8);

/// A program that runs. It shares this program's terminal, files and process group.
pub(super) struct Program {
    child: Child,
}

impl Program {
    /// Starts it with these variables beside those of this program.
    pub(super) fn start(
        line: &[String],
        variables: Vec<(String, String)>,
        keep_token: bool,
    ) -> Result<Self, CliError> {
        let (program, arguments) = line
            .split_first()
            .ok_or_else(|| CliError::Input("no program is given".to_owned()))?;
        let mut command = Command::new(program);
        command.args(arguments);
        // It is given one credential, not what makes them.
        if !keep_token {
            command.env_remove("SCAIVAULT_TOKEN");
        }
        command.envs(variables);
        let child = command.spawn().map_err(|error| CliError::NotStarted {
            program: program.clone(),
            code: match error.kind() {
                ErrorKind::NotFound => 127,
                _ => 126,
            },
            why: error.to_string(),
        })?;
        Ok(Self { child })
    }

    /// Waits for its end.
    pub(super) async fn ended(&mut self) -> std::io::Result<Ended> {
        self.child.wait().await.map(ended)
    }

    /// Passes a signal on, if it did not get it itself.
    pub(super) fn pass(&self, signal: Signal, signals: &Signals) {
        if !signals.reaches_all(signal) {
            self.send(signal);
        }
    }

    /// Ends it; answers `None` when it ended because of this, and how it ended when it, or
    /// somebody else, had an end in mind as well.
    pub(super) async fn stop(
        &mut self,
        grace: Duration,
        signals: &mut Signals,
    ) -> std::io::Result<Option<Ended>> {
        if let Some(status) = self.child.try_wait()? {
            return Ok(Some(ended(status)));
        }
        self.send(Signal::TERM);
        let killed = tokio::time::sleep(grace);
        let mut killed = std::pin::pin!(killed);
        let mut is_killed = false;
        let mut is_asked = false;
        loop {
            tokio::select! {
                status = self.child.wait() => {
                    let status = status?;
                    return Ok((is_asked || signals.ending().is_some()).then(|| ended(status)));
                }
                signal = signals.next() => {
                    is_asked |= super::signals::ends(signal);
                    self.pass(signal, signals);
                }
                () = &mut killed, if !is_killed => {
                    is_killed = true;
                    self.send(Signal::KILL);
                }
            }
        }
    }

    /// No signal reaches somebody else: a program that was waited for has no id any more.
    fn send(&self, signal: Signal) {
        let id = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let Some(id) = id.and_then(Pid::from_raw) {
            // It may have ended this moment.
            let _ = kill_process(id, signal);
        }
    }
}

/// Its code, or 128 and the signal that ended it.
fn ended(status: ExitStatus) -> Ended {
    let number = match status.code() {
        Some(code) => code,
        None => status.signal().unwrap_or(127).saturating_add(128),
    };
    Ended(u8::try_from(number).unwrap_or(u8::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_passed_on_and_signals_told() {
        assert_eq!(ended(ExitStatus::from_raw(0)).0, 0);
        assert_eq!(ended(ExitStatus::from_raw(7 << 8)).0, 7);
        assert_eq!(ended(ExitStatus::from_raw(9)).0, 137);
    }

    #[tokio::test]
    async fn what_is_not_there_is_told_as_shells_do() {
        let started = Program::start(&["/nowhere/at/all".to_owned()], Vec::new(), false);
        let Err(CliError::NotStarted { code, .. }) = started else {
            panic!("it started");
        };
        assert_eq!(code, 127);
        let started = Program::start(&["/".to_owned()], Vec::new(), false);
        let Err(CliError::NotStarted { code, .. }) = started else {
            panic!("it started");
        };
        assert_eq!(code, 126);
    }
}
