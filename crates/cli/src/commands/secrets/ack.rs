//! `scaivault secrets ack`

use clap::Args;
use scaivault_api::secret::{SecretAck, SecretAcked};

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Ack {
    /// Path of the secret
    path: String,
    /// The version this consumer speaks of
    #[arg(long, value_name = "N")]
    version: u64,
    /// It does not work with it; without this: it does
    #[arg(long)]
    failed: bool,
    /// What happened, for people; no value belongs here
    #[arg(long, value_name = "TEXT")]
    detail: Option<String>,
}

impl Ack {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let status = if self.failed { "failed" } else { "applied" };
        let ack = SecretAck {
            version: self.version,
            status: status.to_owned(),
            detail: self.detail,
        };
        let call = session.client.secrets().acknowledge(&self.path, &ack);
        session.output.answer(call, render).await
    }
}

fn render(acked: &SecretAcked) -> String {
    let newer = if acked.current_version == acked.version {
        String::new()
    } else {
        format!("; current is version {}", acked.current_version)
    };
    format!(
        "{} version {}: {}{newer}\n",
        acked.secret_path, acked.version, acked.status
    )
}
