//! `scaivault secrets undelete`

use clap::Args;
use scaivault_api::secret::Secret;

use crate::commands::Session;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Undelete {
    /// Path of the secret
    path: String,
}

impl Undelete {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.secrets().undelete(&self.path);
        session.output.answer(call, render).await
    }
}

fn render(secret: &Secret) -> String {
    format!(
        "{} is back, at version {}\n",
        plain(&secret.path),
        secret.version
    )
}
