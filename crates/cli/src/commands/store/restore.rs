//! `scaivault store restore` and `store mark-restored`

use std::path::PathBuf;

use clap::Args;
use scaivault_server::commands::store::{self, Place, RestoreArgs};

use super::backup::print;
use super::copy::input;
use super::progress::Progress;

/// Checks FILE against FILE.sha256 first. Never replaces a store.
#[derive(Args)]
pub(crate) struct Restore {
    /// The backup
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The embedded store's file to make
    #[arg(long, value_name = "FILE")]
    to: String,
}

impl Restore {
    pub(super) fn run(self, as_json: bool) -> anyhow::Result<()> {
        let mut progress = Progress::new();
        let args = RestoreArgs {
            from: self.from,
            to: Place::parse(&self.to).map_err(input)?,
        };
        let done = store::restore(args, &mut |step| progress.tell(step));
        progress.end();
        print(&done?, as_json, NEXT)
    }
}

const NEXT: &str = "Start the server: it serves, looks at the targets, and begins nothing there.\n\
    Then: scaivault store reconcile, and scaivault store resume.";

/// The servers of the store begin nothing at a target until `store resume`.
#[derive(Args)]
pub(crate) struct MarkRestored {
    /// The store: a file whose server is stopped, or postgresql://…, or @FILE
    #[arg(long, value_name = "URL")]
    store: String,
}

impl MarkRestored {
    pub(super) fn run(self, as_json: bool) -> anyhow::Result<()> {
        let place = Place::parse(&self.store).map_err(input)?;
        store::mark_restored(&place)?;
        let text = match as_json {
            true => "{\"restored\":true}\n".to_owned(),
            false => format!("{} is marked as restored\n", place.told()),
        };
        Ok(std::io::Write::write_all(
            &mut std::io::stdout(),
            text.as_bytes(),
        )?)
    }
}
