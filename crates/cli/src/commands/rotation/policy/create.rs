//! `scaivault rotation policy create`

use clap::Args;
use scaivault_api::rotation::{RotationPolicy, RotationPolicyBody, WarnBefore};

use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct Create {
    /// Name, unique in the tenant
    #[arg(long, value_name = "NAME")]
    name: String,
    /// From one rotation to the next, such as 90d
    #[arg(long, value_name = "DURATION")]
    interval: String,
    /// How long the replaced version stays readable [default: 48h]
    #[arg(long, value_name = "DURATION")]
    grace_period: Option<String>,
    /// Warnings before the rotation is due, such as 7d,1d
    #[arg(long, value_name = "DURATIONS")]
    warn_before: Option<String>,
    /// The server writes the new value itself; otherwise someone answers `rotation.due`
    #[arg(long)]
    auto_generate: bool,
    /// A webhook to notify (wh_…); may be repeated
    #[arg(long = "webhook", value_name = "ID")]
    webhooks: Vec<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
}

impl Create {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.rotation().create_policy(&self.body());
        session.output.answer(call, render).await
    }

    fn body(self) -> RotationPolicyBody {
        RotationPolicyBody {
            name: self.name,
            description: self.description,
            interval: self.interval,
            grace_period: self.grace_period,
            warn_before: self.warn_before.map(WarnBefore::Text),
            auto_generate: Some(self.auto_generate),
            secret_policy_id: None,
            webhook_ids: (!self.webhooks.is_empty()).then_some(self.webhooks),
        }
    }
}

fn render(policy: &RotationPolicy) -> String {
    let mut table = Table::fields();
    table.row(["id", &policy.id]);
    table.row(["name", &policy.name]);
    table.row(["description", or_dash(policy.description.as_deref())]);
    table.row(["interval", &policy.interval]);
    table.row(["grace period", &policy.grace_period]);
    table.row(["warn before", or_dash(policy.warn_before.as_deref())]);
    table.row([
        "new value",
        if policy.auto_generate {
            "generated"
        } else {
            "written by someone"
        },
    ]);
    table.row(["webhooks", or_dash(Some(&policy.webhook_ids.join(",")))]);
    table.render()
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        create: Create,
    }

    #[test]
    fn the_body_has_what_was_given() {
        let line =
            "create --name n --interval 90d --warn-before 7d,1d --webhook wh_1 --webhook wh_2";
        let line = Line::try_parse_from(line.split_whitespace()).expect("parsed");
        assert_eq!(
            serde_json::to_value(line.create.body()).expect("json"),
            serde_json::json!({
                "name": "n", "interval": "90d", "warn_before": "7d,1d",
                "auto_generate": false, "webhook_ids": ["wh_1", "wh_2"]
            })
        );
    }
}
