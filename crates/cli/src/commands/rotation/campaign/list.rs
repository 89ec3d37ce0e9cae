//! `scaivault rotation campaign list`

use clap::Args;
use scaivault_api::campaign::CampaignList;

use super::about;
use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct List {
    /// At most so many
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: usize,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.campaigns().list(None);
        session.output.list(call, Some(self.limit), render).await
    }
}

fn render(pages: &[CampaignList]) -> String {
    let mut table = Table::new(&[
        "ID", "ABOUT", "STATE", "ROTATED", "FAILED", "TOTAL", "STARTED",
    ]);
    for campaign in pages.iter().flat_map(|page| &page.data) {
        let counts = &campaign.counts;
        table.row([
            or_dash(campaign.id.as_deref()),
            &about(campaign),
            &campaign.state,
            &counts.rotated.to_string(),
            &counts.failed.to_string(),
            &counts.total.to_string(),
            &campaign.started_at,
        ]);
    }
    table.render()
}
