//! `scaivault role …`

mod create;
mod fields;
mod read;
mod secret_id;
mod update;

use clap::Subcommand;
use scaivault_api::machine::Role;

use super::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Roles {
    /// Make a role that machines log in by
    Create(create::Create),
    /// List roles
    List(read::List),
    /// Show a role
    Show(read::Show),
    /// Change a role
    Update(update::Update),
    /// Remove a role and its secret ids; tokens it gave live on
    Delete(read::Delete),
    /// Secret ids of a role
    #[command(subcommand)]
    SecretId(secret_id::SecretIds),
}

impl Roles {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Update(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
            Self::SecretId(command) => command.run(session).await,
        }
    }
}

/// A role in full; used by `show`, `create` and `update`.
fn details(role: &Role) -> String {
    let yes_or_no = |is: bool| if is { "yes" } else { "no" };
    let number = |uses: Option<u64>| uses.map_or_else(|| "any".to_owned(), |n| n.to_string());
    let ranges = |ranges: &[String]| match ranges {
        [] => "anywhere".to_owned(),
        some => some.join(","),
    };
    let mut table = Table::fields();
    table.row(["name", &role.name]);
    table.row(["role id", &role.role_id]);
    table.row(["description", or_dash(role.description.as_deref())]);
    table.row(["identity", &role.identity_id]);
    table.row(["scopes", &role.scopes.join(",")]);
    table.row(["groups", or_dash(Some(&role.groups.join(",")))]);
    table.row(["active", yes_or_no(role.is_active)]);
    table.row(["asks for a secret id", yes_or_no(role.bind_secret_id)]);
    table.row(["  for", role.secret_id_ttl.as_deref().unwrap_or("ever")]);
    table.row(["  logins", &number(role.secret_id_num_uses)]);
    table.row(["  from", &ranges(&role.secret_id_bound_cidrs)]);
    table.row(["tokens for", &role.token_ttl]);
    table.row(["  at most", or_dash(role.token_max_ttl.as_deref())]);
    table.row(["  period", or_dash(role.token_period.as_deref())]);
    table.row(["  requests", &number(role.token_num_uses)]);
    table.row(["  from", &ranges(&role.token_bound_cidrs)]);
    table.render()
}
