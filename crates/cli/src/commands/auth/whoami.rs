//! `scaivault auth whoami`

use clap::Args;
use scaivault_api::token::WhoAmI;

use crate::args::Flags;
use crate::commands::{at_server, settings};
use crate::connect;
use crate::output::Output;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct Whoami {}

impl Whoami {
    pub(crate) async fn run(self, flags: &Flags) -> anyhow::Result<()> {
        let client = connect::client(&settings(flags)?)?;
        let mut output = Output::stdout(flags.json);
        let result = output.answer(client.tokens().whoami(), render).await;
        result.map_err(|error| at_server(error, &client))
    }
}

fn render(me: &WhoAmI) -> String {
    let mut table = Table::fields();
    table.row(["identity", &me.identity_id]);
    table.row(["name", or_dash(Some(&me.display_name))]);
    table.row(["tenant", &me.tenant_id]);
    table.row(["partner", &me.partner_id]);
    table.row(["scopes", or_dash(Some(&me.scopes.join(",")))]);
    table.row(["groups", or_dash(Some(&me.groups.join(",")))]);
    table.row(["roles", or_dash(Some(&me.roles.join(",")))]);
    table.row(["authenticated by", or_dash(Some(&me.auth_method))]);
    table.row(["token expires", or_dash(me.token_expires_at.as_deref())]);
    table.render()
}
