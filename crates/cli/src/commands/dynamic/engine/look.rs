//! `scaivault dynamic engine list`, `show`, `health`, `sweep`

use clap::Args;
use scaivault_api::dynamic::{EngineHealth, EngineList, EngineSwept};

use crate::commands::{Session, lease};
use crate::exit::CliError;
use crate::table::{Table, or_dash, plain_lines};

#[derive(Args)]
pub(crate) struct List {
    /// At most so many [default: all]
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

impl List {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.dynamic().engines();
        session.output.list(call, self.limit, listed).await
    }
}

fn listed(pages: &[EngineList]) -> String {
    let mut table = Table::new(&["NAME", "TYPE", "PLUGIN", "TTL", "MAX", "DESCRIPTION"]);
    for engine in pages.iter().flat_map(|page| &page.engines) {
        table.row([
            &engine.name,
            &engine.kind,
            &engine.plugin,
            &engine.default_ttl,
            &engine.max_ttl,
            or_dash(engine.description.as_deref()),
        ]);
    }
    table.render()
}

#[derive(Args)]
pub(crate) struct Show {
    /// The engine's name or id
    engine: String,
}

impl Show {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.dynamic().engine(&self.engine);
        session.output.answer(call, super::details).await
    }
}

#[derive(Args)]
pub(crate) struct Health {
    /// The engine's name or id
    engine: String,
}

impl Health {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let json = session.client.dynamic().health(&self.engine).json().await?;
        session.output.show(&json, health)?;
        verdict(&json.parse()?).map_err(Into::into)
    }
}

/// Scripts go by the exit code.
fn verdict(health: &EngineHealth) -> Result<(), CliError> {
    let why = match (&health.trouble, health.missing.len()) {
        (Some(trouble), _) => format!("its target lets nobody in ({})", trouble.kind),
        (None, 0) => return Ok(()),
        (None, 1) => "its manager lacks a right".to_owned(),
        (None, number) => format!("its manager lacks {number} rights"),
    };
    Err(CliError::TargetNotReady {
        target: health.engine.clone(),
        why,
    })
}

fn health(health: &EngineHealth) -> String {
    let mut table = Table::fields();
    table.row(["engine", &health.engine]);
    table.row(["healthy", if health.healthy { "yes" } else { "no" }]);
    table.row(["server", or_dash(health.server.as_deref())]);
    table.row(["manager", or_dash(health.manager.as_deref())]);
    table.row(["leases", &health.leases.to_string()]);
    for right in &health.missing {
        table.row(["missing", &right.what]);
    }
    let mut cures: Vec<&String> = health.missing.iter().map(|one| &one.statement).collect();
    if let Some(trouble) = &health.trouble {
        table.row(["trouble", &trouble.kind]);
        table.row(["advice", &trouble.advice]);
        cures.extend(&trouble.remedy);
    }
    let mut text = table.render();
    if !cures.is_empty() {
        text.push_str("\nRun there, as somebody who may:\n\n");
        for cure in cures {
            text.push_str(plain_lines(cure).trim_end());
            text.push('\n');
        }
    }
    text
}

#[derive(Args)]
pub(crate) struct Sweep {
    /// The engine's name or id
    engine: String,
}

impl Sweep {
    pub(crate) async fn run(self, session: &mut Session) -> anyhow::Result<()> {
        let call = session.client.dynamic().sweep(&self.engine);
        session.output.answer(call, swept).await
    }
}

fn swept(swept: &EngineSwept) -> String {
    match swept.found.is_empty() {
        true => "every account at the target has its lease\n".to_owned(),
        false => lease::table(&swept.found),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(missing: serde_json::Value, trouble: serde_json::Value) -> EngineHealth {
        serde_json::from_value(serde_json::json!({
            "engine": "orders", "healthy": trouble.is_null(), "checked_at": "t",
            "trouble": trouble, "server": "PostgreSQL 15.1", "manager": "vault",
            "missing": missing, "leases": 3
        }))
        .expect("a health")
    }

    #[test]
    fn what_is_missing_comes_with_its_cure() {
        let missing = serde_json::json!([{ "what": "make roles", "statement": "ALTER ROLE v;" }]);
        let sick = checked(missing, serde_json::Value::Null);
        let text = health(&sick);
        assert!(text.contains("missing  make roles\n"), "{text}");
        assert!(text.ends_with("as somebody who may:\n\nALTER ROLE v;\n"));
        assert!(verdict(&sick).is_err());
        let well = checked(serde_json::json!([]), serde_json::Value::Null);
        assert!(verdict(&well).is_ok());
    }

    #[test]
    fn trouble_is_told() {
        let trouble = serde_json::json!({
            "kind": "unreachable", "code": null, "advice": "start it", "remedy": []
        });
        let sick = checked(serde_json::json!([]), trouble);
        assert!(health(&sick).contains("advice   start it\n"));
        let told = verdict(&sick).expect_err("sick").to_string();
        assert_eq!(
            told,
            "orders is not ready: its target lets nobody in (unreachable)"
        );
    }
}
