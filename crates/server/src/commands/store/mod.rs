//! `scaivault store …`: moving, backing up, restoring and signing what a server keeps.

mod backup;
mod copy;
mod opening;
mod sign_rows;

pub use backup::{BackupArgs, BackupDone, RestoreArgs, backup, mark_restored, restore};
pub use copy::{CopyArgs, CopyDone, copy};
pub use sign_rows::{SignRowsArgs, SignRowsDone, sign_rows};

/// How far a command is: for people who wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Step {
    /// What is being done.
    pub what: &'static str,
    /// Rows or bytes.
    pub unit: &'static str,
    /// So many of them are done …
    pub done: u64,
    /// … of so many.
    pub total: u64,
}
