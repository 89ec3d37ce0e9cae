//! What the operating system may do with our memory: no core files, no look from outside, and on
//! request nothing written to swap.

use anyhow::{Context, Result};
use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// From here on a crash of this process leaves no core file, and other processes of the same user
/// can neither attach to it nor read its memory. For every command: each holds tokens or values.
///
/// # Errors
/// When the system refuses.
pub fn keep_private() -> Result<()> {
    let none = Rlimit {
        current: Some(0),
        maximum: Some(0),
    };
    setrlimit(Resource::Core, none).context("core files cannot be switched off")?;
    // The limit does not bind a handler that core_pattern pipes to; this does.
    set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context("this process cannot be made undumpable")
}

/// Keeps all memory, present and future, out of swap. Refused where the limit on locked memory is
/// finite: the server would start, and end at the first allocation above it.
pub(crate) fn keep_out_of_swap() -> Result<()> {
    let unlimited = Rlimit {
        current: None,
        maximum: None,
    };
    setrlimit(Resource::Memlock, unlimited).context(
        "server.lock_memory needs an unlimited RLIMIT_MEMLOCK: LimitMEMLOCK=infinity in the unit, \
         or ulimit -l unlimited",
    )?;
    // On fault: what is reserved and never touched stays free.
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)
        .context("memory cannot be locked (server.lock_memory)")
}
