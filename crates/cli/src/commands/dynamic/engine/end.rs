//! `scaivault dynamic engine revoke-all`, `delete`

use clap::Args;

use crate::commands::Session;
use crate::input;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct RevokeAll {
    /// The engine's name or id
    engine: String,
    /// Only the leases of this role
    #[arg(long, value_name = "ROLE")]
    role: Option<String>,
    /// Do not ask
    #[arg(long)]
    yes: bool,
}

impl RevokeAll {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let of = match &self.role {
            Some(role) => format!("the role '{role}' of the engine '{}'", self.engine),
            None => format!("the engine '{}'", self.engine),
        };
        let what = format!(
            "All leases of {} end now: whoever uses their credentials is cut off.",
            plain(&of)
        );
        input::confirm(&what, &self.engine, self.yes)?;
        let dynamic = session.client.dynamic();
        let call = dynamic.revoke_all(&self.engine, self.role.as_deref());
        let text = |revoked: u64| match revoked {
            1 => "1 lease ends\n".to_owned(),
            number => format!("{number} leases end\n"),
        };
        session.output.answer(call, |all| text(all.revoked)).await
    }
}

#[derive(Args)]
pub(crate) struct Delete {
    /// The engine's name or id
    engine: String,
}

impl Delete {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.dynamic().delete_engine(&self.engine);
        let text = format!("deleted {}\n", plain(&self.engine));
        session.output.answer(call, |_| text).await
    }
}
