//! `scaivault rotation show`

use clap::Args;

use crate::commands::Session;

#[derive(Args)]
pub(crate) struct Show {
    /// The rotation's id (rtn_…), or the path of a secret: its newest rotation
    rotation: String,
}

impl Show {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let id = super::named::rotation_id(session, self.rotation).await?;
        let call = session.client.rotation().get(&id);
        session.output.answer(call, super::details).await
    }
}
