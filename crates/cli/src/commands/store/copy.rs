//! `scaivault store copy`

use std::path::PathBuf;

use clap::Args;
use scaivault_server::commands::store::{self, CopyArgs, CopyDone, Place};

use super::progress::Progress;
use crate::exit::CliError;

/// Run it while the server of --from goes on, as often as you like; then stop that server and run it
/// once more: it brings what changed since, and finishes. Until then no server opens --to. Killed, it
/// goes on when it is run again. Exits with 8 when the copy is whole but the source went on.
///
/// A store is the path of a file, sqlite:///path, postgresql://user:password@host/database, or @FILE
/// for a file that holds one of these: other users of this machine can see what stands here.
#[derive(Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Copy {
    /// The store to copy
    #[arg(long, value_name = "URL")]
    from: String,
    /// An empty store, or one that a copy was begun into
    #[arg(long, value_name = "URL")]
    to: String,
    /// The root key's file: verify the audit trail's codes, and open a sample of the values
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// The same, for a store under a passphrase
    #[arg(long, value_name = "FILE", conflicts_with = "key_file")]
    passphrase_file: Option<PathBuf>,
}

impl Copy {
    pub(super) fn run(self, as_json: bool) -> anyhow::Result<()> {
        let mut progress = Progress::new();
        let to = Place::parse(&self.to).map_err(input)?;
        let args = CopyArgs {
            from: Place::parse(&self.from).map_err(input)?,
            to: to.clone(),
            key_file: self.key_file,
            passphrase_file: self.passphrase_file,
        };
        let done = store::copy(args, &mut |step| progress.tell(step));
        progress.end();
        let done = done?;
        let text = match as_json {
            true => format!("{}\n", serde_json::to_string(&done)?),
            false => render(&done, &to),
        };
        std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
        match done.finished {
            true => Ok(()),
            false => Err(CliError::SourceWentOn.into()),
        }
    }
}

pub(super) fn input(error: anyhow::Error) -> CliError {
    CliError::Input(format!("{error:#}"))
}

fn render(done: &CopyDone, to: &Place) -> String {
    let CopyDone {
        rows,
        written,
        removed,
        audit_rows,
        audit_chains,
        versions_compared,
        versions_opened,
        ..
    } = done;
    let codes = match done.codes_verified {
        true => "and its codes verified",
        false => "without its codes (give --key-file to verify them)",
    };
    let mut text = format!(
        "{rows} rows, {written} of them written and {removed} removed by this run\n\
         {audit_rows} audit rows in {audit_chains} chains, walked {codes}\n\
         {versions_compared} versions compared byte for byte, {versions_opened} of them opened\n"
    );
    if done.finished {
        text.push_str(&format!("finished: point the servers at {}\n", to.told()));
    }
    text
}
