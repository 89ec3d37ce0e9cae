//! `scaivault policy …`

mod bind;
mod create;
mod delete;
mod list;
mod show;

use clap::Subcommand;
use scaivault_api::policy::Policy;

use super::Session;
use crate::table::{Table, or_dash};

#[derive(Subcommand)]
pub(crate) enum Policies {
    /// List policies
    List(list::List),
    /// Show a policy with its rules and bindings
    Show(show::Show),
    /// Create a policy from a JSON file
    Create(create::Create),
    /// Bind a policy to an identity
    Bind(bind::Bind),
    /// Delete a policy
    Delete(delete::Delete),
}

impl Policies {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Create(command) => command.run(session).await,
            Self::Bind(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
        }
    }
}

/// A policy in full; used by `show` and `create`.
fn details(policy: &Policy) -> String {
    let mut head = Table::fields();
    head.row(["id", &policy.id]);
    head.row(["name", &policy.name]);
    head.row(["description", or_dash(policy.description.as_deref())]);
    head.row(["scope", &policy.scope]);
    head.row(["active", if policy.is_active { "yes" } else { "no" }]);
    let mut rules = Table::new(&["RULE", "PATHS", "PERMISSIONS", "CONDITIONS"]);
    for (index, rule) in policy.rules.iter().enumerate() {
        let conditions = rule.conditions.as_ref().map(ToString::to_string);
        rules.row([
            &index.to_string(),
            &rule.path_pattern,
            &rule.permissions.join(","),
            or_dash(conditions.as_deref()),
        ]);
    }
    let mut bindings = Table::new(&["BINDING", "IDENTITY", "EXPIRES"]);
    for binding in &policy.bindings {
        bindings.row([
            &binding.id,
            &binding.identity_id,
            or_dash(binding.expires_at.as_deref()),
        ]);
    }
    format!(
        "{}\n{}\n{}",
        head.render(),
        rules.render(),
        bindings.render()
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_and_bindings_are_shown() {
        let policy: Policy = serde_json::from_value(serde_json::json!({
            "id": "pol_1", "name": "n", "description": null, "scope": "tenant",
            "is_active": true, "created_at": "", "updated_at": "",
            "rules": [{"path_pattern": "a/**", "permissions": ["read", "list"]}],
            "bindings": [{"id": "bnd_1", "policy_id": "pol_1", "identity_type": "group",
                          "identity_id": "group:sre", "expires_at": null, "created_at": ""}]
        }))
        .expect("policy");
        assert_eq!(
            details(&policy),
            "id           pol_1\nname         n\ndescription  -\nscope        tenant\n\
             active       yes\n\n\
             RULE  PATHS  PERMISSIONS  CONDITIONS\n0     a/**   read,list    -\n\n\
             BINDING  IDENTITY   EXPIRES\nbnd_1    group:sre  -\n"
        );
    }
}
