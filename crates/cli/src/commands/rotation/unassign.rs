//! `scaivault rotation unassign`

use clap::Args;

use crate::commands::Session;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Unassign {
    /// Path of the secret
    path: String,
    /// The rotation policy's id (rot_…)
    #[arg(long, value_name = "ID")]
    policy: String,
}

impl Unassign {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.rotation().unassign(&self.policy, &self.path);
        let render = |_: &_| format!("{} is detached\n", plain(&self.path));
        session.output.answer(call, render).await
    }
}
