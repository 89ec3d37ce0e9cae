//! What there is of accounts at the server.

use scaivault_core::target::{Trouble, TroubleKind};

use super::super::session::Session;
use super::super::trouble;

/// An account that is there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct There {
    pub(super) name: String,
    /// The server's number of it, which sessions keep when it is gone.
    pub(super) oid: u32,
    /// It owns something, in any database.
    pub(super) owns: bool,
    /// Other databases of which something depends on it.
    pub(super) elsewhere: Vec<String>,
    pub(super) may_log_in: bool,
}

const THERE: &str = "
    SELECT r.rolname::text, r.rolcanlogin,
           EXISTS (SELECT 1 FROM pg_catalog.pg_shdepend d
                   WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                     AND d.refobjid = r.oid AND d.deptype = 'o'),
           ARRAY(SELECT DISTINCT b.datname::text FROM pg_catalog.pg_shdepend d
                 JOIN pg_catalog.pg_database b ON b.oid = d.dbid
                 WHERE d.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass
                   AND d.refobjid = r.oid AND b.datname <> pg_catalog.current_database()),
           r.oid
    FROM pg_catalog.pg_roles r WHERE r.rolname = ANY($1::text[])";

/// Those of these names that are there.
pub(super) async fn there(session: &Session, names: &[&str]) -> Result<Vec<There>, Trouble> {
    let rows = session.client.query(THERE, &[&names]).await;
    let rows = rows.map_err(|error| trouble::statement(&error))?;
    let read = |row: &tokio_postgres::Row| {
        Ok(There {
            name: row.try_get(0)?,
            may_log_in: row.try_get(1)?,
            owns: row.try_get(2)?,
            elsewhere: row.try_get(3)?,
            oid: row.try_get(4)?,
        })
    };
    let found: Result<Vec<There>, tokio_postgres::Error> = rows.iter().map(read).collect();
    found.map_err(|_| TroubleKind::Protocol.into())
}

/// Login roles other than the server's own. One that is shut out lets nobody in: a role's own way
/// to remove may leave it on purpose.
pub(super) async fn names(session: &Session) -> Result<Vec<String>, Trouble> {
    let asked = "SELECT rolname::text FROM pg_catalog.pg_roles
                 WHERE rolcanlogin AND pg_catalog.length(rolname) >= 20 AND rolname !~ '^pg_' ORDER BY 1";
    let rows = session.client.query(asked, &[]).await;
    let rows = rows.map_err(|error| trouble::statement(&error))?;
    let names: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get(0)).collect();
    names.map_err(|_| TroubleKind::Protocol.into())
}

/// Whether the manager may do everything anyway.
pub(super) async fn is_superuser(session: &Session) -> Result<bool, Trouble> {
    let asked = "SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = current_user";
    let row = session.client.query_one(asked, &[]).await;
    let row = row.map_err(|error| trouble::statement(&error))?;
    row.try_get(0).map_err(|_| TroubleKind::Protocol.into())
}

/// Sessions of these roles.
pub(super) const SESSIONS: &str = "FROM pg_catalog.pg_stat_activity
    WHERE usesysid = ANY($1::oid[]) AND backend_type IS DISTINCT FROM 'parallel worker'";
