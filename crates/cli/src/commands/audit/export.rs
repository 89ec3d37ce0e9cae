//! `scaivault audit export` and `audit verify-export`: files that prove themselves.

use std::path::PathBuf;

use clap::Args;

/// Write the audit chains of a store to files, behind what the directory holds already.
///
/// The store's servers may run meanwhile. Exits with 1 when the chain is broken, or does not
/// continue what was exported before: then it was cut, rewritten or put back to an older copy.
#[derive(Args)]
pub(crate) struct Export {
    /// The store: a file, postgresql://…, or @FILE with it
    #[arg(long, value_name = "STORE")]
    database: String,
    /// The directory: new, empty, or of an export before
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The root key's file: checks the codes over the chain, and signs the manifest
    #[arg(long, value_name = "FILE")]
    key_file: Option<PathBuf>,
    /// Rows of a file, about
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    rows_per_file: u64,
    /// The server's configuration: the directory is copied into the bucket of its audit.s3_bucket
    #[arg(long, value_name = "CONFIG")]
    s3: Option<PathBuf>,
}

/// Check an export without a store: every file, every row, and the manifest's signature.
#[derive(Args)]
pub(crate) struct VerifyExport {
    /// The directory
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// The key it must be signed with, PEM; without it the one beside the files is taken
    #[arg(long, value_name = "FILE")]
    public_key: Option<PathBuf>,
}

#[cfg(feature = "server")]
mod offline {
    use scaivault_server::commands::{ExportArgs, Place, export, verify_export};
    use serde_json::json;

    use super::{Export, VerifyExport};

    fn say(text: &str) -> anyhow::Result<()> {
        let mut out = std::io::stdout();
        Ok(std::io::Write::write_all(&mut out, text.as_bytes())?)
    }

    impl Export {
        pub(crate) fn run_offline(self, as_json: bool) -> anyhow::Result<()> {
            let done = export(&ExportArgs {
                database: Place::parse(&self.database)?,
                out: self.out,
                key_file: self.key_file,
                rows_per_file: self.rows_per_file,
                s3: self.s3,
            })?;
            let signed = if done.is_signed {
                "signed"
            } else {
                "not signed"
            };
            let (bucket, copied) = done.copied.unzip();
            say(&match as_json {
                true => {
                    json!({
                        "rows": done.rows, "files": done.files, "rows_in_all": done.rows_in_all,
                        "signed": done.is_signed, "bucket": bucket, "files_copied": copied,
                    })
                    .to_string()
                        + "\n"
                }
                false => {
                    let at = match (&bucket, copied) {
                        (Some(bucket), Some(files)) => {
                            format!("; {files} files copied to {bucket}")
                        }
                        _ => String::new(),
                    };
                    format!(
                        "exported {} rows in {} files; {} rows in all, {signed}{at}\n",
                        done.rows, done.files, done.rows_in_all
                    )
                }
            })
        }
    }

    impl VerifyExport {
        pub(crate) fn run_offline(self, as_json: bool) -> anyhow::Result<()> {
            let report = verify_export(&self.directory, self.public_key.as_deref())?;
            if as_json {
                let heads = report.heads.iter().map(|(chain, (last_seq, head))| {
                    json!({ "chain": chain, "last_seq": last_seq, "head": head })
                });
                let removed = report
                    .removed
                    .iter()
                    .map(|(chain, last_seq)| json!({ "chain": chain, "last_seq": last_seq }));
                let view = json!({
                    "valid": true, "removed": removed.collect::<Vec<_>>(), "rows": report.rows, "files": report.files,
                    "chains": heads.collect::<Vec<_>>(), "signed_by": report.signed_by,
                });
                return say(&format!("{view}\n"));
            }
            let mut text = format!("valid: {} rows in {} files\n", report.rows, report.files);
            for (chain, (last_seq, head)) in &report.heads {
                text += &match report.removed.get(chain) {
                    _ if report.is_selection => {
                        format!("chain {chain}: ended at row {last_seq} then, head {head}\n")
                    }
                    None => format!("chain {chain}: {last_seq} rows, head {head}\n"),
                    Some(removed) => format!(
                        "chain {chain}: rows {} to {last_seq}, head {head}; retention had removed \
                         those before\n",
                        removed + 1
                    ),
                };
            }
            text += &match (report.signed_by, self.public_key.is_some()) {
                (None, _) => "not signed\n".to_owned(),
                (Some(key), true) => format!("signed by the key {key}\n"),
                (Some(key), false) => {
                    format!("signed by the key beside it, {key}: compare, or give --public-key\n")
                }
            };
            say(&text)
        }
    }
}

#[cfg(not(feature = "server"))]
mod offline {
    use super::{Export, VerifyExport};

    impl Export {
        pub(crate) fn run_offline(self, _: bool) -> anyhow::Result<()> {
            anyhow::bail!("this binary was built without the server: it cannot open a database")
        }
    }

    impl VerifyExport {
        pub(crate) fn run_offline(self, _: bool) -> anyhow::Result<()> {
            anyhow::bail!("this binary was built without the server: it cannot check an export")
        }
    }
}
