//! `scaivault dynamic role list`, `show`, `delete`

use clap::Args;
use scaivault_api::dynamic::EngineRoleList;

use crate::commands::Session;
use crate::commands::dynamic::Named;
use crate::table::{Table, or_dash, plain};

#[derive(Args)]
pub(crate) struct List {
    /// The engine's name or id
    engine: String,
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.dynamic().roles(&self.engine);
        session.output.list(call, self.limit, listed).await
    }
}

fn listed(pages: &[EngineRoleList]) -> String {
    let mut table = Table::new(&["ENGINE", "ROLE", "TTL", "MAX", "OWNED OBJECTS"]);
    for role in pages.iter().flat_map(|page| &page.roles) {
        table.row([
            &role.engine,
            &role.name,
            or_dash(role.default_ttl.as_deref()),
            or_dash(role.max_ttl.as_deref()),
            &role.owned_objects,
        ]);
    }
    table.render()
}

#[derive(Args)]
pub(crate) struct Show {
    /// The engine and the role
    #[arg(value_name = "ENGINE/ROLE")]
    role: Named,
}

impl Show {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let dynamic = session.client.dynamic();
        let call = dynamic.role(&self.role.engine, &self.role.role);
        session.output.answer(call, super::details).await
    }
}

#[derive(Args)]
pub(crate) struct Delete {
    /// The engine and the role
    #[arg(value_name = "ENGINE/ROLE")]
    role: Named,
}

impl Delete {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let Named { engine, role } = &self.role;
        let call = session.client.dynamic().delete_role(engine, role);
        let text = format!("deleted {}/{}\n", plain(engine), plain(role));
        session.output.answer(call, |_| text).await
    }
}
