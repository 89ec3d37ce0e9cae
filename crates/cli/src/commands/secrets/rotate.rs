//! `scaivault secrets rotate`

use clap::Args;

use crate::commands::{Session, rotation};

#[derive(Args)]
pub(crate) struct Rotate {
    /// Path of the secret
    path: String,
}

impl Rotate {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.secrets().rotate(&self.path);
        session.output.answer(call, rotation::details).await
    }
}
