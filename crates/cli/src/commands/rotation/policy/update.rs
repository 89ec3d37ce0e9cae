//! `scaivault rotation policy update`

use clap::Args;
use scaivault_api::rotation::{RotationPolicyPatch, WarnBefore};

use super::super::named;
use super::create::render;
use super::rules::{CalendarArgs, RulesArgs};
use crate::commands::Session;

/// Only what is given changes.
#[derive(Args)]
pub(crate) struct Update {
    /// The rotation policy: id or name
    policy: String,
    /// Name, unique in the tenant
    #[arg(long, value_name = "NAME")]
    name: Option<String>,
    /// From one rotation to the next, such as 90d
    #[arg(long, value_name = "DURATION")]
    interval: Option<String>,
    /// How long the replaced version stays readable
    #[arg(long, value_name = "DURATION")]
    grace_period: Option<String>,
    /// Warnings before the rotation is due, such as 7d,1d
    #[arg(long, value_name = "DURATIONS")]
    warn_before: Option<String>,
    /// Whether the server writes the new value itself
    #[arg(long, value_name = "BOOL")]
    auto_generate: Option<bool>,
    /// The secret policy (sp_…) that new values are made by; "" for none
    #[arg(long, value_name = "ID")]
    secret_policy: Option<String>,
    /// A webhook to notify (wh_…), in place of those there are; may be repeated
    #[arg(long = "webhook", value_name = "ID")]
    webhooks: Option<Vec<String>>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    calendar: CalendarArgs,
    #[command(flatten)]
    rules: RulesArgs,
}

impl Update {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let id = named::policy_id(session, self.policy.clone()).await?;
        let patch = self.patch();
        let call = session.client.rotation().update_policy(&id, &patch);
        session.output.answer(call, render).await
    }

    fn patch(self) -> RotationPolicyPatch {
        RotationPolicyPatch {
            name: self.name,
            description: self.description,
            interval: self.interval,
            grace_period: self.grace_period,
            warn_before: self.warn_before.map(WarnBefore::Text),
            auto_generate: self.auto_generate,
            secret_policy_id: self.secret_policy.map(|id| (!id.is_empty()).then_some(id)),
            webhook_ids: self.webhooks,
            drift_check: self.rules.drift_check.clone(),
            rules: self.rules.body(),
            calendar: self.calendar.body(),
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        update: Update,
    }

    #[test]
    fn only_what_is_given_is_sent() {
        let line = "update rot_1 --quiet-period 5m --drift-check off";
        let line = Line::try_parse_from(line.split_whitespace()).expect("parsed");
        assert_eq!(
            serde_json::to_value(line.update.patch()).expect("json"),
            serde_json::json!({"rules": {"quiet_period": "5m"}, "drift_check": "off"})
        );
    }
}
