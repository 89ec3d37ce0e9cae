//! `scaivault target …`

mod check;
mod connectors;
mod create;
mod delete;
mod list;
mod rehearse;
pub(crate) mod settings;
mod show;
mod sweep;
mod update;

use clap::Subcommand;
use scaivault_api::target::Target;

use super::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Targets {
    /// Describe a system whose credentials are to be rotated
    Create(create::Create),
    /// List targets
    List(list::List),
    /// Show a target
    Show(show::Show),
    /// Change a target
    Update(update::Update),
    /// Forget a target; nothing is changed at it
    Delete(delete::Delete),
    /// Log in at a target and tell what its manager may do and what is missing
    Check(check::Check),
    /// List the kinds of targets that can be spoken to
    Connectors(connectors::Connectors),
    /// Try a whole rotation at a target with a throw-away account
    Rehearse(rehearse::Rehearse),
    /// Look for what lies at a target and belongs to nothing
    Sweep(sweep::Sweep),
}

impl Targets {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Update(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
            Self::Check(command) => command.run(session).await,
            Self::Connectors(command) => command.run(session).await,
            Self::Rehearse(command) => command.run(session).await,
            Self::Sweep(command) => command.run(session).await,
        }
    }
}

/// A target in full; used by `show`, `create` and `update`.
fn details(target: &Target) -> String {
    let mut table = Table::fields();
    table.row(["id", &target.id]);
    table.row(["name", &target.name]);
    table.row(["description", or_dash(target.description.as_deref())]);
    table.row(["connector", &target.connector]);
    table.row(["manager", or_dash(target.manager_path.as_deref())]);
    for (field, value) in &target.settings {
        table.row([&format!("  {field}"), &settings::shown(value)]);
    }
    table.row(["created", &target.created_at]);
    table.row(["updated", &target.updated_at]);
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_shown_on_a_line_each() {
        let target: Target = serde_json::from_value(serde_json::json!({
            "id": "tgt_1", "name": "orders", "description": null, "connector": "postgresql",
            "settings": {"host": "db", "port": 5432, "ca_pem": "-----BEGIN\nline"},
            "manager_path": "db/manager", "created_at": "t0", "updated_at": "t1"
        }))
        .expect("a target");
        assert_eq!(
            details(&target),
            "id           tgt_1\nname         orders\ndescription  -\nconnector    postgresql\n\
             manager      db/manager\n  ca_pem     15 characters in several lines\n  host       db\n  port       5432\n\
             created      t0\nupdated      t1\n"
        );
    }
}
