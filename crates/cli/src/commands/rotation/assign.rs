//! `scaivault rotation assign`

use clap::Args;
use scaivault_api::rotation::{AssignBody, Assignment, Group};
use serde_json::{Map, Value};

use crate::commands::Session;
use crate::exit::CliError;
use crate::output::note;
use crate::table::{Table, plain};

/// What is not given stays as it is.
#[derive(Args)]
pub(crate) struct Assign {
    /// Path of the secret
    path: String,
    /// The rotation policy: id or name
    #[arg(long, value_name = "POLICY")]
    policy: String,
    /// The target whose credential it is: id or name
    #[arg(long, value_name = "TARGET")]
    target: Option<String>,
    /// `two_users`, `two_passwords`, `n_keys` or none [default: the safest the target supports]
    #[arg(long, value_name = "OVERLAP", requires = "target")]
    strategy: Option<String>,
    /// A field of the account, KEY=VALUE; a,b is a list, and what begins with [, { or " is JSON;
    /// may be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = field, requires = "target")]
    account: Vec<(String, Value)>,
    /// The group in which secrets rotate one at a time
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Its place in the group: lower ones go first [default: 0]
    #[arg(long, value_name = "N", requires = "group")]
    order: Option<u32>,
    /// The secret is the target's manager's own credential
    #[arg(long, requires = "target")]
    manager: bool,
    /// Make a new credential: the first value comes from a rotation that begins at once
    #[arg(long, requires = "target")]
    create: bool,
    /// Do not try the current value at the target first
    #[arg(long, requires = "target")]
    unverified: bool,
}

impl Assign {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let policy = self.policy.clone();
        let body = self.body()?;
        let policy = super::named::policy_id(session, policy).await?;
        let call = session.client.rotation().attach(&policy, &body);
        session.output.answer(call, render).await
    }

    fn body(self) -> Result<AssignBody, CliError> {
        let account = account_map(self.account)?;
        Ok(AssignBody {
            target: self.target,
            strategy: self.strategy,
            account: (!account.is_empty()).then_some(account),
            manager: self.manager.then_some(true),
            group: self.group.map(|name| Group {
                name,
                order: self.order.unwrap_or(0),
            }),
            create: self.create.then_some(true),
            unverified: self.unverified.then_some(true),
            ..AssignBody::new(self.path)
        })
    }
}

/// All `--account` as one object.
pub(crate) fn account_map(fields: Vec<(String, Value)>) -> Result<Map<String, Value>, CliError> {
    let mut account = Map::new();
    for (key, value) in fields {
        if account.insert(key.clone(), value).is_some() {
            return Err(CliError::Input(format!("--account {key} is given twice")));
        }
    }
    Ok(account)
}

/// One `--account`.
pub(crate) fn field(text: &str) -> Result<(String, Value), CliError> {
    let bad = |why: &str| CliError::Input(why.to_owned());
    let (key, value) = text
        .split_once('=')
        .filter(|(key, _)| !key.is_empty())
        .ok_or_else(|| bad("is of the form KEY=VALUE"))?;
    let value = if value.starts_with(['[', '{', '"']) {
        serde_json::from_str(value).map_err(|_| bad("begins like JSON and is none"))?
    } else if value.contains(',') {
        value.split(',').map(str::trim).collect()
    } else {
        Value::from(value)
    };
    Ok((key.to_owned(), value))
}

fn render(assignment: &Assignment) -> String {
    for warning in &assignment.warnings {
        note(&plain(warning));
    }
    let line = format!(
        "{} follows {}, next rotation {}\n",
        plain(&assignment.secret_path),
        plain(&assignment.rotation_policy_id),
        plain(&assignment.next_rotation_at)
    );
    let mut table = Table::fields();
    let mut more = false;
    let mut row = |name: &str, value: &str| {
        table.row([name, value]);
        more = true;
    };
    if let Some(target) = &assignment.target {
        row("target", &format!("{} ({})", target.name, target.id));
    }
    if let Some(strategy) = &assignment.strategy {
        row("strategy", strategy);
    }
    for (key, value) in assignment.account.iter().flatten() {
        row(key, value.as_str().unwrap_or(&value.to_string()));
    }
    if let Some(group) = &assignment.group {
        row("group", &format!("{}, place {}", group.name, group.order));
    }
    if let (Some(_), Some(rotation)) = (&assignment.target, &assignment.open_rotation_id) {
        row("rotation", rotation);
    }
    match more {
        true => line + &table.render(),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;
    use serde_json::json;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        assign: Assign,
    }

    #[test]
    fn the_body_has_what_was_given() {
        let line = "assign db/orders --policy rot_1 --target orders-db --strategy two_users \
                    --account accounts=app_a,app_b --account group=app --group orders --order 2 \
                    --unverified";
        let line = Line::try_parse_from(line.split_whitespace()).expect("parsed");
        assert_eq!(
            serde_json::to_value(line.assign.body().expect("body")).expect("json"),
            json!({
                "secret_path": "db/orders", "target": "orders-db", "strategy": "two_users",
                "account": {"accounts": ["app_a", "app_b"], "group": "app"},
                "group": {"name": "orders", "order": 2}, "unverified": true
            })
        );
        let plain = Line::try_parse_from(["assign", "a/b", "--policy", "rot_1"]).expect("parsed");
        assert_eq!(
            serde_json::to_value(plain.assign.body().expect("body")).expect("json"),
            json!({"secret_path": "a/b"})
        );
        for alone in [
            &["--create"][..],
            &["--strategy", "none"],
            &["--order", "1"],
        ] {
            let line = [&["assign", "a/b", "--policy", "rot_1"], alone].concat();
            assert!(Line::try_parse_from(line).is_err(), "{alone:?}");
        }
    }

    #[test]
    fn fields_of_an_account() {
        let of = |text: &str| field(text).expect("field").1;
        assert_eq!(of("a=b"), json!("b"));
        assert_eq!(of("a=b,c"), json!(["b", "c"]));
        assert_eq!(of(r#"a="b,c""#), json!("b,c"));
        assert_eq!(of(r#"a={"b":1}"#), json!({"b": 1}));
        assert!(field("a").is_err() && field("=b").is_err() && field("a=[").is_err());
    }

    #[test]
    fn a_target_is_shown_where_there_is_one() {
        let mut answer = json!({
            "secret_path": "a/b", "rotation_policy_id": "rot_1", "rotation_policy_name": null,
            "assigned_at": "t", "assigned_by": "user:root", "last_rotated_at": null,
            "next_rotation_at": "t1", "open_rotation_id": null
        });
        let read = |answer: &Value| -> Assignment {
            serde_json::from_value(answer.clone()).expect("an answer")
        };
        assert_eq!(
            render(&read(&answer)),
            "a/b follows rot_1, next rotation t1\n"
        );
        answer["target"] = json!({"id": "tgt_1", "name": "orders-db"});
        answer["strategy"] = json!("none");
        let text = render(&read(&answer));
        assert!(
            text.contains("orders-db (tgt_1)") && text.contains("none"),
            "{text}"
        );
    }
}
