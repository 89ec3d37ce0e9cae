//! `scaivault token list`

use clap::Args;
use scaivault_api::token::TokenList;
use scaivault_client::TokenQuery;

use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct List {
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.tokens().list(&TokenQuery::default());
        session.output.list(call, self.limit, render).await
    }
}

fn render(pages: &[TokenList]) -> String {
    let mut table = Table::new(&[
        "ID",
        "IDENTITY",
        "STATUS",
        "EXPIRES",
        "USES LEFT",
        "PARENT",
        "SCOPES",
        "DESCRIPTION",
    ]);
    for token in pages.iter().flat_map(|page| &page.tokens) {
        let scopes = if token.is_root {
            "all (root)".to_owned()
        } else {
            token.scopes.join(",")
        };
        table.row([
            &token.id,
            &token.identity_id,
            &token.status,
            or_dash(token.expires_at.as_deref()),
            or_dash(token.uses_left.map(|uses| uses.to_string()).as_deref()),
            or_dash(token.parent_id.as_deref()),
            or_dash(Some(&scopes)),
            or_dash(token.description.as_deref()),
        ]);
    }
    table.render()
}
