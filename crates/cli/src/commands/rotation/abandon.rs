//! `scaivault rotation abandon`

use clap::Args;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Abandon {
    /// The rotation's id (rtn_…), or the path of a secret: its newest rotation
    rotation: String,
    /// Also when consumers may still use the old credential: it is revoked without waiting for
    /// them
    #[arg(long)]
    force: bool,
}

impl Abandon {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let id = super::named::rotation_id(session, self.rotation).await?;
        let call = session.client.debts().abandon(&id, self.force);
        session.output.answer(call, super::details).await
    }
}
