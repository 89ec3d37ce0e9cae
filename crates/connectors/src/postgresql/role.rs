//! A role as the server has it.

use scaivault_core::target::{Trouble, TroubleKind};

use super::list;
use super::mark::Comment;
use super::session::Session;
use super::{sql, trouble};

/// What of a role both accounts of a pair have alike.
pub(super) struct Role {
    pub(super) oid: u32,
    pub(super) comment: Comment,
    connection_limit: i32,
    /// As the server writes it; `None` for ever.
    valid_until: Option<String>,
}

/// Settings of a role: for a database or, without one, for all.
type Settings = Vec<(Option<String>, Vec<String>)>;

/// Reads a role.
pub(super) async fn read(session: &Session, name: &str) -> Result<Option<Role>, Trouble> {
    let asked = "SELECT oid, coalesce(shobj_description(oid, 'pg_authid'), ''), rolconnlimit, \
                 nullif(rolvaliduntil, 'infinity')::text FROM pg_catalog.pg_roles \
                 WHERE rolname = $1::text";
    let row = session.client.query_opt(asked, &[&name]).await;
    let Some(row) = row.map_err(|error| trouble::statement(&error))? else {
        return Ok(None);
    };
    let read = || {
        Ok::<_, tokio_postgres::Error>(Role {
            oid: row.try_get(0)?,
            comment: Comment::read(row.try_get(1)?),
            connection_limit: row.try_get(2)?,
            valid_until: row.try_get(3)?,
        })
    };
    read().map(Some).map_err(|_| TroubleKind::Protocol.into())
}

/// Whether `member` was granted `group` itself.
pub(super) async fn is_member(
    session: &Session,
    member: &Role,
    group: &Role,
) -> Result<bool, Trouble> {
    let asked = "SELECT 1 FROM pg_catalog.pg_auth_members WHERE member = $1 AND roleid = $2";
    let row = session
        .client
        .query(asked, &[&member.oid, &group.oid])
        .await;
    let rows = row.map_err(|error| trouble::statement(&error))?;
    Ok(!rows.is_empty())
}

async fn settings(session: &Session, role: &Role) -> Result<Settings, Trouble> {
    let asked = "SELECT d.datname::text, s.setconfig FROM pg_catalog.pg_db_role_setting s \
                 LEFT JOIN pg_catalog.pg_database d ON d.oid = s.setdatabase \
                 WHERE s.setrole = $1 ORDER BY 1";
    let rows = session.client.query(asked, &[&role.oid]).await;
    let rows = rows.map_err(|error| trouble::statement(&error))?;
    let read = |row: &tokio_postgres::Row| Ok((row.try_get(0)?, row.try_get(1)?));
    let all: Result<Settings, tokio_postgres::Error> = rows.iter().map(read).collect();
    all.map_err(|_| TroubleKind::Protocol.into())
}

/// A statement, and the setting it sets.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) setting: Option<String>,
}

impl From<String> for Statement {
    fn from(sql: String) -> Self {
        Self { sql, setting: None }
    }
}

/// The statements after which `role`, named `name`, has the limits and settings of `model`, and
/// acts as `group`.
pub(super) async fn alike(
    session: &Session,
    (name, role): (&str, &Role),
    model: Option<&Role>,
    group: &str,
) -> Result<Vec<Statement>, Trouble> {
    let quoted = sql::name(name);
    let mut statements = Vec::new();
    let own = settings(session, role).await?;
    let wanted = match model {
        Some(model) => {
            if model.connection_limit != role.connection_limit {
                let limit = model.connection_limit;
                let statement = format!("ALTER ROLE {quoted} CONNECTION LIMIT {limit}");
                statements.push(statement.into());
            }
            if model.valid_until != role.valid_until {
                let until = sql::text(model.valid_until.as_deref().unwrap_or("infinity"));
                statements.push(format!("ALTER ROLE {quoted} VALID UNTIL {until}").into());
            }
            settings(session, model).await?
        }
        None => own.clone(),
    };
    let wanted = acting_as(wanted, group);
    for (database, _) in own.iter().filter(|entry| !wanted.contains(entry)) {
        let statement = format!("ALTER ROLE {quoted}{} RESET ALL", within(database));
        statements.push(statement.into());
    }
    for entry in wanted.iter().filter(|entry| !own.contains(entry)) {
        let (database, list) = entry;
        for setting in list.iter().filter_map(|text| text.split_once('=')) {
            let name = sql::setting(setting.0);
            let value = list::literals(setting.0, setting.1);
            let within = within(database);
            statements.push(Statement {
                sql: format!("ALTER ROLE {quoted}{within} SET {name} = {value}"),
                setting: Some(name),
            });
        }
    }
    Ok(statements)
}

fn within(database: &Option<String>) -> String {
    match database {
        Some(database) => format!(" IN DATABASE {}", sql::name(database)),
        None => String::new(),
    }
}

/// The settings with `role` set to the group in all databases.
fn acting_as(mut settings: Settings, group: &str) -> Settings {
    let role = format!("role={group}");
    match settings.iter_mut().find(|(database, _)| database.is_none()) {
        Some((_, list)) if list.contains(&role) => {}
        Some((_, list)) => {
            list.retain(|text| !text.starts_with("role="));
            list.push(role);
        }
        None => settings.push((None, vec![role])),
    }
    settings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_group_is_acted_as_whatever_was_set() {
        let list = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        let check = |given: Settings, expect: Settings| assert_eq!(acting_as(given, "g"), expect);
        check(vec![], vec![(None, list(&["role=g"]))]);
        check(
            vec![(None, list(&["role=x", "a=1"]))],
            vec![(None, list(&["a=1", "role=g"]))],
        );
        check(
            vec![(None, list(&["role=g", "a=1"]))],
            vec![(None, list(&["role=g", "a=1"]))],
        );
        check(
            vec![(Some("d".into()), list(&["a=1"]))],
            vec![
                (Some("d".into()), list(&["a=1"])),
                (None, list(&["role=g"])),
            ],
        );
    }
}
