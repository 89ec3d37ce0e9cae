//! `scaivault secret-policy …`

mod create;
mod delete;
mod fields;
mod list;
mod preview;
mod show;
mod update;

use clap::Subcommand;
use scaivault_api::secret_policy::{RecipeField, SecretPolicy};

use super::Session;
use crate::table::{Table, or_dash, plain};

#[derive(Subcommand)]
pub(crate) enum SecretPolicies {
    /// List recipes
    List(list::List),
    /// Show a recipe
    Show(show::Show),
    /// Write a recipe for values
    Create(create::Create),
    /// Change a recipe
    Update(update::Update),
    /// Delete a recipe
    Delete(delete::Delete),
    /// See a sample of what a recipe makes; it is stored nowhere
    Preview(preview::Preview),
}

impl SecretPolicies {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        match self {
            Self::List(command) => command.run(session).await,
            Self::Show(command) => command.run(session).await,
            Self::Create(command) => command.run(session).await,
            Self::Update(command) => command.run(session).await,
            Self::Delete(command) => command.run(session).await,
            Self::Preview(command) => command.run(session).await,
        }
    }
}

/// A recipe in full; used by `show`, `create` and `update`.
fn details(policy: &SecretPolicy) -> String {
    let mut table = Table::fields();
    table.row(["id", &policy.id]);
    table.row(["name", &policy.name]);
    table.row(["description", or_dash(policy.description.as_deref())]);
    table.row(["type", &policy.policy_type]);
    table.row(["active", if policy.is_active { "yes" } else { "no" }]);
    for field in &policy.fields {
        let bits = policy.entropy_bits.get(&field.name).copied();
        let text = format!("{}, {} bits", shown(field), bits.unwrap_or_default());
        table.row([&format!("  {}", field.name), &text]);
    }
    table.row(["keys", &policy.keys.join(", ")]);
    table.row(["created", &policy.created_at]);
    table.row(["updated", &policy.updated_at]);
    table.render()
}

/// Generator and configuration on one line.
fn shown(field: &RecipeField) -> String {
    let mut text = field.generator.clone();
    for (key, value) in &field.config {
        let value = match value {
            serde_json::Value::Bool(false) => continue,
            serde_json::Value::String(text) => plain(text).to_string(),
            other => other.to_string(),
        };
        text.push_str(&format!(" {key}={value}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recipe_in_full() {
        let policy: SecretPolicy = serde_json::from_value(serde_json::json!({
            "id": "sp_1", "name": "strong", "description": null, "policy_type": "password",
            "fields": [{"name": "password", "generator": "random",
                        "config": {"length": 24, "charset": "safe", "require_upper": false}}],
            "keys": ["password"], "entropy_bits": {"password": 141.7}, "is_active": true,
            "created_at": "t0", "updated_at": "t1"
        }))
        .expect("a recipe");
        assert_eq!(
            details(&policy),
            "id           sp_1\nname         strong\ndescription  -\ntype         password\n\
             active       yes\n  password   random charset=safe length=24, 141.7 bits\n\
             keys         password\ncreated      t0\nupdated      t1\n"
        );
    }
}
