//! `scaivault rotation policy create`

use clap::Args;
use scaivault_api::rotation::{RotationPolicy, RotationPolicyBody, WarnBefore};
use scaivault_api::rotation_rules::Consumers;

use super::rules::{CalendarArgs, RulesArgs};
use crate::commands::Session;
use crate::table::{Table, or_dash};

#[derive(Args)]
pub(crate) struct Create {
    /// Name, unique in the tenant
    #[arg(long, value_name = "NAME")]
    name: String,
    /// From one rotation to the next, such as 90d; not needed with --cron
    #[arg(long, value_name = "DURATION", required_unless_present = "cron")]
    interval: Option<String>,
    /// How long the replaced version stays readable [default: 48h]
    #[arg(long, value_name = "DURATION")]
    grace_period: Option<String>,
    /// Warnings before the rotation is due, such as 7d,1d
    #[arg(long, value_name = "DURATIONS")]
    warn_before: Option<String>,
    /// The server writes the new value itself; otherwise someone answers `rotation.due`
    #[arg(long)]
    auto_generate: bool,
    /// The secret policy (sp_…) that new values are made by
    #[arg(long, value_name = "ID")]
    secret_policy: Option<String>,
    /// A webhook to notify (wh_…); may be repeated
    #[arg(long = "webhook", value_name = "ID")]
    webhooks: Vec<String>,
    /// What it is for
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    #[command(flatten)]
    calendar: CalendarArgs,
    #[command(flatten)]
    rules: RulesArgs,
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
            secret_policy_id: self.secret_policy,
            webhook_ids: (!self.webhooks.is_empty()).then_some(self.webhooks),
            drift_check: self.rules.drift_check.clone(),
            rules: self.rules.body(),
            calendar: self.calendar.body(),
        }
    }
}

pub(super) fn render(policy: &RotationPolicy) -> String {
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
            "written by someone, at targets made by the server"
        },
    ]);
    table.row(["recipe", or_dash(policy.secret_policy_id.as_deref())]);
    table.row(["webhooks", or_dash(Some(&policy.webhook_ids.join(",")))]);
    if let Some(calendar) = &policy.calendar {
        for window in &calendar.windows {
            let days = window.days.join(",");
            let text = format!("{days} {}-{}", window.from, window.to);
            table.row(["window", text.trim()]);
        }
        table.row(["cron", or_dash(calendar.cron.as_deref())]);
        table.row(["time zone", &calendar.time_zone]);
    }
    if let Some(rules) = &policy.rules {
        let consumers = match &rules.consumers {
            Consumers::Live(window) => format!("all that read within {window}"),
            Consumers::Listed(listed) => listed.join(","),
            Consumers::Count(count) => format!("{count} of any"),
        };
        table.row(["consumers", &consumers]);
        table.row(["quiet period", &rules.quiet_period]);
        let deadline = format!("{}, then {}", rules.deadline, rules.on_deadline);
        table.row(["deadline", &deadline]);
        table.row(["on failure", &rules.on_failure]);
        let yes_no = |yes| if yes { "yes" } else { "no" };
        table.row(["approval", yes_no(rules.approval)]);
        table.row(["accept gap", yes_no(rules.accept_gap)]);
    }
    if let Some(drift_check) = &policy.drift_check {
        table.row(["drift check", drift_check]);
    }
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
    #[test]
    fn a_pattern_takes_the_place_of_the_interval() {
        let parse =
            |line: &[&str]| Line::try_parse_from([&["create", "--name", "n"], line].concat());
        assert!(parse(&[]).is_err());
        let line = parse(&["--cron", "0 3 * * sun"]).expect("parsed");
        assert_eq!(
            serde_json::to_value(line.create.body()).expect("json"),
            serde_json::json!({
                "name": "n", "auto_generate": false, "calendar": {"cron": "0 3 * * sun"}
            })
        );
    }
}
