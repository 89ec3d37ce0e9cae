//! `scaivault dynamic role create`, `put`, `update`

use clap::Args;
use scaivault_api::dynamic::EngineRoleBody;

use super::fields::Fields;
use crate::commands::Session;
use crate::commands::dynamic::Named;
use crate::exit::CliError;

#[derive(Args)]
pub(crate) struct Create {
    /// The engine, and the new role's name
    #[arg(value_name = "ENGINE/ROLE")]
    role: Named,
    #[command(flatten)]
    fields: Fields,
}

impl Create {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let body = self.fields.body(Some(&self.role.role))?;
        let dynamic = session.client.dynamic();
        let call = dynamic.create_role(&self.role.engine, &body);
        session.output.answer(call, super::details).await
    }
}

#[derive(Args)]
pub(crate) struct Put {
    /// The engine and the role
    #[arg(value_name = "ENGINE/ROLE")]
    role: Named,
    #[command(flatten)]
    fields: Fields,
}

impl Put {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let body = self.fields.body(None)?;
        let dynamic = session.client.dynamic();
        let call = dynamic.put_role(&self.role.engine, &self.role.role, &body);
        session.output.answer(call, super::details).await
    }
}

#[derive(Args)]
pub(crate) struct Update {
    /// The engine and the role
    #[arg(value_name = "ENGINE/ROLE")]
    role: Named,
    #[command(flatten)]
    fields: Fields,
}

impl Update {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let body = self.fields.body(None)?;
        if is_empty(&body) {
            let text = "nothing to change: give at least one option";
            return Err(CliError::Input(text.to_owned()).into());
        }
        let dynamic = session.client.dynamic();
        let call = dynamic.update_role(&self.role.engine, &self.role.role, &body);
        session.output.answer(call, super::details).await
    }
}

fn is_empty(body: &EngineRoleBody) -> bool {
    let statements = [
        &body.creation_statements,
        &body.rollback_statements,
        &body.renew_statements,
        &body.revocation_statements,
    ];
    let texts = [
        &body.owned_objects,
        &body.username_template,
        &body.default_ttl,
        &body.max_ttl,
    ];
    statements.iter().all(|one| one.is_none())
        && texts.iter().all(|one| one.is_none())
        && body.settings.is_none()
}
