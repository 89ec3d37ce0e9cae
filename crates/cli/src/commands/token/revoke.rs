//! `scaivault token revoke`

use clap::Args;

use crate::commands::Session;
use crate::exit::CliError;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Revoke {
    /// The token's id (tok_…), as `token list` shows it
    id: String,
}

impl Revoke {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        // A token in place of its id would end up in the server's access log.
        if self.id.starts_with("skt_") || self.id.starts_with("eyJ") {
            let message = "that is a token, not its id (tok_…): see `scaivault token list`";
            return Err(CliError::Input(message.to_owned()).into());
        }
        let call = session.client.tokens().revoke(&self.id);
        session
            .output
            .answer(call, |_| format!("revoked {}\n", plain(&self.id)))
            .await
    }
}
