//! What `create`, `put` and `update` say of a role alike.

use std::path::Path;

use clap::Args;
use scaivault_api::dynamic::EngineRoleBody;

use crate::commands::target::settings::Given;
use crate::exit::CliError;
use crate::input;

#[derive(Args)]
pub(super) struct Fields {
    /// Statements that make an account, or @FILE with them, - for stdin; may be repeated.
    /// {{name}}, {{password}} and {{expiration}} are filled in
    #[arg(long, value_name = "SQL")]
    creation: Vec<String>,
    /// Statements that remove it [default: the connector's own way]
    #[arg(long, value_name = "SQL")]
    revocation: Vec<String>,
    /// Statements that move its end [default: the connector's own way]
    #[arg(long, value_name = "SQL")]
    renewal: Vec<String>,
    /// Statements that take back a half-made one
    #[arg(long, value_name = "SQL")]
    rollback: Vec<String>,
    /// What becomes of what an account owns: keep, reassign, drop
    #[arg(long, value_name = "WORD")]
    owned_objects: Option<String>,
    /// How accounts are called: app-{{.RoleName | truncate 8}}-{{random}}
    #[arg(long, value_name = "TEMPLATE")]
    username_template: Option<String>,
    #[command(flatten)]
    settings: Given,
    /// How long leases live that do not ask [default: as the engine says]
    #[arg(long, value_name = "DURATION")]
    default_ttl: Option<String>,
    /// How long they may live, renewals included [default: as the engine says]
    #[arg(long, value_name = "DURATION")]
    max_ttl: Option<String>,
}

impl Fields {
    pub(super) fn body(&self, name: Option<&str>) -> Result<EngineRoleBody, CliError> {
        let settings = self.settings.read()?;
        Ok(EngineRoleBody {
            name: name.map(str::to_owned),
            creation_statements: statements(&self.creation)?,
            rollback_statements: statements(&self.rollback)?,
            renew_statements: statements(&self.renewal)?,
            revocation_statements: statements(&self.revocation)?,
            owned_objects: self.owned_objects.clone(),
            username_template: self.username_template.clone(),
            settings: (!settings.is_empty()).then_some(settings),
            default_ttl: self.default_ttl.clone(),
            max_ttl: self.max_ttl.clone(),
        })
    }
}

/// Each as it is, or the text of a file. A single empty one takes back what was there.
fn statements(given: &[String]) -> Result<Option<Vec<String>>, CliError> {
    match given {
        [] => Ok(None),
        [one] if one.is_empty() => Ok(Some(Vec::new())),
        some => some.iter().map(text).collect::<Result<_, _>>().map(Some),
    }
}

fn text(given: &String) -> Result<String, CliError> {
    match given.strip_prefix('@') {
        Some(file) => input::document(Path::new(file)),
        None if given == "-" => input::document(Path::new("-")),
        None => Ok(given.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(given: &[&str]) -> Result<Option<Vec<String>>, CliError> {
        let given: Vec<String> = given.iter().map(|&one| one.to_owned()).collect();
        statements(&given)
    }

    #[test]
    fn statements_come_from_arguments_and_files() {
        let directory = tempfile::tempdir().expect("directory");
        let file = directory.path().join("make.sql");
        std::fs::write(&file, "CREATE ROLE a;\nGRANT b;\n").expect("a file");
        let named = format!("@{}", file.display());
        let read_both = read(&["SELECT 1", &named]).expect("both");
        let expect = ["SELECT 1", "CREATE ROLE a;\nGRANT b;\n"].map(str::to_owned);
        assert_eq!(read_both, Some(expect.to_vec()));
        assert_eq!(read(&[]).expect("none"), None);
        assert_eq!(read(&[""]).expect("taken back"), Some(Vec::new()));
        assert!(read(&["@/nowhere/at.sql"]).is_err());
    }
}
