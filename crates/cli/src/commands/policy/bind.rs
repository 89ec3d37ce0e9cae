//! `scaivault policy bind`

use clap::Args;
use scaivault_api::policy::{Binding, BindingBody};

use crate::commands::Session;
use crate::input;
use crate::table::plain;

#[derive(Args)]
pub(crate) struct Bind {
    /// The policy's id (pol_…)
    id: String,
    /// sa:NAME, user:NAME or group:NAME
    #[arg(long, value_name = "IDENTITY")]
    identity: String,
    /// The binding ends by itself, such as 2027-01-01T00:00:00Z
    #[arg(long, value_name = "TIME")]
    expires_at: Option<String>,
}

impl Bind {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let (identity_type, identity_id) = input::identity(&self.identity)?;
        let body = BindingBody {
            identity_type: identity_type.to_owned(),
            identity_id: identity_id.to_owned(),
            expires_at: self.expires_at,
        };
        let call = session.client.policies().bind(&self.id, &body);
        session.output.answer(call, render).await
    }
}

fn render(binding: &Binding) -> String {
    let Binding {
        id,
        policy_id,
        identity_id,
        ..
    } = binding;
    format!(
        "bound {} to {} ({})\n",
        plain(policy_id),
        plain(identity_id),
        plain(id)
    )
}
