//! `scaivault lease show`, `renew`, `revoke`

use std::time::Duration;

use clap::Args;
use scaivault_api::dynamic::Lease;

use super::details;
use crate::commands::Session;
use crate::table::plain;

/// Between two looks at a lease that ends.
const PAUSE: Duration = Duration::from_millis(250);

#[derive(Args)]
pub(crate) struct Show {
    /// The lease's id (lse_…)
    id: String,
}

impl Show {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.dynamic().lease(&self.id);
        session.output.answer(call, details).await
    }
}

#[derive(Args)]
pub(crate) struct Renew {
    /// The lease's id (lse_…)
    id: String,
    /// How long from now [default: as long as a new one]
    #[arg(long, value_name = "DURATION")]
    increment: Option<String>,
}

impl Renew {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let dynamic = session.client.dynamic();
        let call = dynamic.renew(&self.id, self.increment.as_deref());
        session.output.answer(call, renewed).await
    }
}

fn renewed(lease: &Lease) -> String {
    let end = match lease.expires_at == lease.max_expires_at {
        true => ", which is as far as it goes",
        false => "",
    };
    format!(
        "{} lives until {}{end}\n",
        plain(&lease.id),
        lease.expires_at
    )
}

#[derive(Args)]
pub(crate) struct Revoke {
    /// Ids of leases (lse_…)
    #[arg(required = true)]
    ids: Vec<String>,
    /// Wait until their accounts are gone
    #[arg(long)]
    wait: bool,
}

impl Revoke {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        for id in &self.ids {
            let mut json = session.client.dynamic().revoke(id).json().await?;
            while self.wait && json.parse()?.status != "revoked" {
                tokio::time::sleep(PAUSE).await;
                json = session.client.dynamic().lease(id).json().await?;
            }
            session.output.show(&json, revoked)?;
        }
        Ok(())
    }
}

fn revoked(lease: &Lease) -> String {
    let told = match lease.status.as_str() {
        "revoked" => "is gone",
        _ => "ends: its account is being removed",
    };
    format!("{} {told}\n", plain(&lease.id))
}
