//! `scaivault target sweep`

use clap::Args;
use scaivault_api::debt::Sweep as Swept;

use crate::commands::Session;
use crate::commands::rotation::debts_table;

#[derive(Args)]
pub(crate) struct Sweep {
    /// The target's id or name
    target: String,
}

impl Sweep {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.debts().sweep(&self.target);
        session.output.answer(call, render).await
    }
}

fn render(swept: &Swept) -> String {
    match swept.debts.is_empty() {
        true => "nothing is left at the target\n".to_owned(),
        false => debts_table(&swept.debts),
    }
}
