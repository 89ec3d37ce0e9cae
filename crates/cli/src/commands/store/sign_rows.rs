//! `scaivault store sign-rows`

use std::path::PathBuf;

use clap::Args;
use scaivault_server::commands::store::{self, SignRowsArgs, SignRowsDone};

/// For a store that no release with codes over its rows has opened yet, with its servers stopped. All
/// of the audit trail is verified first; the trail says that it was done.
///
/// A store that such a release has opened before has all its codes: if a server asks for this there,
/// somebody took them away. Do not sign then.
#[derive(Args)]
pub(crate) struct SignRows {
    /// The server's configuration file; the environment comes before it
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// The directory of a development server
    #[arg(long, value_name = "DIR", conflicts_with = "config")]
    data: Option<PathBuf>,
}

impl SignRows {
    pub(super) fn run(self, as_json: bool) -> anyhow::Result<()> {
        let done = store::sign_rows(SignRowsArgs {
            config: self.config,
            data: self.data,
        })?;
        let text = match as_json {
            true => format!("{}\n", serde_json::to_string(&done)?),
            false => render(&done),
        };
        Ok(std::io::Write::write_all(
            &mut std::io::stdout(),
            text.as_bytes(),
        )?)
    }
}

fn render(done: &SignRowsDone) -> String {
    match done.signed {
        Some(rows) => format!(
            "{}: {rows} rows were given their codes; start the server\n",
            done.store
        ),
        None => format!("{}: every row has its code, nothing was done\n", done.store),
    }
}
