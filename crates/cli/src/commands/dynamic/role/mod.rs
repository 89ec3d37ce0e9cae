//! `scaivault dynamic role …`

mod fields;
mod look;
mod write;

use clap::Subcommand;
use scaivault_api::dynamic::EngineRole;

use super::Session;
use crate::commands::target::settings::shown;
use crate::table::{Table, or_dash, plain, plain_lines};

#[derive(Subcommand)]
pub(crate) enum Roles {
    /// Make a role
    Create(write::Create),
    /// Make a role, or change it where it is there
    Put(write::Put),
    /// Change a role
    Update(write::Update),
    /// List the roles of an engine
    List(look::List),
    /// Show a role
    Show(look::Show),
    /// Forget a role; its leases end as they would have
    Delete(look::Delete),
}

impl Roles {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::Create(command) => command.run(session).await,
            Self::Put(command) => command.run(session).await,
            Self::Update(command) => command.run(session).await,
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
        }
    }
}

/// A role in full; statements stand below, as they were given.
fn details(role: &EngineRole) -> String {
    let mut table = Table::fields();
    table.row(["role", &format!("{}/{}", role.engine, role.name)]);
    table.row(["names", or_dash(role.username_template.as_deref())]);
    table.row(["owned objects", &role.owned_objects]);
    table.row([
        "leases for",
        role.default_ttl.as_deref().unwrap_or("as the engine says"),
    ]);
    table.row([
        "  at most",
        role.max_ttl.as_deref().unwrap_or("as the engine says"),
    ]);
    for (field, value) in &role.settings {
        table.row([&format!("  {field}"), &shown(value)]);
    }
    table.row(["created", &role.created_at]);
    table.row(["updated", &role.updated_at]);
    let mut text = table.render();
    for (title, statements) in [
        ("creation", &role.creation_statements),
        ("rollback", &role.rollback_statements),
        ("renewal", &role.renew_statements),
        ("revocation", &role.revocation_statements),
    ] {
        if !statements.is_empty() {
            text.push_str(&format!("\n{}:\n", plain(title)));
        }
        for statement in statements {
            text.push_str(plain_lines(statement).trim_end());
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_stand_below() {
        let role: EngineRole = serde_json::from_value(serde_json::json!({
            "engine": "orders", "name": "reader",
            "creation_statements": ["CREATE ROLE x;\nGRANT y;\n"], "rollback_statements": [],
            "renew_statements": [], "revocation_statements": ["DROP ROLE x"],
            "owned_objects": "keep", "username_template": null, "settings": {},
            "default_ttl": "30m", "max_ttl": null, "created_at": "t0", "updated_at": "t1"
        }))
        .expect("a role");
        let text = details(&role);
        assert!(
            text.ends_with("\ncreation:\nCREATE ROLE x;\nGRANT y;\n\nrevocation:\nDROP ROLE x\n"),
            "{text}"
        );
        assert!(text.contains("leases for     30m\n"), "{text}");
        assert!(!text.contains("renewal"));
    }
}
