//! What there is of accounts at the server.

use scaivault_core::target::Trouble;

use super::super::quote;
use super::super::server::Family;
use super::pool::{Ready, Words};

/// Rows of these names, name and host. A name may have several.
pub(super) async fn rows(
    manager: &mut Ready,
    names: &[&str],
) -> Result<Vec<(String, String)>, Trouble> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let literals: Vec<_> = names.iter().map(|name| quote::text(name)).collect();
    let asked = format!("User IN ({})", literals.join(", "));
    let mut found: Vec<(String, String)> = select(manager, &asked).await?;
    // Whatever the server takes for equal.
    found.retain(|(name, _)| names.contains(&name.as_str()));
    Ok(found)
}

/// Names that may be ours.
pub(super) async fn names(manager: &mut Ready) -> Result<Vec<String>, Trouble> {
    // One that is locked lets nobody in: a role's own way to remove may leave it on purpose.
    let open = match manager.server.family {
        Family::MySql => "account_locked = 'N'",
        Family::MariaDb => "COALESCE(JSON_VALUE(Priv, '$.account_locked'), 0) = 0",
    };
    let asked = format!("{open} AND CHAR_LENGTH(User) >= 20 ORDER BY 1");
    let found = select(manager, &asked).await?;
    let mut names: Vec<String> = found.into_iter().map(|(name, _)| name).collect();
    names.dedup();
    Ok(names)
}

async fn select(manager: &mut Ready, which: &str) -> Result<Vec<(String, String)>, Trouble> {
    manager.reads(Words::Ours).await?;
    let (table, and) = match manager.server.family {
        Family::MySql => ("user", ""),
        Family::MariaDb => (
            "global_priv",
            "COALESCE(JSON_VALUE(Priv, '$.is_role'), 0) = 0 AND ",
        ),
    };
    let sql = format!(
        "SELECT CAST(User AS CHAR), CAST(Host AS CHAR) FROM mysql.{table} WHERE {and}{which}"
    );
    manager.session.rows(&sql).await
}
