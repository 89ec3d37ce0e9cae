//! `scaivault rotation campaign start`

use clap::Args;
use scaivault_api::campaign::CampaignBody;

use super::super::named;
use super::details;
use super::watch::{Patience, follow};
use crate::commands::Session;
use crate::exit::CliError;

#[derive(Args)]
#[command(group(
    clap::ArgGroup::new("what").required(true).args(["identity", "token_id", "policy", "group", "path"])
))]
pub(crate) struct Start {
    /// Everything this identity read (sa:NAME): it leaked
    #[arg(long, value_name = "WHO")]
    identity: Option<String>,
    /// Everything the identity of this token (tok_…) read; the token is revoked
    #[arg(long = "leaked-token", value_name = "ID", id = "token_id")]
    token_id: Option<String>,
    /// With --leaked-token: do not revoke it
    #[arg(long, conflicts_with_all = ["identity", "policy", "group", "path"])]
    keep_token: bool,
    /// Every secret of this rotation policy: id or name
    #[arg(long, value_name = "ID")]
    policy: Option<String>,
    /// Every secret of this group
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// This secret; may be given several times
    #[arg(long, value_name = "PATH")]
    path: Vec<String>,
    /// Revoke old credentials as soon as the new ones work, without waiting for consumers
    #[arg(long)]
    containment: bool,
    /// … for this secret; may be given several times
    #[arg(long, value_name = "PATH")]
    containment_path: Vec<String>,
    /// Leave this secret out; may be given several times
    #[arg(long, value_name = "PATH")]
    exclude: Vec<String>,
    /// Only show the plan: nothing is stored, rotated or revoked
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Why, for people
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    /// This webhook (wh_…) gets the summary past its filters; may be given several times
    #[arg(long, value_name = "ID")]
    webhook: Vec<String>,
    /// Follow it to its end; not 0 when any secret was not rotated
    #[arg(long)]
    wait: bool,
    #[command(flatten)]
    patience: Patience,
}

fn given<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

impl Start {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let patience = self.patience.read()?;
        let policy_id = match self.policy {
            Some(policy) => Some(named::policy_id(session, policy).await?),
            None => None,
        };
        let modes = self.containment_path.into_iter();
        let modes = modes.map(|path| (path, "containment".to_owned())).collect();
        let body = CampaignBody {
            identity: self.identity,
            token_id: self.token_id,
            keep_token: self.keep_token.then_some(true),
            policy_id,
            group: self.group,
            paths: given(self.path),
            mode: self.containment.then(|| "containment".to_owned()),
            modes: Some(modes),
            exclude: given(self.exclude),
            dry_run: self.dry_run.then_some(true),
            note: self.note,
            webhook_ids: given(self.webhook),
        };
        let call = session.client.campaigns().start(&body);
        if !self.wait {
            return session.output.answer(call, details).await;
        }
        let campaign = call.await?;
        let id = campaign
            .id
            .ok_or_else(|| CliError::Input("the server began no campaign".to_owned()))?;
        follow(session, &id, patience).await
    }
}
