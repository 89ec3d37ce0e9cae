//! `scaivault dynamic engine update`

use clap::Args;
use scaivault_api::dynamic::{EngineConfigPatch, EnginePatch};
use serde_json::Value;

use crate::commands::Session;
use crate::commands::target::settings::Given;
use crate::exit::CliError;

#[derive(Args)]
pub(crate) struct Update {
    /// The engine's name or id
    engine: String,
    /// Where it is now
    #[arg(long, value_name = "URL")]
    connection_url: Option<String>,
    /// Another path of the secret with the credential that makes the others
    #[arg(long, value_name = "PATH")]
    root: Option<String>,
    #[command(flatten)]
    settings: Given,
    /// A setting to remove; may be repeated
    #[arg(long = "remove-setting", value_name = "NAME")]
    removed: Vec<String>,
    /// The settings mean the same server: credentials made there on request are found there
    #[arg(long)]
    same_accounts: bool,
    /// How long leases live that do not ask
    #[arg(long, value_name = "DURATION")]
    default_ttl: Option<String>,
    /// How long they may live, renewals included
    #[arg(long, value_name = "DURATION")]
    max_ttl: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Store it without a look at the target
    #[arg(long)]
    no_verify: bool,
}

impl Update {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let engine = self.engine.clone();
        let call = session
            .client
            .dynamic()
            .update_engine(&engine, &self.patch()?);
        session.output.answer(call, super::details).await
    }

    fn patch(self) -> Result<EnginePatch, CliError> {
        let mut settings = self.settings.read()?;
        settings.extend(self.removed.into_iter().map(|name| (name, Value::Null)));
        let moves = self.connection_url.is_some() || self.root.is_some() || !settings.is_empty();
        let config = EngineConfigPatch {
            connection_url: self.connection_url,
            root_credentials_path: self.root,
            settings,
            verify_connection: self.no_verify.then_some(false),
            same_accounts: self.same_accounts.then_some(true),
        };
        let patch = EnginePatch {
            description: self.description,
            config: (moves || self.no_verify).then_some(config),
            default_ttl: self.default_ttl,
            max_ttl: self.max_ttl,
        };
        let says = patch.description.is_some() || patch.default_ttl.is_some();
        match says || patch.max_ttl.is_some() || moves {
            true => Ok(patch),
            false => Err(CliError::Input(
                "nothing to change: give at least one option".to_owned(),
            )),
        }
    }
}
