//! `scaivault role list`, `show` and `delete`

use clap::Args;
use scaivault_api::machine::RoleList;

use crate::commands::Session;
use crate::table::{Table, or_dash, plain};

#[derive(Args)]
pub(crate) struct List {
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.machines().list();
        session.output.list(call, self.limit, render).await
    }
}

fn render(pages: &[RoleList]) -> String {
    let mut table = Table::new(&[
        "NAME",
        "ROLE ID",
        "IDENTITY",
        "ACTIVE",
        "SCOPES",
        "DESCRIPTION",
    ]);
    for role in pages.iter().flat_map(|page| &page.roles) {
        table.row([
            role.name.as_str(),
            &role.role_id,
            &role.identity_id,
            if role.is_active { "yes" } else { "no" },
            &role.scopes.join(","),
            or_dash(role.description.as_deref()),
        ]);
    }
    table.render()
}

#[derive(Args)]
pub(crate) struct Show {
    /// Its name
    name: String,
}

impl Show {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.machines().get(&self.name);
        session.output.answer(call, super::details).await
    }
}

#[derive(Args)]
pub(crate) struct Delete {
    /// Its name
    name: String,
}

impl Delete {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.machines().delete(&self.name);
        let done = |_: &scaivault_client::Done| format!("deleted {}\n", plain(&self.name));
        session.output.answer(call, done).await
    }
}
