//! `scaivault secrets batch`: several values in one call.

use clap::Args;
use scaivault_api::secret_batch::{BatchRead, BatchReadOptions, BatchSecrets};

use super::read::values;
use crate::commands::Session;
use crate::exit::CliError;
use crate::output::note;
use crate::table::plain;

/// Paths that cannot be read are named on stderr, the others printed; then it ends with 1.
#[derive(Args)]
pub(crate) struct Batch {
    /// Paths of the secrets, at most 100
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<String>,
    /// This version of each instead of the current one
    #[arg(long, value_name = "N")]
    version: Option<u64>,
    /// Metadata beside each value; shown with --json
    #[arg(long)]
    include_metadata: bool,
    /// The first path that cannot be read ends it, and nothing is printed
    #[arg(long)]
    fail_fast: bool,
}

impl Batch {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let batch = BatchRead {
            options: Some(BatchReadOptions {
                include_metadata: self.include_metadata.then_some(true),
                fail_fast: self.fail_fast.then_some(true),
                version: self.version,
            }),
            paths: self.paths,
        };
        let json = session.client.secrets().read_batch(&batch).json().await?;
        session.output.show(&json, render)?;
        let answer = json.parse()?;
        let total = answer.secrets.len() + answer.errors.len();
        for (path, error) in &answer.errors {
            note(&format!("{}: {}", plain(path), plain(&error.message)));
        }
        match answer.errors.len() {
            0 => Ok(()),
            failed => Err(CliError::NotAllRead { failed, total }.into()),
        }
    }
}

fn render(answer: &BatchSecrets) -> String {
    let one = |(path, secret): (&String, &scaivault_api::secret_batch::BatchSecret)| {
        let data = values(&secret.data);
        format!("{} (version {})\n{data}", plain(path), secret.version)
    };
    let all: Vec<String> = answer.secrets.iter().map(one).collect();
    all.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_stand_below_their_paths() {
        let answer: BatchSecrets = serde_json::from_str(
            r#"{"secrets":{
                "b":{"version":1,"secret_type":"kv","data":{"k":"\u001b[2J"}},
                "a/x":{"version":2,"secret_type":"json","data":{"user":"u","n":1.50}}},
              "errors":{}}"#,
        )
        .expect("answer");
        assert_eq!(
            render(&answer),
            "a/x (version 2)\nFIELD  VALUE\nn      1.50\nuser   u\n\n\
             b (version 1)\nFIELD  VALUE\nk      \\u{1b}[2J\n"
        );
    }
}
