//! `scaivault target check`

use std::fmt::Write;

use clap::Args;
use scaivault_api::target::{TargetCheck, TargetCheckBody};
use serde_json::Value;

use crate::commands::Session;
use crate::commands::rotation::{account_field, account_map};
use crate::exit::CliError;
use crate::table::{Table, plain_lines};

#[derive(Args)]
pub(crate) struct Check {
    /// The target's name or id
    target: String,
    /// Look for an attachment with this field, as `rotation assign` takes it: account=app,
    /// accounts=app_a,app_b. May be repeated
    #[arg(long = "account", value_name = "KEY=VALUE", value_parser = account_field,
        requires = "overlap")]
    account: Vec<(String, Value)>,
    /// How it accepts old and new side by side: two_users, two_passwords, n_keys, none
    #[arg(long, value_name = "OVERLAP", requires = "account")]
    overlap: Option<String>,
}

impl Check {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let account = account_map(self.account)?;
        let body = TargetCheckBody {
            account: (!account.is_empty()).then_some(account),
            overlap: self.overlap.clone(),
        };
        let call = session.client.targets().check(&self.target, &body);
        let json = call.json().await?;
        session.output.show(&json, render)?;
        verdict(&json.parse()?, self.overlap.as_deref()).map_err(Into::into)
    }
}

/// Scripts go by the exit code.
fn verdict(check: &TargetCheck, overlap: Option<&str>) -> Result<(), CliError> {
    if check.ready {
        return Ok(());
    }
    let why = match (&check.trouble, check.missing.len()) {
        (Some(trouble), _) => format!("it could not be looked at ({})", trouble.kind),
        (None, 0) => format!(
            "it does not support {}",
            overlap.unwrap_or("what is wanted")
        ),
        (None, 1) => "its manager lacks a right".to_owned(),
        (None, number) => format!("its manager lacks {number} rights"),
    };
    Err(CliError::TargetNotReady {
        target: check.target_name.clone(),
        why,
    })
}

fn render(check: &TargetCheck) -> String {
    let mut table = Table::fields();
    let target = format!("{} ({})", check.target_name, check.target_id);
    table.row(["target", &target]);
    table.row(["connector", &check.connector]);
    for (name, value) in [("server", &check.server), ("manager", &check.manager)] {
        if let Some(value) = value {
            table.row([name, value]);
        }
    }
    let missing: Vec<String> = check.missing.iter().map(|one| one.what.clone()).collect();
    list(&mut table, "may", &check.may);
    list(&mut table, "missing", &missing);
    list(&mut table, "overlaps", &check.overlaps);
    list(&mut table, "warnings", &check.warnings);
    let mut statements: Vec<&String> = check.missing.iter().map(|one| &one.statement).collect();
    if let Some(trouble) = &check.trouble {
        let code = trouble.code.as_ref().map(|code| format!(" (code {code})"));
        let kind = format!("{}{}", trouble.kind, code.unwrap_or_default());
        table.row(["trouble", &kind]);
        table.row(["advice", &trouble.advice]);
        statements.extend(&trouble.remedy);
    }
    table.row(["ready", if check.ready { "yes" } else { "no" }]);
    let mut text = table.render();
    if !statements.is_empty() {
        text.push_str("\nRun there, as somebody who may:\n\n");
        for statement in statements {
            let _ = writeln!(text, "{}", plain_lines(statement).trim_end());
        }
    }
    text
}

fn list(table: &mut Table, name: &str, values: &[String]) {
    for (index, value) in values.iter().enumerate() {
        table.row([if index == 0 { name } else { "" }, value]);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn checked(change: Value) -> TargetCheck {
        let mut check = json!({
            "target_id": "tgt_1", "target_name": "orders", "connector": "postgresql",
            "checked_at": "t", "ready": false, "trouble": null, "server": "PostgreSQL 15.1",
            "manager": "scaivault", "may": ["log in"], "missing": [],
            "overlaps": ["two_users", "none"], "warnings": []
        });
        for (name, value) in change.as_object().expect("an object") {
            check[name] = value.clone();
        }
        serde_json::from_value(check).expect("a check")
    }

    #[test]
    fn statements_stand_alone_to_be_copied() {
        let check = checked(json!({"missing": [
            {"what": "change passwords", "statement": "ALTER ROLE \"scaivault\" CREATEROLE;"},
            {"what": "end sessions", "statement": "GRANT pg_signal_backend TO \"scaivault\";"},
        ]}));
        assert_eq!(
            render(&check),
            "target     orders (tgt_1)\nconnector  postgresql\nserver     PostgreSQL 15.1\n\
             manager    scaivault\nmay        log in\nmissing    change passwords\n           \
             end sessions\noverlaps   two_users\n           none\nready      no\n\n\
             Run there, as somebody who may:\n\n\
             ALTER ROLE \"scaivault\" CREATEROLE;\nGRANT pg_signal_backend TO \"scaivault\";\n"
        );
        let error = verdict(&check, None).expect_err("not ready").to_string();
        assert_eq!(error, "orders is not ready: its manager lacks 2 rights");
    }

    #[test]
    fn trouble_tells_what_to_do() {
        let check = checked(
            json!({"server": null, "manager": null, "may": [], "overlaps": [],
            "trouble": {"kind": "manager_refused", "code": "28P01", "advice": "write a new one"}}),
        );
        let text = render(&check);
        assert!(
            text.contains("trouble    manager_refused (code 28P01)\n"),
            "{text}"
        );
        assert!(
            text.ends_with("advice     write a new one\nready      no\n"),
            "{text}"
        );
        let error = verdict(&check, None).expect_err("not ready").to_string();
        assert!(
            error.ends_with("it could not be looked at (manager_refused)"),
            "{error}"
        );
        let other = verdict(&checked(json!({})), Some("n_keys")).expect_err("not ready");
        assert!(
            other.to_string().ends_with("it does not support n_keys"),
            "{other}"
        );
        assert!(verdict(&checked(json!({"ready": true})), None).is_ok());
    }
}
