//! `scaivault secrets expiring`

use clap::Args;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Expiring {
    /// From now
    #[arg(long, value_name = "N")]
    days: u32,
    /// Only paths that begin so
    #[arg(long, value_name = "PREFIX")]
    prefix: Option<String>,
}

impl Expiring {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session
            .client
            .secrets()
            .expiring(self.days, self.prefix.as_deref());
        session.output.list(call, None, super::table).await
    }
}
