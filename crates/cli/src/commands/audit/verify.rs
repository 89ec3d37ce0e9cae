//! `scaivault audit verify`: asks the server to check its chain, or checks a file itself.

use std::path::PathBuf;

use clap::Args;
use scaivault_api::audit::AuditVerify;

use crate::commands::Session;
use crate::exit::CliError;
use crate::table::plain;

/// Exits with 1 and names the first bad row when the chain is broken.
#[derive(Args)]
pub(crate) struct Verify {
    /// Check this store itself instead of asking a server: a file, postgresql://…, or @FILE with it
    #[arg(long, value_name = "STORE")]
    database: Option<String>,
    /// With --database: the root key's file, to check the codes over the chain's heads too
    #[arg(long, value_name = "FILE", requires = "database")]
    key_file: Option<PathBuf>,
}

impl Verify {
    /// Whether no server is needed.
    pub(crate) fn is_offline(&self) -> bool {
        self.database.is_some()
    }

    /// Checks a database file.
    #[cfg(feature = "server")]
    pub(crate) fn run_offline(self, as_json: bool) -> anyhow::Result<()> {
        use scaivault_server::commands::{Place, VerifyArgs, verify};
        let Some(database) = self.database else {
            anyhow::bail!("--database names the store to check");
        };
        let report = verify(&VerifyArgs {
            database: Place::parse(&database)?,
            key_file: self.key_file,
        })?;
        let result = AuditVerify {
            valid: report.first_bad.is_none(),
            rows: report.rows,
            head: report.head,
            first_bad: report.first_bad.map(|bad| scaivault_api::audit::BadRow {
                id: bad.id,
                reason: bad.reason,
            }),
            removed: report
                .removed
                .into_iter()
                .map(|removed| scaivault_api::audit::RemovedRows {
                    last_id: removed.last_id,
                    rows: removed.rows,
                    removed_at: removed.at.to_rfc3339_micros(),
                    head: removed.head,
                })
                .collect(),
        };
        let text = if as_json {
            format!("{}\n", serde_json::to_string(&result)?)
        } else {
            render(&result)
        };
        std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
        Ok(verdict(result)?)
    }

    /// Checks a database file.
    #[cfg(not(feature = "server"))]
    pub(crate) fn run_offline(self, _: bool) -> anyhow::Result<()> {
        anyhow::bail!("this binary was built without the server: it cannot open a database")
    }

    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let json = session.client.audit().verify().json().await?;
        let result = json.parse()?;
        session.output.show(&json, render)?;
        Ok(verdict(result)?)
    }
}

fn verdict(result: AuditVerify) -> Result<(), CliError> {
    match result {
        AuditVerify { valid: true, .. } => Ok(()),
        AuditVerify {
            first_bad: Some(row),
            ..
        } => Err(CliError::ChainBroken {
            id: row.id,
            reason: row.reason,
        }),
        AuditVerify {
            first_bad: None,
            rows,
            ..
        } => Err(CliError::ChainBroken {
            id: "unknown".to_owned(),
            reason: format!("the server names no row after the first {rows}"),
        }),
    }
}

fn render(result: &AuditVerify) -> String {
    let AuditVerify {
        valid,
        rows,
        head,
        removed,
        ..
    } = result;
    let word = if *valid { "valid" } else { "BROKEN" };
    let mut text = format!("{word}: {rows} rows are whole, head {}\n", plain(head));
    for removed in removed {
        text += &format!(
            "{} rows up to {} were removed by retention, the last on {}, anchor {}\n",
            removed.rows,
            plain(&removed.last_id),
            plain(&removed.removed_at),
            plain(&removed.head)
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use scaivault_api::audit::BadRow;

    use super::*;

    fn result(valid: bool, first_bad: Option<BadRow>) -> AuditVerify {
        AuditVerify {
            valid,
            rows: 7,
            head: "abc".to_owned(),
            first_bad,
            removed: Vec::new(),
        }
    }

    #[test]
    fn a_whole_chain_is_valid() {
        assert!(verdict(result(true, None)).is_ok());
        assert_eq!(
            render(&result(true, None)),
            "valid: 7 rows are whole, head abc\n"
        );
    }

    #[test]
    fn a_broken_chain_is_an_error_that_names_the_row() {
        let row = BadRow {
            id: "log_8".to_owned(),
            reason: "was edited".to_owned(),
        };
        let error = verdict(result(false, Some(row)))
            .expect_err("broken")
            .to_string();
        assert_eq!(error, "the audit chain is broken at row log_8: was edited");
        assert!(verdict(result(false, None)).is_err());
        assert!(render(&result(false, None)).starts_with("BROKEN: 7 rows"));
    }
}
