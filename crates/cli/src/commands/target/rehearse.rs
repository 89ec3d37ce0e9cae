//! `scaivault target rehearse`

use clap::Args;
use scaivault_api::debt::{Rehearsal, RehearseBody};
use serde_json::Value;

use crate::commands::Session;
use crate::commands::rotation::{account_field, account_map};
use crate::exit::CliError;
use crate::table::{Table, plain};

#[derive(Args)]
pub(crate) struct Rehearse {
    /// The target's id or name
    target: String,
    /// two_users, two_passwords, n_keys or none [default: the safest that can be rehearsed]
    #[arg(long, value_name = "STRATEGY")]
    strategy: Option<String>,
    /// A field that attachments at this target have and a throw-away account needs too, such as
    /// hosts or fields, as `rotation assign` takes it. May be repeated
    #[arg(long = "account", value_name = "KEY=VALUE", value_parser = account_field)]
    account: Vec<(String, Value)>,
}

impl Rehearse {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let body = RehearseBody {
            strategy: self.strategy,
            account: account_map(self.account)?,
        };
        let call = session.client.debts().rehearse(&self.target, &body);
        let answer = call.json().await?;
        session.output.show(&answer, render)?;
        match answer.parse()?.passed {
            true => Ok(()),
            false => Err(CliError::NotPassed.into()),
        }
    }
}

fn render(rehearsal: &Rehearsal) -> String {
    let mut table = Table::new(&["STEP", "OUTCOME", "SECONDS", "TROUBLE"]);
    for step in &rehearsal.steps {
        let seconds = step
            .seconds
            .map_or_else(|| "-".to_owned(), |seconds| format!("{seconds:.2}"));
        let trouble = step.trouble.as_ref().map_or_else(
            || "-".to_owned(),
            |trouble| match &trouble.code {
                Some(code) => format!("{} ({code})", trouble.kind),
                None => trouble.kind.clone(),
            },
        );
        table.row([
            step.name.as_str(),
            step.outcome.as_str(),
            seconds.as_str(),
            trouble.as_str(),
        ]);
    }
    let mut text = table.render();
    let mut told = Vec::new();
    for trouble in rehearsal
        .steps
        .iter()
        .filter_map(|step| step.trouble.as_ref())
    {
        // Several steps may fail for one cause.
        let cure = (&trouble.advice, &trouble.remedy);
        if told.contains(&cure) {
            continue;
        }
        told.push(cure);
        text.push_str(&format!("\n{}\n", plain(&trouble.advice)));
        for remedy in &trouble.remedy {
            text.push_str(&format!("  {}\n", plain(remedy)));
        }
    }
    if let Some(debt) = &rehearsal.debt_id {
        text.push_str(&format!(
            "\nwhat is left at the target is removed later: {}\n",
            plain(debt)
        ));
    }
    let verdict = match rehearsal.passed {
        true => "passed",
        false => "not passed",
    };
    text.push_str(&format!(
        "\n{} at {}: {verdict} in {:.2} s\n",
        plain(&rehearsal.strategy),
        plain(&rehearsal.target_name),
        rehearsal.seconds
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_step_has_its_time_and_trouble_says_what_to_do() {
        let rehearsal: Rehearsal = serde_json::from_value(serde_json::json!({
            "target_id": "tgt_1", "target_name": "orders", "strategy": "two_users",
            "passed": false, "began_at": "t", "seconds": 1.25, "debt_id": "dbt_1",
            "steps": [
                {"name": "create", "outcome": "ok", "seconds": 0.25, "trouble": null},
                {"name": "verify", "outcome": "failed", "seconds": 1.0, "trouble": {
                    "kind": "privilege", "code": "42501", "advice": "may not", "remedy": ["GRANT x"]
                }},
                {"name": "switch", "outcome": "skipped", "seconds": null, "trouble": null},
                {"name": "remove", "outcome": "failed", "seconds": 1.0, "trouble": {
                    "kind": "privilege", "code": "42501", "advice": "may not", "remedy": ["GRANT x"]
                }}
            ]
        }))
        .expect("a rehearsal");
        let text = render(&rehearsal);
        for part in [
            "create",
            "0.25",
            "privilege (42501)",
            "skipped",
            "may not",
            "  GRANT x",
            "dbt_1",
            "two_users at orders: not passed in 1.25 s",
        ] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(text.matches("may not").count(), 1, "{text}");
    }
}
