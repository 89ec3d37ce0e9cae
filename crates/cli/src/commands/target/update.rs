//! `scaivault target update`

use clap::Args;
use scaivault_api::target::TargetPatch;
use serde_json::{Map, Value};

use super::settings::Given;
use crate::commands::Session;
use crate::exit::CliError;

#[derive(Args)]
pub(crate) struct Update {
    /// The target's name or id
    target: String,
    #[command(flatten)]
    settings: Given,
    /// A setting to remove; may be repeated
    #[arg(long = "remove-setting", value_name = "NAME")]
    removed: Vec<String>,
    /// A new path of the secret with the manager's credential
    #[arg(long, value_name = "PATH")]
    manager: Option<String>,
    /// A new name
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// The settings mean the same server: credentials made there on request are found there
    #[arg(long)]
    same_accounts: bool,
}

impl Update {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let mut settings = self.settings.read()?;
        let removed = self.removed.into_iter().map(|name| (name, Value::Null));
        settings.extend(removed);
        let mut patch = patch(self.name, self.description, settings, self.manager)?;
        patch.same_accounts = self.same_accounts.then_some(true);
        let call = session.client.targets().update(&self.target, &patch);
        session.output.answer(call, super::details).await
    }
}

fn patch(
    name: Option<String>,
    description: Option<String>,
    settings: Map<String, Value>,
    manager_path: Option<String>,
) -> Result<TargetPatch, CliError> {
    let patch = TargetPatch {
        name,
        description,
        settings: (!settings.is_empty()).then_some(settings),
        manager_path,
        same_accounts: None,
    };
    let TargetPatch {
        name: None,
        description: None,
        settings: None,
        manager_path: None,
        same_accounts: None,
    } = patch
    else {
        return Ok(patch);
    };
    Err(CliError::Input(
        "nothing to change: give --setting, --remove-setting, --manager, --name or --description"
            .to_owned(),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_change_is_said() {
        assert!(patch(None, None, Map::new(), None).is_err());
        let settings = serde_json::json!({"tls": null}).as_object().cloned();
        let patch = patch(None, None, settings.unwrap_or_default(), None).expect("a patch");
        assert_eq!(
            serde_json::to_string(&patch).expect("json"),
            r#"{"settings":{"tls":null}}"#
        );
    }
}
