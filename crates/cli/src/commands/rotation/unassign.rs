//! `scaivault rotation unassign`

use clap::Args;

use crate::commands::Session;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Unassign {
    /// Path of the secret
    path: String,
    /// The rotation policy: id or name
    #[arg(long, value_name = "POLICY")]
    policy: String,
}

impl Unassign {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let policy = super::named::policy_id(session, self.policy).await?;
        let call = session.client.rotation().unassign(&policy, &self.path);
        let render = |_: &_| format!("{} is detached\n", plain(&self.path));
        session.output.answer(call, render).await
    }
}
