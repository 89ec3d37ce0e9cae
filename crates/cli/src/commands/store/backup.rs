//! `scaivault store backup`

use std::path::PathBuf;

use clap::Args;
use scaivault_server::commands::store::{self, BackupArgs, BackupDone, Place};

use super::copy::input;
use super::progress::Progress;

/// Makes FILE, and FILE.sha256 beside it (`sha256sum -c` checks it). Nothing is replaced.
#[derive(Args)]
pub(crate) struct Backup {
    /// The embedded store's file
    #[arg(long, value_name = "FILE")]
    from: String,
    /// The backup to make
    #[arg(long, value_name = "FILE")]
    to: PathBuf,
}

impl Backup {
    pub(super) fn run(self, as_json: bool) -> anyhow::Result<()> {
        let mut progress = Progress::new();
        let args = BackupArgs {
            from: Place::parse(&self.from).map_err(input)?,
            to: self.to,
        };
        let done = store::backup(args, &mut |step| progress.tell(step));
        progress.end();
        print(&done?, as_json, "The root key is not in it.")
    }
}

pub(super) fn print(done: &BackupDone, as_json: bool, note: &str) -> anyhow::Result<()> {
    let text = match as_json {
        true => format!("{}\n", serde_json::to_string(done)?),
        false => format!(
            "{}: {} bytes, SHA-256 {}\n{note}\n",
            done.file.display(),
            done.bytes,
            done.sha256
        ),
    };
    Ok(std::io::Write::write_all(
        &mut std::io::stdout(),
        text.as_bytes(),
    )?)
}
