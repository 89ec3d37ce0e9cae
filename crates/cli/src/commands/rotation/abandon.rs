//! `scaivault rotation abandon`

use clap::Args;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Abandon {
    /// The rotation's id (rtn_…), or the path of a secret: its newest rotation
    rotation: String,
}

impl Abandon {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let id = super::named::rotation_id(session, self.rotation).await?;
        let call = session.client.debts().abandon(&id);
        session.output.answer(call, super::details).await
    }
}
