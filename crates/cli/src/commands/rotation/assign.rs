//! `scaivault rotation assign`

use clap::Args;
use scaivault_api::rotation::Assignment;

use crate::commands::Session;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Assign {
    /// Path of the secret
    path: String,
    /// The rotation policy's id (rot_…)
    #[arg(long, value_name = "ID")]
    policy: String,
}

impl Assign {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.rotation().assign(&self.policy, &self.path);
        session.output.answer(call, render).await
    }
}

fn render(assignment: &Assignment) -> String {
    format!(
        "{} follows {}, next rotation {}\n",
        plain(&assignment.secret_path),
        plain(&assignment.rotation_policy_id),
        plain(&assignment.next_rotation_at)
    )
}
