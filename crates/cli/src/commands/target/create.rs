//! `scaivault target create`

use clap::Args;
use scaivault_api::target::TargetBody;

use super::settings::Given;
use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Create {
    /// Name, unique in the tenant
    name: String,
    /// What speaks to it: postgresql, mysql, redis, http_key, ssh
    #[arg(long, value_name = "CONNECTOR")]
    connector: String,
    #[command(flatten)]
    settings: Given,
    /// Path of the secret with the manager's credential
    #[arg(long, value_name = "PATH")]
    manager: Option<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl Create {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let body = TargetBody {
            settings: self.settings.read()?,
            name: self.name,
            description: self.description,
            connector: self.connector,
            manager_path: self.manager,
        };
        let call = session.client.targets().create(&body);
        session.output.answer(call, super::details).await
    }
}
